// @ts-check
/**
 * A compiled copy of the project: JavaScript beside every program and test, so that node starts
 * them without a loader.
 *
 *     test/05-log.test.ts      what somebody wrote
 *     test/05-log.test.js      the same without its types: node test/05-log.test.js
 *     src/log/open.js       -> dist/log/open.js, because "#log" without a condition means dist
 *
 * tsx takes 0.15 s of processor time per process and some milliseconds per module. `npm test`
 * starts 300 processes. A checkout is never compiled like this, only copies of it
 * (scripts/learn/sandbox.ts). What changes in one has to be compiled again. Types are not checked
 * here: that is done once, for all.
 */
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { COMPILED_MARK } from "../bootstrap.mjs";
import { SOURCE_FLAGS } from "./child.mjs";
import { isDeclaration } from "./declarations.mjs";
import { mergeProgram, unmerged } from "./merged.mjs";

/**
 * Options for processes that are over in seconds, as those of a test run are. V8 compiles a
 * function anew, slowly and well, once it has run this many bytes of bytecode; by default an eighth
 * of it, which pays in a server. A fifth of the processor time of most tests went there.
 *
 * Only Node 20 has it: newer ones count calls, and do not start with an option that they lack.
 * @param {string} v8 its version
 * @returns {string[]}
 */
export const shortLived = (v8) => (v8.startsWith("11.") ? ["--interrupt-budget=500000"] : []);

export const SHORT_LIVED = shortLived(process.versions.v8);

const OWNERS = new URL("owners.mjs", import.meta.url).href;
const PLAIN_OK = new URL("plain-ok.mjs", import.meta.url).href;
const STACKS = new URL("stacks.mjs", import.meta.url).href;

/**
 * Strips types and turns ".ts" in imports into ".js": a tenth of a second for a file, a third of
 * one for all.
 */
const COMPILER_FLAGS = [
  "--ignoreConfig",
  "--noCheck",
  "--noResolve",
  "--lib",
  "es5",
  "--types",
  "",
  "--target",
  "es2023",
  "--module",
  "nodenext",
  "--verbatimModuleSyntax",
  "--rewriteRelativeImportExtensions",
  "--removeComments",
  "--inlineSourceMap",
];

/** @param {string} root */
export function isCompiled(root) {
  return existsSync(join(root, COMPILED_MARK));
}

/**
 * Compiles a copy. Its mark holds the URL of the original, to which stack traces point.
 * @param {string} root
 * @param {string} original where it was copied from
 */
export function compileCopy(root, original) {
  mkdirSync(join(root, "dist"), { recursive: true });
  // Nobody reads them in a copy, and copies of it are made and compared: a quarter of all files.
  for (const file of readdirSync(join(root, "dist"), { recursive: true, encoding: "utf8" })) {
    if (isDeclaration(file)) rmSync(join(root, "dist", file));
  }
  writeFileSync(join(root, COMPILED_MARK), `${pathToFileURL(original)}/`);
  for (const file of sourcesUnder(root, "src")) {
    const link = join(root, file.replace(/\.ts$/, ".js"));
    symlinkSync(relative(dirname(link), compiledPath(root, file)), link);
  }
  compile(
    root,
    ["src", "test", "scripts", "lessons"].flatMap((folder) => sourcesUnder(root, folder)),
  );
  mergeProgram(root, SHORT_LIVED);
}

/**
 * Compiles these files of a compiled copy again; of any other folder nothing has to be.
 * @param {string} root
 * @param {readonly string[]} files relative to the root
 */
export function recompile(root, files) {
  if (!isCompiled(root)) return;
  const changed = [...files, ...unmerged(root, files)].filter((file) => file.endsWith(".ts"));
  for (const file of changed) rmSync(compiledPath(root, file), { force: true });
  // A master makes them anew when it finds none.
  if (files.some((file) => file.startsWith("src/"))) {
    rmSync(join(root, "dist/dashboard/assets"), { recursive: true, force: true });
  }
  compile(root, changed.filter((file) => existsSync(join(root, file))));
}

