// @ts-check
/**
 * What the companion remembers of a reader: marks, hints, guesses, results. In own/, which is
 * git-ignored. Losing it costs nothing, so nothing here fails: a checkout may be read-only, and two
 * commands may write at once.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** @param {string} root @param {string} name */
const fileOf = (root, name) => join(root, "own", `.${name}.json`);

/**
 * @param {string} root
 * @param {"marks" | "hints" | "bugs" | "map"} name
 * @returns {Record<string, any>} empty when there is none
 */
export function readNote(root, name) {
  try {
    return JSON.parse(readFileSync(fileOf(root, name), "utf8"));
  } catch {
    return {};
  }
}

/** @param {string} root @param {"marks" | "hints" | "bugs" | "map"} name @param {object} note */
export function writeNote(root, name, note) {
  try {
    mkdirSync(dirname(fileOf(root, name)), { recursive: true });
    writeFileSync(fileOf(root, name), JSON.stringify(note, null, 2));
  } catch {
    // The reader asked for something else, and has it.
  }
}

/** @typedef {"read" | "tried" | "broken"} Mark */

/** What a reader has done with a chapter besides writing it, in the order of a lesson. */
export const MARKS = /** @type {const} */ (["read", "tried", "broken"]);

/** @param {string} root @returns {Record<string, Mark[]>} by the chapter's id */
export const readMarks = (root) => readNote(root, "marks");

/** @param {string} root @param {string} chapter @param {Mark} mark */
export function setMark(root, chapter, mark) {
  const all = readMarks(root);
  const marks = all[chapter] ?? [];
  if (!marks.includes(mark)) writeNote(root, "marks", { ...all, [chapter]: [...marks, mark] });
}
