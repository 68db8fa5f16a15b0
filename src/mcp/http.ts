/**
 * Lesson 20: streamable HTTP: each message is a POST of its own, and its answer is a JSON value, or
 * a stream of events that ends with it.
 *
 *     POST ─▶ Accept, JSON ─▶ headers agree with the body? ─▶ era ─▶ dispatcher
 *                                                                      │ nothing to say meanwhile
 *     200 application/json  ◀───────────────────────────────────────────┤
 *     200 text/event-stream ◀── progress, questions, … the response ◀──┘ something
 *
 * Invariants: a modern request is served only if its headers say what its body says; a peer that is
 * gone ends what a modern request waits for; a session is known by its id alone, and is one of
 * MAX_SESSIONS.
 * Left out: streams that can be resumed. A client that lost one asks again.
 * Test: test/20-mcp.http.test.ts
 */
import { createHash } from "node:crypto";
import type { Host } from "#host";
import type { Mount, MountedAnswer, MountedRequest } from "#http";
import { BATCH_VERSION, readBatch } from "./batch.ts";
import type { Answered, Link } from "./caller.ts";
import type { Dispatcher } from "./dispatch.ts";
import { eraOf } from "./era.ts";
import { checkHeaders, VERSION_HEADER } from "./headers.ts";
import {
  CODES, errorOf, readMessage, RpcFailure, type Bad, type Id, type Message, type Notification,
  type Request, type Response,
} from "./json-rpc.ts";
import { LegacySession } from "./legacy.ts";
import { ModernEdge } from "./modern.ts";
import type { RequestStates } from "./request-state.ts";
import { HttpSessions, SESSION_HEADER, type HttpSession } from "./sessions.ts";
import { EVENTS, Stream } from "./stream.ts";

const JSON_TYPE = { "content-type": "application/json; charset=utf-8" };

export interface EndpointOptions {
  readonly dispatcher: Dispatcher;
  readonly host: Host;
  readonly states: RequestStates;
}

export class HttpEndpoint {
  readonly #dispatcher: Dispatcher;
  readonly #host: Host;
  readonly #modern: ModernEdge;
  readonly #sessions: HttpSessions;

  constructor({ dispatcher, host, states }: EndpointOptions) {
    this.#dispatcher = dispatcher;
    this.#host = host;
    this.#modern = new ModernEdge(dispatcher, states);
    this.#sessions = new HttpSessions(host);
  }

  readonly answer: Mount = async (asked) => {
    const { method } = asked;
    if (method === "POST") return this.#post(asked);
    const session = this.#sessions.find(asked.headers[SESSION_HEADER]);
    if (session !== undefined && method === "GET") return session.listen(asked.signal);
    if (session !== undefined && method === "DELETE") {
      this.#sessions.end(session);
      return { status: 204, headers: {}, body: "" };
    }
    const allow = { allow: "POST" };
    return refusal(
      405,
      undefined,
      `Cannot ${method} here: each message is a POST of its own`,
      allow,
    );
  };

