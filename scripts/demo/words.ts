/**
 * The text that the demo counts, dealt into shards, and the same count made here, without Titan.
 *
 * Test: test/demo.test.ts
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { extname, join } from "node:path";
import { filesUnder } from "../lib/files.mjs";

export interface Text {
  readonly files: number;
  readonly bytes: number;
  /** The words of all shards. */
  readonly words: number;
}

/**
 * Writes the lessons, the sources and the documents of `root` into `folder` as 1.txt, 2.txt … of
 * about equal size.
 */
export function dealText(root: string, folder: string, shards: number): Text {
  mkdirSync(folder, { recursive: true });
  const texts = Array.from({ length: shards }, () => "");
  let files = 0;
  for (const top of ["lessons", "src", "docs"]) {
    for (const file of filesUnder(join(root, top))) {
      if (![".md", ".ts"].includes(extname(file))) continue;
      const sizes = texts.map(({ length }) => length);
      const smallest = sizes.indexOf(Math.min(...sizes));
      texts[smallest] += `${readFileSync(file, "utf8")}\n`;
      files += 1;
    }
  }
  texts.forEach((text, index) => writeFileSync(join(folder, `${index + 1}.txt`), text));
  return {
    files,
    bytes: texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0),
    words: texts.reduce((sum, text) => sum + countWords(text), 0),
  };
}

/** A word is two letters or more, as the jobs have it (scripts/demo/project/count.mjs). */
export function countWords(text: string): number {
  return text.toLowerCase().match(/[a-z]{2,}/g)?.length ?? 0;
}
