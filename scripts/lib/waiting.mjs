// @ts-check
/**
 * Loaded into a process of tests of a reader's code, by endless.mjs: notes which test runs, and
 * ends a test that waits for what never comes.
 *
 *     a timer, a program, a file is under way          something will happen
 *     nothing but open connections, and eight turns    both of their ends are in this process, and
 *     of the loop in which nothing was computed        neither has anything to say
 *
 * Node ends a process in which nothing is left, and all its tests with it, and a connection that is
 * open keeps it until the time of the test is over. Turns are counted, so a busy machine, on which
 * a turn takes long, looks no different.
 * Left out: a wait beside a timer that is armed again and again. The timeout of the test ends it.
 * Test: test/learn-failure.test.ts
 */
import { createRequire, syncBuiltinESMExports } from "node:module";

const LOOK_MS = 250;
const IDLE_TURNS = 8;
/** What a look itself costs, on a slow machine. */
const LOOK_CPU_MS = 15;
/** Resources that wait for somebody else. */
const PASSIVE = /^(TCP|Pipe|TTY|TLS|UDP|MessagePort)/;

/** Where endless.mjs finds the name of the test, from another thread. */
export const RUNNING = Symbol.for("titan.running-test");

const nodeTest = createRequire(import.meta.url)("node:test");
const original = nodeTest.test;

/** Makes each test that is declared from now on one that cannot wait without end. */
export function watchTests() {
  /** @param {...any} args name, options, function: each may be missing */
  const watched = (...args) => {
    const body = args.at(-1);
    // A function of two parameters gets a callback, and is left as it is.
    if (typeof body !== "function" || body.length > 1) return original(...args);
    return original(...args.slice(0, -1), (/** @type {any} */ context) => {
      /** @type {any} */ (globalThis)[RUNNING] = context.name;
      const result = body(context);
      return typeof result?.then === "function" ? orIdle(result) : result;
    });
  };
  nodeTest.test = Object.assign(watched, original);
  syncBuiltinESMExports();
}

/**
 * @template T
 * @param {Promise<T>} result
 * @returns {Promise<T>}
 */
function orIdle(result) {
  return new Promise((resolve, reject) => {
    let turns = 0;
    let since = process.cpuUsage();
    // With a look ahead of it, the process does not end either.
    const looks = setInterval(() => {
      const { user, system } = process.cpuUsage(since);
      since = process.cpuUsage();
      const isIdle = (user + system) / 1000 < LOOK_CPU_MS && active().length === 0;
      turns = isIdle ? turns + 1 : 0;
      if (turns < IDLE_TURNS) return;
      clearInterval(looks);
      reject(new Error("nothing is left to happen"));
    }, LOOK_MS);
    result.then(resolve, reject).finally(() => clearInterval(looks));
  });
}

/** What is under way, but for the timer of this look. */
function active() {
  const all = process.getActiveResourcesInfo().filter((name) => !PASSIVE.test(name));
  const own = all.indexOf("Timeout");
  return all.filter((_, index) => index !== own);
}
