/**
 * Lesson 17: a cursor that builds nodes, and counts everything that must be counted.
 *
 * The reader only moves forward (a look-ahead inside a multi-line scalar rewinds once, over blank
 * lines), so reading takes time in proportion to the text.
 *
 * Invariants: `depth` never exceeds MAX_DEPTH, aliases included, so recursion anywhere over the
 * tree is safe; nodes and characters with every alias written out stay within the same limits as a
 * text without aliases, so walking the tree is safe, too (no "billion laughs").
 * Test: test/17-pipelines.yaml.test.ts
 */
import { Cursor, type Mark } from "./cursor.ts";
import { clip, excerpt, YamlError, type Position, type YamlErrorCode } from "./error.ts";
import { merged } from "./merge.ts";
import type { MappingEntry, ScalarNode, ScalarStyle, Span, YamlNode } from "./node.ts";

/** Collections inside one another. People write five levels; 64 is far from any stack's end. */
export const MAX_DEPTH = 64;
/**
 * Eight MiB hold some 100,000 jobs, more than anyone writes or reads. Larger pipelines come from
 * code (`definePipeline`).
 */
export const MAX_BYTES = 8 * 1024 * 1024;
/** Scalars and collections, aliases written out: about 100 bytes of memory each, so some 100 MB. */
export const MAX_NODES = 1_000_000;

/** Limits a caller may move; each defaults to the constant of that name. */
export interface YamlLimits {
  readonly maxDepth?: number;
  readonly maxBytes?: number;
  readonly maxNodes?: number;
}

/** The node that an anchor names, and the cost of one more copy of it. */
interface Anchor {
  readonly line: number;
  /** Undefined while the node is being read: an alias now would make a cycle. */
  node?: YamlNode;
  nodes: number;
  chars: number;
  height: number;
}

export class Reader extends Cursor {
  readonly file: string | undefined;
  /** Behind the last scalar, alias or closing bracket. */
  contentEnd = 0;
  readonly anchors = new Map<string, Anchor>();
  readonly #maxDepth: number;
  readonly #maxChars: number;
  readonly #maxNodes: number;
  readonly #spans: boolean;
  #depth = 0;
  /** The deepest level since the innermost open anchor began. */
  #deepest = 0;
  #nodes = 0;
  /** Characters that aliases would add if they were written out. */
  #copied = 0;

  constructor(
    text: string,
    options: {
      file?: string | undefined; limits?: YamlLimits | undefined; spans?: boolean | undefined;
    },
  ) {
    super(text);
    this.file = options.file;
    this.#maxDepth = options.limits?.maxDepth ?? MAX_DEPTH;
    this.#maxChars = options.limits?.maxBytes ?? MAX_BYTES;
    this.#maxNodes = options.limits?.maxNodes ?? MAX_NODES;
    this.#spans = options.spans ?? false;
  }

  // Moving.

  /** `skipToContent`, between block nodes: indentation counts here, so no tab may be in it. */
  skipToBlock(): boolean {
    const wasStart = this.pos === this.lineStart;
    const crossed = this.skipToContent();
    if ((crossed || wasStart) && this.pos < this.text.length) this.refuseTabs();
    return crossed;
  }

  /** Nobody knows how wide a tab is, and nesting must not depend on it. */
  refuseTabs(end = this.pos): void {
    const tab = this.text.slice(this.lineStart, end).indexOf("\t");
    if (tab < 0) return;
    this.pos = this.lineStart + tab;
    this.fail("TAB_INDENT", "a tab in the indentation: use spaces");
  }

  /** After a value that cannot continue: only a comment may follow on its line. */
  endLine(what: string): void {
    const line = this.line;
    const here = this.mark();
    this.skipToContent();
    if (this.line !== line || this.pos >= this.text.length) return this.rewind(here);
    const hint = this.peek() === "#" ? ' (a comment needs a space before "#")' : "";
    this.fail("UNEXPECTED", `unexpected text behind ${what}${hint}`);
  }

  // Counting.

  /** Runs `read` one level deeper. */
  nested<T>(read: () => T): T {
    this.#descend(1);
    this.#depth++;
    const result = read();
    this.#depth--;
    return result;
  }

