/**
 * An inline command, cut into arguments as redis-cli cuts what is typed.
 *
 *     SET  greeting "two words\n"  'it''s'     the last is an error: a closing quote must be followed by a space
 *
 *     "…"   \xHH  \n \r \t \b \a, and \ before any other char stands for it
 *     '…'   only \' is special
 */
const ESCAPES: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", b: "\b", a: "\x07" };
/** What C's isspace calls a space. */
const SPACE = " \n\r\t\v\f";
const HEX = /^[0-9a-fA-F]{2}$/;

/** The arguments, none for an empty line, or undefined when a quote is not closed or something is glued to one that is. */
export function splitInline(line: string): string[] | undefined {
  const argv: string[] = [];
  let at = 0;
  for (;;) {
    while (at < line.length && SPACE.includes(line[at]!)) at++;
    if (at === line.length) return argv;
    let argument = "";
    while (at < line.length && !SPACE.includes(line[at]!)) {
      const char = line[at]!;
      if (char !== '"' && char !== "'") {
        argument += char;
        at++;
        continue;
      }
      const quoted = char === '"' ? doubleQuoted(line, at + 1) : singleQuoted(line, at + 1);
      if (quoted === undefined) return undefined;
      argument += quoted.text;
      at = quoted.end;
      if (at < line.length && !SPACE.includes(line[at]!)) return undefined;
    }
    argv.push(argument);
  }
}

interface Quoted {
  readonly text: string;
  /** Behind the closing quote. */
  readonly end: number;
}

function doubleQuoted(line: string, start: number): Quoted | undefined {
  let text = "";
  for (let at = start; at < line.length; at++) {
    const char = line[at]!;
    if (char === '"') return { text, end: at + 1 };
    if (char !== "\\" || at + 1 === line.length) text += char;
    else if (line[at + 1] === "x" && HEX.test(line.slice(at + 2, at + 4))) {
      text += String.fromCharCode(Number.parseInt(line.slice(at + 2, at + 4), 16));
      at += 3;
    } else {
      const escaped = line[++at]!;
      text += ESCAPES[escaped] ?? escaped;
    }
  }
  return undefined;
}

function singleQuoted(line: string, start: number): Quoted | undefined {
  let text = "";
  for (let at = start; at < line.length; at++) {
    if (line[at] === "'") return { text, end: at + 1 };
    if (line[at] === "\\" && line[at + 1] === "'") at++;
    text += line[at]!;
  }
  return undefined;
}
