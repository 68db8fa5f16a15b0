/**
 * Lesson 20: one client, at the two ends of a pipe.
 *
 *     bytes ─▶ lines ─▶ messages ─▶ era ─▶ dispatcher
 *     lines ◀─ messages ◀───────────────────────┘      (responses in the order of being ready)
 *
 * Each request runs by itself, so that a wait holds up nothing. A request that is cancelled is not
 * answered any more.
 *
 * Invariants: each request gets one response, unless it was cancelled; `write` gets whole lines of
 * JSON and nothing else; requests under way are bounded.
 * Test: test/20-mcp.test.ts, test/20-mcp.stdio.test.ts
 */
import type { Host } from "#host";
import { BATCH_VERSION, readBatch } from "./batch.ts";
import type { Dispatcher } from "./dispatch.ts";
import type { Link } from "./caller.ts";
import { eraOf } from "./era.ts";
import {
  CODES, errorOf, notificationOf, readMessage, RpcFailure, type Id, type Message,
  type Notification, type Request,
} from "./json-rpc.ts";
import { LegacySession } from "./legacy.ts";
import { Lines } from "./lines.ts";
import { endOfListening, ModernEdge } from "./modern.ts";
import type { RequestStates } from "./request-state.ts";

/** Twice the largest body of the HTTP door: arguments that are too long are named, by tool. */
export const MAX_LINE_BYTES = 16 * 1024 * 1024;
/** Without a request. Clients ask for their lists at once, and a model calls no tool so soon. */
const QUIET_MS = 200;
/** At once. A model calls a few tools at a time. */
const MAX_REQUESTS = 1000;

export interface StdioOptions {
  readonly dispatcher: Dispatcher;
  readonly host: Host;
  readonly states: RequestStates;
  /** A line, without its end. */
  readonly write: (line: string) => void;
}

export class StdioConnection {
  readonly #write: (line: string) => void;
  readonly #lines = new Lines(MAX_LINE_BYTES);
  readonly #modern: ModernEdge;
  readonly #legacy: LegacySession;
  /** Requests under way. */
  readonly #open = new Map<Id, AbortController>();
  /** Messages and batches whose answers are not written yet. */
  #working = 0;
  /** Requests that last until somebody ends them. */
  readonly #listening = new Set<Id>();
  readonly #host: Host;
  readonly #dispatcher: Dispatcher;
  #warming: { cancel(): void } | undefined;
  #closed = false;
  #idle: () => void = () => undefined;

  constructor({ dispatcher, host, states, write }: StdioOptions) {
    this.#write = write;
    this.#host = host;
    this.#dispatcher = dispatcher;
    this.#modern = new ModernEdge(dispatcher, states);
    this.#legacy = new LegacySession(dispatcher, host, (message) => this.#send(message));
  }

  take(chunk: Buffer): void {
    for (const line of this.#lines.take(chunk)) {
      if ("text" in line) this.#text(line.text);
      else {
        const found = `it has ${line.tooLong} bytes, more than ${MAX_LINE_BYTES}`;
        const why = `Cannot read the message: ${found}`;
        this.#send(errorOf(undefined, new RpcFailure(CODES.INVALID_REQUEST, why)));
      }
    }
  }

  /** Resolves once every request that has come is answered, or after this long. */
  async settled(ms: number): Promise<void> {
    if (this.#working === 0) return;
    await new Promise<void>((resolve) => {
      const timer = this.#host.timers.after(ms, resolve);
      this.#idle = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  /** Nobody is there any more: what waits stops waiting. Runs go on. */
  close(): void {
    for (const id of this.#listening) {
      this.#send(notificationOf("notifications/cancelled", { requestId: id }));
      this.#send(endOfListening(id));
    }
    this.#closed = true;
    this.#warming?.cancel();
    for (const stop of this.#open.values()) stop.abort();
    this.#legacy.close();
  }

  #send(message: object): void {
    if (!this.#closed) this.#write(JSON.stringify(message));
  }

  // #region message
  #text(text: string): void {
    const batch = this.#legacy.version === BATCH_VERSION ? readBatch(text) : undefined;
    const read = batch ?? readMessage(text);
    const messages = "type" in read ? [read] : read;
    const answers = messages.flatMap((message) => this.#answer(message) ?? []);
    if (answers.length > 0) void this.#say(answers, messages === read);
  }

  /** What is to be said to a message; undefined: nothing. */
  #answer(message: Message): Promise<object | undefined> | undefined {
    switch (message.type) {
      case "request": return this.#request(message);
      case "notification": return this.#notification(message);
      case "response": return void this.#legacy.take(message);
      case "bad": return Promise.resolve(
        errorOf(message.id, new RpcFailure(message.code, message.message)));
    }
  }

  async #request(request: Request): Promise<object | undefined> {
    const { id, method, params } = request;
    const refuse = (why: string): object =>
      errorOf(id, new RpcFailure(CODES.INVALID_REQUEST, `Cannot serve ${method}: ${why}`));
    if (this.#open.has(id)) return refuse(`a request with id ${id} is under way`);
    if (this.#open.size >= MAX_REQUESTS) return refuse(`${MAX_REQUESTS} requests are under way`);
    const stop = new AbortController();
    this.#open.set(id, stop);
    const isLegacy = eraOf(method, params) === "handshake" && this.#isGreeted(method);
    const edge = isLegacy ? this.#legacy : this.#modern;
    const link: Link = {
      signal: stop.signal, principal: "stdio",
      send: (message) => {
        if (!stop.signal.aborted || isCancel(message)) this.#send(message);
      },
    };
    if (method === "subscriptions/listen") this.#listening.add(id);
    const { message } = await edge.answer(request, link);
    this.#listening.delete(id);
    this.#open.delete(id);
    // A client that shakes hands stays, and calls a tool some time. One that only probes does not.
    this.#warming?.cancel();
    if (this.#legacy.version !== undefined && !this.#closed) {
      this.#warming = this.#host.timers.after(QUIET_MS, () => this.#dispatcher.warm());
    }
    return stop.signal.aborted ? undefined : message;
  }
  // #endregion

  /** A batch is answered by one, once all of it is done. */
  async #say(
    answers: readonly Promise<object | undefined>[], isBatch: boolean,
  ): Promise<void> {
    this.#working += 1;
    const all = (await Promise.all(answers)).filter((each) => each !== undefined);
    if (isBatch && all.length > 0) this.#send(all);
    else if (all[0] !== undefined) this.#send(all[0]);
    this.#working -= 1;
    if (this.#working === 0) this.#idle();
  }

  /** Before a handshake only a modern request has all that is needed; it is told what it lacks. */
  #isGreeted(method: string): boolean {
    return this.#legacy.version !== undefined || method === "initialize" || method === "ping";
  }

  #notification({ method, params }: Notification): undefined {
    if (method === "notifications/cancelled") this.#open.get(params["requestId"] as Id)?.abort();
  }
}

/** Of a question of ours, whose request was cancelled: the person need not answer any more. */
function isCancel(message: object): boolean {
  return (message as { method?: string }).method === "notifications/cancelled";
}
