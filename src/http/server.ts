/**
 * Lesson 19: the port. It reads a request, asks the guard, finds the route, and sends what the
 * route's handler returns.
 *
 *     socket ─▶ head ─▶ guard ─▶ route ─▶ body, ≤ 8 MiB ─▶ handler ─▶ a client of the master
 *
 * Everything behind it is a client of the master like any other: it acts through the SDK, over one
 * session, and knows nothing of the master's memory.
 *
 * Invariants: no handler runs before the guard has agreed; a peer that is slow with its head or its
 * body is cut; a request has one answer; whatever a handler throws is an answer.
 * Left out: TLS, HTTP/2.
 * Test: test/http.test.ts
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { dialable, hostPort } from "#base";
import { Dashboard } from "#dashboard";
import type { Address, Host } from "#host";
import { mismatch } from "#rows";
import { connect, type Client } from "#sdk";
import {
  SAFE_HEADERS, sendAsset, sendDownload, sendError, sendJson, sendLive, sendMounted,
} from "./answer.ts";
import { CHANGES } from "./changes.ts";
import { EventHub, MAX_STREAMS } from "./events.ts";
import {
  namesOf, REQUEST_HEADER, strangeRequest, unknownPerson, type Head, type Rules,
} from "./guard.ts";
import type { Mount } from "./mount.ts";
import { openApi } from "./openapi.ts";
import { OUTPUT } from "./output.ts";
import { READS } from "./reads.ts";
import { Download, findRoute, HttpError, Live, type Asked, type Route } from "./route.ts";
import { Sessions } from "./sessions.ts";
import { STREAMS } from "./streams.ts";

/** As a frame of the wire: the largest pipeline that travels in one piece. */
export const MAX_BODY_BYTES = 8 * 1024 * 1024;
const MAX_HEAD_BYTES = 16 * 1024;
/** A head comes in one packet, or in a few. */
const HEAD_MS = 10_000;
/** The largest body at 3 Mbit/s. */
const BODY_MS = 30_000;
/** Browsers open six for each page, beside its stream. */
export const MAX_CONNECTIONS = 1024 + MAX_STREAMS;

const ROUTES: readonly Route[] = [...READS, OUTPUT, ...CHANGES, ...STREAMS];

export interface HttpOptions {
  readonly host: Host;
  readonly master: Address;
  readonly token: string | undefined;
  readonly version: string;
  readonly listen: Address;
  /** Other names by which people reach this port: `titan.example.org:443`. */
  readonly names?: readonly string[];
  /** Other protocols, by their paths. */
  readonly mounts?: Readonly<Record<string, Mount>>;
  /** Nothing but those. */
  readonly mountsOnly?: boolean;
}

export class HttpDoor {
  readonly #options: HttpOptions;
  readonly #server: Server;
  readonly #hub: EventHub;
  #rules: Rules | undefined;
  #sessions: Sessions | undefined;
  #client: Promise<Client> | undefined;
  #address: Address | undefined;
  /** Read when the first person looks. */
  #dashboard: Promise<Dashboard> | undefined;

