/**
 * Lesson 22's judge: what it must refuse, promise by promise, and what it must let pass. A judge
 * that never says no proves nothing, so the refusals come first, and a last test asks that no
 * promise of the list is without one.
 */
import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Event, readSnapshot, type EventOf, type State } from "#core";
import { nodeHost } from "#host";
import { LogError, openLog } from "#log";
import { KNOWLEDGE, type Agent, type Decision, type JobSpec, type Service } from "#wire";
import { INVARIANTS, Judge, Violation, type Invariant } from "#simulation";
import { readLogEvents } from "../src/simulation/invariants.ts";
import { difference } from "../src/simulation/invariants-fold.ts";
import {
  hashState,
  Life,
  randomLife,
  retry,
  spec,
  writeSnapshot,
} from "./22-simulation.invariants.support.ts";
import { serviceSpec } from "./spec.support.ts";

// ── facts, made by hand ──────────────────────────────────────────────────────────────────────────

const T = 1_800_000_000_000;
const one = { run: 1, job: 0, attempt: 1, at: T };

type Fields<K extends Event["type"]> = Partial<Omit<EventOf<K>, "type">>;

function submitted(jobs: JobSpec[], fields: Fields<"RunSubmitted"> = {}): Event {
  return {
    type: "RunSubmitted",
    run: 1,
    id: "r-1",
    key: undefined,
    at: T,
    spec: { name: "r", version: undefined, project: undefined, jobs },
    ...fields,
  };
}
function joined(fields: Fields<"WorkerJoined"> = {}): Event {
  return {
    type: "WorkerJoined",
    worker: 1,
    instance: `i${fields.worker ?? 1}`,
    name: `w${fields.worker ?? 1}`,
    tags: [],
    slots: 1,
    version: "",
    knows: [...KNOWLEDGE],
    at: T,
    ...fields,
  };
}
const started = (fields: Fields<"JobStarted"> = {}): Event => ({
  type: "JobStarted",
  ...one,
  worker: 1,
  ...fields,
});
const succeeded = (fields: Fields<"JobSucceeded"> = {}): Event => ({
  type: "JobSucceeded",
  ...one,
  result: undefined,
  ...fields,
});
const failure = (kind: "exit" | "not-found" | "worker-lost" = "exit") => ({
  kind,
  message: "exit 1",
  exitCode: 1,
  signal: undefined,
});
const failed = (fields: Fields<"JobFailed"> = {}): Event => ({
  type: "JobFailed",
  ...one,
  failure: failure(),
  retryAt: undefined,
  dead: false,
  ...fields,
});
const lost = (fields: Fields<"JobLost"> = {}): Event => ({
  type: "JobLost",
  ...one,
  dead: false,
  blamed: false,
  ...fields,
});
const stopped = (fields: Fields<"JobStopped"> = {}): Event => ({
  type: "JobStopped",
  ...one,
  ...fields,
});
const cancelled = (fields: Fields<"JobsCancelled"> = {}): Event => ({
  type: "JobsCancelled",
  run: 1,
  at: T,
  jobs: [0],
  whole: true,
  ...fields,
});
const marked = (fields: Fields<"JobsMarked"> = {}): Event =>
  ({ type: "JobsMarked", run: 1, at: T, jobs: [0], whole: true, ...fields });
const retried = (jobs: number[], fields: Fields<"RunRetried"> = {}): Event => ({
  type: "RunRetried",
  run: 1,
  at: T,
  jobs,
  ...fields,
});
const gone = (worker = 1): Event => ({ type: "WorkerLost", worker, reason: "silent", at: T });
const drained = (on: boolean, worker = 1): Event => ({ type: "WorkerDrained", worker, on, at: T });
const decided = (fields: Fields<"GateClosed"> = {}): Event => ({
  type: "GateClosed",
  run: 1,
  job: 0,
  outcome: "approved",
  by: "ann",
  comment: "",
  values: {},
  at: T,
  ...fields,
});
const forgotten = (runs: number[]): Event => ({ type: "RunsForgotten", runs, at: T });
const letGo = (runs: number[], keys: number[]): Event => ({
  type: "RunsLetGo", runs, at: T, keys: keys.map((run) => ({ run, request: "x" })),
});
const passed = (at: number): Event => ({ type: "TimePassed", at });

function judged(...events: Event[]): Judge {
  const judge = new Judge();
  tell(judge, events);
  return judge;
}

function tell(judge: Judge, events: Event[]): void {
  for (const event of events) judge.event(judge.seq + 1, Event.encode(event));
}

const tested = new Set<Invariant>();

/** `what` must be refused in the name of this promise, in words that name what was found. */
function breaks(invariant: Invariant, words: RegExp, what: () => unknown): void {
  tested.add(invariant);
  assert.throws(what, (error: unknown) => {
    if (!(error instanceof Violation)) throw error;
    assert.equal(error.invariant, invariant, error.message);
    assert.match(error.message, words);
    return true;
  });
}

/** A story that may happen. */
const fine = (events: readonly Event[]): void => void judged(...events);

/** A story that is fine up to its last event, which is not. */
function lastBreaks(invariant: Invariant, words: RegExp, ...events: Event[]): void {
  const judge = judged(...events.slice(0, -1));
  breaks(invariant, words, () => tell(judge, events.slice(-1)));
}

// ── what must be refused ─────────────────────────────────────────────────────────────────────────

test("Judge refuses an answer that the log does not know: acknowledged-is-durable", () => {
  const submit = { what: "submit", run: "r-1", key: undefined, jobs: 1, existing: false } as const;
  const name = "acknowledged-is-durable";
  breaks(name, /r-1 is submitted, and the log has no such run/, () =>
    judged().acknowledged(submit),
  );
  breaks(name, /submitted 2 jobs as r-1, and the log has 1/, () =>
    judged(submitted([spec("a")])).acknowledged({ ...submit, jobs: 2 }),
  );
  const open = [joined(), submitted([spec("a"), spec("b")]), started()];
  breaks(name, /r-1 is cancelled, which is not in the log/, () =>
    judged(...open).acknowledged({ what: "cancel", run: "r-1" }),
  );
  breaks(name, /r-1\/a is cancelled/, () =>
    judged(...open, cancelled({ jobs: [1], whole: false })).acknowledged({
      what: "cancel",
      run: "r-1",
      job: "a",
    }),
  );
  breaks(name, /r-1\/z is cancelled, and the log has no such job/, () =>
    judged(...open).acknowledged({ what: "cancel", run: "r-1", job: "z" }),
  );
  breaks(name, /3 jobs of r-1 are tried again/, () =>
    judged(...open).acknowledged({ what: "retry", run: "r-1", jobs: 3 }),
  );
  breaks(name, /r-1 has 1 more jobs/, () =>
    judged(...open).acknowledged({ what: "add", run: "r-1", jobs: 1 }),
  );
  breaks(name, /the end of r-1\/a#1 is durable, and the log says that it runs/, () =>
    judged(...open).confirmed({ run: 1, job: 0, attempt: 1 }),
  );
  breaks(name, /shown r-1\/a as COMPLETED, and in the log it is RUNNING/, () =>
    judged(...open).seen({ run: "r-1", job: "a", status: "COMPLETED", attempt: 1 }),
  );
  const gate: Decision = {
    approved: true, by: "ann", comment: "", at: T, already: false, values: {},
  };
  breaks(name, /gate r-1\/a was approved by ann .* and the log says: nothing/, () =>
    judged(...open).acknowledged({ what: "gate", gate: "r-1/a", decision: gate }),
  );
});

test("Judge refuses a log that has changed, has a hole, is shorter or forgets an open run: " +
  "acknowledged-is-durable", () => {
  const judge = judged(joined(), submitted([spec("a")]));
  judge.event(1, Event.encode(joined()));
  breaks("acknowledged-is-durable", /event 2 was RunSubmitted at \d+ and is TimePassed at/, () =>
    judge.event(2, Event.encode(passed(T))),
  );
  breaks("acknowledged-is-durable", /event 4 follows event 2/, () =>
    judge.event(4, Event.encode(passed(T))),
  );
  judge.recovered(2);
  breaks("acknowledged-is-durable", /ends with event 1 after a restart, and 2 were durable/, () =>
    judge.recovered(1),
  );
  breaks("acknowledged-is-durable", /speaks of event 3/, () => judge.hash({ seq: 3, hash: "" }));
  lastBreaks(
    "acknowledged-is-durable",
    /r-1 is forgotten before it has ended/,
    submitted([spec("a")]),
    forgotten([1]),
  );
  lastBreaks(
    "acknowledged-is-durable",
    /although only 1 ended runs are kept/,
    joined(),
    submitted([spec("a")]),
    started(),
    succeeded(),
    forgotten([1]),
  );
});

