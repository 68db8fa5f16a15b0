/**
 * Lesson 17: a YAML reader that never guesses.
 *
 *     text ── check bytes ── read (block.ts, flow.ts, scan.ts) ── tree, every node with its
 *                                                                 position ── toValue
 *
 *     cursor.ts · reader.ts   the position in the text; what is counted
 *     node.ts                 the tree
 *     block.ts · flow.ts      structure from indentation, and from brackets
 *     scan.ts · scalar.ts     scalars, and the meaning of `no` and `012`
 *     merge.ts · rules.ts     the merge key; constructs that are refused by name
 *     value.ts · emit.ts      a tree as a value, and the way back; error.ts an error that points at
 *                             the character
 *
 * One document of YAML 1.2: block and flow collections, every scalar style, comments, anchors and
 * aliases, and the merge key of 1.1 (`<<: *base`). JSON is a part of it. Everything else is refused
 * by name: tags, directives, complex keys, sets, a second document, tabs in indentation, and plain
 * scalars that two versions of YAML read differently (scalar.ts has the table).
 *
 * Invariants: time and memory grow in proportion to the text; no text overflows the stack; a tree
 * holds nothing that the text does not say, and every node knows its line and column.
 * Left out: comments in the tree (a program that rewrites a person's file cuts and inserts at the
 * spans of the tree, and leaves the rest of the text alone); other encodings than UTF-8.
 * Test: test/17-pipelines.yaml.test.ts
 */
import { readBlockNode } from "./block.ts";
import type { YamlNode } from "./node.ts";
import { MAX_BYTES, Reader, type YamlLimits } from "./reader.ts";
import { DIRECTIVES, SECOND_DOCUMENT } from "./rules.ts";
import { YamlError } from "./error.ts";

export { emitYaml, quoteYaml } from "./emit.ts";
export {
  excerpt,
  lineStart,
  YamlError,
  type LineStart,
  type Position,
  type YamlErrorCode,
} from "./error.ts";
export { setOwn, toValue } from "./value.ts";
export type {
  MappingEntry,
  MappingNode,
  ScalarNode,
  ScalarStyle,
  SequenceNode,
  Span,
  YamlNode,
} from "./node.ts";
export { MAX_BYTES, MAX_DEPTH, MAX_NODES, type YamlLimits } from "./reader.ts";
export { resolveScalar, type Resolved } from "./scalar.ts";

/**
 * Control characters, halves of characters, and marks that only confuse. Line ends and tabs are
 * fine.
 */
const BAD_CHARACTER = new RegExp(
  [
    /[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff]/,
    /[\ud800-\udbff](?![\udc00-\udfff])/,
    /(?<![\ud800-\udbff])[\udc00-\udfff]/,
  ]
    .map(({ source }) => source)
    .join("|"),
);

/** Of one UTF-16 unit. (`Buffer` would count them, but browsers, which run this too, have none.) */
const MAX_UTF8_BYTES = 3;

interface ReadOptions {
  readonly file?: string | undefined;
  readonly limits?: YamlLimits | undefined;
  /** Every entry and item gets its {@link Span}. */
  readonly spans?: boolean | undefined;
}

/**
 * Reads one YAML document.
 *
 * @param text UTF-8, with or without a byte order mark, lines ending in LF or CRLF.
 * @param options `file` is the name that errors print; `limits` move {@link MAX_BYTES} and its kin.
 * @throws {YamlError} with the position of the first mistake.
 * @example
 * ```ts
 * import { parseYaml, toValue } from "#yaml";
 * const tree = parseYaml("- id: a\n  needs: [b, c]  # two\n");
 * toValue(tree) // => [ { id: 'a', needs: [ 'b', 'c' ] } ]
 * ```
 */
export function parseYaml(text: string, options: ReadOptions = {}): YamlNode {
  const maxBytes = options.limits?.maxBytes ?? MAX_BYTES;
  // The first comparisons spare nearly every text the walk that counts its bytes.
  const isLong = text.length > maxBytes / MAX_UTF8_BYTES;
  if (isLong && new TextEncoder().encode(text.slice(0, maxBytes + 1)).length > maxBytes) {
    throw new YamlError(`the text is longer than ${maxBytes} bytes`, {
      code: "TOO_LARGE",
      line: 1,
      column: 1,
      file: options.file,
      excerpt: "",
    });
  }
  const r = new Reader(normalizeYaml(text), options);
  checkCharacters(r);
  r.skipToBlock();
  if (r.peek() === "%" && r.column === 0) r.fail("UNSUPPORTED", DIRECTIVES);
  const marked = r.atMarker() && r.peek() === "-";
  if (marked) r.pos += 3;
  const root = readBlockNode(r, { parent: -1, after: marked ? "colon" : "start" });
  readEnd(r);
  return root;
}

/**
 * The text as the reader counts lines and columns in it: without byte order mark and carriage
 * returns.
 */
export function normalizeYaml(text: string): string {
  return (text.charCodeAt(0) === 0xfeff ? text.slice(1) : text).replaceAll("\r\n", "\n");
}

function checkCharacters(r: Reader): void {
  const bad = BAD_CHARACTER.exec(r.text);
  if (!bad) return;
  const before = r.text.slice(0, bad.index).split("\n");
  r.line = before.length;
  r.pos = bad.index;
  r.lineStart = bad.index - (before.at(-1) ?? "").length;
  const code = `U+${r.text.charCodeAt(r.pos).toString(16).toUpperCase().padStart(4, "0")}`;
  if (code === "U+000D") r.fail("BAD_CHARACTER", "a carriage return without a line feed");
  const help = 'write it as an escape in "double quotes"';
  r.fail("BAD_CHARACTER", `the character ${code} cannot stand in a text: ${help}`);
}

/** Nothing but comments may follow the document. */
function readEnd(r: Reader): void {
  r.skipToBlock();
  if (r.atMarker() && r.peek() === ".") {
    r.pos += 3;
    r.endLine('"..."');
    r.skipToContent();
    if (r.pos < r.text.length && !r.atMarker()) r.fail("UNSUPPORTED", SECOND_DOCUMENT);
  }
  if (r.atMarker()) r.fail("UNSUPPORTED", SECOND_DOCUMENT, 3);
  if (r.pos < r.text.length) {
    r.fail("BAD_INDENT", "unexpected text behind the document: check the indentation");
  }
}
