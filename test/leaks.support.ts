/**
 * What a test leaves behind in its own process. To import this file is enough: between two tests,
 * and after the last one, these are counted, and a test that has left more than it found fails the
 * next one, or its file, by name.
 *
 *     descriptors    by what they lead to (/proc/self/fd)      sockets, pipes, files by path
 *     handles        what keeps the event loop alive           timers, servers, children
 *     children       processes whose parent is this one        threads: of this process
 *     files          in the folder for temporary files, of which this process gets one of its own
 *
 * The pool of launchers may keep what it says it keeps (src/process/pool.ts), and no launcher that
 * neither runs a job nor is idle. Where there is no /proc, descriptors, children and threads are
 * not counted. What is on its way out is waited for: until nothing is left, or nothing has gone for
 * PATIENCE_MS.
 *
 * Whose it is: at the beginning and the end of each test the new descriptors are noted, with the
 * tests that ran when they came. Of the rest is known that it came since the process was last seen
 * without it.
 */
import {
  existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, realpathSync, rmSync,
} from "node:fs";
import { AsyncResource } from "node:async_hooks";
import { stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join, resolve, sep } from "node:path";
import { after, afterEach, beforeEach } from "node:test";
import { processCounts } from "../src/process/pool.ts";

/** Nothing takes as long to go; on a busy machine everything takes long. */
const PATIENCE_MS = 30_000;
/** Between two looks: at first what a socket needs to close, in the end too long to be a load. */
const LOOK_MS = 1;
const MAX_LOOK_MS = 50;
/** More tests than this are not named one by one. */
const NAMED = 4;

/** How many of each; only what there is. */
export type Counts = ReadonlyMap<string, number>;

const HANDLES = new Set([
  "Timeout",
  "TCPSocketWrap",
  "TCPServerWrap",
  "ProcessWrap",
  "MessagePort",
  "Worker",
]);
const hasProc = existsSync("/proc/self/fd");
/** A launcher's have had names (src/process/pipes.ts). */
const PIPE = /^pipe:|\/titan-pipes-/;
/**
 * A process keeps its journal open until it ends (src/process/journal.ts), and descriptors are
 * listed through one of their own.
 */
const KEPT = /\/live( \(deleted\))?$|^\/dev\/|^\/proc\/\d+\/fd$/;
/**
 * Node reads them. When a thread is ended in the middle of that, as that of a store that is given
 * up, Node leaves them open.
 */
const MODULE = /\.[cm]?[jt]s$/;
/** tsx starts it, and keeps it, for the first module that it has not compiled before. */
const COMPILER = "esbuild";
const ROOT = realpathSync(resolve(import.meta.dirname, ".."));
const MODULES = ["src", "dist", "node_modules"].map((folder) => join(ROOT, folder) + sep);

/** What this process has now, without what its launchers may have. */
export function look(): Counts {
  const counts = new Map<string, number>();
  const add = (what: string, count = 1): void =>
    void counts.set(what, (counts.get(what) ?? 0) + count);
  for (const handle of process.getActiveResourcesInfo()) if (HANDLES.has(handle)) add(handle);
  // A connection keeps the timer of a request that was answered (rpc/deadlines.ts).
  const timers = (counts.get("Timeout") ?? 0) - (counts.get("TCPSocketWrap") ?? 0);
  counts.set("Timeout", Math.max(0, timers));
  const { running, launchers, idle, pipes, reaper } = processCounts();
  add("launcher that is neither idle nor busy", Math.max(0, launchers - idle - running));
  if (!hasProc) return counts;
  for (const [, target] of descriptors()) add(nameOf(target));
  add("thread", readdirSync("/proc/self/task").length);
  const pids = children();
  const compilers = pids.filter((pid) => nameOfProcess(pid) === COMPILER).length;
  add("child process", pids.length - compilers);
  add("descriptor of a socket", -2 * compilers);
  // A launcher has a socket for its input and two pipes for its output.
  const reapers = reaper === undefined ? 0 : 1;
  add("child process", -launchers - reapers);
  add("descriptor of a socket", -launchers - reapers);
  add("descriptor of a pipe", -2 * launchers - 2 * pipes);
  return counts;
}

/** Of each that counts: its number and what it leads to, which together are nobody else's. */
function descriptors(): [id: string, target: string][] {
  return readdirSync("/proc/self/fd").flatMap((fd): [string, string][] => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      const isModule = MODULE.test(target) && MODULES.some((folder) => target.startsWith(folder));
      return KEPT.test(target) || isModule ? [] : [[`${fd} ${target}`, target]];
    } catch {
      return []; // the one that reads this folder
    }
  });
}

function nameOf(target: string): string {
  if (target.startsWith("socket:")) return "descriptor of a socket";
  return PIPE.test(target) ? "descriptor of a pipe" : `descriptor of ${target}`;
}

/** Each thread's have a list of their own. */
function children(): string[] {
  const lists = readdirSync("/proc/self/task").map((thread) => {
    try {
      return readFileSync(`/proc/self/task/${thread}/children`, "latin1");
    } catch {
      return ""; // it has ended, or this system has no such lists
    }
  });
  return lists.join(" ").split(" ").filter((pid) => pid !== "");
}

