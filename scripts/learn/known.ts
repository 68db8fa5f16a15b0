/**
 * How far a reader is with a chapter, kept with a hash of everything that it came from: the result
 * of its tests is no result any more once one of these files is another one.
 *
 *     own/.map.json    by chapter: hash, uses, done, text
 *     uses             "src/log", "test/05-log.test.ts", …: what the chapter's tests use, by the
 *                      graph of `npm test -- --changed`
 *
 * So a change in src/dashboard leaves what is known of the log. And a chapter's tests run on the
 * reader's files of that chapter alone, and on ours of all others: a change in own/dag leaves it,
 * too.
 * Test: test/learn-known.test.ts
 */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { usedFrom } from "../lib/changed.mjs";
import { filesUnder } from "../lib/files.mjs";
import { readNote, writeNote } from "../lib/notes.mjs";
import type { TestSummary } from "../lib/reporter.mjs";
import { contentHash } from "./cache.ts";
import { begunParts, type Opened, ownedParts } from "./chapter.ts";

export interface Standing {
  readonly done: boolean;
  readonly text: string;
}

interface Kept extends Standing {
  readonly hash: string;
  readonly uses: readonly string[];
}

export function standingOf(
  opened: Opened, { code, summary: { passed, ran } }: { code: number; summary: TestSummary },
): Standing {
  const entries = begunParts(opened).map(({ entry }) => entry).join(", ");
  return code === 0 ? { done: true, text: `done: ${entries}, ${passed.length} tests pass` }
    : { done: false, text: `begun: ${entries}, ${passed.length} of ${ran} tests pass` };
}

/** Of the files as they were before the tests, during which they may change. */
export interface Taken {
  readonly units: ReadonlyMap<string, string>;
  readonly own: string;
}

export class Known {
  readonly #root: string;
  readonly #now: Record<string, Kept>;
  #units: ReadonlyMap<string, string> | undefined;

  constructor(root: string) {
    this.#root = root;
    this.#now = { ...readNote(root, "map") };
  }

  get(opened: Opened): Standing | undefined {
    const kept = this.#now[opened.chapter.id];
    // Notes of an older version have no `uses`.
    const isSame = kept?.uses !== undefined
      && kept.hash === hashOf(opened, kept.uses, this.take(opened));
    return isSame ? kept : undefined;
  }

  /** To be asked for before the tests run. */
  take(opened: Opened): Taken {
    this.#units ??= this.#hashUnits();
    return { units: this.#units, own: this.#hash(this.#ownFilesOf(opened)) };
  }

  /** What the tests said about the files that were taken. */
  keep(opened: Opened, taken: Taken, { done, text }: Standing): void {
    const { chapter } = opened;
    const used = usedFrom(this.#root, [...chapter.tests, ...this.#ownFilesOf(opened)]);
    const uses = used === undefined ? [...taken.units.keys()]
      : [...new Set([...used].map(unitOf))].filter((unit) => taken.units.has(unit)).sort();
    this.#now[chapter.id] = { hash: hashOf(opened, uses, taken), uses, done, text };
    writeNote(this.#root, "map", this.#now);
  }

  #hashUnits(): Map<string, string> {
    const files = new Map<string, string[]>();
    for (const file of [...this.#filesIn("src"), ...this.#filesIn("test")]) {
      files.set(unitOf(file), [...(files.get(unitOf(file)) ?? []), file]);
    }
    return new Map([...files].map(([unit, all]) => [unit, this.#hash(all)]));
  }

  #ownFilesOf(opened: Opened): string[] {
    const all = this.#filesIn("own").filter((file) => !/^own\/\./.test(file));
    const files = all.filter((file) => ownedParts(opened).some(({ name }) =>
      file === `own/${name}.ts` || file.startsWith(`own/${name}/`)));
    const mine = new Set(files);
    return files.some((file) => this.#reachesBeyond(file, mine)) ? all : files;
  }

  /** Whether a file imports one of the reader's that is another chapter's. */
  #reachesBeyond(file: string, mine: ReadonlySet<string>): boolean {
    const text = readFileSync(join(this.#root, file), "utf8");
    return [...text.matchAll(/["'](\.\.?\/[^"']+)["']/g)].some(([, path]) => {
      const target = join(dirname(file), path!);
      return target.startsWith("own/") && !mine.has(target) && existsSync(join(this.#root, target));
    });
  }

  #filesIn(folder: string): string[] {
    return filesUnder(join(this.#root, folder)).map((path) => relative(this.#root, path))
      .filter((file) => /\.(ts|mjs|json)$/.test(file));
  }

  #hash(files: readonly string[]): string {
    return contentHash(files.map((file) => [file, readFileSync(join(this.#root, file))] as const));
  }
}

/** A test file is one thing; of the sources, a subsystem is: its files import each other. */
function unitOf(file: string): string {
  return /^src\/[^/]+(?=\/)/.exec(file)?.[0] ?? file;
}

/** package.json decides what "#log" means, and a test file that is new has not been asked. */
function hashOf({ chapter, project: { root } }: Opened, uses: readonly string[], taken: Taken) {
  return contentHash([
    ["package.json", readFileSync(join(root, "package.json"))], ["tests", chapter.tests.join()],
    ...uses.map((unit) => [unit, taken.units.get(unit) ?? "gone"] as const), ["own", taken.own],
  ]);
}
