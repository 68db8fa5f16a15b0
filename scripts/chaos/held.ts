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
import { readdirSync, readFileSync } from "node:fs";
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
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    const field = (name: string): number =>
      Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1]);
    return {
      descriptors: readdirSync(`/proc/${pid}/fd`).length,
      children: childrenOf(pid),
      threads: field("Threads"),
      mebibytes: Math.round(field("VmRSS") / 1024),
    };
  } catch {
    return undefined;
  }
}

function childrenOf(pid: number): number {
  return readdirSync("/proc").filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      return (
        Number(
          readFileSync(`/proc/${name}/stat`, "latin1")
            .replace(/^.*\) /s, "")
            .split(" ")[1],
        ) === pid
      );
    } catch {
      return false; // it has ended
    }
  }).length;
}

const KINDS = Object.keys(GROWTH) as (keyof Held)[];

/** The kinds that have grown beyond their bounds. */
export function grown({ name, before, after }: Holding): string[] {
  return KINDS.flatMap((kind) => {
    const [more, bound] = [after[kind] - before[kind], GROWTH[kind]];
    return more <= bound
      ? []
      : [
          `${name} has ${after[kind]} ${kind} and had ${before[kind]}: ${more} more, the bound ` +
            `is ${bound}`,
        ];
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
  return holdings.map(
    ({ name, before, after }) =>
      `${name} held before and after: ` +
        `${KINDS.map((kind) => `${kind} ${before[kind]} → ${after[kind]}`).join(", ")}`,
  );
}
