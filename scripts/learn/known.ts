/**
 * How far a reader is with a chapter, kept with a hash of everything that it came from: the result
 * of its tests is no result any more once one of these files is another one.
 *
 *     own/.map.json    by chapter: hash, done, text
 *
 * A chapter's tests run on the reader's files of that chapter alone, and on ours of all others. So
 * a change in own/dag leaves what is known of own/log.
 * Test: test/learn-companion.test.ts
 */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
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
}

export function standingOf(
  opened: Opened, { code, summary: { passed, ran } }: { code: number; summary: TestSummary },
): Standing {
  const entries = begunParts(opened).map(({ entry }) => entry).join(", ");
  return code === 0 ? { done: true, text: `done: ${entries}, ${passed.length} tests pass` }
    : { done: false, text: `begun: ${entries}, ${passed.length} of ${ran} tests pass` };
}

export class Known {
  readonly #root: string;
  readonly #now: Record<string, Kept>;
  #common: string | undefined;

  constructor(root: string) {
    this.#root = root;
    this.#now = { ...readNote(root, "map") };
  }

  /** Of the files as they are: to be asked for before the tests, during which they may change. */
  hashOf(opened: Opened): string {
    this.#common ??= this.#hash(["src", "test"].flatMap((folder) => this.#filesIn(folder))
      .concat("package.json"));
    return contentHash([
      ["common", this.#common], ["own", this.#hash(this.#ownFilesOf(opened))],
    ]);
  }

  get({ chapter }: Opened, hash: string): Standing | undefined {
    const kept = this.#now[chapter.id];
    return kept?.hash === hash ? kept : undefined;
  }

  keep({ chapter }: Opened, hash: string, { done, text }: Standing): void {
    this.#now[chapter.id] = { hash, done, text };
    writeNote(this.#root, "map", this.#now);
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
