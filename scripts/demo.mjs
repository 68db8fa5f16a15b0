#!/usr/bin/env node
// @ts-check
/** `npm run demo`: see scripts/demo/main.ts. Installs and builds first what is missing. */
import { join } from "node:path";
import { ensureBuilt, ensureDeps, ROOT, runMain } from "./bootstrap.mjs";
import { spawn } from "node:child_process";

await runMain(async () => {
  await ensureDeps();
  await ensureBuilt();
  const child = spawn(process.execPath, ["--import", "tsx", join(ROOT, "scripts/demo/main.ts")], { cwd: ROOT, stdio: "inherit" });
  // Ctrl-C reaches the demo by itself (it shares our terminal); we only have to outlive it.
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM"])) process.on(signal, () => { if (signal === "SIGTERM") child.kill(signal); });
  return new Promise((resolve) => child.on("exit", (code) => resolve(code ?? 1)));
});
