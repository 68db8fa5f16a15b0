#!/usr/bin/env node
// @ts-check
/** `npm run learn …`: loads the companion (scripts/learn/main.ts) through tsx in this process. */
import { ensureDeps, runMain } from "./bootstrap.mjs";

await runMain(async () => {
  await ensureDeps();
  const { register } = await import("tsx/esm/api");
  register();
  const { main } = await import("./learn/main.ts");
  return main(process.argv.slice(2));
});
