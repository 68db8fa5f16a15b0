#!/usr/bin/env node
// @ts-check
/**
 * `npm run bench [-- --json] [--only framing,log,…] [--quick]`: the project's one table of
 * measurements.
 *
 * The measured code is the built one (`dist/`), as a deployed cluster would run it.
 */
import { join } from "node:path";
import { ensureBuilt, ensureDeps, ROOT, runMain } from "./bootstrap.mjs";
import { runNode } from "./lib/child.mjs";

await runMain(async () => {
  await ensureDeps();
  await ensureBuilt();
  const main = join(ROOT, "scripts/bench/main.ts");
  return runNode(["--expose-gc", "--import", "tsx", main, ...process.argv.slice(2)]);
});
