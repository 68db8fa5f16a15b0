#!/usr/bin/env node
// @ts-check
/**
 * Makes a fresh clone runnable: dev tools from the lock file, then `dist/` from `src/`.
 *
 *     node scripts/bootstrap.mjs [--force] [--deps-only] [--if-tools]
 *
 * Every script that needs either calls `ensureDeps()` or `ensureBuilt()`, so there is no step to
 * remember. With nothing to do the cost is one `stat` per source file.
 *
 * Invariants: `dist/` never disappears and never holds the output of a failed compile; two callers
 * at once do the work once (the second waits for the first). npm runs it, too: `prepack` before a
 * tarball is made, and `prepare` after every `npm ci` and in a clone that is installed as a
 * dependency. There `--if-tools` leaves things alone when npm was told to install without dev
 * tools.
 * Left out: incremental builds. The whole of `src/` compiles in a few seconds, so a cache would
 * only add ways to be wrong.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { finishDeclaration, isDeclaration } from "./lib/declarations.mjs";
import { filesUnder } from "./lib/files.mjs";
import { finishPage } from "./lib/page.mjs";

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const DIST = join(ROOT, "dist");
/** Relative to the root, as in `sourceDigest`. */
const PAGE = "src/dashboard/page";
const STAMP = join(DIST, ".stamp");
/** In a compiled copy (lib/compiled.mjs), relative to its root: its presence says what it is. */
export const COMPILED_MARK = join("dist", ".compiled");
const LOCK = join(DIST, ".lock");
const TSC = join(ROOT, "node_modules", "typescript", "bin", "tsc");

/** Polling is enough: the lock is held for the second or two of a compile. */
const LOCK_POLL_MS = 50;
/**
 * `npm ci` on a slow line takes a minute or two; a process that holds the lock longer than this is
 * not coming back.
 */
const LOCK_STALE_MS = 10 * 60_000;

/**
 * package.json, "engines". Every script comes by here before it loads anything that an
 * older Node lacks.
 */
const OLDEST_NODE = { major: 20, minor: 15 };

/** As much of npm's report as a person reads. */
const NPM_LINES = 8;

/** Set for the npm that this script starts: its `prepare` must not wait for our own lock. */
const INSTALLING = "TITAN_BOOTSTRAP_INSTALLS";
/** Types for programs that import the package; they lead editors to `src/`. */
const DECLARATIONS = ["--declaration", "--declarationMap"];

/**
 * Compiler output goes here first; the process id keeps two builders apart even if a lock was
 * stolen.
 */
const stagingFolder = () => join(ROOT, "dist", `.staging-${process.pid}`);

/** A problem to show to the person at the terminal, without a stack trace. */
export class BootstrapError extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = "BootstrapError";
  }
}

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < OLDEST_NODE.major || (major === OLDEST_NODE.major && minor < OLDEST_NODE.minor)) {
  const needed = `Titan needs Node ${OLDEST_NODE.major}.${OLDEST_NODE.minor} or newer`;
  process.stderr.write(
    `Cannot start: ${needed}, this is ${process.version} (${process.execPath})\n`,
  );
  process.exit(1);
}

/** @param {string} text */
const note = (text) => process.stderr.write(`titan: ${text}\n`);

/**
 * What `npm ci` would have to change, or undefined when nothing. Versions are compared, not times:
 * a checkout or a copied folder gets new times and the same tools.
 */
function missingTool() {
  /**
   * @type {Record<string, { version?: string, optional?: boolean, os?: string[], cpu?: string[] }>}
   */
  let wanted, installed;
  try {
    wanted = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")).packages;
    installed = JSON.parse(
      readFileSync(join(ROOT, "node_modules", ".package-lock.json"), "utf8"),
    ).packages;
  } catch {
    return "node_modules";
  }
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === "") continue;
    // The compiler and the loader ship one binary per platform; only ours has to be there.
    if (entry.os && !entry.os.includes(process.platform)) continue;
    if (entry.cpu && !entry.cpu.includes(process.arch)) continue;
    const have = installed[path];
    if (have?.version === entry.version && existsSync(join(ROOT, path))) continue;
    // Packages of another C library or a virtual platform ("optional", never installed here) are
    // none of our business unless an older version of them is present.
    if (entry.optional && !have && !isNativeBinary(path)) continue;
    return path;
  }
  return undefined;
}

/** @param {string} path */
const isNativeBinary = (path) =>
  path.endsWith(`-${process.platform}-${process.arch}`) ||
  path.endsWith(`/${process.platform}-${process.arch}`);

/**
 * Installs the dev tools when they are missing or differ from the lock file.
 * @param {{ force?: boolean }} [options]
 * @throws {BootstrapError} when npm cannot install them
 */
