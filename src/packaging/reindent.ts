/**
 * Lesson 24: compiled code with one space for each level in place of four: a twentieth of a bundle.
 *
 * Test: test/24-packaging.bundles.test.ts
 */
import { splitUp } from "./statements.ts";

/**
 * A line inside a text of several lines is not code, and its spaces mean something: a statement
 * that may have such a text is left as it is. `deepest`: levels below this one look like it.
 */
export function reindent(code: string, deepest = Infinity): string {
  const narrow = (spaces: string): string => " ".repeat(Math.min(spaces.length / 4, deepest));
  return splitUp(code).map((statement) => {
    const lines = statement.split("\n");
    if (lines.some((line) => (line.match(/\x60/g) ?? []).length % 2 === 1)) return statement;
    return lines.map((line) => line.replace(/^(?: {4})+/, narrow)).join("\n");
  }).join("");
}
