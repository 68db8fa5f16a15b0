/**
 * A store's answer for shells: each value is its bytes and a line end. As JSON it is in #rows.
 *
 * Test: test/cli.store.test.ts
 */
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
