/**
 * An inline command, cut into arguments as redis-cli cuts what is typed.
 *
 *     SET  greeting "two words\n"  'it''s'     the last is an error: a closing quote must be
 *                                              followed by a space
 *
 *     "…"   \xHH  \n \r \t \b \a, and \ before any other char stands for it
 *     '…'   only \' is special
 *
 * A line without quotes is cut at its spaces. In a line with quotes, each argument is taken in
 * runs: up to the next space or quote, or inside quotes up to the next char that is special there.
 * A char at a time would take ten times as long, and a stranger may send lines of 16 KiB.
 *
 * Invariant: an argument keeps no more than itself alive. V8 makes a slice that points into its
 * line: a short key would keep the 64 KiB that it was cut from.
 * Test: test/15-store.resp.test.ts
 */
const ESCAPES: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", b: "\b", a: "\x07" };
const HEX = /^[0-9a-fA-F]{2}$/;

/** What C's isspace calls a space: " \n\r\t\v\f". */
const SPACES = /[ \n\r\t\v\f]*/y;
const PLAIN = /[^ \n\r\t\v\f"']*/y;
/** Quotes, and all white space other than the space itself. */
const SPECIAL = /["'\n\r\t\v\f]/;
const IN_DOUBLE_QUOTES = /[^"\\]*/y;
const IN_SINGLE_QUOTES = /[^'\\]*/y;

/** Where the run that begins at `at` ends. */
function endOfRun(run: RegExp, line: string, at: number): number {
  run.lastIndex = at;
  run.test(line);
  return run.lastIndex;
}

/**
 * The arguments, none for an empty line, or undefined when a quote is not closed or something is
 * glued to one that is.
 */
export function splitInline(line: string): string[] | undefined {
  if (SPECIAL.test(line)) return splitQuoted(line);
  return line.split(" ").filter((each) => each !== "").map(ownCopy);
}

function splitQuoted(line: string): string[] | undefined {
  const argv: string[] = [];
  for (let at = endOfRun(SPACES, line, 0); at < line.length; at = endOfRun(SPACES, line, at)) {
    const plainEnd = endOfRun(PLAIN, line, at);
    let argument = line.slice(at, plainEnd);
    at = plainEnd;
    const char = line[at];
    if (char === '"' || char === "'") {
      const quoted = char === '"' ? doubleQuoted(line, at + 1) : singleQuoted(line, at + 1);
      if (quoted === undefined) return undefined;
      argument += quoted.text;
      at = quoted.end;
      if (at < line.length && endOfRun(SPACES, line, at) === at) return undefined;
    }
    argv.push(ownCopy(argument));
  }
  return argv;
}

/** V8 copies a shorter slice. */
const SLICED_CHARS = 13;

function ownCopy(text: string): string {
  return text.length < SLICED_CHARS ? text : Buffer.from(text, "latin1").toString("latin1");
}

interface Quoted {
  readonly text: string;
  /** Behind the closing quote. */
  readonly end: number;
}

function doubleQuoted(line: string, start: number): Quoted | undefined {
  let text = "";
  for (let at = start; ; ) {
    const end = endOfRun(IN_DOUBLE_QUOTES, line, at);
    text += line.slice(at, end);
    if (end === line.length) return undefined;
    if (line[end] === '"') return { text, end: end + 1 };
    const escaped = line[end + 1];
    if (escaped === undefined) return undefined;
    const hex = line.slice(end + 2, end + 4);
    const isHex = escaped === "x" && HEX.test(hex);
    text += isHex ? String.fromCharCode(Number.parseInt(hex, 16)) : (ESCAPES[escaped] ?? escaped);
    at = end + (isHex ? 4 : 2);
  }
}

function singleQuoted(line: string, start: number): Quoted | undefined {
  let text = "";
  for (let at = start; ; ) {
    const end = endOfRun(IN_SINGLE_QUOTES, line, at);
    text += line.slice(at, end);
    if (end === line.length) return undefined;
    if (line[end] === "'") return { text, end: end + 1 };
    const isQuote = line[end + 1] === "'";
    text += isQuote ? "'" : "\\";
    at = end + (isQuote ? 2 : 1);
  }
}