  #descend(levels: number): void {
    if (this.#depth + levels > this.#maxDepth) {
      this.fail("TOO_DEEP", `more than ${this.#maxDepth} collections inside one another`);
    }
    this.#deepest = Math.max(this.#deepest, this.#depth + levels);
  }

  #count(nodes: number, chars: number): void {
    this.#nodes += nodes;
    this.#copied += chars;
    if (this.#nodes > this.#maxNodes) {
      this.fail("TOO_MANY_NODES", `more than ${this.#maxNodes} values, aliases written out`);
    }
    if (this.text.length + this.#copied > this.#maxChars) {
      this.fail("TOO_LARGE", `more than ${this.#maxChars} characters, aliases written out`);
    }
  }

  // #region anchored
  /** Reads the node behind `&name`, and measures the cost of an alias to it. */
  anchored(name: string, at: Mark, read: () => YamlNode): YamlNode {
    const known = this.anchors.get(name);
    if (known) {
      const what = `anchor &${clip(name)} is already defined in line ${known.line}`;
      this.failAt(at, "BAD_ALIAS", what, name.length + 1);
    }
    const anchor: Anchor = { line: at.line, nodes: 0, chars: 0, height: 0 };
    this.anchors.set(name, anchor);

    const before = { nodes: this.#nodes, chars: this.pos + this.#copied, deepest: this.#deepest };
    this.#deepest = this.#depth;
    const node = read();
    anchor.node = node;
    anchor.nodes = this.#nodes - before.nodes;
    anchor.chars = this.pos + this.#copied - before.chars;
    anchor.height = this.#deepest - this.#depth;
    this.#deepest = Math.max(this.#deepest, before.deepest);
    return node;
  }

  /** Reads `*name`. The copy is shared, but counted as if it were written out here. */
  alias(): YamlNode {
    const at = this.mark();
    const name = this.name("*");
    const anchor = this.anchors.get(name);
    const alias = `alias *${clip(name)}`;
    if (!anchor) {
      const what = `${alias} has no anchor &${clip(name)} before it`;
      this.failAt(at, "BAD_ALIAS", what, name.length + 1);
    }
    if (!anchor.node) {
      const what = `${alias} stands inside its own anchor (line ${anchor.line})`;
      this.failAt(at, "BAD_ALIAS", what, name.length + 1);
    }
    this.#descend(anchor.height);
    this.#count(anchor.nodes, anchor.chars);
    return anchor.node;
  }
  // #endregion

  /** The name behind `&` or `*`. */
  name(sign: string): string {
    const from = ++this.pos;
    while (!this.blankAt(0) && !",[]{}".includes(this.peek())) this.pos++;
    if (this.pos === from) {
      const what = `"${sign}" needs a name behind it; quote the text if it is one`;
      this.failAt({ ...this.mark(), pos: from - 1 }, "UNEXPECTED", what);
    }
    this.contentEnd = this.pos;
    return this.text.slice(from, this.pos);
  }

  // Building.

  /** The place of what was just read, if anybody wants to know. */
  span(start: number, value: number): Span | undefined {
    return this.#spans ? { start, value, end: this.contentEnd } : undefined;
  }

  #position(from: Mark): { line: number; column: number; length: number } {
    // A node of several lines is underlined to the end of its first.
    let end = this.pos;
    if (this.line !== from.line) {
      const newline = this.text.indexOf("\n", from.pos);
      end = newline < 0 ? end : newline;
    }
    const { line, lineStart, pos } = from;
    return { line, column: pos - lineStart + 1, length: Math.max(1, end - pos) };
  }

  scalar(from: Mark, text: string, style: ScalarStyle): ScalarNode {
    this.#count(1, 0);
    this.contentEnd = this.pos;
    return { kind: "scalar", ...this.#position(from), text, style };
  }

  sequence(from: Mark, items: YamlNode[], spans: (Span | undefined)[]): YamlNode {
    this.#count(1, 0);
    const placed = this.#spans && { spans: spans as Span[] };
    return { kind: "sequence", ...this.#position(from), items, ...placed };
  }

  mapping(from: Mark, entries: MappingEntry[]): YamlNode {
    this.#count(1, 0);
    const all = merged(entries, (node) => this.#notMerged(node));
    return { kind: "mapping", ...this.#position(from), entries: all };
  }

  #notMerged(node: YamlNode): never {
    const isText = node.kind === "scalar" && node.text !== "";
    const text = isText ? `the text "${clip(node.text)}"` : "nothing";
    const found = node.kind === "scalar" ? text : "a list";
    const reason = `"<<" merges maps (*name, or a list of them), found ${found}`;
    throw this.#error("UNSUPPORTED", reason, node);
  }

  // Refusing.

  /** Refuses the text at the position of the reader. */
  fail(code: YamlErrorCode, reason: string, length = 1): never {
    this.failAt(this.mark(), code, reason, length);
  }

  failAt(at: Mark, code: YamlErrorCode, reason: string, length = 1): never {
    throw this.#error(code, reason, { line: at.line, column: at.pos - at.lineStart + 1, length });
  }

  #error(code: YamlErrorCode, reason: string, { line, column, length }: Position): YamlError {
    const position = { line, column, length: length ?? 1 };
    const shown = excerpt(this.text, position);
    return new YamlError(reason, { ...position, code, file: this.file, excerpt: shown });
  }
}
