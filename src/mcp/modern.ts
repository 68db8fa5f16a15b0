/**
 * Lesson 20: the modern edge, 2026-07-28. A request says which version it speaks and what its
 * client can do; nothing is remembered from one request to the next.
 *
 *     request ─▶ _meta checked ─▶ dispatcher ─▶ + resultType, serverInfo, ttlMs and cacheScope
 *                                     └─ a question for a person ─▶ input_required, and a state
 *
 * Invariants: what the client has not declared is not used; a request whose `_meta` is not whole
 * reaches no dispatcher; a state that is shown is ours, or the request is refused.
 * Test: test/20-mcp.test.ts, test/20-mcp.conformance.test.ts
 */
import { createHash } from "node:crypto";
import {
  hasForms, nameOf, progressOf, type Answered, type Asking, type Caller, type Link, type Said,
} from "./caller.ts";
import type { Dispatcher } from "./dispatch.ts";
import { META, metaOf, MODERN_VERSIONS, VERSIONS } from "./era.ts";
import {
  CODES, errorOf, isObject, notificationOf, resultOf, RpcFailure, type Id,
  type Params, type Request,
} from "./json-rpc.ts";
import type { RequestStates } from "./request-state.ts";
import { readFilter, watchResources } from "./subscriptions.ts";

/** What a client may keep, and for how long. The lists change with a new version of Titan only. */
const CACHE: Readonly<Record<string, object>> = {
  "server/discover": { ttlMs: 3_600_000, cacheScope: "public" },
  "tools/list": { ttlMs: 300_000, cacheScope: "public" },
  "prompts/list": { ttlMs: 300_000, cacheScope: "public" },
  "resources/templates/list": { ttlMs: 300_000, cacheScope: "public" },
  "resources/list": { ttlMs: 0, cacheScope: "private" },
  "resources/read": { ttlMs: 0, cacheScope: "private" },
};
/** The only key of `inputRequests`: one question at a time. */
const QUESTION = "person";

/** Thrown through the tool that asks: its request is over, and the next one brings the answer. */
class InputRequired extends Error {
  readonly asking: Asking;

  constructor(asking: Asking) {
    super("this request needs an answer of a person first");
    this.asking = asking;
  }
}

export class ModernEdge {
  readonly #dispatcher: Dispatcher;
  readonly #states: RequestStates;

  constructor(dispatcher: Dispatcher, states: RequestStates) {
    this.#dispatcher = dispatcher;
    this.#states = states;
  }

  // #region modern
  async answer(request: Request, link: Link): Promise<Answered> {
    const { id, method } = request;
    try {
      checkMeta(request);
    } catch (error) {
      return { message: errorOf(id, error), status: 400 };
    }
    try {
      const result = await this.#result(request, link);
      const server = { [META.server]: this.#dispatcher.serverInfo };
      const meta = { ...server, ...(result as { _meta?: object })._meta };
      const whole = { resultType: "complete", ...result, ...CACHE[method], _meta: meta };
      return { message: resultOf(id, whole), status: 200 };
    } catch (error) {
      if (error instanceof InputRequired) {
        return { message: resultOf(id, this.#inputRequired(error, request, link)), status: 200 };
      }
      const isUnknown = error instanceof RpcFailure && error.code === CODES.NO_METHOD;
      return { message: errorOf(id, error), status: isUnknown ? 404 : 200 };
    }
  }
  // #endregion

  async #result(request: Request, link: Link): Promise<object> {
    const { method, params } = request;
    if (method === "server/discover") return this.#discover();
    if (method === "subscriptions/listen") return this.#listen(request, link);
    const caller = this.#callerOf(request, link);
    return this.#dispatcher.dispatch(method, params, caller);
  }

  #discover(): object {
    const { capabilities, instructions } = this.#dispatcher;
    return { supportedVersions: VERSIONS, capabilities, instructions };
  }

  #callerOf(request: Request, link: Link): Caller {
    const { params } = request;
    const meta = metaOf(params);
    const { elicitation } = meta[META.capabilities] as Params;
    return {
      client: nameOf(meta[META.client]), signal: link.signal,
      progress: progressOf(meta["progressToken"], link.send),
      ask: !hasForms(elicitation) ? undefined
        : async (asking) => this.#answerTo(asking, request, link),
    };
  }

