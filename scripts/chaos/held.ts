/**
 * What a process holds, seen from outside: before the faults, and when all runs have ended.
 *
 * A leak shows as growth: a descriptor for each connection that was cut, a child for each job. Each
 * role is compared with its own first idle moment, although it may be another process by then: what
 * a life holds when it has nothing to do must not depend on what happened before.
 *
 * Left out: timers, which nobody sees from outside. The simulated cluster counts those
 * (test/leaks.sim.support.ts).
 */
import { readdirSync } from "node:fs";
import { pids, residentMib, statOf } from "../lib/proc.mjs";
import type { Finding } from "./effects.ts";

export interface Held {
  readonly descriptors: number;
  readonly children: number;
  readonly threads: number;
  readonly mebibytes: number;
}

/** Of one role. */
export interface Holding {
  readonly name: string;
  readonly before: Held;
  readonly after: Held;
}

/**
 * Growth up to these bounds is no leak. Descriptors: a worker's stock of 8 pipes, its reaper's pipe
 * and its journal, and some for connections that come and go. Children: the reaper, and one that
 * serves calls. Threads: those that serve calls and the file system. Memory: as much as V8 takes
 * before it collects.
 */
export const GROWTH: Held = { descriptors: 24, children: 2, threads: 6, mebibytes: 128 };

/** Undefined: it has ended. Needs /proc. */
export function heldBy(pid: number): Held | undefined {
  try {
    return {
      descriptors: readdirSync(`/proc/${pid}/fd`).length,
      children: pids().filter((other) => statOf(other)?.parent === pid).length,
      threads: readdirSync(`/proc/${pid}/task`).length,
      mebibytes: Math.round(residentMib(pid)),
    };
  } catch {
    return undefined;
  }
}

const KINDS = Object.keys(GROWTH) as (keyof Held)[];

/** The kinds that have grown beyond their bounds. */
export function grown({ name, before, after }: Holding): string[] {
  return KINDS.flatMap((kind) => {
    const [more, bound] = [after[kind] - before[kind], GROWTH[kind]];
    if (more <= bound) return [];
    const found = `${name} has ${after[kind]} ${kind} and had ${before[kind]}`;
    return [`${found}: ${more} more, the bound is ${bound}`];
  });
}

export function nothingAccumulates(holdings: readonly Holding[]): Finding {
  return {
    looked: holdings.length,
    what: "processes, before the faults and after all runs",
    wrong: holdings.flatMap(grown),
  };
}

/** One line for each role. */
export function holdingFigures(holdings: readonly Holding[]): string[] {
  return holdings.map(({ name, before, after }) => {
    const kinds = KINDS.map((kind) => `${kind} ${before[kind]} → ${after[kind]}`);
    return `${name} held before and after: ${kinds.join(", ")}`;
  });
}
