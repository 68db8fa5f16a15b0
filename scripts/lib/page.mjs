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
import { copyFileSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync }
  from "node:fs";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

/** How the bricks find one another in `out`: where nothing is published yet, package.json errs. */
const IMPORTS = { "#*": "./*/mod.js" };

/**
 * @param {string} out in the place of `dist`, with everything that the compiler makes
 * @param {string} sources the page's folder in `src`
 */
export async function finishPage(out, sources) {
  const page = join(out, "dashboard", "page");
  for (const file of filesUnder(sources)) {
    if (/\.ts$|\.json$/.test(file)) continue;
    mkdirSync(dirname(join(page, file)), { recursive: true });
    copyFileSync(join(sources, file), join(page, file));
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
    return await collect(filesUnder(join(out, "dashboard", "page")), async (file) =>
      statSync(join(out, file), { throwIfNoEntry: false })?.isFile() === true
        ? readFileSync(join(out, file), "utf8") : undefined);
  } finally {
    rmSync(manifest);
  }
}

/** @param {string} folder @returns {string[]} relative to it */
function filesUnder(folder) {
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).sort()
    .filter((file) => statSync(join(folder, file)).isFile());
}
