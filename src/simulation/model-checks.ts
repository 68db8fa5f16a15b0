/**
 * Lesson 22: what may happen to an attempt: its start, its worker, its end and its retry; and
 * what a run leaves that is let go.
 *
 * The rules are those of lessons 08 and 09, written once more and in other words (model.ts says
 * why). Each function looks at one event and fails by the name of the broken promise.
 *
 * Invariants: nothing is changed here; the caller does that once all checks have passed.
 * Test: test/22-simulation.invariants.test.ts
 */
import type { Edge, EventOf } from "#core";
import type { Complaints } from "./invariants-list.ts";
import {
  parentsOf, RETRY_MILLI, type ModelJob, type ModelRun, type ModelWorker,
} from "./model-state.ts";

/** As in lesson 09: no retry unless asked for. */
const NO_RETRY = { maxAttempts: 1, delayMs: 1000, backoff: 2, maxDelayMs: 60_000, jitter: 0.5 };
/**
 * Finished runs are kept up to the first of these limits. One turn of the master may end many runs
 * before it forgets some.
 */
const KEPT = { runs: 1000, bytes: 504 * 1024 * 1024 };
const MAX_RESULT_BYTES = 64 * 1024;
/** Failures that come again however often one tries. */
const PERMANENT: ReadonlySet<string> = new Set([
  "not-found", "not-executable", "unsupported", "bad-input", "rejected", "cancelled",
]);

// #region started
export function checkStart(model: Complaints, job: ModelJob, event: EventOf<"JobStarted">): void {
  const name = `${job}#${event.attempt}`;
  if (job.status === "RUNNING") {
    model.fail(
      "one-unfenced-attempt",
      `${name} starts while attempt ${job.attempt} runs on ${job.worker!.name}`,
    );
  }
  if (job.status === "WAITING" && job.waits.length > 0) {
    model.fail("goes-on-when-met", `${name} starts, and nothing that it waits for has come about`);
  }
  if (job.status === "WAITING") {
    model.fail("gate-decided-once", `${name} starts while its gate waits for an answer`);
  }
  if (job.status === "SKIPPED") {
    model.fail(
      "parents-before-children",
      `${name} starts although it was skipped: ${parentsOf(job)} (when: ${job.spec.when})`,
    );
  }
  if (job.over) model.fail("terminal-absorbs", `${name} starts although the job is ${job.status}`);
  if (job.cancelled || job.run.cancelled) {
    model.fail("terminal-absorbs", `${name} starts although it was cancelled`);
  }
  if (!job.ready) {
    model.fail(
      "parents-before-children",
      `${name} starts before its parents have ended: ${parentsOf(job)}`,
    );
  }
  if (event.attempt !== job.attempt + 1) {
    model.fail(
      "one-unfenced-attempt",
      `${name} starts, and the attempt before it was ${job.attempt}`,
    );
  }
  if (event.at < job.notBefore) {
    model.fail("timers-are-kept", `${name} starts ${job.notBefore - event.at} ms too early`);
  }
}
// #endregion

/** A worker registers: its number is new, and its process has no other. */
export function checkJoin(
  model: Complaints,
  { worker: id, name }: EventOf<"WorkerJoined">,
  known: { last: number; twin: ModelWorker | undefined },
): void {
  if (id <= known.last) {
    model.fail(
      "one-unfenced-attempt",
      `worker number ${id} was given before: it would no longer tell old results from new ones`,
    );
  }
  const { twin } = known;
  if (twin === undefined) return;
  model.fail(
    "slots",
    `${name} registers as worker ${id} and is registered as ${twin.id}: its slots count twice`,
  );
}

/** Whether this job may start on that worker now. */
export function checkFit(model: Complaints, job: ModelJob, worker: ModelWorker): void {
  const name = `${job}#${job.attempt + 1}`;
  if (worker.lost) {
    model.fail("slots", `${name} starts on ${worker.name} (worker ${worker.id}), which is lost`);
  }
  if (worker.draining) model.fail("slots", `${name} starts on ${worker.name}, which is draining`);
  const missing = job.spec.requirement.find((tag) => tag !== "GENERAL" && !worker.tags.has(tag));
  if (missing !== undefined) {
    model.fail(
      "slots",
      `${name} requires ${missing}, and starts on ${worker.name}, which has ` +
        `[${[...worker.tags].join(" ")}]`,
    );
  }
  if (job.service !== undefined && !worker.knows.has("services")) {
    model.fail("slots", `${name} is a service, and ${worker.name} is too old to know of any`);
  }
  if (worker.running.size >= worker.slots) {
    model.fail(
      "slots",
      `${name} starts on ${worker.name}, where all ${worker.slots} slots are taken by ` +
        `${[...worker.running].join(", ")}`,
    );
  }
  const wanted =
    job.spec.affinity === undefined ? undefined : job.run.jobs[job.spec.affinity]?.worker;
  const able =
    wanted !== undefined &&
    !wanted.lost &&
    !wanted.everDrained &&
    job.spec.requirement.every((tag) => tag === "GENERAL" || wanted.tags.has(tag));
  if (able && wanted !== worker) {
    model.fail(
      "slots",
      `${name} starts on ${worker.name}, and its affinity is to ${wanted.name}, which is there`,
    );
  }
}

