// @ts-check
/**
 * Which test files may share a process.
 *
 *     a start of Node, the modules of a cluster, compiled anew by V8     0.3 s of a processor
 *     what most test files take besides                                  0.2 s
 *
 * A file has a process of its own when it counts what is left in it (test/leaks.support.ts), or
 * starts programs or threads: by itself, or by a file beside it that it imports. The others mind
 * their own business, as tests of one file do.
 * Test: test/learn-scripts.test.ts
 */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

/** More, and the last process would run alone for long; fewer, and little is won. */
const MOST_FILES = 8;

const ALONE = /^node:(child_process|worker_threads)$|\/(leaks|cli|processes)\.support\.[jt]s$/;
const IMPORTED = /^(?:import|export)\b(?! type)[^;]*?["']([^"']+)["'];/gm;

/**
 * @param {readonly string[]} files absolute
 * @param {number} processes as many as there may be side by side
 * @returns {string[][]} the files of one process each, in the order in which they were given
 */
export function together(files, processes) {
  /** @type {Map<string, boolean>} */
  const known = new Map();
  const social = files.filter((file) => !isAlone(file, known));
  const size = Math.min(MOST_FILES, Math.ceil(social.length / processes));
  /** @type {string[][]} */
  const groups = [];
  /** @type {string[]} */
  let open = [];
  for (const file of files) {
    if (known.get(file)) groups.push([file]);
    else {
      if (open.length % size === 0) groups.push((open = []));
      open.push(file);
    }
  }
  return groups;
}

/**
 * A program that is all of these files.
 * @param {readonly string[]} files absolute
 */
export function programOf(files) {
  return files.map((file) => `import ${JSON.stringify(pathToFileURL(file).href)};\n`).join("");
}

/**
 * Whether a test file has to have a process of its own.
 * @param {string} file absolute
 * @param {Map<string, boolean>} [known]
 * @returns {boolean}
 */
export function isAlone(file, known = new Map()) {
  const before = known.get(file);
  if (before !== undefined) return before;
  known.set(file, false); // while it is looked at: files may import each other
  const names = existsSync(file)
    ? [...readFileSync(file, "utf8").matchAll(IMPORTED)].map(([, name = ""]) => name)
    : [];
  const alone = names.some((name) => ALONE.test(name)
    || (name.startsWith(".") && isAlone(join(dirname(file), name), known)));
  known.set(file, alone);
  return alone;
}
