// @ts-check
/**
 * Programs that hold the output of a process that has ended.
 *
 *     test-runner.mjs ──socket── a process of tests, which is done
 *                        └────── sleep 1000, which it has started with stdio "inherit"
 *
 * A reader of that output waits for its end, and so for the last program that may still write. The
 * process has said all by then, so the others are ended, and named.
 * Left out: other systems than Linux, where nobody tells what a program has open. There the time of
 * the file ends the wait.
 * Test: test/learn-failure.test.ts
 */
import { channel } from "node:diagnostics_channel";
import { readdirSync, readlinkSync } from "node:fs";
import { commandOf, pids } from "./proc.mjs";

const LOOK_MS = 250;
/** Turns of our loop. A program that has been told to end may take a moment. */
const GRACE_TURNS = 2000 / LOOK_MS;

/**
 * Ends, from now on, what holds the output of a child of ours behind its end.
 * @returns {() => string[]} the commands of those that it has ended
 */
export function endHolders() {
  /** @type {string[]} */
  const ended = [];
  channel("child_process").subscribe((message) => {
    const { process: child } =
      /** @type {{ process: import("node:child_process").ChildProcess }} */ (message);
    /** @type {Set<string>} */
    let outputs = new Set();
    child.once("spawn", () => {
      outputs = new Set([1, 2].flatMap((fd) => linkOf(child.pid ?? 0, fd)));
      // What it has from us is held by us as well.
      for (const fd of [0, 1, 2]) for (const link of linkOf(process.pid, fd)) outputs.delete(link);
    });
    child.once("exit", () => {
      let turns = 0;
      const looks = setInterval(() => {
        if (++turns >= GRACE_TURNS) ended.push(...endAll(outputs));
      }, LOOK_MS);
      child.once("close", () => clearInterval(looks));
    });
  });
  return () => [...new Set(ended)];
}

/** @param {ReadonlySet<string>} outputs @returns {string[]} commands */
function endAll(outputs) {
  const holders = pids().filter((pid) =>
    pid !== process.pid && descriptorsOf(pid).some((link) => outputs.has(link)));
  const commands = holders.map(commandOf);
  for (const pid of holders) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // it has ended meanwhile
    }
  }
  return commands.filter((command) => command !== "");
}

/** @param {number} pid @returns {string[]} */
function descriptorsOf(pid) {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => linkOf(pid, Number(fd)));
  } catch {
    return []; // another user's, or gone
  }
}

/** @param {number} pid @param {number} fd @returns {string[]} none but sockets and pipes */
function linkOf(pid, fd) {
  try {
    return [readlinkSync(`/proc/${pid}/fd/${fd}`)].filter((link) => /^(socket|pipe):/.test(link));
  } catch {
    return [];
  }
}
