// @ts-check
/**
 * Loaded into a process of tests of a reader's code, by endless.mjs: notes which test runs, ends a
 * test that waits for what never comes, and ends the process once its tests are done.
 *
 *     a timer, a program, a file is under way          something will happen
 *     nothing but open connections, and eight turns    both of their ends are in this process, and
 *     of the loop in which nothing was computed        neither has anything to say
 *     three tests have waited                          the others would wait, too, and do not run
 *     all tests are done, the process is not           a server, a timer is left: it is ended
 *
 * Node ends a process in which nothing is left, and all its tests with it, and a connection that is
 * open keeps it until the time of the test is over. Turns are counted, so a busy machine, on which
 * a turn takes long, looks no different.
 * Left out: a wait beside a timer that is armed again and again. The timeout of the test ends it.
 * Test: test/learn-failure.test.ts
 */
import { writeFileSync } from "node:fs";
import { createRequire, syncBuiltinESMExports } from "node:module";
import { join } from "node:path";

const LOOK_MS = 250;
const IDLE_TURNS = 8;
/** What a look itself costs, on a slow machine. */
const LOOK_CPU_MS = 15;
/** Resources that wait for somebody else. */
const PASSIVE = /^(TCP|Pipe|TTY|TLS|UDP|MessagePort)/;

/** One may wait for a reason of its own. A third one says that something common is not there. */
const MOST_WAITS = 3;
const NOT_RUN = `not run: ${MOST_WAITS} tests before it in its process have waited in vain`;

/** Node 20 gives it to files and to no test. */
const TEST_TIMEOUT = /^--test-timeout=(\d+)$/;

/** Turns of the loop behind the last test. What a failed test has opened, it seldom closes. */
const LAST_TURNS = 3000 / LOOK_MS;
/** Where none has failed, a hook may look for half a minute at what is left (leaks.support.ts). */
const LAST_TURNS_OF_PASSED = 40_000 / LOOK_MS;

/** Where endless.mjs finds the name of the test, from another thread. */
export const RUNNING = Symbol.for("titan.running-test");
/** Where test/leaks.support.ts finds that a test has failed: what it has left says nothing. */
const FAILED = Symbol.for("titan.failed-test");

const shared = /** @type {Record<symbol, unknown>} */ (/** @type {unknown} */ (globalThis));
const nodeTest = createRequire(import.meta.url)("node:test");
const original = nodeTest.test;

/** Declared and not yet over. */
let pending = 0;
let waited = 0;

/**
 * Makes each test that is declared from now on one that cannot wait without end.
 * @param {string} folder for the report of a process that does not end
 * @param {() => void} [onBegin] of each test
 */
export function watchTests(folder, onBegin = () => undefined) {
  const [ms] = process.execArgv.flatMap((flag) => TEST_TIMEOUT.exec(flag)?.[1] ?? []);
  const timeout = ms === undefined ? {} : { timeout: Number(ms) };
  /** @param {...any} args name, options, function: each may be missing */
  const watched = (...args) => {
    pending += 1;
    const body = args.at(-1);
    const name = typeof args[0] === "string" ? args[0] : body?.name;
    const options = args.find((each) => typeof each === "object");
    // A function of two parameters gets a callback, and is left as it is.
    const result = typeof body !== "function" ? original(...args) : original(
      name, { ...timeout, ...options },
      body.length > 1 ? body : (/** @type {any} */ context) => {
        onBegin();
        return run(body, context);
      });
    const over = () => {
      pending -= 1;
      if (pending === 0) endSoon(folder);
    };
    Promise.resolve(result).then(over, over);
    return result;
  };
  nodeTest.test = Object.assign(watched, original);
  syncBuiltinESMExports();
}

/** @param {(context: any) => unknown} body @param {any} context */
async function run(body, context) {
  shared[RUNNING] = context.name;
  if (waited >= MOST_WAITS) throw new Error(NOT_RUN);
  try {
    const result = body(context);
    if (result instanceof Promise) await orIdle(result, context.signal);
  } catch (error) {
    shared[FAILED] = true;
    throw error;
  }
}

/**
 * @template T
 * @param {Promise<T>} result
 * @param {AbortSignal} timeout of the test
 * @returns {Promise<T>}
 */
function orIdle(result, timeout) {
  return new Promise((resolve, reject) => {
    let turns = 0;
    let since = process.cpuUsage();
    const stopLooking = () => {
      clearInterval(looks);
      timeout.removeEventListener("abort", timedOut); // it also comes when the test has ended
    };
    /** @param {string} why */
    const giveUp = (why) => {
      stopLooking();
      waited += 1;
      reject(new Error(why));
    };
    // With a look ahead of it, the process does not end either.
    const looks = setInterval(() => {
      const { user, system } = process.cpuUsage(since);
      since = process.cpuUsage();
      const isIdle = (user + system) / 1000 < LOOK_CPU_MS && active().length === 0;
      turns = isIdle ? turns + 1 : 0;
      if (turns >= IDLE_TURNS) giveUp("nothing is left to happen");
    }, LOOK_MS);
    const timedOut = () => giveUp("it has no time left");
    timeout.addEventListener("abort", timedOut);
    result.then(resolve, reject).finally(stopLooking);
  });
}

/** What is under way, but for the timer of this look. */
function active() {
  const all = process.getActiveResourcesInfo().filter((name) => !PASSIVE.test(name));
  const own = all.indexOf("Timeout");
  return all.filter((_, index) => index !== own);
}

/**
 * A process that has nothing left ends before these turns do: they do not keep it.
 * @param {string} folder
 */
function endSoon(folder) {
  let turns = 0;
  const looks = setInterval(() => {
    turns += 1;
    if (pending > 0) clearInterval(looks); // a file beside it has declared more
    else if (turns >= (shared[FAILED] ? LAST_TURNS : LAST_TURNS_OF_PASSED)) {
      const report = { open: process.getActiveResourcesInfo() };
      writeFileSync(join(folder, `open-${process.pid}.json`), JSON.stringify(report));
      process.exit(1);
    }
  }, LOOK_MS).unref();
}
