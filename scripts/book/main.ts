/**
 * `npm run book`: the lessons and manuals as one folder of HTML, which needs no server.
 *
 *     npm run book                   book/index.html
 *     npm run book -- --out DIR
 *
 * Test: test/book.test.ts
 */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { ROOT } from "../bootstrap.mjs";
import { makeBook } from "./book.ts";

/** A folder of ours has this file; another one is not replaced. */
const MARK = "search-index.js";

const out = resolve(outOf(process.argv.slice(2)));
if (existsSync(out) && !existsSync(join(out, MARK))) {
  process.stderr.write(`Cannot make the book: ${out} is there, and is no book\n`);
  process.exit(1);
}
const begun = performance.now();
const files = makeBook(ROOT);
// Beside the old one and then in its place: a reader who reloads meanwhile finds one of the two.
const fresh = folderBeside(out);
for (const [name, content] of files) {
  mkdirSync(dirname(join(fresh, name)), { recursive: true });
  writeFileSync(join(fresh, name), content);
}
rmSync(out, { recursive: true, force: true });
renameSync(fresh, out);
const seconds = ((performance.now() - begun) / 1000).toFixed(1);
process.stdout.write(`${files.size} files in ${seconds} s: ` +
  `${pathToFileURL(join(out, "index.html"))}\n`);

function folderBeside(path: string): string {
  try {
    mkdirSync(dirname(path), { recursive: true });
    return mkdtempSync(`${path}.`);
  } catch (error) {
    const { code = String(error) } = error as NodeJS.ErrnoException;
    process.stderr.write(`Cannot make the book: ${dirname(path)} is not yours to write into ` +
      `(${code}). Elsewhere: npm run book -- --out DIR\n`);
    process.exit(1);
  }
}

function outOf(args: string[]): string {
  try {
    return parseArgs({ args, options: { out: { type: "string", default: "book" } } }).values.out;
  } catch (error) {
    const [why] = (error as Error).message.split(". ");
    process.stderr.write(`Cannot make the book: ${why} (--out DIR)\n`);
    process.exit(2);
  }
}
