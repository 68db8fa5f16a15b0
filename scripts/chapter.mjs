#!/usr/bin/env node
// @ts-check
/**
 * `npm run chapter 5`: the tests of one chapter. Also 05, log, 05-log; more options go to node's
 * runner.
 *
 * It is for somebody who waits. Tests that live hundreds of lives live a share of them here, and
 * say so; `npm test` lives all of them.
 */
import { BootstrapError, ensureDeps, runMain } from "./bootstrap.mjs";
import { findChapter, wantChapter } from "./lib/chapters.mjs";
import { runTests } from "./lib/run-tests.mjs";

await runMain(async () => {
  const [asked, ...flags] = process.argv.slice(2);
  const chapter = findChapter(wantChapter(asked, "For example: npm run chapter 5"));
  if (chapter.tests.length === 0) {
    throw new BootstrapError(
      `Cannot run chapter ${chapter.id}: it has no tests (test/${chapter.id}.test.ts is missing)`,
    );
  }
  await ensureDeps();
  process.stderr.write(`titan: chapter ${chapter.id}: ${chapter.tests.join(" ")}\n`);
  const env = { ...process.env, TITAN_TEST_SHARE: "yes" };
  return (await runTests(chapter.tests, { flags, env })).code;
});
