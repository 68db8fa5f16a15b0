/** A small life of the core. Then its memory is wiped and made again from the log, twice: as it should be, and with a clock. */
import { apply, decide, Event, hashState, nextStart, State, type Command, type Context } from "#core";
import { randomFrom } from "#retry";
import type { JobSpec } from "#wire";

const clock = { now: Date.UTC(2026, 0, 1, 12) };
const random = randomFrom("lesson 10");
const context = (): Context => ({ now: clock.now, random });
const log: Buffer[] = [];
const live = new State();
const time = (ms: number): string => new Date(ms).toISOString().slice(11, 19);

/** All that a master does: make the events facts, in memory and on the disk. Here the disk is an array. */
function commit(events: readonly (Event | undefined)[]): void {
  for (const event of events) {
    if (event === undefined) continue;
    apply(live, event);
    log.push(Event.encode(event));
    console.log(`${String(log.length).padStart(3)}  ${time(event.at)}  ${event.type.padEnd(13)}  ${log.at(-1)!.length} bytes`);
  }
  clock.now += 1000;
}

function give(command: Command): void {
  commit(decide(live, command, context()).events);
}

function finish(job: number, failure?: "exit"): void {
  const attempt = live.runs.get(1)!.jobs[job]!.attempt;
  const why = failure && { kind: failure, message: "exit 1", exitCode: 1, signal: undefined };
  const report = { run: 1, job, attempt, failure: why, result: undefined, durationMs: 900 };
  give({ type: "Finish", worker: 1, report });
}

const job = (id: string, fields: Partial<JobSpec>): JobSpec => ({
  id, action: { type: "command", argv: [id] }, dependsOn: [], requirement: [], priority: 1, delayMs: 0, affinity: undefined, when: "success",
  timeoutMs: 0, retry: { maxAttempts: 3, delayMs: 0, backoff: 1, maxDelayMs: 0, jitter: 0 }, env: {}, gate: undefined, ...fields,
});
const jobs = [job("fetch", {}), job("clean", { dependsOn: [0] }), job("report", { dependsOn: [1], delayMs: 300_000 })];
give({ type: "Join", instance: "x", name: "ann", tags: [], slots: 2, version: "" });
const spec = { name: "nightly", version: undefined, project: undefined, jobs };
give({ type: "Submit", spec, strict: false });
commit([nextStart(live, clock.now)]);
finish(0, "exit");
commit([nextStart(live, clock.now)]);
finish(0);
commit([nextStart(live, clock.now)]);
finish(1);

function show(what: string, state: State): void {
  console.log(`${what.padEnd(26)} ${hashState(state).slice(0, 16)}   report is due at ${time(state.runs.get(1)!.jobs[2]!.dueAt)}`);
}
console.log();
show("live", live);

clock.now += 3600_000; // an hour later: the machine was off
const replayed = new State();
for (const body of log) apply(replayed, Event.decode(body));
show("replayed", replayed);

const impure = new State();
for (const body of log) apply(impure, { ...Event.decode(body), at: clock.now });
show("replayed, with the clock", impure);
