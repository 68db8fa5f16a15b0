#!/usr/bin/env node
// @ts-check
/** `npm run sim -- --seeds 200`: simulated lives of a whole cluster, thousands of faults, one verdict. See scripts/sim/main.ts. */
import { spawn } from "node:child_process";
import { ensureDeps, ROOT, runMain } from "./bootstrap.mjs";
import { programArguments } from "./lib/compiled.mjs";

await runMain(async () => {
  await ensureDeps();
  const child = spawn(process.execPath, [...programArguments(ROOT, "scripts/sim/main.ts"), ...process.argv.slice(2)], { stdio: "inherit" });
  // Ctrl-C reaches both; the child says what it has, and then we end with it.
  process.on("SIGINT", () => undefined);
  return new Promise((resolve) => child.on("exit", (code, signal) => resolve(code ?? (signal === "SIGINT" ? 130 : 1))));
});
