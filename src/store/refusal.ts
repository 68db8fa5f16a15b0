/**
 * Lesson 15: how a command refuses.
 *
 * A handler throws a `Refusal`, and `Store.execute` writes its text as the error answer. It is not
 * an `Error`: nobody reads the stack of a client's typing mistake, and capturing one costs more
 * than the command.
 *
 * Invariant: a handler throws before it writes or changes anything.
 * Test: test/15-store.test.ts
 */

/** The error answer of a command, in Redis's words, with its code in front. */
export class Refusal {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export const WRONG_TYPE = new Refusal(
  "WRONGTYPE Operation against a key holding the wrong kind of value",
);
export const SYNTAX_ERROR = new Refusal("ERR syntax error");
export const NOT_AN_INTEGER = new Refusal("ERR value is not an integer or out of range");
export const NOT_A_FLOAT = new Refusal("ERR value is not a valid float");
export const NOT_FINITE = new Refusal("ERR increment would produce NaN or Infinity");
export const NO_SUCH_KEY = new Refusal("ERR no such key");
export const OUT_OF_RANGE = new Refusal("ERR value is out of range");
export const MUST_BE_POSITIVE = new Refusal("ERR value is out of range, must be positive");
export const TOO_LONG = new Refusal("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
/** Redis's words, for a limit that is ours. */
export const OOM = new Refusal("OOM command not allowed when used memory > 'maxmemory'.");

/** How much of a client's text an error repeats. */
export const QUOTED_CHARS = 128;

export function unknownCommand(argv: readonly string[]): Refusal {
  let quoted = "";
  for (const arg of argv.slice(1)) {
    if (quoted.length >= QUOTED_CHARS) break;
    quoted += `'${cString(arg).slice(0, QUOTED_CHARS - quoted.length)}' `;
  }
  const name = cString(argv[0] ?? "").slice(0, QUOTED_CHARS);
  const text = `ERR unknown command '${name}', with args beginning with: ${quoted}`;
  return new Refusal(oneLine(text));
}

/** Redis prints these as C does: up to the first zero byte. */
function cString(text: string): string {
  const end = text.indexOf("\0");
  return end < 0 ? text : text.slice(0, end);
}

/** `name` in lower case; a subcommand's is "config|get". */
export function wrongArity(name: string): Refusal {
  return new Refusal(`ERR wrong number of arguments for '${name}' command`);
}

/** An error answer is one line; the client's text in it may have several. */
export function oneLine(text: string): string {
  return text.replace(/[\r\n]/g, " ");
}
