/**
 * Lesson 17: structure from indentation.
 *
 *     readBlockNode ─┬─ "- "   readBlockSequence ── readBlockNode …
 *                    ├─ "k:"   readBlockMapping  ── readBlockNode …
 *                    ├─ [ {    flow.ts
 *                    └─ else   scan.ts
 *
 * Invariants: every node of a collection starts in the collection's column; deeper text belongs to
 * the node before it, shallower text to a collection further out, and nothing in between is
 * accepted.
 * Test: test/17-pipelines.yaml.test.ts
 */
import type { Mark } from "./cursor.ts";
import { readFlowNode } from "./flow.ts";
import { entryOf, type MappingEntry, type ScalarNode, type Span, type YamlNode } from "./node.ts";
import type { Reader } from "./reader.ts";
import { ANCHORED_KEY, ANCHORED_TWICE, KeySet, refuseIndicator } from "./rules.ts";
import { readBlockScalar, readPlainLine, readPlainRest, readQuoted } from "./scan.ts";

interface Context {
  /** The column of the collection around the node; -1 at the top. */
  readonly parent: number;
  /**
   * The reader has just passed this. Behind a colon, no block collection may begin on the same
   * line.
   */
  readonly after: "start" | "dash" | "colon";
}

// #region readBlockNode
/** Reads the node behind an indicator: on the same line, indented below it, or not there at all. */
export function readBlockNode(r: Reader, context: Context): YamlNode {
  const empty = r.mark();
  const crossed = r.skipToBlock();
  if (!belongs(r, context, crossed)) {
    r.rewind(empty);
    return r.scalar(empty, "", "plain");
  }
  if (r.peek() === "&") return readAnchored(r, context, crossed);
  return readContent(r, context, { ownLine: crossed || context.after !== "colon" });
}

/** Is the next text inside the collection whose indicator was just read? */
function belongs(r: Reader, { parent, after }: Context, crossed: boolean): boolean {
  if (r.ended) return false;
  if (!crossed || r.column > parent) return true;
  // key:
  // - item        a list may stand in the column of its key
  return after === "colon" && r.column === parent && isDash(r);
}
// #endregion

function isDash(r: Reader): boolean {
  return r.peek() === "-" && r.blankAt(1);
}

function readAnchored(r: Reader, context: Context, ownLine: boolean): YamlNode {
  const at = r.mark();
  const name = r.name("&");
  return r.anchored(name, at, () => {
    const empty = r.mark();
    const crossed = r.skipToBlock();
    if (!belongs(r, context, crossed)) {
      r.rewind(empty);
      return r.scalar(empty, "", "plain");
    }
    if ("&*".includes(r.peek())) r.fail("UNSUPPORTED", ANCHORED_TWICE);
    const isOwn = !crossed && (ownLine || context.after !== "colon");
    return readContent(r, context, { ownLine: crossed, anchored: isOwn ? at : undefined });
  });
}

interface ContentOptions {
  /** A block collection may begin here. */
  readonly ownLine: boolean;
  /** The anchor on the same line, if a key there would take it for itself. */
  readonly anchored?: Mark | undefined;
}

/** Reads a node whose first character is next. */
function readContent(r: Reader, { parent }: Context, options: ContentOptions): YamlNode {
  const at = r.mark();
  const char = r.peek();
  if (isDash(r) && options.ownLine) return r.nested(() => readBlockSequence(r));
  if (char === "|" || char === ">") {
    return r.scalar(at, readBlockScalar(r, parent), char === "|" ? "literal" : "folded");
  }
  if (char === "[" || char === "{" || char === "*") {
    const node = readFlowNode(r, parent);
    const isAlias = char === "*";
    if (atColon(r)) {
      const what = isAlias ? "an alias" : "a collection";
      r.failAt(at, "UNSUPPORTED", `a key must be text, not ${what}`);
    }
    r.endLine(isAlias ? "the alias" : "the closing bracket");
    return node;
  }
  const quoted = char === '"' || char === "'";
  if (!quoted) refuseIndicator(r, { inFlow: false });
  const first = quoted ? readQuoted(r, parent) : readPlainLine(r, false);
  const end = r.mark();
  if (atColon(r)) {
    r.rewind(end);
    if (options.anchored) r.failAt(options.anchored, "UNSUPPORTED", ANCHORED_KEY);
    if (!options.ownLine) refuseNestedColon(r);
    r.refuseTabs(at.pos);
    return r.nested(() => readBlockMapping(r, at, readKeyEnd(r, at, { text: first, quoted })));
  }
  r.rewind(end);
  if (!quoted) return r.scalar(at, readPlainRest(r, first, { parent, inFlow: false }), "plain");
  const node = r.scalar(at, first, char === "'" ? "single" : "double");
  r.endLine("the closing quote");
  return node;
}

