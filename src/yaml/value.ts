/**
 * Lesson 17: from a tree to a value, as `JSON.parse` could return it.
 *
 * Test: test/17-pipelines.yaml.test.ts
 */
import { excerpt, YamlError } from "./error.ts";
import type { YamlNode } from "./node.ts";
import { resolveScalar } from "./scalar.ts";

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