/** The attempt must be running, under this very number. */
export function checkEnding(
  model: Complaints,
  job: ModelJob,
  event: EventOf<"JobSucceeded" | "JobFailed" | "JobLost" | "JobStopped" | "JobPaused">,
): void {
  const name = `${event.type} of ${job}#${event.attempt}`;
  if (event.attempt > job.attempt) {
    model.fail("dispatched-is-durable", `${name}, which has not started`);
  }
  if (event.attempt < job.attempt && job.status === "RUNNING") {
    model.fail(
      "one-unfenced-attempt",
      `${name}, although attempt ${job.attempt} has taken its place`,
    );
  }
  if (event.attempt < job.attempt || job.status !== "RUNNING") {
    model.fail(
      "one-ending-per-attempt",
      `${name}, which has ended before ` +
        `(${job.attempts[event.attempt - 1]?.ending ?? "never started"})`,
    );
  }
}

// #region failed
/** Whether another try follows a failure, and when. The failure is counted already. */
export function checkRetry(model: Complaints, job: ModelJob, event: EventOf<"JobFailed">): void {
  const { failure, retryAt, dead } = event;
  const name = `${job}#${event.attempt}`;
  const policy = job.spec.retry ?? NO_RETRY;
  const permanent = PERMANENT.has(failure.kind);
  const tries = `failure ${job.failures} of ${policy.maxAttempts} (${failure.kind})`;
  const again =
    !permanent && job.failures < policy.maxAttempts && job.run.budgetMilli >= RETRY_MILLI;
  if (again && retryAt === undefined) {
    model.fail("retries-within-budget", `${name} is given up too early: ${tries}`);
  }
  if (!again && retryAt !== undefined) {
    model.fail(
      "retries-within-budget",
      `${name} is tried again: ${tries}, and retries left for the run: ` +
        `${Math.floor(job.run.budgetMilli / RETRY_MILLI)}`,
    );
  }
  if (dead !== (!again && !permanent && policy.maxAttempts > 1)) {
    model.fail("retries-within-budget", `${name} is ${dead ? "" : "not "}a dead letter: ${tries}`);
  }
  if (retryAt === undefined) return;
  const pauseMs = retryAt - event.at;
  const longestMs = Math.min(
    policy.delayMs * Math.min(policy.backoff ** (job.failures - 1), Number.MAX_VALUE),
    policy.maxDelayMs,
  );
  const shortestMs = longestMs * (1 - policy.jitter);
  if (pauseMs < shortestMs - 1 || pauseMs > longestMs + 1) {
    model.fail(
      "retries-within-budget",
      `${name} waits ${pauseMs} ms before the next try, not ${shortestMs} to ${longestMs}`,
    );
  }
}
// #endregion

/** Output is lost of an attempt that is the latest, and some of it. */
export function checkOutput(
  model: Complaints,
  job: ModelJob,
  { attempt, bytes }: EventOf<"OutputLost">,
): void {
  if (attempt !== job.attempt) {
    const found = `output of ${job}#${attempt} is lost, and its attempt is ${job.attempt}`;
    model.fail("replay-equals-live", found);
  }
  if (bytes === 0) model.fail("replay-equals-live", `nothing of the output of ${job} is lost`);
}

/** The ends of a new edge: from a job that is just added to one that has not started. */
export function checkEdge(
  model: Complaints,
  added: readonly ModelJob[],
  { parent: from, child: to }: Edge,
): [parent: ModelJob, child: ModelJob] {
  const parent = added.find(({ index }) => index === from);
  const child = added[0]?.run.jobs[to];
  if (parent === undefined || child === undefined || added.includes(child)) {
    return model.fail("replay-equals-live", `an edge from job ${from} to ${to}, which is not new`);
  }
  if (child.status === "PENDING" && child.attempt === 0) return [parent, child];
  return model.fail("parents-before-children", `${child} is to wait for ${parent}, and has begun`);
}

