/**
 * Lesson 15: the arguments of a call as the bytes of a command.
 *
 * Test: test/15-store.client.test.ts
 */
import { RespWriter } from "../resp/writer.ts";
import { MAX_PENDING_BYTES, type Argument } from "./options.ts";

/** The arguments are longer than MAX_PENDING_BYTES. */
export class TooLong extends Error {}

/** @throws {TooLong} */
export function encode(args: readonly Argument[]): string {
  // Counted before the arguments are copied: together they may be longer than a string can be.
  const sizes = args.map((arg) =>
    Buffer.byteLength(typeof arg === "number" || typeof arg === "bigint" ? String(arg) : arg),
  );
  const bytes = sizes.reduce((sum, size) => sum + size);
  if (bytes > MAX_PENDING_BYTES) throw new TooLong();
  const out = new RespWriter();
  out.array(args.length);
  for (const arg of args) out.bulk(latin1(arg));
  return out.take().toString("latin1");
}

function latin1(arg: Argument): string {
  if (typeof arg === "string") {
    return /^[\x00-\x7f]*$/.test(arg) ? arg : Buffer.from(arg).toString("latin1");
  }
  if (typeof arg === "number" || typeof arg === "bigint") return String(arg);
  return Buffer.from(arg.buffer, arg.byteOffset, arg.byteLength).toString("latin1");
}
