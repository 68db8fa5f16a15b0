/**
 * Lesson 14: what a snapshot says of services: of each one's life, and of the names that lead to
 * them.
 *
 * Test: test/14-services.versions.test.ts
 */
import {
  bool, enumOf, list, message, optional, string, u32, u53, withDefault, type Infer,
} from "#codec";
import { MAX_REASON_BYTES, MAX_RESTART_ATTEMPTS, ServicePhase } from "#wire";
import type { NamedService, Run, State } from "./state.ts";

export const ServiceRecord = message("ServiceRecord", {
  phase: [1, ServicePhase],
  since: [2, u53()],
  reason: [3, withDefault(string(MAX_REASON_BYTES), "")],
  settled: [4, withDefault(bool(), false)],
  host: [5, withDefault(string(256), "")],
  port: [6, withDefault(u32(), 0)],
  pid: [7, withDefault(u32(), 0)],
  restarts: [8, withDefault(u32(), 0)],
  restartTimes: [9, list(u53(), MAX_RESTART_ATTEMPTS)],
  asked: [10, withDefault(enumOf("nothing", "stop", "restart", "drain"), "nothing")],
  drainUntil: [40, optional(u53())],
  surplus: [41, optional(bool())],
});

/** Names in one part: a page of them is small. */
const MAX_NAMES = 1024;

/** A number 0 is no run. */
const NameRecord = message("NameRecord", {
  name: [1, string(128)], current: [2, u32()], previous: [3, withDefault(u32(), 0)],
  next: [4, withDefault(u32(), 0)], versions: [5, u32()],
});
export type NameRecord = Infer<typeof NameRecord>;
export const NameBlock = message("NameBlock", { names: [1, list(NameRecord, MAX_NAMES)] });

/** In the order of their names, which is the same however the state came about. */
export function nameRecords(state: State): NameRecord[] {
  return [...state.names.values()].map(asNumbers).sort((a, b) => (a.name < b.name ? -1 : 1));
}

function asNumbers({ name, current, previous, next, versions }: NamedService): NameRecord {
  const numberOf = (run: Run | undefined): number => run?.number ?? 0;
  const [before, after] = [numberOf(previous), numberOf(next)];
  return { name, current: current.number, previous: before, next: after, versions };
}

/** In a snapshot of an older version they are not, and are what `indexService` has made of them. */
export function restoreNames(
  state: State, names: readonly NameRecord[], runs: readonly Run[],
): void {
  for (const { name, current, previous, next, versions } of names) {
    const runOf = (number: number): Run | undefined => state.runs.get(number);
    const versionsOf = { previous: runOf(previous), next: runOf(next), versions };
    state.names.set(name, { name, current: runOf(current)!, ...versionsOf });
  }
  for (const run of runs) {
    if (run.update?.outcome === "WAITING") state.updates.add(run);
  }
}
