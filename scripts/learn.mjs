#!/usr/bin/env node
// @ts-check
/**
 * `npm run learn …`: loads the companion (scripts/learn/main.ts) through tsx in this process. Where
 * it has been compiled (lib/compiled.mjs) it needs no loader, which takes a quarter of a second.
 */
import { existsSync } from "node:fs";
import { ensureDeps, runMain } from "./bootstrap.mjs";

const COMPILED = new URL("./learn/main.js", import.meta.url);

await runMain(async () => {
  await ensureDeps();
  const { main } = await load();
  return main(process.argv.slice(2));
});

/** @returns {Promise<typeof import("./learn/main.ts")>} */
async function load() {
  if (existsSync(COMPILED)) return await import(COMPILED.href);
  const { register } = await import("tsx/esm/api");
  register();
  return await import("./learn/main.ts");
}
