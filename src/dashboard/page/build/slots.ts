/**
 * Lesson 19: the places of a document's text in which values stand.
 *
 *     jobs:
 *       - id: a
 *         env: *usual      the slot ["jobs", 0, "env"]: in the map of column 4, and not its own
 *
 * A value is a slot's *own* if it is written there. An alias stands for a value that is written
 * elsewhere, and a merge key brings entries from elsewhere: an edit must not reach through them.
 *
 * Invariants: offsets are those of the reader's text; a slot's end has no blank lines in front of
 * it, unless they belong to a text that keeps them (`|+`).
 * Test: test/19-dashboard.build.test.ts
 */
import {
  resolveScalar, setOwn, type MappingEntry, type MappingNode, type SequenceNode, type Span,
  type YamlNode,
} from "#yaml";

export type Path = readonly (string | number)[];

export interface Slot {
  readonly node: YamlNode;
  readonly span: Span;
  /** The key of an entry; absent for an item and for the whole document. */
  readonly key?: string;
  /** Of the keys or dashes of the collection around it, from 0. */
  readonly column: number;
  /** The collection around it has brackets. */
  readonly inFlow: boolean;
  readonly isOwn: boolean;
}

export class Places {
  readonly text: string;
  readonly #lines: number[] = [0];

  constructor(text: string) {
    this.text = text;
    for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) {
      this.#lines.push(at + 1);
    }
  }

  offset({ line, column }: { line: number; column: number }): number {
    return (this.#lines[line - 1] ?? this.text.length) + column - 1;
  }

  lineOf(offset: number): number {
    let [low, high] = [0, this.#lines.length];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.#lines[middle]! <= offset) low = middle;
      else high = middle;
    }
    return low + 1;
  }

  lineStart(offset: number): number {
    return this.#lines[this.lineOf(offset) - 1]!;
  }

  lineEnd(offset: number): number {
    const found = this.text.indexOf("\n", offset);
    return found < 0 ? this.text.length : found;
  }

  hasBrackets(node: YamlNode): boolean {
    return "[{".includes(this.text[this.offset(node)] ?? " ") && node.kind !== "scalar";
  }

  rootSlot(root: YamlNode): Slot {
    const span = { start: 0, value: 0, end: this.text.length };
    return { node: root, span, column: 0, inFlow: false, isOwn: true };
  }

  /** The entry under `key`, wherever it was written; undefined if there is none. */
  entrySlot(owner: MappingNode, key: string): Slot | undefined {
    const entry = owner.entries.find((each) => each.key.text === key);
    return entry && this.#slot(owner, entry.value, entry.span!, key);
  }

  itemSlot(owner: SequenceNode, index: number): Slot | undefined {
    const node = owner.items[index];
    return node && this.#slot(owner, node, owner.spans![index]!);
  }

  #slot(owner: MappingNode | SequenceNode, node: YamlNode, span: Span, key?: string): Slot {
    const start = this.offset(node);
    const isOwn = start >= span.value && start <= span.end;
    const end = isOwn ? this.#trimmed(node, span) : span.end;
    return {
      node, span: { ...span, end }, ...(key !== undefined && { key }), column: owner.column - 1,
      inFlow: this.hasBrackets(owner), isOwn,
    };
  }

  /** The end without blank lines, which a text of several lines takes along. */
  #trimmed(node: YamlNode, { value, end }: Span): number {
    const last = lastLeaf(node);
    const keeps =
      last?.kind === "scalar" &&
      (last.style === "literal" || last.style === "folded") &&
      /^[|>][1-9]?\+/.test(this.text.slice(this.offset(last), this.offset(last) + 3));
    return keeps ? end : value + this.text.slice(value, end).trimEnd().length;
  }

  /** Entries that are written in this map, and not brought by a merge key. */
  ownEntries(node: MappingNode, end: number): MappingEntry[] {
    const start = this.offset(node);
    return node.entries.filter(({ span }) => span!.start >= start && span!.start < end);
  }

  /** The slot at a path; undefined if there is none. */
  find(root: YamlNode, path: Path): Slot | undefined {
    let slot: Slot | undefined = this.rootSlot(root);
    for (const step of path) {
      const node: YamlNode = slot.node;
      if (node.kind === "mapping") slot = this.entrySlot(node, String(step));
      else if (node.kind === "sequence") slot = this.itemSlot(node, Number(step));
      else slot = undefined;
      if (slot === undefined) return undefined;
    }
    return slot;
  }
}

function lastLeaf(node: YamlNode): YamlNode | undefined {
  for (let at: YamlNode | undefined = node; ;) {
    if (at === undefined || at.kind === "scalar") return at;
    at = at.kind === "sequence" ? at.items.at(-1) : at.entries.at(-1)?.value;
  }
}

/**
 * The value of a tree, for writing it again: numbers and booleans where the text says exactly what
 * JavaScript would write, and else text.
 */
export function plainValue(node: YamlNode): unknown {
  if (node.kind === "sequence") return node.items.map(plainValue);
  if (node.kind === "mapping") {
    const object = {};
    for (const { key, value } of node.entries) setOwn(object, key.text, plainValue(value));
    return object;
  }
  const resolved = resolveScalar(node);
  if (resolved.type === "null") return null;
  const isExact = resolved.type !== "ambiguous" && String(resolved.value) === node.text;
  return isExact ? resolved.value : node.text;
}
