// @ts-check
/**
 * What programs cost that a script has started: seconds of a processor, its own and those of
 * everything that it has started in turn.
 *
 *     /proc/self/stat    the kernel adds to ours what a child took, when it has ended
 *
 * Wall time says how busy a machine was, and this what there was to do: so it shows that the tests
 * grow. Linux only; elsewhere nothing is told.
 * Left out: processes that outlive their parent. The kernel adds them to nobody's.
 * Test: test/learn-scripts.test.ts
 */
import { channel } from "node:diagnostics_channel";
import { readFileSync } from "node:fs";

/** The kernel's unit, the same on every platform of Linux that Node runs on. */
const TICKS_PER_SECOND = 100;
/** In /proc/self/stat, behind the name: user and system time of us, and of our dead children. */
const OURS = [11, 12];
const CHILDREN = [13, 14];

/** How many files are named. */
const MOST_NAMED = 10;

/** @typedef {{ name: string, seconds: number }} Cost */

/**
 * @param {readonly number[]} fields
 * @returns {number | undefined} seconds; undefined: this system does not tell
 */
function secondsOf(fields) {
  try {
    const stat = readFileSync("/proc/self/stat", "latin1");
    const words = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields.reduce((sum, field) => sum + Number(words[field]), 0) / TICKS_PER_SECOND;
  } catch {
    return undefined;
  }
}

/** Ours, and that of all who have ended. */
export const secondsOfAll = () => secondsOf([...OURS, ...CHILDREN]);

/**
 * Notes from now on what each child costs that this process starts, by the last of its arguments.
 * @returns {() => Cost[]} the dearest first
 */
export function noteChildren() {
  /** @type {Cost[]} */
  const costs = [];
  let before = secondsOf(CHILDREN);
  if (before === undefined) return () => [];
  channel("child_process").subscribe((message) => {
    const { process: child } =
      /** @type {{ process: import("node:child_process").ChildProcess }} */ (message);
    child.once("exit", () => {
      const now = secondsOf(CHILDREN) ?? 0;
      costs.push({ name: child.spawnargs.at(-1) ?? "", seconds: now - (before ?? 0) });
      before = now;
    });
  });
  return () => costs.sort((a, b) => b.seconds - a.seconds);
}

/**
 * For the end of a run.
 * @param {readonly Cost[]} costs the dearest first
 * @param {number | undefined} all
 * @returns {string[]} lines
 */
export function costLines(costs, all) {
  if (all === undefined) return [];
  const named = costs.slice(0, MOST_NAMED);
  return [
    `${all.toFixed(0)} s of a processor${named.length > 0 ? ", most of them in" : ""}`,
    ...named.map(({ name, seconds }) => `${seconds.toFixed(1).padStart(7)} s  ${name}`),
  ];
}
