#!/usr/bin/env node
// @ts-check
/**
 * `npm run bench [-- --json] [--only framing,log,…] [--quick]`: the project's one table of measurements.
 *
 * The measured code is the built one (`dist/`), as a deployed cluster would run it.
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { ensureBuilt, ensureDeps, ROOT } from "./bootstrap.mjs";

await ensureDeps();
await ensureBuilt();
const args = ["--expose-gc", "--import", "tsx", join(ROOT, "scripts/bench/main.ts"), ...process.argv.slice(2)];
const child = spawn(process.execPath, args, { cwd: ROOT, stdio: "inherit" });
child.on("exit", (code, signal) => process.exit(signal === null ? (code ?? 1) : 1));
