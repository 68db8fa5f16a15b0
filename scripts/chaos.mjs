#!/usr/bin/env node
// @ts-check
/**
 * `npm run chaos [-- --seed S --kills N]`: see scripts/chaos/main.ts. The cluster that is broken is
 * the built one.
 */
import { join } from "node:path";
import { ensureBuilt, ensureDeps, ROOT, runMain } from "./bootstrap.mjs";
import { runNode, SOURCE_FLAGS } from "./lib/child.mjs";

await runMain(async () => {
  await ensureDeps();
  await ensureBuilt();
  return runNode([...SOURCE_FLAGS, join(ROOT, "scripts/chaos/main.ts"), ...process.argv.slice(2)]);
});
