// @ts-check
/**
 * Loaded into a process of tests of a reader's code: ends it when a loop in it never ends, and
 * writes down where it was.
 *
 *     main thread   counts its turns and its tests; in a loop without an end there are none
 *     thread        sees the count stand still while the main thread computes, stops it as a
 *                   debugger does, and takes its stack; or sees that the turn has ended by now
 *
 * Time that others use does not count, so a slow machine is no endless loop; nor does what V8 does
 * beside the main thread. A test that waits and does not compute is waiting.mjs's.
 * Left out: a loop that waits for something in each round. The timeout of its test ends that one.
 * Test: test/learn-failure.test.ts
 */
import { readFileSync, writeFileSync } from "node:fs";
import { Session } from "node:inspector";
import { join } from "node:path";
import { isMainThread, Worker, workerData } from "node:worker_threads";
import { RUNNING, watchTests } from "./waiting.mjs";

/**
 * Twice the longest honest turn of a chapter's tests. On two busy cores it took the main thread
 * 1.2 s, and all threads 2.5 s.
 */
const MAX_TURN_CPU_MS = Number(
  process.env["TITAN_ENDLESS_CPU_MS"] ?? (mainThreadMs() === undefined ? 5000 : 2500),
);
const LOOK_MS = Math.min(250, MAX_TURN_CPU_MS / 4);
/** A loop that awaits is often inside Node. Another look, milliseconds later, finds its line. */
const MAX_LOOKS = 500;
const PAUSE_MS = 5;
const OWN = /\/own\//;
/**
 * Evaluated where the main thread stands: the compiler's lines are mapped back in it. A stack
 * behind an `await` does not reach the test, so the test is asked for by itself.
 */
const STATE = `(Error.stackTraceLimit = 100, JSON.stringify({
  stack: new Error("").stack, name: globalThis[Symbol.for("${RUNNING.description}")],
}))`;

if (isMainThread) {
  const folder = process.env["TITAN_ENDLESS"];
  if (folder !== undefined) {
    watchTests(folder, watch(folder));
  }
} else judge(workerData.turns, workerData.folder);

/**
 * @param {string} folder for the report
 * @returns {() => void} to be called when a test begins: those that never wait are one turn
 */
function watch(folder) {
  const turns = new Int32Array(new SharedArrayBuffer(4));
  const turn = () => void Atomics.add(turns, 0, 1);
  setInterval(turn, LOOK_MS).unref();
  new Worker(new URL(import.meta.url), { workerData: { turns, folder }, execArgv: [] }).unref();
  return turn;
}

/** @param {Int32Array} turns @param {string} folder */
function judge(turns, folder) {
  let seen = -1;
  let since = computedMs();
  let isLooking = false;
  // Never cleared: it keeps this thread alive while the debugger answers.
  setInterval(() => {
    if (isLooking) return;
    const now = Atomics.load(turns, 0);
    if (now !== seen) [seen, since] = [now, computedMs()];
    else if (computedMs() - since >= MAX_TURN_CPU_MS) {
      isLooking = true;
      sample(() => Atomics.load(turns, 0) !== now, (state) => {
        isLooking = false;
        if (state === undefined) return;
        const report = { ...state, seconds: MAX_TURN_CPU_MS / 1000 };
        writeFileSync(join(folder, `endless-${process.pid}.json`), JSON.stringify(report));
        process.kill(process.pid, "SIGKILL"); // nothing else stops a loop
      });
    }
  }, LOOK_MS);
}

/** What the main thread has computed; where the system does not tell, all threads. */
function computedMs() {
  const { user, system } = process.cpuUsage();
  return mainThreadMs() ?? (user + system) / 1000;
}

/** Linux counts in hundredths of a second, and gives the main thread the id of the process. */
function mainThreadMs() {
  try {
    const stat = readFileSync(`/proc/self/task/${process.pid}/stat`, "latin1");
    const words = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(words[11]) + Number(words[12])) * 10;
  } catch {
    return undefined;
  }
}

/**
 * The stack of the main thread, at a moment when it is in the reader's code, and its test.
 * @param {() => boolean} isOver the turn has come to an end: it was a long one
 * @param {(state?: { stack: string, name?: string }) => void} found
 */
function sample(isOver, found) {
  const session = new Session();
  session.connectToMainThread();
  let looks = 0;
  session.on("Debugger.paused", ({ params }) => {
    if (isOver()) {
      session.disconnect();
      return found();
    }
    const callFrameId = params.callFrames[0]?.callFrameId ?? "";
    const look = { callFrameId, expression: STATE, silent: true };
    session.post("Debugger.evaluateOnCallFrame", look, (_error, /** @type {any} */ answer) => {
      const state = JSON.parse(String(answer?.result?.value ?? '{"stack":""}'));
      looks += 1;
      if (OWN.test(state.stack) || looks >= MAX_LOOKS) return found(state);
      session.post("Debugger.resume");
    });
  });
  // Not before: a pause that comes while the thread still stands is none, and it would go on alone.
  session.on("Debugger.resumed", () =>
    setTimeout(() => session.post("Debugger.pause"), 1 + Math.random() * PAUSE_MS));
  session.post("Debugger.enable");
  session.post("Debugger.pause");
}
