/**
 * Lesson 19: the way of a request: the guard, the route, and what the route's handler returns.
 *
 *     head ─▶ guard ─▶ route ─▶ body, ≤ 8 MiB ─▶ handler ─▶ a client of the master
 *
 * Everything behind it is a client of the master like any other: it acts through the SDK, over one
 * session, and knows nothing of the master's memory.
 *
 * Invariants: no handler runs before the guard has agreed; a request has one answer; whatever a
 * handler throws is an answer.
 * Test: test/http.test.ts
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { dialable } from "#base";
import { connect, type Client } from "#sdk";
import { AGENTS } from "./agents.ts";
import {
  SAFE_HEADERS, sendDownload, sendError, sendJson, sendLive, sendMounted, sendPlain, sendShared,
} from "./answer.ts";
import { bodyOf, mediaType, readBody } from "./body.ts";
import { CHANGES } from "./changes.ts";
import { EventHub } from "./events.ts";
import { FILES } from "./files.ts";
import { REQUEST_HEADER, strangeRequest, unknownPerson, type Head, type Rules } from "./guard.ts";
import { HISTORY } from "./history.ts";
import { KEYS } from "./keys.ts";
import { LoopLag } from "./lag.ts";
import type { Mount } from "./mount.ts";
import { openApi } from "./openapi.ts";
import type { HttpOptions } from "./options.ts";
import { OUTPUT } from "./output.ts";
import { isOfApi, Pages, sendLocked, wantsPage } from "./pages.ts";
import { READS } from "./reads.ts";
import {
  Download, findRoute, HttpError, Live, Plain, Shared, type Asked, type Route,
} from "./route.ts";
import type { Sessions } from "./sessions.ts";
import { STREAMS } from "./streams.ts";
import { Together, TOGETHER } from "./together.ts";

const ROUTES: readonly Route[] = [
  ...READS, ...HISTORY, ...OUTPUT, ...AGENTS, ...FILES, ...KEYS, ...CHANGES, ...STREAMS,
  TOGETHER,
];

export class Serving {
  readonly #options: HttpOptions;
  readonly #rules: Rules;
  readonly #sessions: Sessions;
  readonly #hub: EventHub;
  readonly #lag: LoopLag;
  readonly #together: Together;
  #client: Promise<Client> | undefined;
  readonly #pages: Pages;

  constructor(options: HttpOptions, rules: Rules, sessions: Sessions) {
    this.#options = options;
    this.#rules = rules;
    this.#sessions = sessions;
    const { host, version } = options;
    this.#pages = new Pages(host);
    this.#lag = new LoopLag(host);
    this.#together = new Together(host, ROUTES);
    this.#hub = new EventHub({ host, version, session: () => this.session() });
  }

  serve(request: IncomingMessage, response: ServerResponse): void {
    this.#serve(request, response).catch((error: unknown) => sendError(response, error));
  }

  async close(): Promise<void> {
    this.#hub.close();
    this.#lag.stop();
    (await this.#client?.catch(() => undefined))?.close();
  }

  // #region serve
  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    for (const [name, value] of Object.entries(SAFE_HEADERS)) response.setHeader(name, value);
    const method = request.method ?? "GET";
    const head: Head = { method, headers: flat(request.headers) };
    const url = new URL(request.url ?? "/", "http://titan");
    const rules = this.#rules;
    const strange = strangeRequest(head, rules);
    if (strange !== undefined) throw new HttpError(strange.status, "UNAUTHORIZED", strange.why);
    if (url.pathname === "/healthz") return sendJson(response, 200, { status: "ok" });
    if (url.pathname.startsWith("/login/")) return this.#login(url.pathname, response);
    const mount = this.#options.mounts?.[url.pathname];
    const unknown = unknownPerson(mount === undefined ? head : asProgram(head), rules);
    if (unknown !== undefined) {
      if (wantsPage(url.pathname, request)) return sendLocked(response, unknown.why);
      throw new HttpError(unknown.status, "UNAUTHORIZED", unknown.why);
    }
    if (mount !== undefined) return this.#mounted(mount, head, { request, response });
    if (this.#options.mountsOnly) {
      throw new HttpError(404, "NOT_FOUND", `There is no path ${url.pathname}`);
    }
    if (url.pathname === "/readyz") return this.#ready(response);
    if (url.pathname === "/api/v1/openapi.json") {
      return sendJson(response, 200, openApi(ROUTES, this.#options.version));
    }
    if (isOfApi(url.pathname)) return this.#answer(url, { request, response });
    await this.#pages.serve(url.pathname, { request, response });
  }
  // #endregion

  async #answer(
    url: URL, { request, response }: { request: IncomingMessage; response: ServerResponse },
  ): Promise<void> {
    const { route, path } = findRoute(ROUTES, request.method ?? "GET", url.pathname);
    const bytes = await readBody(request, route.method);
    const contentType = mediaType(request.headers["content-type"]);
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    const asked: Asked = {
      client: await this.session(), host: this.#options.host, path, query: url.searchParams,
      bytes, contentType, body: bodyOf(route, bytes, contentType), signal: gone.signal,
      hub: this.#hub, lag: this.#lag,
      together: (each) => this.#together.answer(each),
      lastEventId: flat(request.headers)["last-event-id"],
      tell: (name, value) => response.setHeader(name, value),
    };
    const found = await this.#run(route, asked);
    if (found instanceof Download) await sendDownload(response, found);
    else if (found instanceof Plain) sendPlain(response, found);
    else if (found instanceof Shared) {
      sendShared(response, found, request.headers["if-none-match"]);
    } else if (found instanceof Live && request.method !== "HEAD") sendLive(response, found);
    else if (found instanceof Live) response.end();
    else sendJson(response, 200, found);
  }

  async #run(route: Route, asked: Asked): Promise<unknown> {
    try {
      return await route.run(asked);
    } finally {
      if (route.method !== "GET") this.#together.forget();
    }
  }

  async #mounted(
    mount: Mount, { method, headers }: Head,
    { request, response }: { request: IncomingMessage; response: ServerResponse },
  ): Promise<void> {
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    const body = await readBody(request, method);
    const { signal } = gone;
    const answer = await mount({ method, headers, body, signal });
    this.#together.forget(); // it may have changed anything
    await sendMounted(response, answer);
  }

  #login(path: string, response: ServerResponse): void {
    const cookie = this.#sessions.open(path.slice("/login/".length));
    if (cookie === undefined) {
      const why = "the link was opened before, or is of an earlier start of the master";
      throw new HttpError(401, "UNAUTHORIZED", `Cannot log in: ${why}`);
    }
    response.writeHead(303, { "set-cookie": cookie, location: "/" }).end();
  }

  async #ready(response: ServerResponse): Promise<void> {
    const { full, workers } = await (await this.session()).info();
    const isReady = full === "";
    sendJson(response, isReady ? 200 : 503, { ready: isReady, workers, full });
  }

  /** One session for all requests, and another one when it breaks. */
  async session(): Promise<Client> {
    const known = this.#client;
    const client = await known?.catch(() => undefined);
    if (client !== undefined && !client.closed) return client;
    // Somebody else may have dialled while we looked.
    if (this.#client === known) {
      const { master, token, host } = this.#options;
      this.#client = connect({ master: { ...master, host: dialable(master.host) }, token, host });
    }
    return this.#client!;
  }
}

/**
 * No client of another protocol knows our header. A body of JSON is a proof as good: a page of
 * another origin cannot send one without asking first.
 */
function asProgram(head: Head): Head {
  const isJson = mediaType(head.headers["content-type"]) === "application/json";
  if (!isJson && head.method === "POST") return head;
  return { ...head, headers: { ...head.headers, [REQUEST_HEADER]: "1" } };
}

/** Of a header that came twice the first one counts; Node joins the others. */
function flat(headers: IncomingMessage["headers"]): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) =>
      [name, Array.isArray(value) ? value[0] : value]),
  );
}
