// @ts-check
/**
 * In a compiled copy, the command line in few files: those that package_cloud.sh would ship.
 *
 *     dist/cli/main.js      loads the next, and nothing else
 *     merged/cli/main.js    the program, with a file or two for each folder of src/
 *
 * Node takes half a millisecond of a processor to find and read a module. `titan runs` has 284:
 * 0.26 s, and 0.13 s when they are merged; and `npm test` starts hundreds of such processes. A test
 * that imports a module has it from `dist/`.
 *
 *     node scripts/lib/merged.mjs COPY        what mergeProgram() starts, since it has to wait
 *
 * Test: test/learn-check.test.ts
 */
import { spawnSync } from "node:child_process";
import {
  existsSync, mkdirSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const SELF = fileURLToPath(import.meta.url);

/** The program whose modules are merged, as a source and as it is started. */
const SOURCE = "src/cli/main.ts";
const PROGRAM = "dist/cli/main.js";

/** What merges them. */
const PACKAGING = "dist/packaging/mod.js";

/** As deep as `dist/`: a module finds the project's folder where it was. */
const MERGED = "merged";
const PARTS = "merged-parts";

/**
 * Merges the program of a compiled copy.
 * @param {string} root
 * @param {(folder: string) => void} compileSources `src/`, without comments
 */
export function mergeProgram(root, compileSources) {
  if (!existsSync(join(root, PROGRAM)) || !existsSync(join(root, PACKAGING))) return;
  compileSources(PARTS);
  const { status, stderr } = spawnSync(process.execPath, [SELF, root], { encoding: "utf8" });
  if (status !== 0) throw new Error(`Cannot merge the modules of ${PROGRAM}: ${stderr}`);
}

/**
 * What has to be compiled with these sources when they have changed: the program, which then starts
 * in as many files as it has. None of what is merged is loaded any more.
 * @param {string} root
 * @param {readonly string[]} changed
 */
export function unmerged(root, changed) {
  const isConcerned = changed.some((file) => file.startsWith("src/"));
  return isConcerned && existsSync(join(root, MERGED)) ? [SOURCE] : [];
}

/** @param {string} root */
async function merge(root) {
  /** @type {typeof import("../../src/packaging/mod.ts")} */
  const packaging = await import(pathToFileURL(join(root, PACKAGING)).href);
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  /** @type {Map<string, string>} */
  const imports = new Map();
  for (const [name, target] of Object.entries(manifest.imports)) {
    imports.set(name, target.default.replace(/^\.\//, ""));
  }
  /** @param {string} file */
  const read = (file) => {
    const path = join(root, file.replace(/^dist/, PARTS));
    return existsSync(path) ? readFileSync(path, "utf8") : undefined;
  };
  const reached = packaging.reach([PROGRAM], { imports, read });
  for (const [file, text] of packaging.merge(reached, { roots: [PROGRAM], imports })) {
    const path = join(root, file.replace(/^dist/, MERGED));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  rmSync(join(root, PARTS), { recursive: true });
  linkOthers(join(root, "dist"), join(root, MERGED));
  // A program loads some faces later, by their names.
  const faces = [...imports].map(([name, file]) => [name, file.replace(/^dist/, ".")]);
  const scope = { type: "module", imports: Object.fromEntries(faces) };
  writeFileSync(join(root, MERGED, "package.json"), JSON.stringify(scope));
  const program = join(root, PROGRAM.replace(/^dist/, MERGED));
  const from = relative(dirname(join(root, PROGRAM)), program);
  writeFileSync(join(root, PROGRAM), `#!/usr/bin/env node\nimport "${from}";\n`);
}

/**
 * What a module finds beside itself, besides modules: the files of a page, say.
 * @param {string} dist
 * @param {string} merged
 */
function linkOthers(dist, merged) {
  for (const entry of readdirSync(dist, { withFileTypes: true })) {
    const [from, to] = [join(dist, entry.name), join(merged, entry.name)];
    if (entry.isDirectory() && existsSync(to)) linkOthers(from, to);
    else if (entry.isDirectory() || !/^\.|\.js$|\.d\.ts(\.map)?$/.test(entry.name)) {
      symlinkSync(relative(dirname(to), from), to);
    }
  }
}

if (process.argv[1] === SELF) await merge(process.argv[2] ?? "");
