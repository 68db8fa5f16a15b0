// @ts-check
/**
 * Chapters as the file system shows them: `lessons/NN-name/`, `test/NN-name.test.ts`,
 * `test/NN-name.topic.test.ts`.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { BootstrapError, ROOT } from "../bootstrap.mjs";

/**
 * @typedef {{ id: string, number: number, name: string, tests: string[], hasLesson: boolean }}
 * Chapter
 */

/**
 * @param {string} [root]
 * @returns {Chapter[]} in order
 */
export function listChapters(root = ROOT) {
  /** @type {Map<string, Chapter>} */
  const found = new Map();
  /** @param {string} id */
  const chapter = (id) => {
    let entry = found.get(id);
    if (!entry) {
      found.set(
        id,
        (entry = {
          id,
          number: Number(id.slice(0, 2)),
          name: id.slice(3),
          tests: [],
          hasLesson: false,
        }),
      );
    }
    return entry;
  };
  for (const name of namesIn(join(root, "lessons"))) {
    if (/^\d\d-[a-z0-9-]+$/.test(name)) chapter(name).hasLesson = true;
  }
  for (const file of namesIn(join(root, "test"))) {
    const match = /^(\d\d-[a-z0-9-]+)(\.[\w-]+)?\.test\.ts$/.exec(file);
    if (match?.[1]) chapter(match[1]).tests.push(`test/${file}`);
  }
  return [...found.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** @param {string} folder */
function namesIn(folder) {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}

/**
 * Finds one chapter by number or name: 5, 05, log, 05-log.
 * @param {string} asked
 * @param {string} [root]
 * @returns {Chapter}
 */
export function findChapter(asked, root = ROOT) {
  const chapters = listChapters(root);
  const found = chapters.find(
    (c) =>
      c.id === asked || c.name === asked || (/^\d+$/.test(asked) && c.number === Number(asked)),
  );
  if (found) return found;
  const near = suggest(asked, chapters.flatMap((c) => [c.name, c.id]));
  throw new BootstrapError(
    `Cannot find chapter: ${JSON.stringify(asked)} is not one of ` +
      `them${near ? ` (did you mean ${near}?)` : ""}\n` +
      chapters.map((c) => `  ${c.id}`).join("\n"),
  );
}

/**
 * The candidate that needs the fewest edits, if it is near enough to be a typing mistake.
 * @param {string} asked
 * @param {readonly string[]} candidates
 * @returns {string | undefined}
 */
export function suggest(asked, candidates) {
  let best;
  let bestDistance = Math.ceil(asked.length / 3) + 1;
  for (const candidate of candidates) {
    const distance =
      candidate.startsWith(asked) && asked !== "" ? 1 : editDistance(asked, candidate);
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/**
 * Edits between two words: insert, remove, replace, or swap neighbours, which is how fingers err.
 * @param {string} a
 * @param {string} b
 */
function editDistance(a, b) {
  /** @type {number[][]} */
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  const at = (/** @type {number} */ i, /** @type {number} */ j) => rows[i]?.[j] ?? Infinity;
  for (let i = 1; i <= a.length; i++) {
    const row = (rows[i] = [i]);
    for (let j = 1; j <= b.length; j++) {
      const replaced = at(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swapped =
        a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? at(i - 2, j - 2) + 1 : Infinity;
      row.push(Math.min(replaced, at(i - 1, j) + 1, at(i, j - 1) + 1, swapped));
    }
  }
  return at(a.length, b.length);
}
