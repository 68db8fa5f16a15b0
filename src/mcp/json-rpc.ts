/**
 * Lesson 20: one message of JSON-RPC 2.0, read strictly.
 *
 *     {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {…}}      a request
 *     {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {…}}  nobody answers it
 *     {"jsonrpc": "2.0", "id": 7, "result": {…}}   or "error": {code, message, data?}
 *
 * Invariants: every text is one of these or a `bad` one, with the error that answers it; an id is
 * returned as it came, of the same type.
 * Left out: batches. One version of MCP has them, and batch.ts takes them apart.
 * Test: test/20-mcp.test.ts
 */

export type Id = string | number;
export type Params = Readonly<Record<string, unknown>>;

export interface Request {
  readonly type: "request";
  readonly id: Id;
  readonly method: string;
  readonly params: Params;
}

export interface Notification {
  readonly type: "notification";
  readonly method: string;
  readonly params: Params;
}

export interface Response {
  readonly type: "response";
  readonly id: Id;
  readonly result?: unknown;
  readonly error?: unknown;
}

/** Something that is none of them. With an id, it can be answered. */
export interface Bad {
  readonly type: "bad";
  readonly id?: Id | undefined;
  readonly code: number;
  readonly message: string;
}

export type Message = Request | Notification | Response | Bad;

/** The codes of JSON-RPC, and the three of MCP's own. */
export const CODES = {
  PARSE: -32_700, INVALID_REQUEST: -32_600, NO_METHOD: -32_601, INVALID_PARAMS: -32_602,
  INTERNAL: -32_603, HEADER_MISMATCH: -32_020, UNSUPPORTED_VERSION: -32_022,
} as const;

/** A refusal in the words of the protocol: an error, and no result of a tool. */
export class RpcFailure extends Error {
  override readonly name = "RpcFailure";
  readonly code: number;
  readonly data: unknown;

  constructor(code: number, message: string, data?: unknown) {
    super(message);
    this.code = code;
    this.data = data;
  }
}

// #region read
/**
 * What a text is. A bad one has the code PARSE if it is no JSON, INVALID_PARAMS if only its params
 * are wrong, else INVALID_REQUEST, as a `notifications/…` with an id; and its id, if that can be
 * read.
 */
export function readMessage(text: string): Message {
  // #exercise readMessage
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return bad(CODES.PARSE, `Cannot read the message: it is no JSON (${(error as Error).message})`);
  }
  if (Array.isArray(value)) return invalid("it is a batch, and one message at a time is allowed");
  if (typeof value !== "object" || value === null) return invalid("it is no object");
  const { jsonrpc, id, method, params, ...rest } = value as Record<string, unknown>;
  const hasId = Object.hasOwn(value, "id");
  if (hasId && !isId(id)) {
    return invalid(`its id must be a text or a whole number, found ${JSON.stringify(id)}`);
  }
  const known = hasId ? (id as Id) : undefined;
  if (jsonrpc !== "2.0") return invalid('it does not say "jsonrpc": "2.0"', known);
  if (method === undefined) return readResponse(rest, known);
  if (typeof method !== "string") return invalid("its method must be a text", known);
  if (params !== undefined && !isObject(params)) {
    return bad(CODES.INVALID_PARAMS, `Cannot read ${method}: its params must be an object`, known);
  }
  const asked = { method, params: params ?? {} };
  if (known === undefined) return { type: "notification", ...asked };
  if (!method.startsWith("notifications/")) return { type: "request", id: known, ...asked };
  return invalid(`${method} is a notification, and has an id`, known);
  // #end-exercise
}
// #endregion

function readResponse(rest: Record<string, unknown>, id: Id | undefined): Message {
  const [result, error] = ["result", "error"].map((name) => Object.hasOwn(rest, name));
  if (result === error) return invalid("it has neither a method nor one of result and error", id);
  // Nobody can say what an error without an id is about.
  if (id === undefined) return invalid("it answers nothing: it has no id");
  return {
    type: "response",
    id,
    ...(result ? { result: rest["result"] } : { error: rest["error"] }),
  };
}

function isId(value: unknown): value is Id {
  return typeof value === "string" || Number.isSafeInteger(value);
}

export function isObject(value: unknown): value is Params {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function invalid(why: string, id?: Id): Bad {
  return bad(CODES.INVALID_REQUEST, `Cannot read the message: ${why}`, id);
}

function bad(code: number, message: string, id?: Id): Bad {
  return { type: "bad", code, message, id };
}

// ── what goes out ────────────────────────────────────────────────────────────────────────────────

export function resultOf(id: Id, result: object): object {
  return { jsonrpc: "2.0", id, result };
}

/** Without an id: the message could not be read so far. */
export function errorOf(id: Id | undefined, error: unknown): object {
  return { jsonrpc: "2.0", ...(id !== undefined && { id }), error: errorBody(error) };
}

function errorBody(error: unknown): object {
  if (error instanceof RpcFailure) {
    const { code, message, data } = error;
    return { code, message, ...(data !== undefined && { data }) };
  }
  return { code: CODES.INTERNAL, message: `Cannot serve this: ${(error as Error).message}` };
}

export function notificationOf(method: string, params: object): object {
  return { jsonrpc: "2.0", method, params };
}
