// @ts-check
/**
 * Loaded into the tests of a reader's own code, beside the conditions by which "#worker" is
 * `own/worker.ts`: a test that looks inside a subsystem, at `../src/worker/output.ts`, looks inside
 * the reader's, too. Otherwise it would praise the reference.
 * Test: test/learn-inside.test.ts
 */
import { register } from "node:module";
import { pathToFileURL } from "node:url";
import { isMainThread } from "node:worker_threads";

/** The reader's files by those of the reference, absolute, as JSON. */
export const OWN_FILES = "TITAN_OWN_FILES";

const files = process.env[OWN_FILES];
if (isMainThread && files !== undefined) {
  const urls = Object.entries(JSON.parse(files)).map((pair) =>
    pair.map((path) => pathToFileURL(String(path)).href));
  register("./own-inside-hooks.mjs", import.meta.url, { data: Object.fromEntries(urls) });
}
