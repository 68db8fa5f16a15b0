#!/usr/bin/env node
// @ts-check
/**
 * `npm run -s titan -- ARGS`: the CLI from the checkout, built first if a source changed.
 * It runs in this process, so that signals, the terminal and the exit code are the CLI's own.
 */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { ROOT, ensureBuilt, runMain } from "./bootstrap.mjs";

await runMain(async () => {
  await ensureBuilt();
  // npm changes to the package's folder; file names on the command line mean the folder it was
  // called from.
  if (process.env.npm_lifecycle_event === "titan" && process.env.INIT_CWD) {
    process.chdir(process.env.INIT_CWD);
  }
  const main = join(ROOT, "dist", "cli", "main.js");
  process.argv = [process.execPath, main, ...process.argv.slice(2)];
  await import(pathToFileURL(main).href);
  return Number(process.exitCode ?? 0);
});
