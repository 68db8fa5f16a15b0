#!/usr/bin/env node
// @ts-check
/** `node scripts/replay-workflow.mjs [FILE…] [--scale 0.01] [--slots 8]`: see scripts/replay/main.ts. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { ensureBuilt, ensureDeps, ROOT, runMain } from "./bootstrap.mjs";

await runMain(async () => {
  await ensureDeps();
  await ensureBuilt();
  const child = spawn(process.execPath, ["--import", "tsx", join(ROOT, "scripts/replay/main.ts"), ...process.argv.slice(2)], { stdio: "inherit" });
  return new Promise((resolve) => child.on("exit", (code) => resolve(code ?? 1)));
});
