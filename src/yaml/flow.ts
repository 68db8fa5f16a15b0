/**
 * Lesson 17: [lists] and {maps} between brackets: JSON, and JSON without its quotes.
 *
 * Invariants: an open bracket is closed by its own bracket or refused at the position where it was
 * opened; no line inside is indented less than the block around it, so that a forgotten bracket is
 * noticed at the next line and not at the end of the file.
 * Left out: `[a: b]` (a map without braces) and `{a}` (a key without a value, as in sets).
 * Test: test/17-pipelines.yaml.test.ts
 */
import type { Mark } from "./cursor.ts";
import { clip } from "./error.ts";
import { entryOf, type MappingEntry, type ScalarNode, type Span, type YamlNode } from "./node.ts";
import type { Reader } from "./reader.ts";
import { ANCHORED_TWICE, KeySet, refuseIndicator } from "./rules.ts";
import { readPlainLine, readPlainRest, readQuoted } from "./scan.ts";

/**
 * Reads one node between brackets, or the bracketed collection itself. `parent` is the column of
 * the block around it.
 */
export function readFlowNode(r: Reader, parent: number): YamlNode {
  const char = r.peek();
  if (char === "&") {
    const at = r.mark();
    const name = r.name("&");
    r.skipBlanks();
    if (r.peek() === "&" || r.peek() === "*") r.fail("UNSUPPORTED", ANCHORED_TWICE);
    return r.anchored(name, at, () => {
      const isEmpty = ",]}\n".includes(r.peek());
      return isEmpty ? r.scalar(r.mark(), "", "plain") : readFlowNode(r, parent);
    });
  }
  if (char === "*") return r.alias();
  if (char === "[") return r.nested(() => readFlowSequence(r, parent));
  if (char === "{") return r.nested(() => readFlowMapping(r, parent));
  return readFlowScalar(r, { parent, isKey: false });
}

function readFlowScalar(r: Reader, options: { parent: number; isKey: boolean }): ScalarNode {
  const at = r.mark();
  const char = r.peek();
  if (char === '"' || char === "'") {
    const text = readQuoted(r, options.parent);
    return r.scalar(at, text, char === "'" ? "single" : "double");
  }
  refuseIndicator(r, { inFlow: true });
  const first = readPlainLine(r, true);
  if (options.isKey) return r.scalar(at, first, "plain");
  const text = readPlainRest(r, first, { parent: options.parent, inFlow: true });
  return r.scalar(at, text, "plain");
}

function readFlowSequence(r: Reader, parent: number): YamlNode {
  const open = r.mark();
  const items: YamlNode[] = [];
  const spans: (Span | undefined)[] = [];
  r.pos++;
  while (!atClose(r, { parent, open, close: "]" })) {
    if (r.peek() === ",") r.fail("UNEXPECTED", 'nothing before this ",": write null or ""');
    const start = r.pos;
    items.push(readFlowNode(r, parent));
    spans.push(r.span(start, start));
    const closing = atClose(r, { parent, open, close: "]" });
    if (r.peek() === ":") r.fail("UNSUPPORTED", "a key inside [ ]: write {key: value}");
    if (!closing) comma(r, "]");
  }
  r.contentEnd = ++r.pos;
  return r.sequence(open, items, spans);
}

function readFlowMapping(r: Reader, parent: number): YamlNode {
  const open = r.mark();
  const entries: MappingEntry[] = [];
  const keys = new KeySet(r);
  r.pos++;
  while (!atClose(r, { parent, open, close: "}" })) {
    if (r.peek() === ",") r.fail("UNEXPECTED", 'nothing before this ","');
    const at = r.mark();
    keys.refuseComplex();
    const key = keys.add(readFlowScalar(r, { parent, isKey: true }), at);
    atClose(r, { parent, open, close: "}" });
    if (r.peek() !== ":") noValue(r, key, at);
    if (key.style === "plain") refuseGlued(r);
    const behind = ++r.pos;
    const empty = r.mark();
    const none = atClose(r, { parent, open, close: "}" }) || r.peek() === ",";
    const value = none ? r.scalar(empty, "", "plain") : readFlowNode(r, parent);
    if (none) r.contentEnd = behind;
    entries.push(entryOf(key, value, r.span(at.pos, behind)));
    if (!atClose(r, { parent, open, close: "}" })) comma(r, "}");
  }
  r.contentEnd = ++r.pos;
  return r.mapping(open, entries);
}

/**
 * On the key's own line a ":" that ends plain text has a blank or a bracket behind it. On a later
 * line it may have neither, and then it goes on with the text: `{x⏎:y}` is the key "x :y" without
 * a value.
 */
function refuseGlued(r: Reader): void {
  if (r.blankAt(1) || ",[]{}".includes(r.peek(1))) return;
  r.fail("UNEXPECTED", 'this ":" would go on with the text above it: put a space behind it');
}

function noValue(r: Reader, key: ScalarNode, at: Mark): never {
  const glued = key.style === "plain" && key.text.includes(":");
  const hint = glued ? 'put a space behind the ":"' : "write {key: value}, or [ ] for a list";
  r.failAt(at, "UNEXPECTED", `the key "${clip(key.text)}" has no value: ${hint}`, key.length);
}

function comma(r: Reader, close: string): void {
  if (r.peek() !== ",") r.fail("UNEXPECTED", `expected "," or "${close}"`);
  r.pos++;
}

/** Moves to the next text between the brackets. Returns whether it is the closing one. */
function atClose(r: Reader, options: { parent: number; open: Mark; close: string }): boolean {
  const crossed = r.skipToContent();
  const closing = r.peek() === options.close;
  if (crossed && r.pos < r.text.length) {
    const spaces = r.text.slice(r.lineStart, r.pos).search(/[^ ]|$/);
    // The closing bracket may stand under the key that opened it, as in most people's JSON.
    const outside = closing ? spaces < options.parent : spaces <= options.parent;
    if (outside && r.peek(spaces - r.column) === "\t") r.refuseTabs();
    if (outside || r.atMarker()) unclosed(r, options);
  }
  if (r.pos >= r.text.length) unclosed(r, options);
  return closing;
}

function unclosed(r: Reader, options: { open: Mark; close: string }): never {
  const where = r.pos >= r.text.length ? "" : ` before line ${r.line}, which is indented less`;
  r.failAt(options.open, "UNTERMINATED", `this bracket has no closing "${options.close}"${where}`);
}
