/**
 * Lesson 20: batches: several messages in one, which a server must take in one version of the
 * protocol, 2025-03-26. The next version took them back.
 *
 *     [{"id": 1, …}, {"method": "notifications/…"}, {"id": 2, …}]
 *     [{"id": 2, "result": …}, {"id": 1, "result": …}]                in any order
 *
 * Invariants: each message of a batch is served as if it came alone; `initialize` is in none, and
 * neither is a request of the modern era.
 * Test: test/20-mcp.batch.test.ts
 */
import { eraOf } from "./era.ts";
import { CODES, readMessage, type Bad, type Message } from "./json-rpc.ts";

export const BATCH_VERSION = "2025-03-26";
/** A model calls a few tools at a time. */
export const MAX_BATCH = 100;

/** The messages of a batch, each of them read; a bad one in its place; undefined: it is none. */
export function readBatch(text: string): readonly Message[] | Bad | undefined {
  if (!/^\s*\[/.test(text)) return undefined; // nearly all: nothing is read twice for it
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!Array.isArray(value)) return undefined;
  if (value.length === 0 || value.length > MAX_BATCH) {
    const found = value.length === 0 ? "it is empty" : `it has ${value.length} messages`;
    return bad(`Cannot read the batch: ${found}, and 1 to ${MAX_BATCH} are allowed`);
  }
  return value.map((each) => admitted(readMessage(JSON.stringify(each))));
}

function admitted(message: Message): Message {
  if (message.type !== "request") return message;
  const { id, method, params } = message;
  const isModern = eraOf(method, params) === "modern";
  if (method !== "initialize" && !isModern) return message;
  const what = isModern ? "a request of its version" : method;
  return bad(`Cannot serve ${method}: ${what} cannot be a part of a batch`, id);
}

function bad(message: string, id?: Bad["id"]): Bad {
  return { type: "bad", code: CODES.INVALID_REQUEST, message, id };
}
