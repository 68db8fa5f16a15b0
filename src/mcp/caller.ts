/**
 * Lesson 20: what the dispatcher knows of the one who asks. Each era fills it in its own way, and
 * behind it nobody knows which era it was.
 *
 * Test: test/20-mcp.test.ts
 */
import { isObject, type Id } from "./json-rpc.ts";

/** A field of a question to a person: as much of JSON Schema as clients can show. */
export interface AskedField {
  readonly type: "string" | "number" | "boolean";
  readonly title?: string;
  readonly enum?: readonly string[];
  readonly default?: string | number | boolean;
}

export interface Asking {
  /** What is asked: two questions with one subject are one. */
  readonly subject: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, AskedField>>;
  readonly required: readonly string[];
}

export interface Said {
  readonly action: "accept" | "decline" | "cancel";
  readonly content: Readonly<Record<string, unknown>>;
}

export interface Caller {
  /** As it calls itself. It is a claim, and is written down as one. */
  readonly client: string;
  /** Aborted once nobody waits for the answer. */
  readonly signal: AbortSignal;
  /** Undefined: nobody asked to be told. `done` only ever grows. */
  readonly progress: ((done: number, total: number, text: string) => void) | undefined;
  /** Asks the person in front of the client. Undefined: this client cannot. */
  readonly ask: ((asking: Asking) => Promise<Said>) | undefined;
}

/** Whether a client that says this of itself can show the fields of a question. */
export function hasForms(elicitation: unknown): boolean {
  // An empty object means forms; one that names only other ways does not.
  return isObject(elicitation) &&
    (Object.keys(elicitation).length === 0 || isObject(elicitation["form"]));
}

/** Sends a message that answers no request. */
export type Send = (message: object) => void;

/** The way back for one request. */
export interface Link {
  readonly send: Send;
  /** Aborted when the request is cancelled, or its peer is gone. */
  readonly signal: AbortSignal;
  /** The proof that the caller may ask, as the transport knows it: part of a request state. */
  readonly principal: string;
}

/** A response, and what HTTP says about it. */
export interface Answered {
  readonly message: object;
  readonly status: number;
}

/** The client's name in the log: who decided. */
export function personOf({ client }: Pick<Caller, "client">): string {
  return `mcp:${client}`;
}

/** Longer names are no names. The log keeps 256 bytes of a person. */
const MAX_NAME_CHARS = 64;

/** Of `clientInfo`. */
export function nameOf(info: unknown): string {
  const name = (info as { name?: unknown } | undefined)?.name;
  if (typeof name !== "string") return "unnamed";
  // Control characters would spoil the tables that the name stands in.
  const clean = name.replace(/[^\p{L}\p{N} ._@/-]/gu, "").trim().slice(0, MAX_NAME_CHARS);
  return clean === "" ? "unnamed" : clean;
}

/** Progress for whoever has sent a token with the request. */
export function progressOf(token: unknown, send: Send): Caller["progress"] {
  if (typeof token !== "string" && !Number.isSafeInteger(token)) return undefined;
  let last = -1;
  return (progress, total, message) => {
    if (progress <= last) return;
    last = progress;
    const params = { progressToken: token as Id, progress, total, message };
    send({ jsonrpc: "2.0", method: "notifications/progress", params });
  };
}