export async function ensureDeps(options = {}) {
  if (!options.force && missingTool() === undefined) return;
  await withLock(() => {
    const missing = missingTool();
    // somebody else installed them while we waited
    if (!options.force && missing === undefined) return;
    note(
      "installing the dev tools (typescript, tsx, " +
        `@types/node)${missing ? ` because ${missing} is missing or old` : ""} …`,
    );
    const done = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
      cwd: ROOT,
      stdio: ["ignore", "pipe", "pipe"],
      encoding: "utf8",
      shell: process.platform === "win32",
      env: installEnvironment(),
    });
    if (done.error) {
      const { code, message } = /** @type {NodeJS.ErrnoException} */ (done.error);
      const why = code === "ENOENT" ? "there is no npm in PATH" : `npm did not start (${message})`;
      throw new BootstrapError(`Cannot install the dev tools: ${why}`);
    }
    if (done.status !== 0) {
      const said = reasonOf(`${done.stderr}${done.stdout}`);
      throw new BootstrapError(
        "Cannot install the dev tools: npm ci failed with status " +
          `${done.status ?? done.signal}\n${said}\n` +
          "They are needed once, from the registry that npm is configured for. Offline: copy " +
          "node_modules from a machine that has run `npm ci`.",
      );
    }
  });
}

/** npm gives the reason first, then the stack and fields of its own error. @param {string} said */
const reasonOf = (said) =>
  said.trim().split("\n").filter((line) => !/^npm error +(at |\w+: |\}|$)|^npm error$/.test(line))
    .slice(0, NPM_LINES).join("\n");

/** The caller's environment, without settings that keep `npm ci` from installing the compiler. */
function installEnvironment() {
  const settings = { NODE_ENV: "", npm_config_omit: "", npm_config_production: "" };
  // npm hands its own flags to the scripts that it runs: `npm pack --dry-run`, `npm install -g`.
  const flags = {
    npm_config_dry_run: "false", npm_config_global: "false", npm_config_package_lock_only: "false",
  };
  return { ...process.env, ...settings, ...flags, [INSTALLING]: "1" };
}

/**
 * Compiles `src/` into `dist/` if any source differs from the last successful build.
 * @param {{ force?: boolean }} [options]
 * @throws {BootstrapError} with the compiler's messages when the types do not hold
 */
export async function ensureBuilt(options = {}) {
  if (!options.force && isFresh()) return;
  await ensureDeps();
  await withLock(async () => {
    // Taken before the compiler reads anything: a file saved during the build leaves the stamp
    // stale, as it should.
    const digest = sourceDigest();
    if (!options.force && readStamp() === digest) return;
    note("compiling the sources, which takes some seconds …");
    const staging = stagingFolder();
    try {
      compile("tsconfig.json", ["--outDir", staging, ...DECLARATIONS]);
      // Behind the rest: bricks that browsers load, too, are then without comments.
      if (existsSync(join(ROOT, PAGE))) await buildPage(staging);
      publish(staging);
      writeFileSync(STAMP, digest);
    } finally {
      rmSync(staging, { recursive: true, force: true });
    }
  });
}

/** @param {string} config relative to the root @param {readonly string[]} flags */
function compile(config, flags) {
  const done = spawnSync(process.execPath, [TSC, "-p", join(ROOT, config), ...flags], {
    cwd: ROOT, encoding: "utf8",
  });
  if (done.status === 0) return;
  throw new BootstrapError(
    `Cannot build: the sources do not type-check\n${done.stdout}${done.stderr}`.trimEnd(),
  );
}

/**
 * What browsers load.
 * @param {string} out in the place of `dist`, which the rest is in already
 * @param {readonly string[]} [flags] for the compiler
 */
export async function buildPage(out, flags = []) {
  compile("src/dashboard/page/tsconfig.json", ["--outDir", out, ...flags]);
  await finishPage(out, join(ROOT, PAGE));
}

/**
 * Whoever changes a source of a compiled copy compiles it there and then. A build, which also
 * checks the types of everything, would take ten seconds to arrive at the same.
 */
export function isFresh() {
  return existsSync(join(ROOT, COMPILED_MARK)) || readStamp() === sourceDigest();
}

function readStamp() {
  try {
    return readFileSync(STAMP, "utf8");
  } catch {
    return undefined;
  }
}

/**
 * Path, size and modification time of everything the compiler reads. Every command line from the
 * checkout comes by here: 700 files, and one string and one hash of all.
 */
function sourceDigest() {
  let facts = "";
  /** @param {string} path relative to the root */
  const add = (path) => {
    const { size, mtimeMs } = statSync(`${ROOT}/${path}`);
    // Whole milliseconds: what `cp -p` keeps on every file system, so that a copied checkout is
    // still fresh.
    facts += `${path}\0${size}\0${Math.round(mtimeMs)}\n`;
  };
  for (const file of filesUnder(join(ROOT, "src"))) {
    const path = file.slice(ROOT.length + 1);
    // JavaScript in src/ is what a compiled copy has there (lib/compiled.mjs).
    if (path.endsWith(".ts") || (path.startsWith(PAGE) && !path.endsWith(".js"))) add(path);
  }
  add("tsconfig.json");
  add("package.json");
  return createHash("sha256").update(facts).digest("hex");
}

