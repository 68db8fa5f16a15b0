#!/usr/bin/env node
// @ts-check
/**
 * `node scripts/replay-workflow.mjs [FILE…] [--scale 0.01] [--slots 8]`: see
 * scripts/replay/main.ts.
 */
import { join } from "node:path";
import { ensureBuilt, ensureDeps, ROOT, runMain } from "./bootstrap.mjs";
import { runNode } from "./lib/child.mjs";

await runMain(async () => {
  await ensureDeps();
  await ensureBuilt();
  const args = ["--import", "tsx", join(ROOT, "scripts/replay/main.ts"), ...process.argv.slice(2)];
  return runNode(args, { cwd: process.cwd() }); // FILE is relative to it
});
