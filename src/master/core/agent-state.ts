/**
 * Lesson 18: what the state keeps of a job that waits in the middle of its work, and how it is
 * found when it need not wait any longer.
 *
 *     WaitAsked ─▶ RUNNING, with a wish ── exit 0, JobPaused ─▶ WAITING, no worker ─▶ PENDING
 *                        │                                        └─ any of its waits is met ─┘
 *                        └─ it fails, or its worker is lost: the wish goes with the attempt
 *
 * A wait for a thousand jobs is not looked at a thousand times. Of each wait one job is *watched*
 * that has not ended. When it ends the next one is looked for, from there on and around: there is
 * none if and only if the wait is met.
 *
 * Invariants: a record is replaced and never changed (see service-state.ts); a job that is paused
 * has waits, none of which is met, and watches one job for each wait that is for jobs; the order in
 * which jobs are woken does not depend on which ones were watched.
 * Test: test/18-agents.waits.test.ts
 */
import { invariant } from "#base";
import { isTerminal, type Wait } from "#wire";
import { hasRoom } from "./groups.ts";
import type { AgentRecord, AskRecord, Job, OpenAsk, State } from "./state.ts";

const NO_AGENT: AgentRecord = { spawns: [], asks: [], waits: [], pauses: 0, retried: false };
const NOBODY: readonly Job[] = [];

export function agentOf({ agent = NO_AGENT }: Job): AgentRecord {
  return agent;
}

/** It has ended an attempt to wait. Another job that is WAITING has a gate behind it. */
export function isPaused({ status, agent }: Job): boolean {
  return status === "WAITING" && agent !== undefined && agent.waits.length > 0;
}

/** Its gate is open. */
export function isAtGate(job: Job): boolean {
  return job.status === "WAITING" && !isPaused(job);
}

/** It runs, and its attempt is to end as paused. */
export function wantsPause({ agent }: Job): boolean {
  return agent !== undefined && agent.waits.length > 0;
}

/** For those who wait for it, it has ended: a service as soon as it has been ready. */
export function isOver({ status, service }: Job): boolean {
  return isTerminal(status) || service?.settled === true;
}

export function askOf(job: Job, key: string): AskRecord | undefined {
  return job.agent?.asks.find((ask) => ask.key === key);
}

export function isMetWait(job: Job, wait: Wait, at: number): boolean {
  switch (wait.type) {
    case "jobs": return wait.jobs.every((index) => isOver(job.run.job(index)!));
    case "ask": return askOf(job, wait.key)?.decision !== undefined;
    case "time": return wait.at <= at;
    case "budget": return hasRoom(job.run, wait.need, at);
  }
}

/** The first moment that the job waits for. Undefined: it waits for none. */
export function wakesAt({ agent }: Job): number | undefined {
  let first: number | undefined;
  for (const wait of agent?.waits ?? []) {
    if (wait.type === "time" && (first === undefined || wait.at < first)) first = wait.at;
  }
  return first;
}

/** How many jobs have added each other until one has added this one. */
export function depthOf(job: Job): number {
  let depth = 0;
  for (let next = job.spawner; next !== undefined; next = job.run.job(next)!.spawner) depth += 1;
  return depth;
}

// ── who waits for whom ───────────────────────────────────────────────────────────────────────────

/** The job is paused from now on. None of its waits is met. */
export function watch(state: State, job: Job): void {
  const places = agentOf(job).waits.map((wait) => {
    if (wait.type !== "jobs") return -1;
    const place = nextOpen(job, wait.jobs, 0);
    invariant(place !== undefined, "a wait that is met pauses nobody");
    watchers(state, job.run.job(wait.jobs[place]!)!).add(job);
    return place;
  });
  state.paused.set(job, places);
  if (waitsForBudget(job)) job.run.group?.waiting.add(job);
}

function waitsForBudget(job: Job): boolean {
  return agentOf(job).waits.some(({ type }) => type === "budget");
}

function watchers({ watched }: State, target: Job): Set<Job> {
  let found = watched.get(target);
  if (found === undefined) watched.set(target, (found = new Set()));
  return found;
}

/** The place of a job that has not ended: from a place on, and around. */
function nextOpen({ run }: Job, jobs: readonly number[], from: number): number | undefined {
  for (let step = 0; step < jobs.length; step++) {
    const place = (from + step) % jobs.length;
    if (!isOver(run.job(jobs[place]!)!)) return place;
  }
  return undefined;
}

/** The job waits no longer. */
export function unwatch(state: State, job: Job): void {
  const places = state.paused.get(job);
  if (places === undefined) return;
  state.paused.delete(job);
  job.run.group?.waiting.delete(job);
  for (const [index, wait] of agentOf(job).waits.entries()) {
    if (wait.type === "jobs") dropWatcher(state, job.run.job(wait.jobs[places[index]!]!)!, job);
  }
}

function dropWatcher({ watched }: State, target: Job, job: Job): void {
  const found = watched.get(target);
  if (found?.delete(job) === true && found.size === 0) watched.delete(target);
}

// #region met
/** A job has ended. Returns those that have waited for it and need not wait any longer. */
export function metBy(state: State, target: Job): readonly Job[] {
  const waiting = state.watched.get(target);
  if (waiting === undefined) return NOBODY;
  state.watched.delete(target);
  const met: Job[] = [];
  for (const job of waiting) {
    const places = state.paused.get(job)!;
    let isMet = false;
    for (const [index, wait] of agentOf(job).waits.entries()) {
      const place = places[index]!;
      if (wait.type !== "jobs" || wait.jobs[place] !== target.index) continue;
      const next = nextOpen(job, wait.jobs, place + 1);
      if (next === undefined) isMet = true;
      else {
        places[index] = next;
        watchers(state, job.run.job(wait.jobs[next]!)!).add(job);
      }
    }
    if (isMet) met.push(job);
  }
  return met.sort((a, b) => a.index - b.index);
}
// #endregion

// ── questions ────────────────────────────────────────────────────────────────────────────────────

function nameOf({ run, index }: Job, key: string): string {
  return `${run.number}/${index}/${key}`;
}

/** A question is open from now on. */
export function openAsk(state: State, job: Job, ask: OpenAsk["ask"]): void {
  const open = { job, ask, open: true };
  state.asks.set(nameOf(job, ask.key), open);
  state.closing.push(open, ask.deadline);
}

/** …and no longer. Its entry in the heap stays until most of them are dead, as lesson 07 says. */
export function closeAsk(state: State, job: Job, key: string): void {
  const name = nameOf(job, key);
  const open = state.asks.get(name);
  if (open === undefined) return;
  open.open = false;
  state.asks.delete(name);
  state.closed += 1;
  if (2 * state.closed <= state.closing.size) return;
  state.closing.compact((each) => each.open);
  state.closed = 0;
}

/** Entries whose time is over leave the heap. What follows from that is an event of its own. */
export function dropClosed(state: State, at: number): void {
  while (state.closing.popDue(at) !== undefined) state.closed = Math.max(0, state.closed - 1);
}