test("Judge refuses what left the master before its facts: dispatched-is-durable", () => {
  const name = "dispatched-is-durable";
  const ready = [joined(), submitted([spec("a")])];
  lastBreaks(name, /JobSucceeded of r-1\/a#1, which has not started/, ...ready, succeeded());
  lastBreaks(
    name,
    /r-1\/a#1 was stopped, and nobody had cancelled it/,
    ...ready,
    started(),
    stopped(),
  );
  breaks(name, /r-1\/a#1 is executed on w1, and the log has not started it/, () =>
    judged(...ready).executing("began", { worker: "w1", run: "r-1", job: "a", attempt: 1 }),
  );
  breaks(name, /reports attempt 1\/0#1/, () =>
    judged(...ready).confirmed({ run: 1, job: 0, attempt: 1 }),
  );
  breaks(name, /shown attempt 1 of r-1\/a, and the log has 0/, () =>
    judged(...ready).seen({ run: "r-1", job: "a", status: "RUNNING", attempt: 1 }),
  );
});

test("Judge refuses a name with two meanings: one-key-one-run", () => {
  const name = "one-key-one-run";
  const first = submitted([spec("a")], { key: "k" });
  lastBreaks(
    name,
    /key "k" made r-2, and had made r-1/,
    first,
    submitted([spec("a")], { key: "k", run: 2, id: "r-2" }),
  );
  lastBreaks(name, /two runs r-1/, first, submitted([spec("a")], { run: 2 }));
  lastBreaks(
    name,
    /number 1 of run r-2 was given before/,
    first,
    submitted([spec("a")], { id: "r-2" }),
  );
  const judge = judged(first, submitted([spec("a")], { run: 2, id: "r-2" }));
  breaks(name, /with key k and was given r-2, whose key is \(none\)/, () =>
    judge.acknowledged({ what: "submit", run: "r-2", key: "k", jobs: 1, existing: true }),
  );
  breaks(name, /without a key was given r-2 as if/, () =>
    judge.acknowledged({ what: "submit", run: "r-2", jobs: 1, existing: true }),
  );
  judge.acknowledged({ what: "submit", run: "r-1", key: "k", jobs: 1, existing: true });
});

test("Judge wants the key of a run that is let go to be kept for a day: one-key-one-run", () => {
  const name = "one-key-one-run";
  const ended = Array.from({ length: 1001 }, (_, index) => {
    const run = index + 1;
    const made = submitted([spec("a")], { run, id: `r-${run}`, key: run === 1 ? "k" : undefined });
    return [made, cancelled({ run })];
  }).flat();
  lastBreaks(name, /r-1 is let go: key "k" is not kept/, ...ended, letGo([1], []));
  lastBreaks(name, /r-2 is let go: a key is kept, and it has/, ...ended, submitted([spec("a")], {
    run: 1002, id: "r-1002", key: "l",
  }), cancelled({ run: 1002 }), letGo([1, 2], [1, 2]));
  const again = { run: 2000, id: "r-2000", key: "k" };
  const kept = [...ended, letGo([1], [1])];
  lastBreaks(
    name, /key "k" made r-2000, and had made r-1/, ...kept, submitted([spec("a")], again),
  );
  const judge = judged(...kept);
  judge.acknowledged({ what: "submit", run: "r-1", key: "k", jobs: 1, existing: true });
  const at = T + 24 * 60 * 60 * 1000;
  tell(judge, [passed(at), submitted([spec("a")], { ...again, at })]);
  judge.acknowledged({ what: "submit", run: "r-2000", key: "k", jobs: 1, existing: false });
});

test("Judge refuses a second ending, and a worker that leaves attempts behind: " +
  "one-ending-per-attempt", () => {
  const run = [joined(), submitted([spec("a", { retry: retry(3) }), spec("b")]), started()];
  for (const ending of [succeeded(), failed({ retryAt: T + 1000 }), lost()]) {
    for (const again of [succeeded(), failed(), lost(), stopped()]) {
      lastBreaks(
        "one-ending-per-attempt",
        new RegExp(`r-1/a#1, which has ended before \\(${ending.type}\\)`),
        ...run,
        ending,
        again,
      );
    }
  }
  lastBreaks(
    "one-ending-per-attempt",
    /w1 \(worker 1\) is lost, and these have no ending: r-1\/a/,
    ...run,
    gone(),
  );
});

test("Judge refuses two attempts at once, and numbers that do not tell them apart: " +
  "one-unfenced-attempt", () => {
  const name = "one-unfenced-attempt";
  const run = [joined({ slots: 2 }), joined({ worker: 2 }), submitted([spec("a")]), started()];
  lastBreaks(
    name,
    /r-1\/a#2 starts while attempt 1 runs on w1/,
    ...run,
    started({ attempt: 2, worker: 2 }),
  );
  lastBreaks(name, /r-1\/a#1 starts, and the attempt before it was 1/, ...run, lost(), started());
  lastBreaks(
    name,
    /r-1\/a#3 starts, and the attempt before it was 1/,
    ...run,
    lost(),
    started({ attempt: 3 }),
  );
  lastBreaks(
    name,
    /JobSucceeded of r-1\/a#1, although attempt 2 has taken its place/,
    ...run,
    lost(),
    started({ attempt: 2, worker: 2 }),
    succeeded(),
  );
  lastBreaks(name, /r-1\/a is retried while it is RUNNING/, ...run, retried([0]));
  lastBreaks(
    name,
    /worker number 1 was given before/,
    joined(),
    gone(),
    joined({ instance: "other" }),
  );
});

test("Judge lets a new job come before one that has not started, and before no other", () => {
  const name = "parents-before-children";
  const inserted = (parent: number, child: number): Event => ({
    type: "JobsInserted", run: 1, at: T, jobs: [spec("x")], edges: [{ parent, child }],
  });
  const two = [joined({ slots: 9 }), submitted([spec("a"), spec("b")])];
  const [x, b] = [started({ job: 2 }), started({ job: 1 })];
  lastBreaks(name, /b#1 starts before its parents have ended: x is PENDING/,
    ...two, inserted(2, 1), b);
  lastBreaks(name, /b#1 starts although it was skipped: x is FAILED/,
    ...two, inserted(2, 1), x, failed({ job: 2 }), b);
  lastBreaks(name, /a is to wait for r-1\/x, and has begun/, ...two, started(), inserted(2, 0));
  lastBreaks(name, /a is to wait for r-1\/x, and has begun/,
    ...two, cancelled({ whole: false }), inserted(2, 0));
  for (const [parent, child] of [[0, 1], [2, 2], [2, 9]] as const) {
    lastBreaks("replay-equals-live", new RegExp(`an edge from job ${parent} to ${child}`),
      ...two, inserted(parent, child));
  }
  judged(...two, inserted(2, 1), x, succeeded({ job: 2 }), b);
});

test("Judge refuses a child that comes too early or against its condition: " +
  "parents-before-children", () => {
  const name = "parents-before-children";
  const child = (when: JobSpec["when"]) => [
    joined({ slots: 9 }),
    submitted([spec("a"), spec("b", { dependsOn: [0], when })]),
    started(),
  ];
  const b = started({ job: 1 });
  lastBreaks(
    name,
    /r-1\/b#1 starts before its parents have ended: a is RUNNING/,
    ...child("success"),
    b,
  );
  lastBreaks(name, /b#1 starts before its parents/, ...child("always"), b);
  lastBreaks(
    name,
    /b#1 starts although it was skipped: a is FAILED \(when: success\)/,
    ...child("success"),
    failed(),
    b,
  );
  lastBreaks(
    name,
    /b#1 starts although it was skipped: a is COMPLETED \(when: failure\)/,
    ...child("failure"),
    succeeded(),
    b,
  );
  judged(...child("failure"), failed(), b);
  judged(...child("always"), failed(), b);
  // A chain that never was: skipped jobs skip what follows, and are heard of by who listens for
  // failures.
  const chain = [
    spec("a"),
    spec("b", { dependsOn: [0] }),
    spec("c", { dependsOn: [1], when: "failure" }),
    spec("d", { dependsOn: [2], when: "failure" }),
    spec("e", { dependsOn: [3] }),
  ];
  judged(
    joined(),
    submitted(chain),
    started(),
    failed(),
    started({ job: 2 }),
    succeeded({ job: 2 }),
  ).quiet({ programs: 0 });
  lastBreaks(
    name,
    /waits for job 7, which does not exist/,
    submitted([spec("a", { dependsOn: [7] })]),
  );
  lastBreaks(
    name,
    /r-1\/b is COMPLETED, and a retry has made its parents wait again/,
    ...child("success"),
    succeeded(),
    b,
    succeeded({ job: 1 }),
    retried([0]),
  );
});

test("Judge refuses life after an end or a cancel: terminal-absorbs", () => {
  const name = "terminal-absorbs";
  const run = [
    joined({ slots: 2 }),
    submitted([spec("a"), spec("b"), spec("c", { dependsOn: [0] })]),
    started(),
  ];
  lastBreaks(
    name,
    /r-1\/a#2 starts although the job is COMPLETED/,
    ...run,
    succeeded(),
    started({ attempt: 2 }),
  );
  lastBreaks(
    name,
    /r-1\/b#1 starts although the job is CANCELLED/,
    ...run,
    cancelled({ jobs: [0, 1, 2] }),
    started({ job: 1 }),
  );
  lastBreaks(
    name,
    /r-1\/c#1 starts although the job is CANCELLED/,
    ...run,
    cancelled({ jobs: [0, 1, 2] }),
    stopped(),
    started({ job: 2 }),
  );
  lastBreaks(
    name, /r-1\/c#1 starts although the job is CANCELLED/, ...run,
    cancelled({ jobs: [2], whole: false }), started({ job: 2 }),
  );
  // In an old log the job was only marked.
  lastBreaks(
    name, /r-1\/c#1 starts although it was cancelled/, ...run,
    marked({ jobs: [2], whole: false }), started({ job: 2 }),
  );
  lastBreaks(
    name,
    /a#1 succeeds after it was cancelled/,
    ...run,
    cancelled({ jobs: [0, 1, 2] }),
    succeeded(),
  );
  lastBreaks(
    name,
    /a#1 fails after it was cancelled/,
    ...run,
    cancelled({ jobs: [0, 1, 2] }),
    failed(),
  );
  const more: Event = { type: "JobsAdded", run: 1, at: T, jobs: [spec("d")] };
  lastBreaks(
    name,
    /r-1 was given jobs although it was cancelled/,
    ...run,
    cancelled({ jobs: [0, 1, 2] }),
    more,
  );
  lastBreaks(
    name,
    /r-1 is retried while it is being cancelled/,
    ...run,
    cancelled({ jobs: [0, 1, 2] }),
    retried([1]),
  );
  const over = [joined(), submitted([spec("a")]), started(), succeeded()];
  lastBreaks(name, /r-1 was given jobs although it has ended/, ...over, more);
  lastBreaks(name, /r-1 is cancelled after it has ended/, ...over, cancelled());
  judged(...over, retried([0]), started({ attempt: 2 }));
});

test("Judge refuses a try too many, a try too few and a wrong pause: retries-within-budget", () => {
  const name = "retries-within-budget";
  const run = (maxAttempts: number, jitter = 0) => [
    joined(),
    submitted([spec("a", { retry: retry(maxAttempts, jitter) })]),
    started(),
  ];
  const again = [failed({ retryAt: T + 1000 }), started({ attempt: 2, at: T + 1000 })];
  lastBreaks(
    name,
    /r-1\/a#2 is tried again: failure 2 of 2 \(exit\)/,
    ...run(2),
    ...again,
    failed({ attempt: 2, at: T + 1000, retryAt: T + 3000 }),
  );
  lastBreaks(
    name,
    /r-1\/a#1 is given up too early: failure 1 of 2 \(exit\)/,
    ...run(2),
    failed({ dead: true }),
  );
  lastBreaks(
    name,
    /r-1\/a#1 is tried again: failure 1 of 9 \(not-found\)/,
    ...run(9),
    failed({ failure: failure("not-found"), retryAt: T + 1000 }),
  );
  lastBreaks(
    name,
    /r-1\/a#2 is not a dead letter: failure 2 of 2/,
    ...run(2),
    ...again,
    failed({ attempt: 2, at: T + 1000 }),
  );
  lastBreaks(
    name,
    /r-1\/a#1 is a dead letter: failure 1 of 1/,
    joined(),
    submitted([spec("a")]),
    started(),
    failed({ dead: true }),
  );
  lastBreaks(
    name,
    /waits 999999 ms before the next try, not 1000 to 1000/,
    ...run(2),
    failed({ retryAt: T + 999_999 }),
  );
  lastBreaks(
    name,
    /waits 400 ms before the next try, not 500 to 1000/,
    ...run(2, 0.5),
    failed({ retryAt: T + 400 }),
  );
  lastBreaks(
    name,
    /a#1 spends a try although only its worker was lost/,
    ...run(2),
    failed({ failure: failure("worker-lost"), retryAt: T + 1000 }),
  );
  judged(...run(2, 0.5), failed({ retryAt: T + 700 }));
});

/**
 * `losses` workers lost under one job, each with another attempt; the last one is left to the
 * caller.
 */
/** Of a#1, a#2, …: by so many workers that go, or (not blamed) from one that stays. */
function losses(count: number, blamed: boolean): Event[] {
  return Array.from({ length: count }, (_, i) => [
    lost({ attempt: i + 1, blamed }),
    ...(blamed ? [gone(i + 1), joined({ worker: i + 2 })] : []),
    started({ attempt: i + 2, worker: blamed ? i + 2 : 1 }),
  ]).flat();
}

test("Judge counts lost workers apart, and only those that may be the job's fault: " +
  "retries-within-budget", () => {
  const name = "retries-within-budget";
  const run = [joined(), submitted([spec("a")]), started()];
  lastBreaks(
    name,
    /a#1 was lost and is a dead letter, after 1 of 5/,
    ...run,
    lost({ blamed: true, dead: true }),
  );
  lastBreaks(
    name,
    /a#5 was lost and is not a dead letter, after 5 of 5/,
    ...run,
    ...losses(4, true),
    lost({ attempt: 5, blamed: true }),
  );
  lastBreaks(
    name,
    /a#5 was lost and is a dead letter, after 0 of 5 .* for another reason/,
    ...run,
    ...losses(4, false),
    lost({ attempt: 5, dead: true }),
  );
  judged(...run, ...losses(4, true), lost({ attempt: 5, blamed: true, dead: true })).quiet({
    programs: 0,
  });
  judged(...run, ...losses(9, false), lost({ attempt: 10 }));
  const strict = new Judge({ maxLosses: 1 });
  breaks(name, /after 1 of 1/, () => tell(strict, [...run, lost({ blamed: true })]));
});

test("Judge refuses blame for a lost attempt without the loss of its worker: " +
  "retries-within-budget", () => {
  const name = "retries-within-budget";
  const run = [
    joined(),
    joined({ worker: 2 }),
    submitted([spec("a")]),
    started(),
    lost({ blamed: true }),
  ];
  lastBreaks(
    name,
    /w1 \(worker 1\) is blamed for a lost attempt, and is not lost: TimePassed comes next/,
    ...run,
    passed(T),
  );
  lastBreaks(name, /w1 .* is not lost: WorkerLost comes next/, ...run, gone(2));
  judged(...run, gone(1), passed(T));
  // A power cut may have come between the two.
  const judge = judged(...run);
  judge.recovered(judge.seq);
  tell(judge, [passed(T)]);
});

test("Judge refuses a retry that the run's budget does not cover: retries-within-budget", () => {
  const jobs = Array.from({ length: 13 }, (_, i) => spec(`j${i}`, { retry: retry(2) }));
  const fails = jobs.flatMap((_, job) => [started({ job }), failed({ job, retryAt: T + 1000 })]);
  // Ten to begin with and a fifth for each first attempt: twelve are covered, the thirteenth is
  // not.
  lastBreaks(
    "retries-within-budget",
    /r-1\/j12#1 is tried again: failure 1 of 2 \(exit\), and retries left for the run: 0/,
    joined(),
    submitted(jobs),
    ...fails,
  );
  judged(joined(), submitted(jobs), ...fails.slice(0, -1), failed({ job: 12, dead: true }));
});

test("Judge refuses a start before its time, and time that goes back: timers-are-kept", () => {
  const name = "timers-are-kept";
  lastBreaks(
    name,
    /a#1 starts 1 ms too early/,
    joined(),
    submitted([spec("a", { delayMs: 50 })]),
    started({ at: T + 49 }),
  );
  judged(joined(), submitted([spec("a", { delayMs: 50 })]), started({ at: T + 50 }));
  const child = [
    joined(),
    submitted([spec("a"), spec("b", { dependsOn: [0], delayMs: 50 })]),
    started(),
    succeeded({ at: T + 70 }),
  ];
  lastBreaks(name, /b#1 starts 50 ms too early/, ...child, started({ job: 1, at: T + 70 }));
  const pause = [
    joined(),
    submitted([spec("a", { retry: retry(2) })]),
    started(),
    failed({ retryAt: T + 1000 }),
  ];
  lastBreaks(name, /a#2 starts 1000 ms too early/, ...pause, started({ attempt: 2 }));
  judged(...pause, retried([0]), started({ attempt: 2 })); // a person may be impatient
  lastBreaks(name, /TimePassed happened 5 ms before/, joined(), passed(T - 5));
  const gate = [
    joined(),
    submitted([spec("a", { gate: { message: "?", maxWaitMs: 5000 } })]),
    started(),
    succeeded(),
  ];
  lastBreaks(
    name,
    /gate of r-1\/a closes by itself 1 ms before its deadline/,
    ...gate,
    decided({ outcome: "rejected", by: "titan", comment: "x within 5.0s", at: T + 4999 }),
  );
  judged(
    ...gate,
    decided({ outcome: "rejected", by: "titan", comment: "x within 5.0s", at: T + 5000 }),
  );
});

test("Judge refuses a step that is done and runs again, and one that must happen once: " +
  "step-result-stands, once-is-once", () => {
  const step = { ...one, name: "plan", ordinal: 1 };
  const begins = (fields: Fields<"StepStarted"> = {}): Event => ({
    type: "StepStarted", ...step, inputHash: Buffer.alloc(32), effect: "read", call: 1,
    reserve: undefined, again: undefined, ...fields,
  });
  const done = (fields: Fields<"StepDone"> = {}): Event => ({
    type: "StepDone", ...step, result: Buffer.from("1"), blob: undefined, usage: undefined,
    ...fields,
  });
  const failsStep: Event = { type: "StepFailed", ...step, message: "no", usage: undefined };
  const run = [joined(), submitted([spec("a")]), started()];
  const again = [lost(), started({ attempt: 2 })];
  lastBreaks("step-result-stands", /plan#1 of r-1\/a ends, and never began/, ...run, done());
  lastBreaks("step-result-stands", /ends, and has ended before/, ...run, begins(), done(), done());
  lastBreaks("step-result-stands", /is done, and begins again/, ...run, begins(), done(), begins());
  lastBreaks("one-unfenced-attempt", /attempt 1 of r-1\/a tells of step plan#1, and the job is/,
    ...run, ...again, begins());
  lastBreaks("one-unfenced-attempt", /tells of step plan#1/, ...run, begins(), lost(), done());
  const once = [...run, begins({ effect: "once" }), ...again];
  lastBreaks("once-is-once", /may have happened, and begins again by itself/,
    ...once, begins({ attempt: 2 }));
  judged(...once, begins({ attempt: 2, again: true }), done({ attempt: 2 }));
  judged(...run, begins({ effect: "once" }), failsStep, ...again, begins({ attempt: 2 }));
});

test("Judge refuses a second decision, and two clients who both " +
  "were first: gate-decided-once", () => {
  const name = "gate-decided-once";
  const gate = [
    joined({ slots: 2 }),
    submitted([
      spec("a", { gate: { message: "?", maxWaitMs: 5000 } }),
      spec("b", { dependsOn: [0] }),
    ]),
    started(),
    succeeded(),
  ];
  lastBreaks(
    name,
    /gate of r-1\/a is decided by bob, and the job is COMPLETED/,
    ...gate,
    decided(),
    decided({ by: "bob", outcome: "rejected" }),
  );
  lastBreaks(name, /decided by ann, and the job is RUNNING/, ...gate.slice(0, -1), decided());
  lastBreaks(name, /a#2 starts while its gate waits/, ...gate, started({ attempt: 2 }));
  lastBreaks("parents-before-children", /a is WAITING/, ...gate, started({ job: 1 }));
  const judge = judged(...gate, decided());
  const decision: Decision = {
    approved: true, by: "ann", comment: "", at: T, already: false, values: {},
  };
  breaks(name, /rejected by bob at \d+, and the log says: approved by ann/, () =>
    judge.acknowledged({
      what: "gate",
      gate: "r-1/a",
      decision: { ...decision, approved: false, by: "bob" },
    }),
  );
  judge.acknowledged({ what: "gate", gate: "r-1/a", decision });
  judge.acknowledged({ what: "gate", gate: "r-1/a", decision: { ...decision, already: true } });
  breaks(name, /two clients were told that gate r-1\/a was approved by ann/, () =>
    judge.acknowledged({ what: "gate", gate: "r-1/a", decision }),
  );
});

const spawned = (key: string, ids: string[], fields: Fields<"JobsSpawned"> = {}): Event => ({
  type: "JobsSpawned", ...one, key, digest: Buffer.alloc(32), jobs: ids.map((id) => spec(id)),
  edges: [], stage: "", ...fields,
});
const waiting = (...waits: EventOf<"WaitAsked">["waits"]): Event =>
  ({ type: "WaitAsked", ...one, waits });
const paused: Event = { type: "JobPaused", ...one };
const asked = (key: string): Event =>
  ({ type: "AskOpened", ...one, key, gate: { message: "?", maxWaitMs: 5000, rules: undefined } });
const answered = (key: string, fields: Fields<"AskClosed"> = {}): Event => ({
  type: "AskClosed", run: 1, job: 0, at: T, key, outcome: "approved", by: "ann", comment: "",
  values: {}, ...fields,
});

test("Judge refuses jobs that are added twice, or by nobody: added-once", () => {
  const name = "added-once";
  const story = [joined(), submitted([spec("a")]), started(), spawned("k", ["b"])];
  fine([...story, spawned("l", ["c"])]);
  lastBreaks(name, /a adds jobs under "k" twice/, ...story, spawned("k", ["c"]));
  lastBreaks(
    name, /under "k" twice/, ...story, lost(), started({ attempt: 2 }),
    spawned("k", ["c"], { attempt: 2 }),
  );
  lastBreaks(
    "one-unfenced-attempt", /JobsSpawned of r-1\/a#1, and the job is PENDING/, ...story, lost(),
    spawned("l", ["c"]),
  );
  lastBreaks("one-key-one-run", /two jobs b/, ...story, spawned("l", ["b"]));
  lastBreaks(
    "terminal-absorbs", /adds jobs to its run, which is over/, ...story, cancelled(),
    spawned("l", ["c"]),
  );
});

test("Judge refuses a job that goes on too early, or waits unasked: goes-on-when-met", () => {
  const name = "goes-on-when-met";
  const begin = [joined(), submitted([spec("a")]), started(), spawned("k", ["b"])];
  const waits = [...begin, waiting({ type: "jobs", jobs: [1] }), paused];
  const again = started({ attempt: 2 });
  const b = { job: 1, attempt: 1 };
  fine([...waits, started(b), succeeded(b), again]);
  fine([...begin, waiting({ type: "time", at: T + 5 }), paused, passed(T + 5),
    started({ attempt: 2, at: T + 5 })]);
  fine([...begin, waiting({ type: "time", at: T }), paused, again]);
  lastBreaks(name, /a#2 starts, and nothing that it waits for has come about/, ...waits, again);
  lastBreaks(
    name, /nothing that it waits for/, ...begin, waiting({ type: "time", at: T + 5 }), paused,
    passed(T + 4), started({ attempt: 2, at: T + 4 }),
  );
  lastBreaks(name, /a is paused, and has not asked/, ...begin, paused);
  lastBreaks(name, /a waits for nothing/, ...begin, waiting());
  lastBreaks(
    name, /succeeds, and has asked to wait/, ...begin, waiting({ type: "jobs", jobs: [1] }),
    succeeded(),
  );
  lastBreaks(
    name, /has not asked/, ...begin, waiting({ type: "jobs", jobs: [1] }), lost(), again,
    { ...paused, attempt: 2 } as Event,
  );
});

test("Judge refuses an agent run that uses up more than its budget: brakes-hold", () => {
  const name = "brakes-hold";
  const braked = (budget: NonNullable<Agent["budget"]>, count = 1): Event[] => {
    const jobs = Array.from({ length: count }, (_, n) => spec(`a${n}`));
    const pipeline = { name: "r", version: undefined, project: undefined, jobs };
    const agent = { id: "g", budget };
    return [joined(), submitted([], { spec: { ...pipeline, agent } }), started()];
  };
  const begins = (n: number, tokens = 0, fields: Fields<"StepStarted"> = {}): Event => ({
    type: "StepStarted", ...one, name: "s", ordinal: n, inputHash: Buffer.alloc(32), call: n,
    effect: "read", reserve: tokens > 0 ? { tokens, usdMicros: 0 } : undefined, again: undefined,
    ...fields,
  });
  const ends = (n: number, tokens?: number): Event => ({
    type: "StepDone", ...one, name: "s", ordinal: n, result: Buffer.from("1"), blob: undefined,
    usage: tokens === undefined ? undefined
      : { model: "", tokensIn: tokens, tokensOut: 0, usdMicros: 0, ms: 0 },
  });
  const raised = (limits: EventOf<"BudgetRaised">["limits"]): Event =>
    ({ type: "BudgetRaised", group: "g", at: T, limits, by: "ann" });
  const reached = (percent: number): Event =>
    ({ type: "BudgetReached", group: "g", at: T, what: "jobs", percent, words: "" });
  fine([...braked({ jobs: 3 }), spawned("k", ["b", "c"])]);
  lastBreaks(name, /4 jobs of g, and 3 allowed/, ...braked({ jobs: 3 }),
    spawned("k", ["b", "c", "d"]));
  lastBreaks(name, /2 jobs of g, and 1 allowed/, ...braked({ jobs: 1 }, 2).slice(0, 2));
  fine([...braked({ steps: 2 }), begins(1), begins(2)]);
  lastBreaks(name, /s#3 begins: 3 steps of g, and 2 allowed/, ...braked({ steps: 2 }), begins(1),
    ends(1), begins(2), begins(3));
  // What is set aside counts until the cost is known, and then the cost.
  const tokens = braked({ tokens: 50 });
  fine([...tokens, begins(1, 30), begins(2, 20), ends(1, 10), begins(3, 20)]);
  lastBreaks(name, /60 tokens of g/, ...tokens, begins(1, 30), begins(2, 30));
  lastBreaks(name, /51 tokens of g/, ...tokens, begins(1, 30), ends(1), begins(2, 21));
  lastBreaks(name, /51 tokens of g/, ...tokens, begins(1, 30), ends(1, 29), begins(2, 22));
  const again = [lost(), started({ attempt: 2 })];
  fine([...tokens, begins(1, 30), ...again, begins(1, 50, { attempt: 2 })]);
  lastBreaks(name, /the deadline of g has passed/, ...braked({ deadlineMs: 100 }),
    begins(1, 0, { at: T + 100 }));
  fine([...braked({ jobs: 1 }), raised({ jobs: 2 }), spawned("k", ["b"])]);
  lastBreaks(name, /jobs of g falls from 3 to 2/, ...braked({ jobs: 3 }), raised({ jobs: 2 }));
  fine([...braked({ jobs: 1 }), reached(80), reached(100), raised({ jobs: 2 }), reached(80)]);
  lastBreaks(name, /has used 100 % of jobs, once more/, ...braked({ jobs: 1 }), reached(100),
    reached(100));
});

test("Judge lets a job that waits for a budget go on with a raise, or with what is freed: " +
  "goes-on-when-met", () => {
  const name = "goes-on-when-met";
  const need = (tokens: number) =>
    ({ type: "budget", need: { jobs: 0, steps: 1, tokens, usdMicros: 0 } }) as const;
  const pipeline = { name: "r", version: undefined, project: undefined };
  const agent = { id: "g", budget: { tokens: 50 } };
  const step = { name: "s", ordinal: 1, call: 1, inputHash: Buffer.alloc(32) };
  const b = { job: 1, attempt: 1 };
  const uses: Event = {
    type: "StepStarted", ...one, ...b, ...step, effect: "read", again: undefined,
    reserve: { tokens: 40, usdMicros: 0 },
  };
  const costs = (tokensIn: number): Event => ({
    type: "StepDone", ...one, ...b, name: "s", ordinal: 1, result: Buffer.from("1"),
    blob: undefined, usage: { model: "", tokensIn, tokensOut: 0, usdMicros: 0, ms: 0 },
  });
  const waits = [
    joined({ slots: 3 }),
    submitted([], { spec: { ...pipeline, agent, jobs: [spec("a"), spec("b")] } }),
    started(), started(b), uses, waiting(need(20)), paused,
  ];
  const goesOn = started({ attempt: 2 });
  fine([...waits, costs(30), goesOn]);
  lastBreaks(name, /a#2 starts, and nothing that it waits for/, ...waits, goesOn);
  lastBreaks(name, /a#2 starts, and nothing that it waits for/, ...waits, costs(31), goesOn);
  const raised: Event =
    { type: "BudgetRaised", group: "g", at: T, limits: { tokens: 60 }, by: "ann" };
  fine([...waits, raised, goesOn]);
});

test("Judge refuses a question that is asked or answered twice: gate-decided-once", () => {
  const name = "gate-decided-once";
  const story = [joined(), submitted([spec("a")]), started(), asked("q")];
  const waits = [...story, waiting({ type: "ask", key: "q" }), paused];
  fine([...waits, answered("q"), started({ attempt: 2 })]);
  lastBreaks(name, /a asks "q" twice/, ...story, asked("q"));
  lastBreaks(name, /a:q is answered by bob/, ...story, answered("q"), answered("q", { by: "bob" }));
  lastBreaks(name, /a:r is answered by ann, and is not open/, ...story, answered("r"));
  lastBreaks(name, /is not open/, ...story, succeeded(), answered("q"));
  lastBreaks("goes-on-when-met", /a#2 starts/, ...waits, started({ attempt: 2 }));
  const early = {
    by: "titan", outcome: "rejected", comment: "nobody answered within 5.0s",
  } as const;
  lastBreaks("timers-are-kept", /5000 ms early/, ...story, answered("q", early));
  fine([...story, passed(T + 5000), answered("q", { ...early, at: T + 5000 })]);
});

test("Judge refuses a state that its log does not give: replay-equals-live", () => {
  const name = "replay-equals-live";
  const life = new Life("replay");
  randomLife(life, 100);
  life.hash();
  breaks(name, new RegExp(`after event ${life.seq} the master's state is 000000000000…`), () =>
    life.judge.hash({ seq: life.seq, hash: "0".repeat(64) }),
  );
  breaks(name, /after event 3 the master's state is/, () =>
    life.judge.hash({ seq: 3, hash: hashState(life.state) }),
  );
  breaks(name, /event 1 cannot be read: ff00/, () => new Judge().event(1, Buffer.from([255, 0])));
  lastBreaks(name, /an event names run 7/, cancelled({ run: 7 }));
  lastBreaks(name, /job 9 of r-1, which has 1/, submitted([spec("a")]), started({ job: 9 }));
});

test("Judge refuses a snapshot of another state, and a tail that does not fit it: " +
  "snapshot-plus-tail", () => {
  const name = "snapshot-plus-tail";
  const life = new Life("snapshot");
  randomLife(life, 100);
  const parts = [...writeSnapshot(life.state)];
  life.judge.snapshot(life.seq, parts);
  randomLife(life, 50);
  life.hash();
  life.judge.allPrefixes(10);
  breaks(name, /covers event 10000/, () => life.judge.snapshot(10_000, parts));
  breaks(name, /is of another state than they give/, () => life.judge.snapshot(life.seq, parts));
  breaks(name, /cannot be read/, () =>
    life.judge.snapshot(life.seq, [...parts, Buffer.from([255])]),
  );
  // The judge's own story is fine, and the master's state cannot follow it: two jobs start in
  // another order than it has them queued.
  const swapped = judged(
    joined({ slots: 2 }),
    submitted([spec("a"), spec("b")]),
    started({ job: 1 }),
    started(),
  );
  breaks("replay-equals-live", /event 3 cannot be applied: Invariant broken/, () =>
    swapped.hash({ seq: 4, hash: "" }),
  );
});

test("difference() names a field that a snapshot would have lost, even one that no " +
  "hash knows of", () => {
  const life = new Life("fields");
  life.join({ slots: 9 });
  life.submit([spec("a"), spec("b")]);
  life.schedule();
  const restored = () => readSnapshot(writeSnapshot(life.state));
  assert.equal(difference(life.state, restored()), undefined);
  const changes: [RegExp, (state: State) => void][] = [
    [
      /^job test-\w+\/b had losses 0 and has 7$/,
      (state) => {
        state.runs.get(1)!.jobs[1]!.losses = 7;
      },
    ],
    [
      /^run test-\w+ had cancelling false and has true$/,
      (state) => {
        state.runs.get(1)!.cancelling = true;
      },
    ],
    [
      /^run test-\w+ had budget \{.*10400\} and has \{.*10600\}$/,
      (state) => {
        state.runs.get(1)!.budget.deposit();
      },
    ],
    [
      /^worker w1 had draining false and has true$/,
      (state) => {
        state.workers.get(1)!.draining = true;
      },
    ],
    [
      /^run test-\w+ is not there$/,
      (state) => {
        state.runs.delete(1);
      },
    ],
  ];
  for (const [words, change] of changes) {
    const state = restored();
    change(state);
    assert.match(difference(life.state, state) ?? "", words);
  }
});

test("Judge refuses a worker that is lost, draining, full, unfit or not the " +
  "wanted one: slots", () => {
  const name = "slots";
  const jobs = submitted([
    spec("a"),
    spec("b"),
    spec("c", { requirement: ["GPU"] }),
    spec("d", { dependsOn: [0], affinity: 0 }),
  ]);
  const two = [joined(), joined({ worker: 2, slots: 2 }), jobs];
  lastBreaks(
    name,
    /a#1 starts on worker 3, which never registered/,
    ...two,
    started({ worker: 3 }),
  );
  lastBreaks(name, /a#1 starts on w1 \(worker 1\), which is lost/, ...two, gone(), started());
  lastBreaks(name, /a#1 starts on w1, which is draining/, ...two, drained(true), started());
  judged(...two, drained(true), drained(false), started());
  lastBreaks(
    name,
    /b#1 starts on w1, where all 1 slots are taken by r-1\/a/,
    ...two,
    started(),
    started({ job: 1 }),
  );
  judged(...two, started(), succeeded(), started({ job: 1 })); // freed once…
  // …and only once
  lastBreaks(
    name,
    /all 1 slots are taken by r-1\/b/,
    ...two,
    started(),
    succeeded(),
    started({ job: 1 }),
    started({ job: 3 }),
  );
  lastBreaks(
    name,
    /c#1 requires GPU, and starts on w1, which has \[\]/,
    ...two,
    started({ job: 2 }),
  );
  lastBreaks(
    name,
    /d#1 starts on w2, and its affinity is to w1, which is there/,
    ...two,
    started(),
    succeeded(),
    started({ job: 3, worker: 2 }),
  );
  judged(...two, started(), succeeded(), gone(), started({ job: 3, worker: 2 }));
  lastBreaks(
    name,
    /w2 registers as worker 2 and is registered as 1: its slots count twice/,
    joined(),
    joined({ worker: 2, instance: "i1" }),
  );
  lastBreaks(name, /worker 1 is lost, and is not registered/, joined(), gone(), gone());
  lastBreaks(name, /worker 9 is drained, and is not registered/, drained(true, 9));
});

test("Judge refuses what grows without a limit: bounded-queues", () => {
  const result = Buffer.alloc(600);
  const results = [
    joined({ slots: 2 }),
    submitted([spec("a"), spec("b")]),
    started(),
    started({ job: 1 }),
    succeeded({ result }),
    succeeded({ job: 1, result }),
  ];
  breaks("bounded-queues", /r-1\/b leaves a result of 600 bytes, its run 1200/, () =>
    tell(new Judge({ maxRunResultBytes: 1199 }), results),
  );
  tell(new Judge({ maxRunResultBytes: 1200 }), results);
  const judge = new Judge();
  judge.bounded("outbox of w1", { found: 10, limit: 10 });
  breaks("bounded-queues", /outbox of w1: 11, more than 10/, () =>
    judge.bounded("outbox of w1", { found: 11, limit: 10 }),
  );
  const runs = Array.from({ length: 10_001 }, (_, i) =>
    submitted([spec("a")], { run: i + 1, id: `r-${i + 1}` }),
  );
  lastBreaks("bounded-queues", /10001 runs are open/, ...runs);
});

const program = { worker: "w1", run: "r-1", job: "a", attempt: 1, pid: 4711 };
const other = { ...program, job: "b" };

/** Two jobs run, and their programs too. */
function running(): Judge {
  const judge = judged(
    joined({ slots: 2 }),
    submitted([spec("a"), spec("b")]),
    started(),
    started({ job: 1 }),
  );
  judge.executing("began", program);
  judge.executing("began", other);
  return judge;
}

test("Judge refuses a program that outlives its attempt: no-process-after-its-attempt", () => {
  const name = "no-process-after-its-attempt";
  breaks(name, /JobSucceeded of r-1\/a#1, and its program runs on w1 \(pid 4711\)/, () =>
    tell(running(), [succeeded()]),
  );
  breaks(name, /JobStopped of r-1\/a#1, and its program runs/, () =>
    tell(running(), [cancelled({ jobs: [0, 1] }), stopped()]),
  );
  const zombie = running();
  zombie.executing("ended", other);
  tell(zombie, [lost(), succeeded({ job: 1 }), started({ attempt: 2 })]);
  zombie.executing("began", { ...program, attempt: 2 });
  zombie.executing("ended", { ...program, attempt: 2 });
  tell(zombie, [succeeded({ attempt: 2 })]);
  breaks(name, /all runs have ended, and 1 programs live: r-1\/a#1 on w1/, () =>
    zombie.quiet({ programs: 1 }),
  );
  zombie.workerProcessDied("w1", { programs: "left" });
  breaks(name, /r-1\/a#1 on w1/, () => zombie.quiet({ programs: 0 }));
  zombie.workerProcessDied("w1");
  zombie.quiet({ programs: 0 });
  breaks(name, /2 programs live/, () => zombie.quiet({ programs: 2 }));
  const late = judged(
    joined({ slots: 2 }),
    submitted([spec("a"), spec("b")]),
    started(),
    started({ job: 1 }),
  );
  late.executing("began", other);
  tell(late, [cancelled({ jobs: [0, 1] }), stopped()]);
  breaks(name, /r-1\/a#1 is executed on w1 after its end was reported \(JobStopped\)/, () =>
    late.executing("began", program),
  );
});

test("Judge refuses an attempt that ran twice, elsewhere or not at all: runs-once", () => {
  const name = "runs-once";
  breaks(name, /r-1\/a#1 is executed on w1, and was executed on w1 before/, () =>
    running().executing("began", program),
  );
  const judge = judged(
    joined(),
    joined({ worker: 2 }),
    submitted([spec("a"), spec("b")]),
    started(),
    started({ job: 1, worker: 2 }),
  );
  breaks(name, /r-1\/a#1 is executed on w2, and belongs to w1/, () =>
    judge.executing("began", { ...program, worker: "w2" }),
  );
  judge.executing("began", { ...other, worker: "w2" });
  breaks(name, /JobSucceeded of r-1\/a#1, which was never executed/, () =>
    tell(judge, [succeeded()]),
  );
  breaks(name, /JobFailed of r-1\/a#1, which was never executed/, () => {
    const again = judged(
      joined(),
      joined({ worker: 2 }),
      submitted([spec("a"), spec("b")]),
      started(),
      started({ job: 1, worker: 2 }),
    );
    again.executing("began", { ...other, worker: "w2" });
    tell(again, [failed()]);
  });
});

test("Judge.quiet() names who has not ended, and why: everything-ends", () => {
  const name = "everything-ends";
  breaks(name, /1 of 1 runs go on: r-1\/a could start since \d+, after 0 attempts/, () =>
    judged(submitted([spec("a"), spec("b", { dependsOn: [0] })])).quiet({ programs: 0 }),
  );
  breaks(name, /r-1\/a#1 runs on w1, cancelled/, () =>
    judged(joined(), submitted([spec("a")]), started(), cancelled()).quiet({ programs: 0 }),
  );
  breaks(name, /r-1\/a waits at its gate until 1800000005000/, () =>
    judged(
      joined(),
      submitted([spec("a", { gate: { message: "?", maxWaitMs: 5000 } })]),
      started(),
      succeeded(),
    ).quiet({ programs: 0 }),
  );
  // A circle waits for itself.
  breaks(name, /1 of 1 runs go on/, () =>
    judged(submitted([spec("a", { dependsOn: [1] }), spec("b", { dependsOn: [0] })])).quiet({
      programs: 0,
    }),
  );
});

test("Judge.fail() speaks for those who see what it cannot: no-crash", () => {
  breaks("no-crash", /^no-crash: master m died of a TypeError$/, () =>
    new Judge().fail("no-crash", "master m died of a TypeError"),
  );
  breaks("no-crash", /\(event 1, at 1800000000000\)$/, () =>
    judged(joined()).fail("no-crash", "x"),
  );
});

// ── pools ────────────────────────────────────────────────────────────────────────────────────────

const POOL = { name: "p", tags: ["GPU"], slots: 2, min: 1, max: 3, startTimeoutMs: 60_000 };
const ordered = (name: string, at = T): Event =>
  ({ type: "LaunchOrdered", name, pool: "p", at, reason: "", down: [] });
const retired = (name: string): Event => ({ type: "LaunchRetired", name, at: T, reason: "" });
const toEnd = (name: string): Event =>
  ({ type: "LaunchStopped", name, at: T, reason: "", failed: false });
const ended = (name: string): Event =>
  ({ type: "LaunchEnded", name, at: T, reason: "", failed: false });
/** A life in which the limits of a pool are promised. */
function pooled(...events: Event[]): Judge {
  const judge = new Judge({ pools: [POOL] });
  tell(judge, events);
  return judge;
}
/** p-1 has registered as worker 1, and the first job of r-1 runs there. */
const atWork = [
  submitted([spec("a"), spec("b"), spec("c")]), ordered("p-1"), joined({ name: "p-1" }), started(),
];
const rented = (count: number) => new Map([["p", count]]);

test("Judge refuses more workers than a pool may have: pool-within-max", () => {
  const name = "pool-within-max";
  const jobs = submitted(Array.from({ length: 9 }, (_, index) => spec(`j${index}`)));
  const full = pooled(jobs, ordered("p-1"), ordered("p-2"), ordered("p-3"));
  breaks(name, /p-4 is the 4th of p, whose max is 3/, () => tell(full, [ordered("p-4")]));
  const leaving = pooled(jobs, ordered("p-1"), ordered("p-2"), ordered("p-3"), toEnd("p-1"));
  breaks(name, /p-4 is the 4th/, () => tell(leaving, [ordered("p-4")]));
  tell(pooled(jobs, ordered("p-1"), ordered("p-2"), ordered("p-3"), toEnd("p-1"), ended("p-1")), [
    ordered("p-4"),
  ]);
  full.pools.rented("p", 3);
  breaks(name, /4 machines of p are rented, and its max is 3/, () => full.pools.rented("p", 4));
});

test("Judge refuses the end of a worker on which something runs: nobody-busy-is-ended", () => {
  const name = "nobody-busy-is-ended";
  breaks(name, /p-1 is retired while r-1\/a#1 runs there/, () =>
    tell(pooled(...atWork), [retired("p-1")]),
  );
  breaks(name, /p-1 is to end while r-1\/a#1 runs there/, () =>
    tell(pooled(...atWork), [toEnd("p-1")]),
  );
  // It came after it was given up, and gets nothing to do. If it did, it would be told to end.
  const late = [ordered("p-1"), toEnd("p-1"), joined({ name: "p-1" })];
  breaks("slots", /starts on p-1, which is draining/, () =>
    tell(pooled(submitted([spec("a")]), ...late), [started()]),
  );
  const busy = pooled(...atWork.slice(0, 3), toEnd("p-1"), drained(false), started());
  breaks(name, /p-1 is told to end while r-1\/a#1 runs there/, () =>
    busy.pools.ending({ name: "p-1" }),
  );
  const idle = pooled(...atWork, succeeded(), drained(true), retired("p-1"), toEnd("p-1"));
  idle.pools.ending({ name: "p-1" });
});

test("Judge refuses a worker that is launched, ordered or ended twice: launched-once", () => {
  const name = "launched-once";
  const jobs = submitted([spec("a")]);
  breaks(name, /p-1 is launched, and was before/, () =>
    tell(pooled(jobs, ordered("p-1"), toEnd("p-1"), ended("p-1")), [ordered("p-1")]),
  );
  const judge = pooled(jobs, ordered("p-1"));
  judge.pools.ordered({ name: "p-1" });
  breaks(name, /p-1 is ordered a second time/, () => judge.pools.ordered({ name: "p-1" }));
  breaks(name, /p-1 is to end twice/, () => tell(judge, [toEnd("p-1"), toEnd("p-1")]));
  tell(judge, [ended("p-1")]);
  for (const what of [ended, toEnd, retired]) {
    breaks(name, /p-1 .*, and nobody has launched it/, () =>
      pooled(jobs, what("p-1")),
    );
  }
  judge.pools.ending({ name: "p-1" });
});

test("Judge refuses orders to a cloud that the log does not know: dispatched-is-durable", () => {
  const name = "dispatched-is-durable";
  const judge = pooled(ordered("p-1"));
  breaks(name, /p-2 is ordered, and the log has no such launch/, () =>
    judge.pools.ordered({ name: "p-2" }),
  );
  breaks(name, /p-1 is told to end, and in the log it is starting/, () =>
    judge.pools.ending({ name: "p-1" }),
  );
  tell(judge, [toEnd("p-1")]);
  breaks(name, /p-1 is ordered, and the log says that it is to end/, () =>
    judge.pools.ordered({ name: "p-1" }),
  );
});

test("Judge refuses workers that nobody waits for: launches-follow-the-backlog", () => {
  const name = "launches-follow-the-backlog";
  const four = submitted([spec("a"), spec("b"), spec("c"), spec("d", { delayMs: 1000 })]);
  const two = pooled(four, ordered("p-1"), ordered("p-2"));
  breaks(name, /p-3 is launched, and 3 jobs wait for p, which has 2 under way already/, () =>
    tell(two, [ordered("p-3")]),
  );
  // One is kept, whoever waits.
  const nobody = pooled(ordered("p-1"));
  breaks(name, /0 jobs wait/, () => tell(nobody, [ordered("p-2")]));
  const other = pooled(submitted([spec("a", { requirement: ["TPU"] })]), ordered("p-1"));
  breaks(name, /0 jobs wait/, () => tell(other, [ordered("p-2")]));
  // One that takes too long is replaced, and so is one that was lost and does not come back.
  const later = T + POOL.startTimeoutMs;
  tell(pooled(ordered("p-1")), [ordered("p-2", later)]);
  tell(pooled(ordered("p-1"), joined({ name: "p-1" }), gone()), [ordered("p-2", later)]);
  breaks(name, /1 under way/, () =>
    tell(pooled(ordered("p-1"), joined({ name: "p-1" }), gone()), [ordered("p-2", later - 1)]),
  );
});

test("Judge refuses a fleet that does not shrink: fleet-returns-to-min", () => {
  const name = "fleet-returns-to-min";
  const judge = pooled(ordered("p-1"));
  assert.equal(judge.pools.isQuiet(rented(1)), true);
  judge.pools.quiet(rented(1));
  breaks(name, /2 machines of p are rented, and the log has 1 \(p-1 starting\); its min is 1/, () =>
    judge.pools.quiet(rented(2)),
  );
  assert.equal(judge.pools.isQuiet(rented(2)), false);
  breaks(name, /1 machines .* the log has 0 \(nobody\)/, () => pooled().pools.quiet(rented(1)));
  assert.equal(pooled().pools.isQuiet(rented(1)), false);
});

// ── what must be let pass ────────────────────────────────────────────────────────────────────────

test("Judge finds nothing wrong in 60 honest lives, at any prefix of their logs", () => {
  const total = { events: 0, attempts: 0, losses: 0, retries: 0, gates: 0, cancels: 0, acks: 0 };
  for (let seed = 1; seed <= 60; seed++) {
    const life = new Life(`honest ${seed}`);
    try {
      randomLife(life, 200);
      life.settle();
      life.judge.allPrefixes(97);
    } catch (error) {
      throw new Error(`life "honest ${seed}", event ${life.seq}: ${(error as Error).stack}`);
    }
    for (const key of Object.keys(total) as (keyof typeof total)[]) {
      total[key] += life.judge.stats[key];
    }
  }
  // Honest, and not idle: a test that tries nothing would pass as well.
  for (const [what, count] of Object.entries(total)) assert.ok(count > 20, `${what}: ${count}`);
});

test("Judge forgives the memory of a master that has forgotten a run, but its key means that run " +
  "for another day", () => {
  const life = new Life("forget");
  life.join({ slots: 8 });
  const first = life.submit([spec("a")], "k");
  for (let i = 0; i < 1001; i++) {
    for (const job of life.schedule()) life.finish(job);
    for (const job of life.running) life.finish(job);
    if (i < 1000) life.submit([spec("a")]);
  }
  life.tick(1);
  assert.equal(life.judge.stats.forgotten, 1);
  assert.equal(life.submit([spec("a")], "k"), first);
  life.judge.seen({ run: first, job: "a", status: "COMPLETED", attempt: 1 });
  life.now += 24 * 60 * 60 * 1000;
  assert.notEqual(life.submit([spec("a")], "k"), first);
});

// ── stories with one lie in them ─────────────────────────────────────────────────────────────────

type Lie = {
  readonly invariants: readonly Invariant[];
  readonly tell: (events: Event[], random: () => number) => Event[] | undefined;
};

const choose = (
  events: Event[],
  random: () => number,
  fits: (event: Event) => boolean,
): number | undefined => {
  const found = events.flatMap((event, index) => (fits(event) ? [index] : []));
  return found[Math.floor(random() * found.length)];
};
const isEnding = ({ type }: Event): boolean =>
  type === "JobSucceeded" || type === "JobFailed" || type === "JobLost" || type === "JobStopped";
const isOf = (
  event: Event,
  { run, job, attempt }: { run: number; job: number; attempt: number },
): boolean =>
  "attempt" in event && event.run === run && event.job === job && event.attempt === attempt;
/** Replaces one event that fits by others. */
const replace =
  (fits: (event: Event) => boolean, by: (event: Event) => Event[]) =>
  (events: Event[], random: () => number): Event[] | undefined => {
    const index = choose(events, random, fits);
    return index === undefined ? undefined : events.toSpliced(index, 1, ...by(events[index]!));
  };

const LIES: Readonly<Record<string, Lie>> = {
  "an ending comes twice": {
    invariants: ["one-ending-per-attempt"],
    tell: replace(isEnding, (event) => [event, event]),
  },
  "a start comes twice": {
    invariants: ["one-unfenced-attempt"],
    tell: replace(
      ({ type }) => type === "JobStarted",
      (event) => [event, event],
    ),
  },
  "a start is missing": {
    invariants: ["dispatched-is-durable", "one-ending-per-attempt"],
    tell: (events, random) => {
      const index = choose(
        events,
        random,
        (event) =>
          event.type === "JobStarted" && events.some((next) => isEnding(next) && isOf(next, event)),
      );
      return index === undefined ? undefined : events.toSpliced(index, 1);
    },
  },
  "no worker ever joined": {
    invariants: ["slots"],
    tell: (events) => events.filter(({ type }) => type !== "WorkerJoined"),
  },
  "a retry comes a minute late": {
    invariants: ["retries-within-budget"],
    tell: replace(
      (event) => event.type === "JobFailed" && event.retryAt !== undefined,
      (event) => [{ ...(event as EventOf<"JobFailed">), retryAt: event.at + 600_000 }],
    ),
  },
  "a retry is withheld": {
    invariants: ["retries-within-budget"],
    tell: replace(
      (event) => event.type === "JobFailed" && event.retryAt !== undefined,
      (event) => [{ ...(event as EventOf<"JobFailed">), retryAt: undefined }],
    ),
  },
  "a run is submitted twice": {
    invariants: ["one-key-one-run"],
    tell: replace(
      ({ type }) => type === "RunSubmitted",
      (event) => [event, event],
    ),
  },
  "a clock is set back": {
    invariants: ["timers-are-kept"],
    tell: (events) => [...events, passed(0)],
  },
  "a gate is decided twice": {
    invariants: ["gate-decided-once"],
    tell: replace(
      ({ type }) => type === "GateClosed",
      (event) => [event, { ...event, outcome: "approved" } as Event],
    ),
  },
  "a cancel is forgotten": {
    invariants: [
      "dispatched-is-durable",
      "terminal-absorbs",
      "retries-within-budget",
      "one-unfenced-attempt",
      "parents-before-children",
    ],
    tell: (events) =>
      events.some(({ type }) => type === "JobStopped")
        ? events.filter(({ type }) => type !== "JobsCancelled")
        : undefined,
  },
  "a person's retry is forgotten": {
    invariants: ["terminal-absorbs", "parents-before-children"],
    tell: (events) => {
      const at = events.findIndex(({ type }) => type === "RunRetried");
      const event = events[at];
      if (event?.type !== "RunRetried") return undefined;
      const wasOver = (job: number) =>
        events
          .slice(0, at)
          .some(
            (next) => next.type === "JobSucceeded" && next.run === event.run && next.job === job,
          );
      const startsAgain = events
        .slice(at)
        .some(
          (next) =>
            next.type === "JobStarted" &&
            next.run === event.run &&
            event.jobs.includes(next.job) &&
            wasOver(next.job),
        );
      return startsAgain ? events.filter(({ type }) => type !== "RunRetried") : undefined;
    },
  },
};

for (const [name, { invariants, tell: lie }] of Object.entries(LIES)) {
  test(`Judge finds the lie in 20 lives: ${name}`, () => {
    let told = 0;
    for (let seed = 1; told < 20; seed++) {
      assert.ok(seed < 400, `only ${told} lives were fit for this lie`);
      const life = randomLife(new Life(`lie ${seed}`), 150);
      const events = lie(life.bodies.map((body) => Event.decode(body)), life.random);
      if (events === undefined) continue;
      told += 1;
      try {
        judged(...events);
        assert.fail(`life "lie ${seed}": believed`);
      } catch (error) {
        assert.ok(error instanceof Violation, String(error));
        assert.ok(invariants.includes(error.invariant), `life "lie ${seed}": ${error.message}`);
      }
    }
  });
}

// ── real logs ────────────────────────────────────────────────────────────────────────────────────

const folder = await mkdtemp(join(tmpdir(), "titan-judge-"));
after(() => rm(folder, { recursive: true }));

async function contentOf(dir: string): Promise<Record<string, string>> {
  return Object.fromEntries(
    await Promise.all(
      (await readdir(dir)).map(
        async (name) => [name, await readFile(join(dir, name), "base64")] as const,
      ),
    ),
  );
}

test("readLogEvents() reads segments and snapshot, passes over a torn tail, " +
  "and changes nothing", async () => {
  const dir = join(folder, "log");
  const life = randomLife(new Life("on disk"), 200);
  const log = await openLog({ host: nodeHost(), dir, segmentBytes: 4096 });
  const half = Math.floor(life.seq / 2);
  for (const body of life.bodies.slice(0, half)) log.append(body);
  await log.durable();
  const early = randomLife(new Life("on disk"), 0);
  for (const body of life.bodies.slice(0, half)) early.commit([Event.decode(body)]);
  await log.saveSnapshot(half, [...writeSnapshot(early.state)]);
  for (const body of life.bodies.slice(half)) log.append(body);
  await log.durable();
  await log.close();
  const last = (await readdir(dir)).filter((name) => name.endsWith(".seg")).sort().at(-1)!;
  await writeFile(join(dir, last), Buffer.from([0, 0, 1]), { flag: "a" });
  const before = await contentOf(dir);

  const { first, bodies, snapshot } = await readLogEvents(nodeHost(), dir);
  assert.deepEqual(await contentOf(dir), before, "nothing was written");
  assert.equal(first + bodies.length - 1, life.seq);
  assert.deepEqual(bodies.map(String), life.bodies.slice(first - 1).map(String));
  assert.equal(snapshot?.seq, half);
  const judge = new Judge();
  life.bodies.forEach((body, index) => judge.event(index + 1, body));
  bodies.forEach((body, index) => judge.event(first + index, body));
  judge.snapshot(snapshot.seq, snapshot.parts);
  judge.hash({ seq: life.seq, hash: hashState(life.state) });

  const path = join(dir, last);
  const bytes = await readFile(path);
  bytes[40]! ^= 1;
  await writeFile(path, bytes);
  await assert.rejects(
    readLogEvents(nodeHost(), dir),
    (error: unknown) =>
      error instanceof LogError &&
      error.code === "DAMAGED" &&
      /^Cannot read log: /.test(error.message),
  );
});

test("readLogEvents() finds nothing in a folder without a log", async () => {
  assert.deepEqual(await readLogEvents(nodeHost(), join(folder, "nowhere")), {
    first: 1,
    bodies: [],
  });
});

// ── versions of services ─────────────────────────────────────────────────────────────────────────

const web = (id = "web", fields: Partial<Service> = {}): JobSpec =>
  spec(id, { service: serviceSpec("web", { deployed: true, ...fields }) });
const update = (jobs: JobSpec[], fields: Fields<"UpdateSubmitted"> = {}): Event => ({
  ...(submitted(jobs) as EventOf<"RunSubmitted">), type: "UpdateSubmitted", run: 2, id: "r-2",
  replaces: 1, deadline: T + 1000, ...fields,
});
const health = (run: number, fields: Fields<"ServiceHealth"> = {}): Event => ({
  type: "ServiceHealth", ...one, run, phase: "READY", host: "h", port: 1, pid: 1, reason: "",
  ...fields,
});
const never: Partial<Service> = { restart: { ...serviceSpec("web").restart, policy: "never" } };
const done = (fields: Fields<"UpdateDone"> = {}): Event =>
  ({ type: "UpdateDone", run: 2, at: T, ...fields });
const gaveUp = (fields: Fields<"UpdateFailed"> = {}): Event =>
  ({ type: "UpdateFailed", run: 2, at: T, reason: "", ...fields });
const stop = (run: number, by: string, fields: Fields<"ReplicasRetired"> = {}): Event =>
  ({ type: "ReplicasRetired", run, at: T, jobs: [0], by, how: "stop", ...fields });
const scaled = (fields: Fields<"ServiceScaled">): Event =>
  ({ type: "ServiceScaled", run: 1, at: T, jobs: [], drained: [], by: "ann", ...fields });
const wrong = (name: Invariant, words: RegExp, events: readonly Event[]): void =>
  lastBreaks(name, words, ...events);
/** A version that serves, and another one that has started. */
const two: readonly Event[] = [
  joined({ slots: 9 }), submitted([web()]), started(), health(1), update([web()]),
  started({ run: 2 }),
];

test("update-without-gap: a version takes over when all its replicas are READY", () => {
  const name = "update-without-gap";
  fine([...two, health(2), done()]);
  wrong(name, /r-2\/web takes over, and is RUNNING, STARTING/, [...two, done()]);
  const sick = health(2, { phase: "UNHEALTHY" });
  wrong(name, /is RUNNING, UNHEALTHY/, [...two, health(2), sick, done()]);
  wrong(name, /asked for stop/, [...two, health(2), stop(2, "ann"), done()]);
  const pair = [...two.slice(0, 4), update([web(), web("web.2")]), started({ run: 2 }), health(2)];
  wrong(name, /r-2\/web.2 takes over, and is PENDING, not started/, [...pair, done()]);
});

test("update-without-gap: it is given up for a reason, and not too early", () => {
  const name = "update-without-gap";
  fine([...two, gaveUp({ at: T + 1000 })]);
  wrong(name, /r-2 is given up 1 ms too early/, [...two, gaveUp({ at: T + 999 })]);
  fine([...two, failed({ run: 2, retryAt: undefined }), gaveUp()].map((event) =>
    event.type === "UpdateSubmitted" ? update([web("web", never)]) : event));
  fine([...two, stop(2, "ann"), gaveUp()]);
  fine([...two, cancelled({ run: 2 }), gaveUp()]);
});

test("update-without-gap: the master stops what was replaced, and nothing else", () => {
  const name = "update-without-gap";
  fine([...two, health(2), done(), stop(1, "titan"), stopped()]);
  wrong(name, /the master stops r-1\/web, which nobody has replaced/, [...two, stop(1, "titan")]);
  fine([...two, stop(1, "ann"), stopped()]);
  // One that has never started is stopped a moment before it is replaced, and not sooner.
  const waits = [
    joined(), submitted([web()]), update([web()]), joined({ worker: 2 }),
    started({ run: 2, worker: 2 }),
  ];
  fine([...waits, health(2), stop(1, "titan"), done()]);
  wrong(name, /the master stops r-1\/web, which nobody has replaced/, [
    ...waits, stop(1, "titan"),
  ]);
  wrong(name, /stops r-1\/web.2/, [
    ...two.slice(0, 4), scaled({ jobs: [web("web.2")] }), update([web()]), started({ run: 2 }),
    stop(1, "titan", { jobs: [1] }),
  ]);
});

test("one-current-version: a name in use is taken by an update, one at a time", () => {
  const name = "one-current-version";
  const again = submitted([web()], { run: 3, id: "r-3" });
  wrong(name, /r-3 takes "web", which r-1 has/, [...two.slice(0, 4), again]);
  const third = update([web()], { run: 3, id: "r-3" });
  wrong(name, /r-3 takes "web", which r-2 is about to take/, [...two, third]);
  const other = update([web()], { run: 3, id: "r-3", replaces: 2 });
  wrong(name, /r-3 takes "web", which r-1 has/, [...two, gaveUp({ at: T + 1000 }), {
    ...other, at: T + 1000,
  } as Event]);
  const free = [submitted([web()]), cancelled(), update([web()])];
  wrong(name, /r-2 takes the place of a run that is over/, free);
  fine([...free.slice(0, 2), again]);
});

test("slots: a service starts on a worker that knows of services", () => {
  const old = joined({ knows: [] });
  lastBreaks("slots", /r-1\/web#1 is a service, and w1 is too old/, old, submitted([web()]),
    started());
  fine([old, submitted([web()]), {
    type: "WorkerKnows", worker: 1, knows: ["services"], at: T,
  }, started()]);
  fine([old, submitted([spec("a")]), started()]);
});

test("parents-before-children: a child does not miss what was scaled away", () => {
  const replica = (id: string): JobSpec => spec(id, { service: serviceSpec("web") });
  const child = spec("child", { dependsOn: [0, 1] });
  const jobs = [replica("web"), replica("web.2"), child];
  const begun = [joined({ slots: 2 }), submitted(jobs), started(), health(1)];
  const retired = (how: "stop" | "drain"): Event => stop(1, "ann", { how, jobs: [1] });
  fine([...begun, retired("drain"), started({ job: 2 })]);
  lastBreaks("parents-before-children", /r-1\/child#1 starts/, ...begun, retired("stop"),
    started({ job: 2 }));
});

test("one-current-version: only a service that has failed is let go", () => {
  const name = "one-current-version";
  const letGo: Event = { type: "NameLetGo", name: "web", at: T, by: "ann" };
  wrong(name, /"web" is let go, and has not failed/, [...two, letGo]);
  wrong(name, /"web" is let go, and has not failed/, [letGo]);
  const failing = [joined(), submitted([web("web", never)]), started(), failed({
    retryAt: undefined,
  })];
  fine([...failing, letGo]);
});

test("one-current-version: an update ends once; a version that was replaced stays so", () => {
  const name = "one-current-version";
  const over = [...two, health(2), done()];
  wrong(name, /the update to r-2 is done, and is over/, [...over, done()]);
  wrong(name, /the update to r-2 has failed, and is over/, [...over, gaveUp()]);
  const gone = [...over, stop(1, "titan"), stopped()];
  wrong(name, /r-1 is tried again, and "web" is r-2 by now/, [...gone, retried([0])]);
});

test("one-current-version: a service that is updated or replaced is not scaled", () => {
  const name = "one-current-version";
  const serving = two.slice(0, 4);
  fine([...serving, scaled({ jobs: [web("web.2")] })]);
  wrong(name, /about to take its place/, [...two, scaled({ jobs: [web("web.2")] })]);
  wrong(name, /nothing of it is left/, [...serving, scaled({ drained: [0] })]);
  const more = [...serving, scaled({ jobs: [web("web.2")] })];
  const fewer = (jobs: number[]): Event => stop(1, "ann", { how: "drain", jobs });
  fine([...more, fewer([1])]);
  wrong(name, /nothing of it is left/, [...more, fewer([0, 1])]);
  wrong(name, /about to take its place/, [...more, update([web()]), fewer([1])]);
  const over = [...two, health(2), done()];
  const late = scaled({ jobs: [web("web.2")] });
  wrong(name, /r-1\/web is scaled, and has been replaced/, [...over, late]);
});

test("INVARIANTS has no promise that no test above has seen broken", () => {
  assert.deepEqual(Object.keys(INVARIANTS).filter((name) => !tested.has(name as Invariant)), []);
});
