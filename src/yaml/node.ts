/**
 * Lesson 17: the tree that the reader builds (value.ts makes a value of it).
 *
 * Invariants: every node knows where it was written; a scalar keeps its source text, and only
 * `resolveScalar` (scalar.ts) turns text into numbers and booleans, so a field that wants text
 * gets it exactly as it was typed. An alias *is* the node it names: the tree is a graph without
 * cycles.
 * Test: test/17-pipelines.yaml.test.ts
 */

/** How a scalar was written. Only `plain` text can mean a number, a boolean or null. */
export type ScalarStyle = "plain" | "single" | "double" | "literal" | "folded";

/** The position of a node: 1-based, columns in UTF-16 units. Line 0: it came from no text. */
interface Placed {
  readonly line: number;
  readonly column: number;
  /** Length of the source text as far as the end of its first line: a caret underlines this. */
  readonly length: number;
}

/**
 * The place of an entry or item as offsets in the text, for programs that rewrite a part of it and
 * leave the rest alone. Only read with `spans`. The value ends at `end`, also where it is an alias,
 * whose own node is elsewhere; a comment behind it is not part of it.
 */
export interface Span {
  /** The first character: of the key, or of the dash, or of an item between brackets. */
  readonly start: number;
  /** Behind the colon, or behind the dash: the value is from here on. */
  readonly value: number;
  readonly end: number;
}

export interface ScalarNode extends Placed {
  readonly kind: "scalar";
  readonly text: string;
  readonly style: ScalarStyle;
}

export interface SequenceNode extends Placed {
  readonly kind: "sequence";
  readonly items: readonly YamlNode[];
  readonly spans?: readonly Span[];
}

export interface MappingEntry {
  /** Keys are text: `on`, `1` and `null` are the keys "on", "1" and "null". */
  readonly key: ScalarNode;
  readonly value: YamlNode;
  readonly span?: Span;
}

export interface MappingNode extends Placed {
  readonly kind: "mapping";
  readonly entries: readonly MappingEntry[];
}

export type YamlNode = ScalarNode | SequenceNode | MappingNode;

export function entryOf(key: ScalarNode, value: YamlNode, span: Span | undefined): MappingEntry {
  return span === undefined ? { key, value } : { key, value, span };
}