/** Whether a run leaves its key behind. One that is let go does so if it has one. */
export function checkKey(
  model: Complaints,
  { number, id, key }: ModelRun,
  event: EventOf<"RunsForgotten" | "RunsLetGo">,
): boolean {
  if (event.type === "RunsForgotten") return false;
  const isKept = event.keys.some(({ run }) => run === number);
  if (isKept === (key !== undefined)) return isKept;
  const what = isKept ? "a key is kept, and it has none" : `key "${key}" is not kept`;
  return model.fail("one-key-one-run", `${id} is let go: ${what}`);
}

/** A run is forgotten when it has ended, and too many have. */
export function checkForgotten(
  model: Complaints, run: ModelRun, { runs, bytes }: { runs: number; bytes: number },
): void {
  if (!run.ended) {
    model.fail("acknowledged-is-durable", `${run.id} is forgotten before it has ended`);
  }
  if (runs <= KEPT.runs && bytes <= KEPT.bytes) {
    const kept = `only ${runs} ended runs are kept, of ${bytes} bytes at most`;
    model.fail("acknowledged-is-durable", `${run.id} is forgotten although ${kept}`);
  }
}

/** A lost attempt that made a dead letter of its job too early, or too late. */
export function wrongLoss(
  model: Complaints, job: ModelJob, loss: { event: EventOf<"JobLost">; maxLosses: number },
): never {
  const { event, maxLosses } = loss;
  const other = event.blamed ? "" : ", this one for another reason";
  return model.fail(
    "retries-within-budget",
    `${job}#${event.attempt} was lost and is ${event.dead ? "" : "not "}a dead letter, after ` +
      `${job.losses} of ${maxLosses} workers lost under it${other}`,
  );
}

/** A worker that is lost leaves no attempt behind. */
export function checkGone(model: Complaints, worker: ModelWorker): void {
  if (worker.running.size === 0) return;
  const left = [...worker.running].join(", ");
  const who = `${worker.name} (worker ${worker.id})`;
  model.fail("one-ending-per-attempt", `${who} is lost, and these have no ending: ${left}`);
}

/** Nothing that runs or waits is tried again. */
export function checkIdle(model: Complaints, jobs: readonly ModelJob[]): void {
    const busy = jobs.find((job) => job.status === "RUNNING" || job.status === "WAITING");
    if (busy !== undefined) {
      model.fail("one-unfenced-attempt", `${busy} is retried while it is ${busy.status}`);
    }
}

/** A child that has ended would have to wait again: its parents are open by now. */
export function checkReopened(model: Complaints, jobs: readonly ModelJob[]): void {
    // Only children of the jobs that were opened again: a cancelled job has not waited for its
    // parents.
    const early = jobs.flatMap((job) => (job.over ? [] : job.children)).find((child) => child.over);
    if (early !== undefined) {
      model.fail(
        "parents-before-children",
        `${early} is ${early.status}, and a retry has made its parents wait again`,
      );
    }
}

/** Only an attempt that somebody has cancelled is stopped. */
export function checkStopped(
  model: Complaints, job: ModelJob, { attempt }: EventOf<"JobStopped">,
): void {
  if (job.cancelled) return;
  model.fail("dispatched-is-durable", `${job}#${attempt} was stopped, and nobody had cancelled it`);
}

/** An attempt has succeeded: its result has been counted. */
export function checkSuccess(model: Complaints, job: ModelJob, maxRunResultBytes: number): void {
  const name = `${job}#${job.attempt}`;
  if (job.cancelled) model.fail("terminal-absorbs", `${name} succeeds after it was cancelled`);
  const { resultBytes } = job.run;
  if (job.resultBytes > MAX_RESULT_BYTES || resultBytes > maxRunResultBytes) {
    const found = `a result of ${job.resultBytes} bytes, its run ${resultBytes}`;
    model.fail("bounded-queues", `${job} leaves ${found}`);
  }
  if (job.spec.service?.restart.policy === "always") {
    model.fail("retries-within-budget", `service ${job} has succeeded, and is to run always`);
  }
  if (job.waits.length > 0) {
    model.fail("goes-on-when-met", `${name} succeeds, and has asked to wait`);
  }
}