/**
 * Moves the new output over the old one file by file. A swap of whole folders would leave an
 * instant without any `dist/`, and a running master starts its workers from there.
 * @param {string} staging
 */
function publish(staging) {
  const kept = new Set();
  const { imports } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  for (const from of filesUnder(staging)) {
    const to = join(DIST, relative(staging, from));
    if (isDeclaration(from)) finishDeclaration(from, { to, dist: DIST, imports });
    mkdirSync(dirname(to), { recursive: true });
    renameSync(from, to);
    kept.add(to);
  }
  for (const path of filesUnder(DIST)) {
    const own = relative(DIST, path).startsWith("."); // .stamp, .lock, .staging-*
    if (!own && !kept.has(path)) unlinkSync(path);
  }
}

/**
 * Runs `work` while no other process does. The lock is a file with the owner's process id; one left
 * by a dead owner is taken over. Should two processes take it over in the same instant both will
 * work, which is wasteful and harmless: each compiles into a folder of its own.
 * @param {() => void | Promise<void>} work
 */
async function withLock(work) {
  mkdirSync(DIST, { recursive: true });
  let told = false;
  for (;;) {
    try {
      const fd = openSync(LOCK, "wx");
      writeSync(fd, String(process.pid));
      closeSync(fd);
      break;
    } catch (error) {
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== "EEXIST") throw error;
    }
    if (lockIsDead()) {
      rmSync(LOCK, { force: true });
      continue;
    }
    if (!told) note("another command is building; waiting for it …");
    told = true;
    await new Promise((resolve) => setTimeout(resolve, LOCK_POLL_MS));
  }
  try {
    await work();
  } finally {
    rmSync(LOCK, { force: true });
  }
}

function lockIsDead() {
  try {
    const age = Date.now() - lstatSync(LOCK).mtimeMs;
    const owner = Number(readFileSync(LOCK, "utf8"));
    if (age > LOCK_STALE_MS) return true;
    if (owner === 0) return age > 1000; // created, id not written yet: give it a moment
    process.kill(owner, 0);
    return false;
  } catch (error) {
    const { code } = /** @type {NodeJS.ErrnoException} */ (error);
    return code === "ESRCH" || code === "ENOENT"; // gone; EPERM means alive under another user
  }
}

/**
 * What to do about a folder of this checkout that cannot be written: a checkout of another user,
 * a read-only disk.
 * @param {unknown} error
 * @returns {string | undefined} undefined where that is not the trouble
 */
function explainReadOnly(error) {
  const { code, path } = /** @type {NodeJS.ErrnoException} */ (error ?? {});
  if (!["EACCES", "EPERM", "EROFS"].includes(code ?? "")) return undefined;
  if (!path?.startsWith(join(ROOT, "/"))) return undefined;
  const why = code === "EROFS" ? "the disk is read-only" : "permission denied";
  const own = join(ROOT, "own");
  if (path.startsWith(join(own, "/")) && isOthers(own) && !isOthers(ROOT)) {
    return `Cannot write ${path}: ${why}\nown/ is another user's, as after a command with sudo: ` +
      `sudo chown -R "$USER" ${quoted(own)}`;
  }
  return `Cannot write ${path}: ${why}\n` +
    "Tools, builds and your own code go into this checkout: " +
    `use a copy that is yours, such as: git clone ${quoted(ROOT)} ~/titan`;
}

/** @param {string} path */
const isOthers = (path) =>
  statSync(path, { throwIfNoEntry: false })?.uid !== process.getuid?.();

/** As a shell reads it. @param {string} text */
const quoted = (text) =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

/**
 * Runs a script's main function: expected problems become one message and exit 1, the rest keeps
 * its stack.
 * @param {() => Promise<number | void>} main resolves to the exit code
 */
export async function runMain(main) {
  // `… | head` has read enough.
  process.stdout.on("error", (error) => {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== "EPIPE") throw error;
    process.exit(process.exitCode ?? 0);
  });
  try {
    process.exitCode = (await main()) ?? 0;
  } catch (error) {
    const message = error instanceof BootstrapError ? error.message : explainReadOnly(error);
    if (message === undefined) throw error;
    process.stderr.write(`${message}\n`);
    process.exitCode = 1;
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await runMain(async () => {
    const flags = new Set(process.argv.slice(2));
    const unknown = [...flags]
      .find((flag) => !["--force", "--deps-only", "--if-tools"].includes(flag));
    if (unknown) {
      throw new BootstrapError(
        `Cannot bootstrap: unknown option ${unknown} `
          + "(there are --force, --deps-only and --if-tools)",
      );
    }
    if (process.env[INSTALLING] || (flags.has("--if-tools") && !existsSync(TSC))) return;
    await ensureDeps();
    if (!flags.has("--deps-only")) await ensureBuilt({ force: flags.has("--force") });
  });
}