  constructor(options: HttpOptions) {
    this.#options = options;
    const { host, version } = options;
    this.#hub = new EventHub({ host, version, session: () => this.#session() });
    const limits = {
      maxHeaderSize: MAX_HEAD_BYTES, headersTimeout: HEAD_MS, requestTimeout: BODY_MS,
      connectionsCheckingInterval: 1000, noDelay: true,
    };
    this.#server = createServer(limits, (request, response) => {
      this.#serve(request, response).catch((error: unknown) => sendError(response, error));
    });
    this.#server.maxConnections = MAX_CONNECTIONS;
  }

  /** @throws the system's error when the port cannot be had */
  async open(): Promise<Address> {
    const { listen, token, names, host } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen({ host: listen.host, port: listen.port }, () => {
        this.#server.off("error", reject);
        resolve();
      });
    });
    const { port } = this.#server.address() as AddressInfo;
    const sessions = new Sessions(host, port);
    this.#sessions = sessions;
    const known = namesOf(port, [hostPort({ host: listen.host, port }), ...(names ?? [])]);
    this.#rules = { names: known, token, cookie: sessions.cookie, isSession: sessions.has };
    this.#address = { host: listen.host, port };
    return this.#address;
  }

  /** Where programs find it. */
  get url(): string {
    const { host, port } = this.#address!;
    const at = hostPort({ host: dialable(host), port });
    return `http://${at}`;
  }

  /** Where a person's browser goes. With a token the address has a code that works once. */
  newLink(): string {
    const code = this.#options.token === undefined ? "" : `login/${this.#sessions!.newCode()}`;
    return `${this.url}/${code}`;
  }

  async close(): Promise<void> {
    this.#hub.close();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
    (await this.#client?.catch(() => undefined))?.close();
  }

  // #region serve
  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    for (const [name, value] of Object.entries(SAFE_HEADERS)) response.setHeader(name, value);
    const method = request.method ?? "GET";
    const head: Head = { method, headers: flat(request.headers) };
    const url = new URL(request.url ?? "/", "http://titan");
    const rules = this.#rules!;
    const strange = strangeRequest(head, rules);
    if (strange !== undefined) throw new HttpError(strange.status, "UNAUTHORIZED", strange.why);
    if (url.pathname === "/healthz") return sendJson(response, 200, { status: "ok" });
    if (url.pathname.startsWith("/login/")) return this.#login(url.pathname, response);
    const mount = this.#options.mounts?.[url.pathname];
    const unknown = unknownPerson(mount === undefined ? head : asProgram(head), rules);
    if (unknown !== undefined) throw new HttpError(unknown.status, "UNAUTHORIZED", unknown.why);
    if (mount !== undefined) return this.#mounted(mount, head, { request, response });
    if (this.#options.mountsOnly) {
      throw new HttpError(404, "NOT_FOUND", `There is no path ${url.pathname}`);
    }
    if (url.pathname === "/readyz") return this.#ready(response);
    if (url.pathname === "/api/v1/openapi.json") {
      return sendJson(response, 200, openApi(ROUTES, this.#options.version));
    }
    if (isOfApi(url.pathname)) return this.#answer(url, { request, response });
    await this.#page(url.pathname, { request, response });
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
      client: await this.#session(), host: this.#options.host, path, query: url.searchParams,
      bytes, contentType, body: bodyOf(route, bytes, contentType), signal: gone.signal,
      hub: this.#hub, lastEventId: flat(request.headers)["last-event-id"],
      tell: (name, value) => response.setHeader(name, value),
    };
    const found = await route.run(asked);
    if (found instanceof Download) await sendDownload(response, found);
    else if (found instanceof Live && request.method !== "HEAD") sendLive(response, found);
    else if (found instanceof Live) response.end();
    else sendJson(response, 200, found);
  }

  /** Files of the dashboard; every other path is a view of it, and answers its page. */
  async #page(
    path: string, { request, response }: { request: IncomingMessage; response: ServerResponse },
  ): Promise<void> {
    const { method } = request;
    if (method !== "GET" && method !== "HEAD") {
      const what = `Cannot ${method} ${path}: it takes GET`;
      throw new HttpError(405, "UNSUPPORTED", what, { allow: "GET, HEAD" });
    }
    this.#dashboard ??= Dashboard.load(this.#options.host);
    const dashboard = await this.#dashboard;
    const isAsset = path.startsWith("/assets/");
    const asset = isAsset ? dashboard.find(path.slice("/assets/".length)) : dashboard.shell;
    if (asset === undefined) throw new HttpError(404, "NOT_FOUND", `There is no file ${path}`);
    sendAsset(asset, { request, response });
  }

  async #mounted(
    mount: Mount, { method, headers }: Head,
    { request, response }: { request: IncomingMessage; response: ServerResponse },
  ): Promise<void> {
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    const body = await readBody(request, method);
    const client = (): Promise<Client> => this.#session();
    const { signal } = gone;
    await sendMounted(response, await mount({ method, headers, body, signal, client }));
  }

  #login(path: string, response: ServerResponse): void {
    const cookie = this.#sessions!.open(path.slice("/login/".length));
    if (cookie === undefined) {
      const why = "the link was opened before, or is of an earlier start of the master";
      throw new HttpError(401, "UNAUTHORIZED", `Cannot log in: ${why}`);
    }
    response.writeHead(303, { "set-cookie": cookie, location: "/" }).end();
  }

  async #ready(response: ServerResponse): Promise<void> {
    const { full, workers } = await (await this.#session()).info();
    const isReady = full === "";
    sendJson(response, isReady ? 200 : 503, { ready: isReady, workers, full });
  }

  /** One session for all requests, and another one when it breaks. */
  async #session(): Promise<Client> {
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

/** Paths of programs. A wrong one is an error in words, and never a page. */
function isOfApi(path: string): boolean {
  return /^\/(?:api|login|mcp|metrics)(?:\/|$)/.test(path);
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

function mediaType(header = ""): string {
  return header.split(";")[0]!.trim().toLowerCase();
}

/** @throws {HttpError} 413 */
async function readBody(request: IncomingMessage, method: string): Promise<Buffer> {
  if (method === "GET") return Buffer.alloc(0);
  const tooLarge = (): HttpError =>
    new HttpError(413, "TOO_LARGE", `Cannot read the body: more than ${MAX_BODY_BYTES} bytes`,
      { connection: "close" });
  if (Number(request.headers["content-length"] ?? 0) > MAX_BODY_BYTES) throw tooLarge();
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    bytes += piece.length;
    if (bytes > MAX_BODY_BYTES) throw tooLarge();
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

/** @throws {HttpError} 400, 415 */
function bodyOf(
  { body, takes }: Route, bytes: Buffer, contentType: string,
): Readonly<Record<string, unknown>> {
  if (takes !== undefined && !takes.includes(contentType)) {
    throw new HttpError(415, "UNSUPPORTED", `Cannot read a body of type "${contentType}": ` +
      `send ${takes.join(" or ")}`);
  }
  if (body === undefined || bytes.length === 0) return check(body, {});
  if (contentType !== "application/json") {
    throw new HttpError(415, "UNSUPPORTED",
      `Cannot read a body of type "${contentType}": send application/json`);
  }
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString("utf8"));
  } catch (error) {
    const found = (error as Error).message;
    throw new HttpError(400, "BAD_REQUEST", `Cannot read the body as JSON: ${found}`);
  }
  return check(body, value);
}

function check(body: Route["body"], value: unknown): Readonly<Record<string, unknown>> {
  const wrong = body === undefined ? undefined : mismatch(body, value, "body");
  if (wrong !== undefined) throw new HttpError(400, "BAD_REQUEST", `Cannot use the body: ${wrong}`);
  return value as Readonly<Record<string, unknown>>;
}
