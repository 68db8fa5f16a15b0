/**
 * Lesson 15: a value as the commands that make it.
 *
 * A dump is written in the language that the store already reads: replay needs no second parser,
 * and a real Redis loads it.
 * Test: test/15-store.test.ts
 */
import type { Hash } from "./dict.ts";
import { typeOf, type Value } from "./keyspace.ts";
import type { List } from "./list.ts";
import type { Members } from "./dict.ts";

/**
 * Elements per command: enough to make the name and key a small part of it, few enough for every
 * reader's limits.
 */
const BATCH = 64;

/** Bytes per command: no reader would take a command of 64 of the largest values. */
const BATCH_BYTES = 1024 * 1024;

/** The commands for one key; the deadline is absolute, in ms. */
export function* dumpKey(
  key: string,
  { value, deadline }: { value: Value; deadline: number | undefined },
): Generator<string[]> {
  if (typeof value === "string") {
    yield deadline === undefined
      ? ["SET", key, value]
      : ["SET", key, value, "PXAT", String(deadline)];
    return;
  }
  const type = typeOf(value);
  if (type === "list") yield* batches(["RPUSH", key], (value as List).slice());
  else if (type === "set") yield* batches(["SADD", key], (value as Members).keys);
  else yield* batches(["HSET", key], fieldsAndValues(value as Hash));
  if (deadline !== undefined) yield ["PEXPIREAT", key, String(deadline)];
}

function* fieldsAndValues({ keys, values }: Hash): Generator<string> {
  for (let i = 0; i < keys.length; i++) {
    yield keys[i]!;
    yield values[i]!;
  }
}

/** `head` and some of the items, as often as it takes. */
export function* batches(head: readonly string[], items: Iterable<string>): Generator<string[]> {
  let batch = [...head];
  let bytes = 0;
  for (const item of items) {
    batch.push(item);
    bytes += item.length;
    const count = batch.length - head.length;
    // even: a field goes with its value
    if (count === BATCH || (bytes >= BATCH_BYTES && count % 2 === 0)) {
      yield batch;
      batch = [...head];
      bytes = 0;
    }
  }
  if (batch.length > head.length) yield batch;
}
