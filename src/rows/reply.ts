/**
 * A store's answer as JSON. Nothing is lost: a value that is not UTF-8 is `{"base64": …}`, an
 * integer beyond 2^53 is a string of its digits.
 *
 * Test: test/cli.store.test.ts
 */
import { isUtf8 } from "node:buffer";
import type { Value } from "#store";

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
