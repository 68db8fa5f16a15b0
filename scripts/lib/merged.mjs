// @ts-check
/**
 * In a compiled copy, the command line in few files: those that package_cloud.sh would ship.
 *
 *     dist/cli/main.js           tells V8 that it is short-lived, and loads the next
 *     merged/dist/cli/main.js    the program, with a file or two for each folder of src/
 *     merged/dist/sdk/mod.js     what a job's program finds as "titan-orchestrator"
 *
 * Node takes half a millisecond of a processor to find and read a module. `titan runs` has 284:
 * 0.26 s, and 0.13 s when they are merged; and `npm test` starts hundreds of such processes. A test
 * that imports a module has it from `dist/`.
 *
 *     node scripts/lib/merged.mjs COPY OPTION    what mergeProgram() starts, since it has to wait
 *
 * Test: test/learn-check.test.ts
 */
import { spawnSync } from "node:child_process";
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const SELF = fileURLToPath(import.meta.url);

/** The program whose modules are merged, as a source and as it is started. */
const SOURCE = "src/cli/main.ts";
const PROGRAM = "dist/cli/main.js";

/** What merges them. */
const PACKAGING = "dist/packaging/mod.js";

/** A package of its own, whose `dist/` is what package.json says. */
const MERGED = "merged";
const PYTHON = "src/sdk/python";
/** What browsers load. */
const ASSETS = "dist/dashboard/assets";

/** The map of a module, behind its last line. */
const MAP = /^\/\/# sourceMappingURL=.*\n?/m;

/**
 * Merges the program of a compiled copy.
 * @param {string} root
 * @param {readonly string[]} shortLived the options of V8 with which it runs
 */
export function mergeProgram(root, shortLived) {
  if (!existsSync(join(root, PROGRAM)) || !existsSync(join(root, PACKAGING))) return;
  const args = [SELF, root, ...shortLived];
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
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

/** @param {string} root @param {readonly string[]} shortLived */
async function merge(root, shortLived) {
  /** @type {typeof import("../../src/packaging/mod.ts")} */
  const packaging = await import(pathToFileURL(join(root, PACKAGING)).href);
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const imports = new Map(targetsOf(manifest.imports));
  const roots = [PROGRAM, ...targetsOf(manifest.exports).map(([, file]) => file)];
  /** @param {string} file */
  const read = (file) => {
    const path = join(root, file);
    return existsSync(path) ? readFileSync(path, "utf8").replace(MAP, "") : undefined;
  };
  const reached = packaging.reach(roots, { imports, read });
  for (const [file, text] of packaging.merge(reached, { roots, imports })) {
    write(join(root, MERGED, file), text);
  }
  copyFileSync(join(root, "package.json"), join(root, MERGED, "package.json"));
  // What a job in Python imports, where the merged program looks for it.
  if (existsSync(join(root, PYTHON))) {
    cpSync(join(root, PYTHON), join(root, MERGED, PYTHON), { recursive: true });
  }
  if (existsSync(join(root, ASSETS))) {
    cpSync(join(root, ASSETS), join(root, MERGED, ASSETS), { recursive: true });
  }
  const from = relative(dirname(PROGRAM), join(MERGED, PROGRAM));
  writeFileSync(join(root, PROGRAM), [
    "#!/usr/bin/env node",
    'import { setFlagsFromString } from "node:v8";',
    ...shortLived.map((flag) => `setFlagsFromString(${JSON.stringify(flag)});`),
    `await import("${from}");`,
    "",
  ].join("\n"));
}

/**
 * @param {Record<string, string | { default: string }>} names
 * @returns {[name: string, file: string][]}
 */
function targetsOf(names) {
  return Object.entries(names).flatMap(([name, target]) =>
    typeof target === "string" ? [] : [[name, target.default.replace(/^\.\//, "")]]);
}

/** @param {string} path @param {string} text */
function write(path, text) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

if (process.argv[1] === SELF) await merge(process.argv[2] ?? "", process.argv.slice(3));