  // ── a question for a person ────────────────────────────────────────────────────────────────────

  #inputRequired({ asking }: InputRequired, request: Request, link: Link): object {
    const { message, fields, required } = asking;
    const requestedSchema = { type: "object", properties: fields, required };
    const params = { mode: "form", message, requestedSchema };
    return {
      resultType: "input_required",
      inputRequests: { [QUESTION]: { method: "elicitation/create", params } },
      requestState: this.#states.make(aboutOf(asking, request, link)),
      _meta: { [META.server]: this.#dispatcher.serverInfo },
    };
  }

  // #region answer-to
  /** The answer that this request brings, if it is one to this question. Else the question. */
  #answerTo(asking: Asking, request: Request, link: Link): Said {
    const { requestState, inputResponses } = request.params;
    if (requestState === undefined) throw new InputRequired(asking);
    const found = typeof requestState === "string"
      ? this.#states.open(requestState, aboutOf(asking, request, link)) : "forged";
    if (found !== "fine") {
      const why = { forged: "it is none of ours, or belongs to another request",
        late: "its time is over", used: "it was used before" }[found];
      throw new RpcFailure(CODES.INVALID_PARAMS,
        `Cannot use the requestState: ${why}; call again without it, and a person is asked again`);
    }
    const said = isObject(inputResponses) ? inputResponses[QUESTION] : undefined;
    if (!isObject(said)) throw new InputRequired(asking);
    const { action, content } = said;
    if (action !== "accept" && action !== "decline" && action !== "cancel") {
      throw new InputRequired(asking);
    }
    return { action, content: isObject(content) ? content : {} };
  }
  // #endregion

  // ── subscriptions ──────────────────────────────────────────────────────────────────────────────

  /** Lasts until somebody ends it: the client, or our own end. */
  async #listen({ id, params }: Request, { send, signal }: Link): Promise<object> {
    const tag = { _meta: { [META.subscription]: id } };
    const { uris, notifications } = readFilter(params["notifications"]);
    send(notificationOf("notifications/subscriptions/acknowledged", { ...tag, notifications }));
    const changed = (uri: string): void =>
      send(notificationOf("notifications/resources/updated", { ...tag, uri }));
    await watchResources(this.#dispatcher, { uris, signal, changed });
    return tag;
  }
}

/** The response to a subscription that ends because we do. */
export function endOfListening(id: Id): object {
  return resultOf(id, { resultType: "complete", _meta: { [META.subscription]: id } });
}

/** @throws {RpcFailure} */
function checkMeta({ params }: Request): void {
  const meta = metaOf(params);
  const requested = meta[META.version];
  const missing = (key: string, or = ""): RpcFailure => new RpcFailure(CODES.INVALID_PARAMS,
    `Cannot serve this: params._meta must have "${key}"${or}`);
  if (typeof requested !== "string") throw missing(META.version, ", or initialize comes first");
  if (MODERN_VERSIONS.includes(requested)) {
    if (!isObject(meta[META.capabilities])) throw missing(META.capabilities);
    return;
  }
  // The number alone is refused: another version may want other things besides.
  const isOld = VERSIONS.includes(requested);
  const how = isOld ? " for single requests: it begins with initialize" : "";
  throw new RpcFailure(CODES.UNSUPPORTED_VERSION,
    `Cannot serve version ${JSON.stringify(requested.slice(0, 40))}${how}`,
    { supported: isOld ? MODERN_VERSIONS : VERSIONS, requested });
}

/** All that an answer depends on: it must not be carried over to anything else. */
function aboutOf(asking: Asking, { method, params }: Request, { principal }: Link): string {
  const client = nameOf(metaOf(params)[META.client]);
  const facts = [principal, client, method, params["name"], params["arguments"], asking];
  return createHash("sha256").update(JSON.stringify(facts)).digest("base64");
}
