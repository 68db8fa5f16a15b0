/**
 * Lesson 15: the arguments of a call as the bytes of a command.
 *
 * Test: test/15-store.client.test.ts
 */
import { RespWriter } from "../resp/writer.ts";
import { MAX_PENDING_BYTES, type Argument } from "./options.ts";

/** `message`: what the arguments are longer than. */
export class TooLong extends Error {}

/** @throws {TooLong} */
export function encode(args: readonly Argument[]): string {
  // Checked before the arguments are copied: together they may be longer than a string can be.
  const length = args.reduce<number>(
    (sum, arg) => sum + (typeof arg === "string" || arg instanceof Uint8Array ? arg.length : 0),
    0,
  );
  if (length > MAX_PENDING_BYTES) throw new TooLong(`${MAX_PENDING_BYTES} bytes`);
  try {
    const out = new RespWriter();
    out.array(args.length);
    for (const arg of args) out.bulk(latin1(arg));
    return out.take().toString("latin1");
  } catch (error) {
    // Text with three bytes a letter may be too long, too.
    throw isTooLong(error) ? new TooLong("a string can be") : error;
  }
}

/** V8's and Node's errors for a string that would be too long. */
function isTooLong(error: unknown): boolean {
  return error instanceof RangeError || (error as { code?: string }).code === "ERR_STRING_TOO_LONG";
}

function latin1(arg: Argument): string {
  if (typeof arg === "string") {
    return /^[\x00-\x7f]*$/.test(arg) ? arg : Buffer.from(arg).toString("latin1");
  }
  if (typeof arg === "number" || typeof arg === "bigint") return String(arg);
  return Buffer.from(arg.buffer, arg.byteOffset, arg.byteLength).toString("latin1");
}
