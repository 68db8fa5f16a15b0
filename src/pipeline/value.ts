/**
 * Lesson 17: a plain JavaScript value as a tree, so that code and text pass the same checks.
 *
 * Invariants: strings become quoted scalars, since a string never means a number; only values that
 * JSON can hold come through, and the depth limit refuses a value that contains itself.
 * Test: test/17-pipelines.test.ts
 */
import { MAX_DEPTH, type MappingEntry, type ScalarNode, type YamlNode } from "#yaml";
import type { Report } from "./problems.ts";

/** The position of a node that came from no text: line 0. */
const NO_POSITION = { line: 0, column: 0, length: 1 } as const;
const HALF_CHARACTER = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;

const MAX_SHARED_KEYS = 1000;

export function nodeFromValue(report: Report, value: unknown): YamlNode {
  const path: string[] = [];
  /** A million jobs have the same ten keys. */
  const keys = new Map<string, ScalarNode>();

  function refuse(what: string): YamlNode {
    const where = path.join(".") || "the top";
    const message = `Cannot define pipeline: ${what} at ${where}`;
    report.problem("WRONG_TYPE", scalar("", "plain"), message);
    return scalar("", "plain");
  }

  function convert(item: unknown): YamlNode {
    if (typeof item === "string") {
      return HALF_CHARACTER.test(item) ? refuse("half of a character") : scalar(item, "double");
    }
    if (typeof item === "boolean" || item === null) return scalar(String(item), "plain");
    if (typeof item === "number") {
      return Number.isFinite(item) ? scalar(String(item), "plain") : refuse(String(item));
    }
    if (item === undefined) return refuse("undefined");
    if (typeof item !== "object") return refuse(`a ${typeof item}`);
    if (path.length >= MAX_DEPTH) {
      return refuse(`more than ${MAX_DEPTH} levels (does it contain itself?)`);
    }
    if (Array.isArray(item)) {
      const items = Array.from(item, (each, i) => descend(String(i), each));
      return { kind: "sequence", ...NO_POSITION, items };
    }
    const prototype: unknown = Object.getPrototypeOf(item);
    if (prototype !== Object.prototype && prototype !== null) {
      return refuse("an object that is not plain");
    }
    const entries: MappingEntry[] = [];
    for (const [key, each] of Object.entries(item)) {
      if (each === undefined) continue; // as in JSON
      if (HALF_CHARACTER.test(key)) refuse("half of a character in a key");
      entries.push({ key: keyNode(key), value: descend(key, each) });
    }
    return { kind: "mapping", ...NO_POSITION, entries };
  }

  function keyNode(key: string): ScalarNode {
    const known = keys.get(key) ?? scalar(key, "double");
    if (keys.size < MAX_SHARED_KEYS) keys.set(key, known);
    return known;
  }

  function descend(key: string, item: unknown): YamlNode {
    path.push(key);
    const node = convert(item);
    path.pop();
    return node;
  }

  return convert(value);
}

function scalar(text: string, style: "plain" | "double"): ScalarNode {
  return { kind: "scalar", ...NO_POSITION, text, style };
}
