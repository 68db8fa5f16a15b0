#!/usr/bin/env node
// @ts-check
/**
 * `npm run sim -- --seeds 200`: simulated lives of a whole cluster, thousands of faults, one
 * verdict.
 * See scripts/sim/main.ts.
 */
import { ensureDeps, ROOT, runMain } from "./bootstrap.mjs";
import { runNode } from "./lib/child.mjs";
import { programArguments } from "./lib/compiled.mjs";

await runMain(async () => {
  await ensureDeps();
  const args = [...programArguments(ROOT, "scripts/sim/main.ts"), ...process.argv.slice(2)];
  return runNode(args, { cwd: process.cwd() }); // a plan's file is relative to it
});
