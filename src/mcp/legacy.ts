/**
 * Lesson 20: the edge of the handshake eras, 2024-11-05 to 2025-11-25. A client says once who it is
 * and what it can do, and the session remembers.
 *
 *     initialize ─▶ version agreed ─▶ notifications/initialized ─▶ requests …
 *
 * A question for a person is a request of ours to the client: it has an id of our own, and the
 * client's response to it comes like any other message.
 *
 * Invariants: the agreed version is one that we speak; an answer that nobody waits for is ignored;
 * a question ends with the request that it belongs to.
 * Test: test/20-mcp.test.ts, test/20-mcp.conformance.test.ts
 */
import type { Host } from "#host";
import {
  hasForms, nameOf, progressOf, type Answered, type Asking, type Caller, type Link, type Said,
} from "./caller.ts";
import type { Dispatcher } from "./dispatch.ts";
import { agreedVersion, metaOf } from "./era.ts";
import {
  CODES, errorOf, isObject, notificationOf, resultOf, RpcFailure, type Params, type Request,
  type Response,
} from "./json-rpc.ts";
import { STATE_MS } from "./request-state.ts";
import { MAX_URIS, readUri, watchResources } from "./subscriptions.ts";

/** Nobody guesses it: over HTTP it is all that leads an answer to its question. */
const ID_BYTES = 16;

export class LegacySession {
  readonly #dispatcher: Dispatcher;
  readonly #host: Host;
  #version = "";
  #client = "unnamed";
  #canAsk = false;
  readonly #questions = new Map<string, (answer: Said) => void>();
  readonly #watched = new Map<string, AbortController>();
  /** Where messages go that belong to no request: changes of resources. */
  #notify: (message: object) => void;

  constructor(dispatcher: Dispatcher, host: Host, notify: (message: object) => void) {
    this.#dispatcher = dispatcher;
    this.#host = host;
    this.#notify = notify;
  }

  /** Undefined as long as nobody has said hello. */
  get version(): string | undefined {
    return this.#version === "" ? undefined : this.#version;
  }

  notifyBy(notify: (message: object) => void): void {
    this.#notify = notify;
  }

  async answer(request: Request, link: Link): Promise<Answered> {
    const { id } = request;
    try {
      return { message: resultOf(id, await this.#result(request, link)), status: 200 };
    } catch (error) {
      return { message: errorOf(id, error), status: 200 };
    }
  }

  async #result({ method, params }: Request, link: Link): Promise<object> {
    if (method === "initialize") return this.#initialize(params);
    if (method === "ping") return {};
    if (method === "resources/subscribe") return this.#subscribe(params);
    if (method === "resources/unsubscribe") return this.#unsubscribe(params);
    return this.#dispatcher.dispatch(method, params, this.#callerOf(params, link));
  }

  // #region initialize
  #initialize({ protocolVersion, capabilities, clientInfo }: Params): object {
    if (typeof protocolVersion !== "string") {
      throw new RpcFailure(CODES.INVALID_PARAMS,
        "Cannot initialize: params.protocolVersion must be a text");
    }
    this.#version = agreedVersion(protocolVersion);
    this.#client = nameOf(clientInfo);
    this.#canAsk = isObject(capabilities) && hasForms(capabilities["elicitation"]);
    const { serverInfo, instructions } = this.#dispatcher;
    const resources = { subscribe: true };
    return {
      protocolVersion: this.#version, serverInfo, instructions,
      capabilities: { ...this.#dispatcher.capabilities, resources },
    };
  }
  // #endregion

  #callerOf(params: Params, link: Link): Caller {
    return {
      client: this.#client, signal: link.signal,
      progress: progressOf(metaOf(params)["progressToken"], link.send),
      ask: this.#canAsk ? (asking) => this.#ask(asking, link) : undefined,
    };
  }

  // ── a question for a person ────────────────────────────────────────────────────────────────────

  #ask({ message, fields, required }: Asking, { send, signal }: Link): Promise<Said> {
    const id = `titan-${Buffer.from(this.#host.random.bytes(ID_BYTES)).toString("hex")}`;
    return new Promise((resolve, reject) => {
      const end = (): void => {
        timer.cancel();
        signal.removeEventListener("abort", leave);
        this.#questions.delete(id);
      };
      const give = (reason: string): void => {
        end();
        send(notificationOf("notifications/cancelled", { requestId: id, reason }));
      };
      const leave = (): void => {
        give("the request that asked was cancelled");
        reject(new RpcFailure(CODES.INTERNAL, "Cannot ask: the request was cancelled"));
      };
      const timer = this.#host.timers.after(STATE_MS, () => {
        give("nobody answered in time");
        resolve({ action: "cancel", content: {} });
      });
      signal.addEventListener("abort", leave, { once: true });
      this.#questions.set(id, (said) => {
        end();
        resolve(said);
      });
      const requestedSchema = { type: "object", properties: fields, required };
      const params = { message, requestedSchema };
      send({ jsonrpc: "2.0", id, method: "elicitation/create", params });
    });
  }

  /** A client's response to a question of ours. Whether somebody waited for it. */
  take({ id, result }: Response): boolean {
    const waiting = this.#questions.get(String(id));
    if (waiting === undefined) return false;
    const { action, content } = isObject(result) ? result : {};
    const isAnswer = action === "accept" || action === "decline";
    // An error is no answer: the client could not show the question.
    waiting({ action: isAnswer ? action : "cancel", content: isObject(content) ? content : {} });
    return true;
  }

  // ── subscriptions ──────────────────────────────────────────────────────────────────────────────

  #subscribe(params: Params): object {
    const uri = readUri(params["uri"]);
    if (this.#watched.has(uri)) return {};
    if (this.#watched.size >= MAX_URIS) {
      throw new RpcFailure(CODES.INVALID_PARAMS,
        `Cannot subscribe to ${uri}: ${MAX_URIS} resources are watched already`);
    }
    const stop = new AbortController();
    this.#watched.set(uri, stop);
    const changed = (): void =>
      this.#notify(notificationOf("notifications/resources/updated", { uri }));
    void watchResources(this.#dispatcher, { uris: [uri], signal: stop.signal, changed });
    return {};
  }

  #unsubscribe(params: Params): object {
    const uri = readUri(params["uri"]);
    this.#watched.get(uri)?.abort();
    this.#watched.delete(uri);
    return {};
  }

  close(): void {
    for (const stop of this.#watched.values()) stop.abort();
    this.#watched.clear();
  }
}
