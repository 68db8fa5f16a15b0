/**
 * Lesson 17: the tree that the reader builds, and how a tree becomes a value.
 *
 * Invariants: every node knows where it was written; a scalar keeps its source text, and only
 * `resolveScalar` (scalar.ts) turns text into numbers and booleans, so a field that wants text
 * gets it exactly as it was typed. An alias *is* the node it names: the tree is a graph without
 * cycles.
 * Test: test/17-pipelines.yaml.test.ts
 */
import { excerpt, YamlError } from "./error.ts";
import { resolveScalar } from "./scalar.ts";

/** How a scalar was written. Only `plain` text can mean a number, a boolean or null. */
export type ScalarStyle = "plain" | "single" | "double" | "literal" | "folded";

/** The position of a node: 1-based, columns in UTF-16 units. Line 0: it came from no text. */
interface Placed {
  readonly line: number;
  readonly column: number;
  /** Length of the source text as far as the end of its first line: a caret underlines this. */
  readonly length: number;
}

export interface ScalarNode extends Placed {
  readonly kind: "scalar";
  readonly text: string;
  readonly style: ScalarStyle;
}

export interface SequenceNode extends Placed {
  readonly kind: "sequence";
  readonly items: readonly YamlNode[];
}

export interface MappingEntry {
  /** Keys are text: `on`, `1` and `null` are the keys "on", "1" and "null". */
  readonly key: ScalarNode;
  readonly value: YamlNode;
}

export interface MappingNode extends Placed {
  readonly kind: "mapping";
  readonly entries: readonly MappingEntry[];
}

export type YamlNode = ScalarNode | SequenceNode | MappingNode;

/**
 * The plain value of a tree: objects, arrays, strings, finite numbers, booleans and null, exactly
 * as `JSON.parse` could return them. As there, `__proto__` becomes an ordinary own property.
 *
 * @param options the file name and the source text, for the position and the excerpt in errors.
 * @throws {YamlError} `AMBIGUOUS` for a plain scalar that two versions of YAML read differently.
 * @example
 * ```ts
 * import { parseYaml, toValue } from "#yaml";
 * toValue(parseYaml("a: [1, yes, ~]")) // => { a: [ 1, 'yes', null ] }
 * ```
 */
export function toValue(
  node: YamlNode,
  options: { file?: string | undefined; text?: string } = {},
): unknown {
  // Recursion is safe: the reader bounds depth, aliases included.
  if (node.kind === "sequence") return node.items.map((item) => toValue(item, options));
  if (node.kind === "mapping") {
    const object = {};
    for (const { key, value } of node.entries) setOwn(object, key.text, toValue(value, options));
    return object;
  }
  const resolved = resolveScalar(node);
  if (resolved.type === "null") return null;
  if (resolved.type !== "ambiguous") return resolved.value;
  throw new YamlError(resolved.why, {
    code: "AMBIGUOUS",
    line: node.line,
    column: node.column,
    length: node.length,
    file: options.file,
    excerpt: options.text === undefined ? node.text : excerpt(options.text, node),
  });
}

/** `object[key] = value`, also for "__proto__", where an assignment would change the prototype. */
export function setOwn(object: object, key: string, value: unknown): void {
  Object.defineProperty(object, key, {
    value,
    enumerable: true,
    writable: true,
    configurable: true,
  });
}
