// @ts-check
/**
 * The dashboard's page behind the compiler: its styles and pictures beside its modules, and then
 * all of it in few files, as browsers load it.
 *
 *     OUT/dashboard/page/     a module for each source, styles, pictures
 *     OUT/dashboard/assets/   what src/dashboard/collect.ts makes of them: /assets/ of the port
 *
 * That takes up to two fifths of a second, for which the first person who looks would wait.
 */
import { copyFileSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import { filesUnder } from "./files.mjs";

/** How the bricks find one another in `out`: where nothing is published yet, package.json errs. */
const IMPORTS = { "#*": "./*/mod.js" };

/**
 * @param {string} out in the place of `dist`, with everything that the compiler makes
 * @param {string} sources the page's folder in `src`
 */
export async function finishPage(out, sources) {
  const page = join(out, "dashboard", "page");
  for (const from of filesUnder(sources)) {
    if (/\.ts$|\.json$/.test(from)) continue;
    const to = join(page, relative(sources, from));
    mkdirSync(dirname(to), { recursive: true });
    copyFileSync(from, to);
  }
  for (const [file, text] of await collected(out)) {
    const path = join(out, "dashboard", "assets", file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
}

/** @param {string} out */
async function collected(out) {
  const manifest = join(out, "package.json");
  writeFileSync(manifest, JSON.stringify({ type: "module", imports: IMPORTS }));
  try {
    const program = pathToFileURL(join(out, "dashboard", "collect.js")).href;
    /** @type {typeof import("../../src/dashboard/collect.ts")} */
    const { collect } = await import(program);
    const page = join(out, "dashboard", "page");
    return await collect(filesUnder(page).map((file) => relative(page, file)), async (file) =>
      statSync(join(out, file), { throwIfNoEntry: false })?.isFile() === true
        ? readFileSync(join(out, file), "utf8") : undefined);
  } finally {
    rmSync(manifest);
  }
}
