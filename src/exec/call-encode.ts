/**
 * Lesson 11: a call's result as JSON, measured while it is encoded.
 *
 * `JSON.stringify` first and a look at the length afterwards would be too late: V8 ends a whole
 * process that asks for more memory in one piece than there is. So each value is counted before its
 * text is made, as no longer than its text will be. The first value beyond the limit stops the
 * encoding.
 *
 * The functions here are sent to threads as text (call-thread.ts, call-builtins.ts), so they use
 * nothing outside themselves but each other.
 *
 * Invariant: no text gets longer than 13 times the limit, whatever the value: 25 bytes for a number
 * that was counted as two.
 * Left out: protection from the value's own code, such as a getter that never ends or a `toJSON`
 * that makes a gigabyte. Such code harms its own call, and ends at most its own process.
 * Test: test/11-worker.calls.test.ts
 */
import type { FailureKind } from "#wire";

export interface Done {
  readonly id: number;
  /** Absent: the call succeeded, and `text` is the result as JSON, or empty. */
  readonly kind?: FailureKind;
  readonly text: string;
  /** Its process needs more memory than a call should begin with. */
  readonly heavy?: boolean;
}

// #region encodeResult
/**
 * JSON of a function's value, or an error that says what is wrong with it. `tooLarge` is the
 * message for a value beyond the limit.
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

/** Any thrown value as a text for people, cut to the length of a message. */
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