/**
 * What runs a program or a test of the project: its JavaScript in a compiled copy, elsewhere the
 * sources through tsx.
 * @param {string} root
 * @param {string} file relative to the root
 * @param {{ untraced?: boolean }} [options]
 * @returns {string[]} node's options, and the file as the last
 */
export function programArguments(root, file, options = {}) {
  return [...loaderFlags(root, options), programFile(root, file)];
}

/**
 * @param {string} root
 * @param {{ untraced?: boolean }} [options] `untraced`: nobody reads its stack traces, so that they
 *   may name the JavaScript
 */
export function loaderFlags(root, { untraced = false } = {}) {
  if (!isCompiled(root)) return SOURCE_FLAGS;
  return untraced ? SHORT_LIVED : [...SHORT_LIVED, `--import=${STACKS}`];
}

/**
 * What runs a test file: as a program, and such that a failure is told within a moment.
 * @param {string} root
 * @param {{ untraced?: boolean }} [options] as loaderFlags() has them
 */
export function testFlags(root, options = {}) {
  const flags = [...loaderFlags(root, options), `--import=${OWNERS}`];
  return isCompiled(root) ? flags : [...flags, "--import", PLAIN_OK];
}

/**
 * @param {string} root
 * @param {string} file relative to the root
 */
export function programFile(root, file) {
  return resolve(root, isCompiled(root) ? file.replace(/\.ts$/, ".js") : file);
}

/**
 * @param {string} root
 * @param {readonly string[]} files relative to the root
 */
function compile(root, files) {
  const original = readFileSync(join(root, COMPILED_MARK), "utf8");
  const inSrc = files.filter((file) => file.startsWith("src/"));
  const others = files.filter((file) => !file.startsWith("src/"));
  if (inSrc.length > 0) {
    run(root, inSrc, ["--rootDir", "src", "--outDir", "dist", "--sourceRoot", `${original}src/`]);
  }
  if (others.length > 0) {
    run(root, others, ["--rootDir", ".", "--outDir", ".", "--sourceRoot", original]);
  }
}

/**
 * @param {string} root
 * @param {readonly string[]} files
 * @param {readonly string[]} flags
 */
function run(root, files, flags) {
  const [tsc, ...script] = compilerIn(root);
  const { status, stdout, stderr } = spawnSync(
    tsc,
    [...script, ...COMPILER_FLAGS, ...flags, ...files],
    { cwd: root, encoding: "utf8" },
  );
  if (status === 0) return;
  // The compiler guesses what a file with a wrong syntax may mean. To node it must stay wrong.
  const wrong = new Map(stdout.split("\n").flatMap((line) => {
    const file = /^(.+)\(\d+,\d+\): error /.exec(line)?.[1];
    return file === undefined ? [] : [[file, line]];
  }));
  if (wrong.size === 0) throw new Error(`Cannot compile ${files.length} files: ${stderr}${stdout}`);
  for (const [file, message] of wrong) {
    const path = compiledPath(root, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, `throw new SyntaxError(${JSON.stringify(message)});\n`);
  }
}

/**
 * The compiler itself, where it is a program for this platform; else the script that finds it,
 * which costs a Node each time.
 * @param {string} root
 * @returns {[string, ...string[]]}
 */
function compilerIn(root) {
  const tools = join(root, "node_modules");
  const platform = `typescript-${process.platform}-${process.arch}`;
  const native = join(tools, "@typescript", platform, "lib", "tsc");
  if (existsSync(native)) return [native];
  return [process.execPath, join(tools, "typescript", "bin", "tsc")];
}

/**
 * @param {string} root
 * @param {string} file
 */
function compiledPath(root, file) {
  return join(root, file.replace(/^src\//, "dist/").replace(/\.ts$/, ".js"));
}

/**
 * @param {string} root
 * @param {string} folder
 * @returns {string[]} relative to the root
 */
function sourcesUnder(root, folder) {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return sourcesUnder(root, path);
    return entry.isFile() && /(?<!\.d)\.ts$/.test(entry.name) ? [path] : [];
  });
}