/** Skips blanks. Is a key's colon next? */
function atColon(r: Reader): boolean {
  r.skipBlanks();
  return r.peek() === ":" && r.blankAt(1);
}

function refuseNestedColon(r: Reader): never {
  r.skipBlanks();
  const key = /^[ \t]*(?:- +)*([A-Za-z_][\w-]*):/.exec(r.text.slice(r.lineStart, r.pos))?.[1];
  const block = key === undefined ? 'put "|" behind the key' : `write "${key}: |"`;
  const ways = `quote the value, ${block} and the text below it, or begin the map on the next line`;
  r.fail("UNEXPECTED", `": " inside a value on the line of its key: ${ways}`);
}

function readBlockSequence(r: Reader): YamlNode {
  r.refuseTabs(); // between "- " and "- "
  const open = r.mark();
  const column = r.column;
  const items: YamlNode[] = [];
  const spans: (Span | undefined)[] = [];
  do {
    const dash = r.pos++;
    items.push(readBlockNode(r, { parent: column, after: "dash" }));
    spans.push(r.span(dash, dash + 1));
  } while (atNext(r, column) && isDash(r));
  return r.sequence(open, items, spans);
}

function readBlockMapping(r: Reader, open: Mark, firstKey: ScalarNode): YamlNode {
  const column = open.pos - open.lineStart;
  const entries: MappingEntry[] = [];
  const keys = new KeySet(r);
  let at = open;
  let key = firstKey;
  for (;;) {
    keys.add(key, at);
    const behind = ++r.pos; // over the colon
    const value = readBlockNode(r, { parent: column, after: "colon" });
    entries.push(entryOf(key, value, r.span(at.pos, behind)));
    if (!atNext(r, column)) return r.mapping(open, entries);
    at = r.mark();
    key = readKey(r, keys);
  }
}

/** Moves to the next entry of the collection in `column`; false when the collection is over. */
function atNext(r: Reader, column: number): boolean {
  r.skipToBlock();
  if (r.ended || r.column < column) return false;
  if (r.column > column) {
    const entries = `the entries that begin in column ${column + 1}`;
    const neither = `this belongs neither to the line above nor to ${entries}`;
    r.fail("BAD_INDENT", `unexpected indentation: ${neither}`);
  }
  return true;
}

function readKey(r: Reader, keys: KeySet): ScalarNode {
  const at = r.mark();
  const char = r.peek();
  if (isDash(r)) r.fail("UNEXPECTED", "a list item among the keys of a map: check the indentation");
  keys.refuseComplex();
  const quoted = char === '"' || char === "'";
  if (!quoted) refuseIndicator(r, { inFlow: false });
  const text = quoted ? readQuoted(r, r.column) : readPlainLine(r, false);
  return readKeyEnd(r, at, { text, quoted });
}

/** Behind the text of a key: makes its node and stops at the colon. */
function readKeyEnd(r: Reader, at: Mark, key: { text: string; quoted: boolean }): ScalarNode {
  if (r.line !== at.line) r.failAt(at, "UNEXPECTED", "a key must be on one line");
  const quotes = r.text[at.pos] === "'" ? "single" : "double";
  const node = r.scalar(at, key.text, key.quoted ? quotes : "plain");
  if (atColon(r)) return node;
  const glued = !key.quoted && /:\S/.test(key.text);
  const hint = glued ? ' (put a space behind the ":")' : "";
  r.failAt(at, "UNEXPECTED", `expected "key: value", found no ": "${hint}`, node.length);
}
