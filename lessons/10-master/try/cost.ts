/** What a restart costs: a long log replayed, and the same state from a snapshot. */
import {
  apply, decide, Event, hashState, nextStart, readSnapshot, State, writeSnapshot, type Command,
  type Context,
} from "#core";
import type { JobSpec } from "#wire";

const JOBS = 20_000;
const state = new State();
const log: Buffer[] = [];
const context: Context = { now: 1_800_000_000_000, random: () => 0.5 };
const commit = (event: Event): void => {
  apply(state, event);
  log.push(Event.encode(event));
};
const give = (command: Command): void => decide(state, command, context).events.forEach(commit);
const measured = <T>(what: string, work: () => T): T => {
  const start = performance.now();
  const result = work();
  console.log(`${what.padEnd(50)} ${(performance.now() - start).toFixed(0)} ms`);
  return result;
};

const jobs = Array.from({ length: JOBS }, (_, i): JobSpec => ({
  id: `job-${i}`, action: { type: "command", argv: ["true"] }, dependsOn: i < 100 ? [] : [i - 100], requirement: [], priority: 1, delayMs: 0, affinity: undefined,
  when: "success", timeoutMs: 0, retry: undefined, env: {}, gate: undefined,
}));
measured(`${JOBS} jobs live: decide, apply, encode`, () => {
  give({ type: "Join", instance: "x", name: "", tags: [], slots: 100, version: "" });
  const spec = { name: "big", version: undefined, project: undefined, jobs };
  give({ type: "Submit", spec, strict: false });
  for (;;) {
    const start = nextStart(state, context.now);
    if (start === undefined) break;
    commit(start);
    if (state.workers.get(1)!.jobs.size < 100) continue;
    for (const { run, index, attempt } of [...state.workers.get(1)!.jobs]) {
      const key = { run: run.number, job: index, attempt };
      const report = { ...key, failure: undefined, result: undefined, durationMs: 1 };
      give({ type: "Finish", worker: 1, report });
    }
  }
});
const bytes = log.reduce((sum, body) => sum + body.length, 0);
const replayed = measured(`replay of ${log.length} events`, () => {
  const again = new State();
  for (const body of log) apply(again, Event.decode(body));
  return again;
});
const parts = measured("writing a snapshot", () => [...writeSnapshot(state)]);
const restored = measured("reading it", () => readSnapshot(parts));
console.log(`log ${(bytes / 1e6).toFixed(1)} MB, snapshot ${(parts.reduce((sum, part) => sum + part.length, 0) / 1e6).toFixed(1)} MB`);
console.log(`one hash: ${new Set([state, replayed, restored].map(hashState)).size === 1}`);
