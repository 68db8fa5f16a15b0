/**
 * Lesson 14: how events change which version of a service is current, and how many replicas it has.
 * `apply` calls these; nothing else does.
 *
 * Invariants: the old version is asked to go by the event that makes the new one current, so no
 * crash comes between the two.
 * Test: test/14-services.versions.test.ts
 */
import { isOpenRun, isTerminal } from "#wire";
import type { EventOf } from "./events.ts";
import { addJobs, dropDead, settle, unqueue } from "./jobs.ts";
import { scaledAway } from "./service-state.ts";
import { touch, type Job, type Run, type State, type Update } from "./state.ts";
import { namesOf, openReplicas, refile, succeed } from "./versions.ts";

/** Before the run's jobs are there. */
export function updateBegins(state: State, run: Run, event: EventOf<"UpdateSubmitted">): void {
  const { deadline } = event;
  const replaces = state.runs.get(event.replaces)!.id;
  run.update = { replaces, deadline, outcome: "WAITING", reason: "" };
  state.updates.add(run);
}

// #region done
export function updateDone(state: State, run: Run, event: EventOf<"UpdateDone">): void {
  endUpdate(state, run, { outcome: "DONE", reason: "" });
  for (const name of namesOf(run)) {
    const named = state.names.get(name);
    if (named?.next !== run) continue;
    const old = openReplicas(named.current, name);
    named.next = undefined;
    succeed(state, named, run);
    retire(state, old, { as: "drain", at: event.at });
  }
  state.observer?.run(run);
}
// #endregion

/** Its jobs are cancelled by the caller. */
export function updateFailed(state: State, run: Run, event: EventOf<"UpdateFailed">): void {
  endUpdate(state, run, { outcome: "FAILED", reason: event.reason });
  for (const name of namesOf(run)) {
    const named = state.names.get(name);
    if (named?.next === run) named.next = undefined;
  }
  refile(state, run);
  if (!isOpenRun(run.status)) state.observer?.run(run);
}

function endUpdate(state: State, run: Run, end: Pick<Update, "outcome" | "reason">): void {
  state.updates.delete(run);
  run.update = { ...run.update!, ...end };
}

/** Replicas more; in logs of older versions also replicas fewer. */
export function serviceScaled(state: State, run: Run, event: EventOf<"ServiceScaled">): void {
  const { jobs: specs, drained, at } = event;
  if (specs.length > 0) addJobs(state, run, { specs, at });
  retire(state, drained.map((index) => run.job(index)!), { as: "drain", at });
}

// #region retired
/** These replicas are to go: somebody wants no service any more, or fewer replicas of it. */
export function replicasRetired(
  state: State, run: Run, event: EventOf<"ReplicasRetired">,
): void {
  const { how: as, at } = event;
  const jobs = event.jobs.map((index) => run.job(index)!);
  if (as === "drain") for (const job of jobs) scaledAway(state, job, at);
  retire(state, jobs, { as, at, unstarted: "COMPLETED" });
}
// #endregion

interface Retirement {
  readonly as: "stop" | "drain";
  readonly at: number;
  /** What one becomes that has never started. By the events of older versions it is cancelled. */
  readonly unstarted?: "COMPLETED" | "CANCELLED";
}

/** These replicas are to go. One that does not run is over by this. */
export function retire(state: State, jobs: readonly Job[], how: Retirement): void {
  const { as, at, unstarted = "CANCELLED" } = how;
  const waiting: Job[] = [];
  for (const job of jobs) {
    if (isTerminal(job.status)) continue;
    if (job.status !== "RUNNING") waiting.push(job);
    else if (job.service!.asked !== "stop") ask(state, job, { asked: as, at });
  }
  for (const job of waiting) {
    if (isTerminal(job.status)) continue;
    unqueue(state, job);
    settle(state, job, { as: job.service === undefined ? unstarted : "COMPLETED", at });
  }
  dropDead(state);
}

/** Somebody wants something of an attempt that runs. */
export function ask(
  state: State, job: Job, wish: { asked: "stop" | "restart" | "drain"; at: number },
): void {
  const { asked, at } = wish;
  touch(state, job);
  const drainUntil = asked === "drain" ? at + job.spec.service!.stopGraceMs : undefined;
  job.service = { ...job.service!, asked, drainUntil };
  if (asked === "drain") state.draining.add(job);
  else state.draining.delete(job);
  state.observer?.job(job, at);
}
