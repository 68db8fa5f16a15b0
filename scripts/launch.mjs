#!/usr/bin/env node
// @ts-check
/**
 * `npm run bench`, `book`, `chaos`, `demo`, `replay`, `screenshots`, `sim`, and
 * `./package_cloud.sh`: the programs of this folder that are written in TypeScript, each in a
 * process of its own. A name means scripts/NAME/main.ts.
 */
import { BootstrapError, ensureBuilt, ensureDeps, ROOT, runMain } from "./bootstrap.mjs";
import { runNode, SOURCE_FLAGS } from "./lib/child.mjs";
import { loaderFlags, programFile } from "./lib/compiled.mjs";

/** Without the condition "source", `#name` means the built code. */
const TSX = ["--import", "tsx"];

/** @type {Record<string, { built: boolean, flags: string[] }>} */
const PROGRAMS = {
  // The measured code is the built one, as a deployed cluster would run it.
  bench: { built: true, flags: ["--expose-gc", ...TSX] },
  book: { built: false, flags: loaderFlags(ROOT) },
  // The cluster that is broken is the built one; plan and judge come from the sources.
  chaos: { built: true, flags: SOURCE_FLAGS },
  demo: { built: true, flags: TSX },
  // It compiles for itself: a bundle has no comments.
  package: { built: false, flags: loaderFlags(ROOT) },
  replay: { built: true, flags: TSX },
  // Pages are the built ones; cluster and browser come from the sources.
  screenshots: { built: true, flags: SOURCE_FLAGS },
  sim: { built: false, flags: loaderFlags(ROOT) },
};

await runMain(async () => {
  const [name = "", ...args] = process.argv.slice(2);
  const program = Object.hasOwn(PROGRAMS, name) ? PROGRAMS[name] : undefined;
  if (program === undefined) {
    const names = Object.keys(PROGRAMS).join(", ");
    throw new BootstrapError(`Cannot launch ${JSON.stringify(name)}: it is none of ${names}`);
  }
  await ensureDeps();
  if (program.built) await ensureBuilt();
  const main = programFile(ROOT, `scripts/${name}/main.ts`);
  // Files in the arguments are relative to the folder of the caller.
  return runNode([...program.flags, main, ...args], { cwd: process.cwd() });
});