function nameOfProcess(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "latin1").trimEnd();
  } catch {
    return ""; // it has ended
  }
}

/** What there is now and was not there before. */
export function leftSince(before: Counts, now: Counts): string[] {
  return [...now].flatMap(([what, count]) => {
    const more = count - (before.get(what) ?? 0);
    return more > 0 ? [`${more} × ${what}`] : [];
  });
}

/**
 * Resolves once nothing is left, or `goOn` says no; rejects with what is left when patience has
 * ended, and with who has left it.
 */
export async function nothingLeftSince(
  before: Counts, who: () => string, goOn = (): boolean => true,
): Promise<void> {
  let last = "";
  let until = Infinity;
  for (let ms = LOOK_MS; ; ms = Math.min(2 * ms, MAX_LOOK_MS)) {
    const left = leftSince(before, look()).join(", ");
    if (left === "" || !goOn()) return;
    if (left !== last) until = performance.now() + PATIENCE_MS;
    else if (performance.now() > until) throw new Error(`${who()} has left behind: ${left}`);
    last = left;
    await new Promise((resolve) => setTimeout(resolve, ms));
  }
}

/** Who has brought what: tests by descriptor, as far as can be known. */
export class Owners {
  /** Ran since the process was last seen clean. */
  readonly #all = new Set<string>();
  #running: string[] = [];
  /** By the descriptors' ids: who ran when it came; undefined for what was there before. */
  #seen = new Map<string, readonly string[] | undefined>();

  begins(name: string): void {
    this.#note(this.#running);
    this.#running.push(name);
    this.#all.add(name);
  }

  ends(name: string): void {
    this.#note([...this.#running]);
    this.#running.splice(this.#running.indexOf(name), 1);
  }

  /** What is there now is nobody's. */
  clean(): void {
    this.#all.clear();
    for (const name of this.#running) this.#all.add(name);
    this.#seen.clear();
    this.#note(undefined);
  }

  #note(names: readonly string[] | undefined): void {
    if (!hasProc) return;
    const seen = this.#seen;
    this.#seen = new Map(descriptors().map(([id]) =>
      [id, seen.has(id) ? seen.get(id) : names?.slice()]));
  }

  /** In one line. Those that hold a descriptor still, if there are any. */
  get text(): string {
    const own = hasProc ? descriptors().flatMap(([id]) => this.#seen.get(id) ?? []) : [];
    const names = [...new Set(own.length > 0 ? own : this.#all)].map((name) => `"${name}"`);
    if (names.length === 1) return names[0]!;
    if (names.length <= NAMED) return `one of ${names.join(", ")}`;
    return `one of ${names.length} tests, from ${names[0]} to ${names.at(-1)},`;
  }
}

/**
 * Everything of this process that is temporary goes in here, so that what remains has one owner.
 */
const TEMPORARY = mkdtempSync(join(tmpdir(), "titan-test-"));
process.env["TMPDIR"] = TEMPORARY;

/**
 * Where tests judge code that is wrong on purpose (scripts/learn/mistakes-run.ts), what one of them
 * has left is not the next one's failure, and nobody waits for it to go.
 */
const isJudged = (): boolean => process.env["TITAN_LEAKS"] !== "ignored" && !hasFailed();

/** Nor does it say more of a reader's code that one of its tests has failed (scripts/lib). */
const hasFailed = (): boolean => Reflect.has(globalThis, Symbol.for("titan.failed-test"));

/** Caches of the loader and of Node. */
const OTHERS = /^tsx-|^node-/;

/**
 * libuv starts its threads, all of them, for the first file that is read without waiting: from
 * Node 22 on that may be in the middle of a test.
 */
await stat(TEMPORARY);

let before: Counts | undefined;
const owners = new Owners();
/** Tests that run now. Where several do, or one inside another, the process is never seen clean. */
let running = 0;
const alone = (): boolean => running === 1;
// Hooks of a test itself (`t.after`) come after `afterEach`, so the look back is the next test's
// first thing.
beforeEach(async (t) => {
  running++;
  const found = before;
  if (found === undefined) atTheEnd();
  try {
    if (found !== undefined && isJudged() && alone()) {
      await nothingLeftSince(found, () => owners.text, () => alone() && isJudged());
    }
  } finally {
    if (found === undefined || alone()) {
      before = look();
      owners.clean();
    }
    owners.begins(t.name);
  }
});
afterEach((t) => {
  running--;
  owners.ends(t.name);
});

const outside = new AsyncResource("leaks");

/** Registered late and for the file: behind the hooks and listeners of the file itself. */
function atTheEnd(): void {
  outside.runInAsyncScope(() => after(async () => {
    if (isJudged()) await nothingLeftSince(before!, () => owners.text);
  }));
  process.on("exit", () => {
    const left = readdirSync(TEMPORARY).filter((name) => !OTHERS.test(name));
    rmSync(TEMPORARY, { recursive: true, force: true });
    if (left.length === 0) return;
    process.exitCode = 1;
    process.stderr.write(
      `${basename(process.argv[1]!)} has left behind in the folder for temporary files: ` +
        `${left.join(", ")}\n`,
    );
  });
}
