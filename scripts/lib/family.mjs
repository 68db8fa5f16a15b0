// @ts-check
/**
 * Processes that end together: a script, what it starts, and what those start.
 *
 *     npm run demo ──▶ launch.mjs ──pipe──▶ demo/main.ts ──pipe──▶ titan master, titan worker
 *
 * Two things end a family. The reader of its output goes away (`npm run demo | head`): the member
 * that writes next ends itself. Or a parent dies, `kill -9` included: the pipe that it held to each
 * child closes, and each child ends itself.
 *
 * A child needs to know nothing of this: `startMember` has node load this module first
 * (`--import`). A program that has something to tidy up calls `endTogether` instead, and says what.
 *
 * Invariants: a member outlives its parent by GRACE_MS at most; nothing is written to a pipe that
 * nobody reads.
 * Left out: other programs than Node, which can be given a pipe and do not look at it; the runner
 * of `node --test`, which loads nothing before its tests, and ends with the last of them.
 * Test: test/scripts-family.test.ts
 */
import { spawn } from "node:child_process";
import { fstatSync } from "node:fs";
import { Socket } from "node:net";
import { isMainThread } from "node:worker_threads";

/** Where a member finds its end of the pipe. Behind stdin, stdout and stderr. */
const LIFELINE_FD = 3;
/** The process that holds the other end. */
const VARIABLE = "TITAN_FAMILY_PARENT";
/**
 * Time for a program to end in order, once it is alone. A worker's jobs have 5 s, and the worker 2
 * more.
 */
const GRACE_MS = 10_000;

/** The exit code that a shell reports for a program that SIGTERM ended. */
const TERMINATED = 128 + 15;

/** @typedef {{ tidies: boolean, parentGone: Promise<void> | undefined }} Membership */

/**
 * One per process, though a loader may load this module twice under two names.
 * @returns {Membership}
 */
function membership() {
  const key = Symbol.for("titan.family");
  const shared = /** @type {Record<symbol, Membership>} */ (/** @type {unknown} */ (globalThis));
  return (shared[key] ??= { tidies: false, parentGone: watchLifeline() });
}

/**
 * @returns {Promise<void> | undefined} resolves when the parent has ended; undefined: the parent
 * gave us no pipe
 */
function watchLifeline() {
  const parent = Number(process.env[VARIABLE] ?? NaN);
  // It is ours alone: a grandchild would look at whatever has that number there.
  delete process.env[VARIABLE];
  if (!isMainThread || !isOurs(parent)) return undefined;
  return new Promise((resolve) => {
    const pipe = new Socket({ fd: LIFELINE_FD, readable: true, writable: false });
    pipe
      .on("error", () => resolve())
      .on("close", () => resolve())
      .resume();
    pipe.unref(); // it keeps nobody alive
  });
}

/**
 * Whether the pipe at LIFELINE_FD is from our parent. The variable may have come through a process
 * that did not look at it, as the runner of `node --test` does not.
 * @param {number} parent who made the pipe
 */
function isOurs(parent) {
  if (!Number.isSafeInteger(parent) || (process.ppid !== parent && isAlive(parent))) return false;
  try {
    return fstatSync(LIFELINE_FD).isSocket();
  } catch {
    return false;
  }
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === "EPERM";
  }
}

/**
 * Runs node with these arguments as a member of our family: it ends when we do, however we end.
 * @param {readonly string[]} args
 * @param {import("node:child_process").SpawnOptions & { stdio?: "inherit" | "ignore" | "pipe" |
 * ("inherit" | "ignore" | "pipe")[] }} [options]
 * @returns {import("node:child_process").ChildProcess}
 */
export function startMember(args, options = {}) {
  const { stdio = "pipe", env = process.env } = options;
  const three = Array.isArray(stdio) ? stdio : [stdio, stdio, stdio];
  const child = spawn(process.execPath, [...preload(), ...args], {
    ...options,
    stdio: [...three, "pipe"],
    env: { ...env, [VARIABLE]: String(process.pid) },
  });
  const pipe = /** @type {Socket | null | undefined} */ (child.stdio[LIFELINE_FD]);
  pipe?.on("error", () => {}); // the child has ended
  pipe?.unref();
  return child;
}

/**
 * Flags that load this module before the program. Other runtimes have others, or none: there,
 * `endTogether` is needed.
 */
function preload() {
  return process.versions.deno || process.versions.bun ? [] : ["--import", import.meta.url];
}

/**
 * For a program with something to tidy up: runs `tidy` once and exits, when nobody reads what we
 * write any more, or when our parent has ended. Signals stay the program's own business.
 * @param {() => Promise<unknown> | unknown} tidy ends what `startMember` did not start, removes
 * files
 */
export function endTogether(tidy) {
  const family = membership();
  family.tidies = true;
  let ending = false;
  /** @param {number} code */
  const end = (code) => {
    if (ending) return;
    ending = true;
    setTimeout(() => process.exit(code), GRACE_MS).unref();
    void Promise.resolve()
      .then(tidy)
      .catch(() => {})
      .then(() => process.exit(code));
  };
  whenUnread(() => end(0));
  void family.parentGone?.then(() => end(TERMINATED));
}

/** @param {() => void} then nobody reads our stdout or our stderr any more */
function whenUnread(then) {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error) => {
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== "EPIPE") throw error;
      then();
    });
  }
}

/** The parent is gone: ask ourselves to end, as a person would; then insist. */
function endAlone() {
  setTimeout(() => process.kill(process.pid, "SIGKILL"), GRACE_MS).unref();
  // Without a handler a signal would end us on the spot, and what tidies up at "exit" would not
  // run.
  if (process.listenerCount("SIGTERM") === 0) process.exit(TERMINATED);
  process.kill(process.pid, "SIGTERM");
}

// Loaded by `startMember`'s flags, not by an import: the program itself knows nothing of families.
if (process.env[VARIABLE] !== undefined && isMainThread) {
  const family = membership();
  void family.parentGone?.then(() => {
    if (!family.tidies) endAlone();
  });
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error) => {
      // A program that listens itself decides itself.
      if (
        /** @type {NodeJS.ErrnoException} */ (error).code === "EPIPE" &&
        stream.listenerCount("error") === 1
      )
        process.exit();
    });
  }
}
