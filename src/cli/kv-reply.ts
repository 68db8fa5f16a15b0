/**
 * A store's answer, for shells and for programs.
 *
 * Invariants: for a shell a value is its bytes and a line end; as JSON nothing is lost: a value
 * that is not UTF-8 is `{"base64": …}`, an integer beyond 2^53 is a string of its digits.
 * Test: test/cli.store.test.ts
 */
import { isUtf8 } from "node:buffer";
import type { Value } from "#store";

const LINE_END = Buffer.from("\n");

/** Prints each value on a line; of a list each element, of a map each key and each value. */
export async function printReply(
  value: Value,
  pour: (bytes: Uint8Array) => Promise<void>,
): Promise<void> {
  for (const line of linesOf(value)) {
    await pour(line);
    await pour(LINE_END);
  }
}

function* linesOf(value: Value): Generator<Buffer> {
  if (Array.isArray(value)) for (const item of value) yield* linesOf(item);
  else if (value instanceof Map) for (const pair of value) yield* linesOf(pair);
  else if (Buffer.isBuffer(value)) yield value;
  else if (value instanceof Error) yield Buffer.from(`(error) ${value.message}`);
  else if (value === null) yield Buffer.alloc(0);
  else yield Buffer.from(String(typeof value === "boolean" ? Number(value) : value));
}

export function replyJson(value: Value): unknown {
  if (typeof value === "bigint") return String(value);
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  if (Buffer.isBuffer(value)) {
    return isUtf8(value) ? value.toString("utf8") : { base64: value.toString("base64") };
  }
  if (Array.isArray(value)) return value.map(replyJson);
  if (value instanceof Map) {
    return mapJson([...value].map(([key, item]) => [replyJson(key), replyJson(item)]));
  }
  return value instanceof Error ? { error: value.message } : value;
}

/** An object, unless a key is not text. */
function mapJson(pairs: [unknown, unknown][]): unknown {
  if (!pairs.every(([key]) => typeof key === "string")) return pairs;
  return Object.fromEntries(pairs as [string, unknown][]);
}
