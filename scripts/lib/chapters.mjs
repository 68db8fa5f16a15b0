// @ts-check
/**
 * Chapters as the file system shows them: `lessons/NN-name/`, `test/NN-name.test.ts`,
 * `test/NN-name.topic.test.ts`.
 */
import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
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
    const number = Number(id.slice(0, 2));
    const entry =
      found.get(id) ?? { id, number, name: id.slice(3), tests: [], hasLesson: false };
    found.set(id, entry);
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
 * @param {string | undefined} asked
 * @param {string} usage
 * @throws {BootstrapError} with the chapters that there are, when none was asked for
 */
export function wantChapter(asked, usage) {
  if (asked !== undefined) return asked;
  throw new BootstrapError(`Which chapter? ${usage}\n${idsOf(listChapters())}`);
}

/** @param {readonly Chapter[]} chapters */
const idsOf = (chapters) => chapters.map(({ id }) => `  ${id}`).join("\n");

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
  const hint = near ? ` (did you mean ${near}?)` : "";
  const what = `${JSON.stringify(asked)} is not one of them${hint}`;
  throw new BootstrapError(`Cannot find chapter: ${what}\n${idsOf(chapters)}`);
}

/**
 * The candidate that was probably meant, by the project's own `didYouMean`. That is TypeScript:
 * before the tools are there, nothing was.
 * @param {string} asked
 * @param {readonly string[]} candidates
 * @returns {string | undefined}
 */
export function suggest(asked, candidates) {
  try {
    const tsx = createRequire(import.meta.url)("tsx/cjs/api");
    return tsx.require("../../src/base/suggest.ts", import.meta.url).didYouMean(asked, candidates);
  } catch {
    return undefined;
  }
}
