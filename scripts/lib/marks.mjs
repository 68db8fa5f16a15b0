// @ts-check
/**
 * What a reader has done with a chapter besides writing it: read, tried, broken. In own/, which is
 * git-ignored. Losing it costs nothing, so nothing here fails: a checkout may be read-only, and
 * two commands may write at once.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** @typedef {"read" | "tried" | "broken"} Mark */

/** In the order in which a lesson is worked through. */
export const MARKS = /** @type {const} */ (["read", "tried", "broken"]);

/** @param {string} root */
const fileOf = (root) => join(root, "own", ".marks.json");

/** @param {string} root @returns {Record<string, Mark[]>} by the chapter's id */
export function readMarks(root) {
  try {
    return JSON.parse(readFileSync(fileOf(root), "utf8"));
  } catch {
    return {};
  }
}

/** @param {string} root @param {string} chapter @param {Mark} mark */
export function setMark(root, chapter, mark) {
  const all = readMarks(root);
  const marks = all[chapter] ?? [];
  if (marks.includes(mark)) return;
  try {
    mkdirSync(dirname(fileOf(root)), { recursive: true });
    writeFileSync(fileOf(root), JSON.stringify({ ...all, [chapter]: [...marks, mark] }, null, 2));
  } catch {
    // The reader asked for something else, and has it.
  }
}
