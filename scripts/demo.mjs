#!/usr/bin/env node
// @ts-check
/** `npm run demo`: see scripts/demo/main.ts. Installs and builds first what is missing. */
import { join } from "node:path";
import { ensureBuilt, ensureDeps, ROOT, runMain } from "./bootstrap.mjs";
import { runNode } from "./lib/child.mjs";

await runMain(async () => {
  await ensureDeps();
  await ensureBuilt();
  return runNode(["--import", "tsx", join(ROOT, "scripts/demo/main.ts")]);
});