  // #region post
  async #post(asked: MountedRequest): Promise<MountedAnswer> {
    const accept = asked.headers["accept"] ?? "";
    const wanted = ["application/json", EVENTS];
    if (!accept.includes("*/*") && !wanted.every((type) => accept.includes(type))) {
      return refusal(406, undefined, `Cannot answer: Accept must list ${wanted.join(" and ")}`);
    }
    const text = asked.body.toString("utf8");
    const batch = this.#takesBatches(asked) ? readBatch(text) : undefined;
    if (batch !== undefined && !("type" in batch)) return this.#batch(batch, asked);
    const message = batch ?? readMessage(text);
    if (message.type === "bad") return badAnswer(message);
    const wrong = checkHeaders(asked.headers, message);
    if (wrong !== undefined) return { ...failed(message, wrong), status: 400 };
    const isModern = message.type === "request"
      && eraOf(message.method, message.params) === "modern";
    if (isModern) return this.#request(message, asked, this.#modern);
    return this.#handshakeEra(message, asked);
  }
  // #endregion

  async #handshakeEra(message: Message, asked: MountedRequest): Promise<MountedAnswer> {
    const id = asked.headers[SESSION_HEADER];
    const known = this.#sessions.find(id);
    if (id !== undefined && known === undefined) {
      return noSession(idOf(message));
    }
    if (message.type === "response" || message.type === "notification") {
      this.#heard(message, known);
      return { status: 202, headers: {}, body: "" };
    }
    if (message.type !== "request") throw new Error("this was refused before");
    const session = known ?? this.#newSession();
    const answer = await this.#request(message, asked, session.legacy, session);
    if (message.method !== "initialize" || session.legacy.version === undefined) return answer;
    this.#sessions.keep(session);
    return { ...answer, headers: { ...answer.headers, [SESSION_HEADER]: session.id } };
  }

  // ── batches ────────────────────────────────────────────────────────────────────────────────────

  /** One version has them. A client that names none is taken for that one. */
  #takesBatches({ headers }: MountedRequest): boolean {
    const session = this.#sessions.find(headers[SESSION_HEADER]);
    const version = session?.legacy.version ?? headers[VERSION_HEADER] ?? BATCH_VERSION;
    return version === BATCH_VERSION;
  }

  async #batch(batch: readonly Message[], asked: MountedRequest): Promise<MountedAnswer> {
    const id = asked.headers[SESSION_HEADER];
    const known = this.#sessions.find(id);
    if (id !== undefined && known === undefined) return noSession(undefined);
    const session = known ?? this.#newSession();
    const stream = new Stream(this.#host, asked.signal);
    const answers = batch.flatMap((message): Promise<object>[] => {
      if (message.type === "bad") {
        const error = new RpcFailure(message.code, message.message);
        return [Promise.resolve(errorOf(message.id, error))];
      }
      if (message.type !== "request") return this.#heard(message, known);
      const started = this.#started(message, asked, { edge: session.legacy, session, stream });
      return [started.then((answered) => answered.message)];
    });
    if (answers.length === 0) return { status: 202, headers: {}, body: "" };
    const all = Promise.all(answers);
    const ready = await Promise.race([all, stream.begun]);
    if (ready !== undefined) {
      return { status: 200, headers: JSON_TYPE, body: JSON.stringify(ready) };
    }
    for (const answer of answers) void answer.then((message) => stream.say(message));
    void all.then(() => stream.end());
    return stream.answer();
  }

  /** Nobody answers these. */
  #heard(message: Response | Notification, known: HttpSession | undefined): [] {
    // The id of a question of ours is a secret of the session that asked.
    if (message.type === "response") known?.legacy.take(message);
    else if (message.method === "notifications/cancelled") {
      known?.cancel(message.params["requestId"]);
    }
    return [];
  }

  /** Without a session a request is served all the same: only questions and news need one. */
  #newSession(): HttpSession {
    const { host } = this.#dispatcher;
    return this.#sessions.make((notify) => new LegacySession(this.#dispatcher, host, notify));
  }

  // #region request
  async #request(
    request: Request, asked: MountedRequest, edge: Edge, session?: HttpSession,
  ): Promise<MountedAnswer> {
    const stream = new Stream(this.#host, asked.signal);
    const done = this.#started(request, asked, { edge, session, stream });
    const first = await Promise.race([done, stream.begun]);
    if (first !== undefined) {
      const { message, status } = first;
      return { status, headers: JSON_TYPE, body: JSON.stringify(message) };
    }
    void done.then(({ message }) => stream.end(message));
    return stream.answer();
  }
  // #endregion

  #started(
    request: Request, asked: MountedRequest,
    { edge, session, stream }: { edge: Edge; session: HttpSession | undefined; stream: Stream },
  ): Promise<Answered> {
    const stop = new AbortController();
    // In the handshake eras a stream that breaks is no wish: the client may ask for the rest.
    if (session === undefined) asked.signal.addEventListener("abort", () => stop.abort());
    session?.begin(request.id, stop);
    const link: Link = {
      signal: stop.signal, principal: principalOf(asked), send: (message) => stream.send(message),
    };
    return edge.answer(request, link).finally(() => session?.over(request.id));
  }
}

interface Edge {
  answer(request: Request, link: Link): Promise<Answered>;
}

function noSession(id: Id | undefined): MountedAnswer {
  return refusal(404, id, "Cannot find this session: begin again with initialize");
}

/** Callers with the same token are one principal, and so are all without one. */
function principalOf({ headers }: MountedRequest): string {
  const shown = headers["authorization"] ?? headers["cookie"] ?? "";
  return createHash("sha256").update(shown).digest("base64");
}

function idOf(message: Message): Id | undefined {
  return "id" in message ? message.id : undefined;
}

function badAnswer({ id, code, message }: Bad): MountedAnswer {
  const body = JSON.stringify(errorOf(id, new RpcFailure(code, message)));
  return { status: 400, headers: JSON_TYPE, body };
}

function failed(message: Message, error: RpcFailure): MountedAnswer {
  return { status: 400, headers: JSON_TYPE, body: JSON.stringify(errorOf(idOf(message), error)) };
}

function refusal(
  status: number, id: Id | undefined, why: string, headers: Record<string, string> = {},
): MountedAnswer {
  const body = JSON.stringify(errorOf(id, new RpcFailure(CODES.INVALID_REQUEST, why)));
  return { status, headers: { ...JSON_TYPE, ...headers }, body };
}
