/**
 * What a test leaves behind in its own process. To import this file is enough: between two tests, and
 * after the last one, these are counted, and a test that has left more than it found fails the next
 * one, or its file, by name.
 *
 *     descriptors    by what they lead to (/proc/self/fd)      sockets, pipes, files by path
 *     handles        what keeps the event loop alive           timers, servers, children
 *     children       processes whose parent is this one        threads: of this process
 *     files          in the folder for temporary files, of which this process gets one of its own
 *
 * The pool of launchers may keep what it says it keeps (launcher-pool.ts), and no launcher that neither
 * runs a job nor is idle. Where there is no /proc, descriptors, children and threads are not counted.
 * What is on its way out is waited for: until nothing is left, or PATIENCE_MS have passed.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { AsyncResource } from "node:async_hooks";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, afterEach, beforeEach } from "node:test";
import { processCounts } from "../src/host/launcher-pool.ts";

/** Nothing takes as long to end; on a busy machine everything takes long. */
const PATIENCE_MS = 10_000;
const LOOK_MS = 5;

/** How many of each; only what there is. */
export type Counts = ReadonlyMap<string, number>;

const HANDLES = new Set(["Timeout", "TCPSocketWrap", "TCPServerWrap", "ProcessWrap", "MessagePort", "Worker"]);
const hasProc = existsSync("/proc/self/fd");
/** A launcher's have had names (launcher-pipes.ts). */
const PIPE = /^pipe:|\/titan-pipes-/;
/** A process keeps its journal open until it ends (launcher-journal.ts). */
const KEPT = /\/live( \(deleted\))?$|^\/dev\/|^\/proc\//;

/** What this process has now, without what its launchers may have. */
export function look(): Counts {
  const counts = new Map<string, number>();
  const add = (what: string, count = 1): void => void counts.set(what, (counts.get(what) ?? 0) + count);
  for (const handle of process.getActiveResourcesInfo()) if (HANDLES.has(handle)) add(handle);
  // A connection keeps the timer of a request that was answered (rpc/deadlines.ts).
  const timers = (counts.get("Timeout") ?? 0) - (counts.get("TCPSocketWrap") ?? 0);
  counts.set("Timeout", Math.max(0, timers));
  const { running, launchers, idle, pipes, reaper } = processCounts();
  add("launcher that is neither idle nor busy", Math.max(0, launchers - idle - running));
  if (!hasProc) return counts;
  for (const target of descriptors()) add(target);
  add("thread", readdirSync("/proc/self/task").length);
  add("child process", children());
  // A launcher has a socket for its input and two pipes for its output.
  const reapers = reaper === undefined ? 0 : 1;
  add("child process", -launchers - reapers);
  add("descriptor of a socket", -launchers - reapers);
  add("descriptor of a pipe", -2 * launchers - 2 * pipes);
  return counts;
}

function descriptors(): string[] {
  return readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      if (target.startsWith("socket:")) return ["descriptor of a socket"];
      if (PIPE.test(target)) return ["descriptor of a pipe"];
      return KEPT.test(target) ? [] : [`descriptor of ${target}`];
    } catch {
      return []; // the one that reads this folder
    }
  });
}

function children(): number {
  return readdirSync("/proc").filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
      return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]) === process.pid;
    } catch {
      return false; // it has ended
    }
  }).length;
}

/** What there is now and was not there before. */
export function leftSince(before: Counts, now: Counts): string[] {
  return [...now].flatMap(([what, count]) => {
    const more = count - (before.get(what) ?? 0);
    return more > 0 ? [`${more} × ${what}`] : [];
  });
}

/** Resolves once nothing is left, or `goOn` says no; rejects with what is left when patience has ended. */
export async function nothingLeftSince(before: Counts, doing: string, goOn = (): boolean => true): Promise<void> {
  const until = performance.now() + PATIENCE_MS;
  for (;;) {
    const left = leftSince(before, look());
    if (left.length === 0 || !goOn()) return;
    if (performance.now() > until) throw new Error(`${doing} has left behind: ${left.join(", ")}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

/** Everything of this process that is temporary goes in here, so that what remains has one owner. */
const TEMPORARY = mkdtempSync(join(tmpdir(), "titan-test-"));
process.env["TMPDIR"] = TEMPORARY;

/** Caches of the loader and of Node. */
const OTHERS = /^tsx-|^node-/;

let before: Counts | undefined;
let doing = "";
/** Tests that run now. Where several do, or one inside another, nobody can say whose a thing is. */
let running = 0;
const alone = (): boolean => running === 1;
// Hooks of a test itself (`t.after`) come after `afterEach`, so the look back is the next test's first thing.
beforeEach(async (t) => {
  running++;
  const [found, name] = [before, doing];
  if (found === undefined) atTheEnd();
  try {
    if (found !== undefined && alone()) await nothingLeftSince(found, `"${name}"`, alone);
  } finally {
    if (found === undefined || alone()) before = look();
    doing = alone() ? t.name : `${doing}" or "${t.name}`;
  }
});
afterEach(() => void running--);

const outside = new AsyncResource("leaks");

/** Registered late and for the file: behind the hooks and listeners of the file itself. */
function atTheEnd(): void {
  outside.runInAsyncScope(() => after(() => nothingLeftSince(before!, `"${doing}"`)));
  process.on("exit", () => {
    const left = readdirSync(TEMPORARY).filter((name) => !OTHERS.test(name));
    rmSync(TEMPORARY, { recursive: true, force: true });
    if (left.length === 0) return;
    process.exitCode = 1;
    process.stderr.write(`${basename(process.argv[1]!)} has left behind in the folder for temporary files: ${left.join(", ")}\n`);
  });
}
