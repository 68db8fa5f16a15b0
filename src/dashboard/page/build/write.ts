/**
 * Lesson 19: values as the pieces of YAML that the constructor puts into a person's text: in lines
 * below one another, or between brackets where the text around them has brackets.
 *
 * Test: test/19-dashboard.build.test.ts
 */
import { emitYaml, quoteYaml } from "#yaml";

/** Maps up to this many characters stand on one line, as a person would write `{http: /health}`. */
const MAX_INLINE_CHARS = 60;
/** Keys whose maps read better line by line, however short they are. */
const IN_LINES: ReadonlySet<string> = new Set(["env", "agent", "hitl", "jobs"]);

/**
 * What stands behind `key:`: it begins with a blank or a line end. Lines are indented for `column`.
 */
export function behindKey(key: string, value: unknown, column: number): string {
  const short = IN_LINES.has(key) ? undefined : shortFlow(value);
  if (short !== undefined) return ` ${short}`;
  return indented(emitYaml({ k: value }).slice("k:".length, -1), column);
}

/** What stands behind the dash of a list in `column`. */
export function behindDash(value: unknown, column: number): string {
  // A list of scalars would stand between brackets, so a scalar is written as behind a key.
  const isScalar = typeof value !== "object" || value === null;
  const text = isScalar ? emitYaml({ k: value }).slice("k:".length) : emitYaml([value]).slice(1);
  return indented(text.slice(0, -1), column);
}

/** `key: value`, whose key begins in `column`. */
export function entryLines(key: string, value: unknown, column: number): string {
  return `${quoteYaml(key)}:${behindKey(key, value, column)}`;
}

/** The lines but the first, moved to the right. Empty lines stay empty. */
export function indented(text: string, column: number): string {
  return text.replace(/\n(?=[^\n])/g, `\n${" ".repeat(column)}`);
}

/** A value between brackets. `json`: with JSON's quotes, for a text that has them elsewhere. */
export function flow(value: unknown, json = false): string {
  if (typeof value === "string") return json ? inQuotes(value) : quoteYaml(value);
  if (Array.isArray(value)) return `[${value.map((item) => flow(item, json)).join(", ")}]`;
  if (typeof value === "object" && value !== null) {
    const parts = Object.entries(value)
      .filter(([, item]) => item !== undefined)
      .map(([key, item]) => `${flow(key, json)}: ${flow(item, json)}`);
    return `{${parts.join(", ")}}`;
  }
  return JSON.stringify(value);
}

/** JSON's quotes. Characters that JSON leaves bare and the reader refuses are escaped. */
function inQuotes(text: string): string {
  return JSON.stringify(text).replace(/[\x7f-\x9f\ufeff\ufffe\uffff]/g, (char) =>
    `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** A map of scalars that fits on a line. */
function shortFlow(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const items = Object.values(value).filter((item) => item !== undefined);
  if (items.length === 0 || items.some((item) => typeof item === "object")) return undefined;
  const text = flow(value);
  return text.length <= MAX_INLINE_CHARS && !text.includes("\\n") ? text : undefined;
}
