/**
 * Lesson 11: a call's result as JSON, measured while it is encoded.
 *
 * `JSON.stringify` first and a look at the length afterwards would be too late: V8 ends a whole
 * process that asks for more memory in one piece than there is. So each value is counted before its
 * text is made, with no more than its text will have, and the first one beyond the limit stops the
 * encoding.
 *
 * The functions here are sent to threads as text (call-thread.ts, call-builtins.ts), so they use
 * nothing outside themselves but each other.
 *
 * Invariant: no text gets longer than 13 times the limit, whatever the value: 25 bytes for a number
 * that was counted as two.
 * Left out: what the value's own code does, such as a getter that never ends or a `toJSON` that
 * makes a gigabyte. That is the call's own trouble, and ends its process at most.
 * Test: test/11-worker.calls.test.ts
 */
import type { FailureKind } from "./types.ts";

export interface Done {
  readonly id: number;
  /** Absent: it succeeded, and `text` is the result as JSON, or empty. */
  readonly kind?: FailureKind;
  readonly text: string;
  /** Its process needs more memory than a call should begin with. */
  readonly heavy?: boolean;
}

// #region encodeResult
/**
 * JSON of a function's value, or what is wrong with it. `tooLarge` is the sentence for one that is.
 */
export function encodeResult(
  id: number, value: unknown, { maxBytes, tooLarge }: { maxBytes: number; tooLarge: string },
): Done {
  const over = new Error(tooLarge);
  let left = maxBytes;
  /** Called for each value, after its toJSON and before its text is made. */
  function count(this: unknown, key: string, found: unknown): unknown {
    const isText = typeof found === "string" || found instanceof String;
    const isGone = found === undefined || typeof found === "function" || typeof found === "symbol";
    if (Array.isArray(this)) left -= 2; // a comma, and one character at least
    else if (!isGone) left -= key.length + 2;
    if (isText) left -= (found as string).length;
    // 2 for the last comma that is not there, and for the brackets of the whole.
    if (left < -2) throw over;
    return found;
  }
  let text: string;
  try {
    text = JSON.stringify(value, count) ?? "";
  } catch (error) {
    if (error === over) return { id, kind: "bad-input", text: tooLarge };
    const why = `it is not JSON (${describe(error)})`;
    return { id, kind: "bad-input", text: `Cannot keep the result: ${why}` };
  }
  if (Buffer.byteLength(text) > maxBytes) return { id, kind: "bad-input", text: tooLarge };
  return { id, text };
}
// #endregion

/** An error for people: whatever was thrown, and never longer than a message should be. */
export function describe(error: unknown): string {
  const MAX_CHARS = 4000;
  const cut = (text: string): string =>
    text.length > MAX_CHARS ? `${text.slice(0, MAX_CHARS)}…` : text;
  try {
    return error instanceof Error
      ? cut(`${cut(String(error.name))}: ${cut(String(error.message))}`)
      : cut(String(error));
  } catch {
    return "a value that cannot be shown";
  }
}
