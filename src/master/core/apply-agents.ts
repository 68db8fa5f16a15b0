/**
 * Lesson 18: what `apply` does when a job adds jobs, asks people, or ends an attempt to wait.
 *
 * Invariant: as in apply.ts: whatever it is given has happened.
 * Test: test/18-agents.waits.test.ts
 */
import { invariant } from "#base";
import { agentOf, askOf, closeAsk, isMetWait, isPaused, openAsk } from "./agent-state.ts";
import { takeCarried } from "./apply-steps.ts";
import type { EventOf } from "./events.ts";
import {
  addJobs, dropWish, enqueue, leave, pause, releaseWorker, setStatus, wake,
} from "./jobs.ts";
import { newNotice } from "./notice-state.ts";
import { placeOf } from "./prefix.ts";
import { type AskRecord, type Job, type Run, type State } from "./state.ts";

export function jobsSpawned(state: State, run: Run, event: EventOf<"JobsSpawned">): void {
  const { job: spawner, key, stage, jobs, edges, at } = event;
  const job = run.job(spawner)!;
  // A copy: decoded bytes are views (lesson 02).
  const digest = Buffer.from(event.digest);
  const spawn = { key, digest, from: run.size, count: jobs.length, stage };
  const agent = agentOf(job);
  leave(state, job, { agent: { ...agent, spawns: [...agent.spawns, spawn] } });
  addJobs(state, run, { specs: jobs, edges, at, spawner });
  if (run.carried.size === 0) return;
  for (let which = 0; which < spawn.count; which++) {
    takeCarried(state, run.job(spawn.from + which)!, placeOf(job, spawn, which));
  }
}

/** It replaces a wish that the same attempt had before. */
export function waitAsked(state: State, job: Job, { waits }: EventOf<"WaitAsked">): void {
  leave(state, job, { agent: { ...agentOf(job), waits } });
}

// #region paused
/** The process has ended as it said. Meanwhile something may have come about that it waits for. */
export function jobPaused(state: State, job: Job, { at }: EventOf<"JobPaused">): void {
  releaseWorker(state, job, at);
  const agent = agentOf(job);
  if (!agent.waits.some((wait) => isMetWait(job, wait, at))) return pause(state, job, at);
  leave(state, job, { agent: { ...agent, pauses: agent.pauses + 1 } });
  dropWish(state, job);
  setStatus(state, job, { to: "PENDING", at });
  enqueue(state, job, at);
}
// #endregion

export function askOpened(state: State, job: Job, event: EventOf<"AskOpened">): void {
  const { key, gate, attempt, at } = event;
  // Absolute from here on, as the deadline of a gate behind a job.
  const deadline = at + gate.maxWaitMs;
  const notice = newNotice(gate, at);
  const ask: AskRecord = { key, gate, attempt, deadline, votes: [], decision: undefined, notice };
  const agent = agentOf(job);
  leave(state, job, { agent: { ...agent, asks: [...agent.asks, ask] } });
  openAsk(state, job, { key, deadline });
  state.observer?.job(job, at);
}

export function askApproved(state: State, job: Job, event: EventOf<"AskApproved">): void {
  const { by, comment, values, at } = event;
  const { votes } = openQuestion(job, event.key);
  changeAsk(state, job, { key: event.key, votes: [...votes, { by, comment, values, at }] });
}

/** Nothing happens to the job but that it hears of it: what an answer means is its own business. */
export function askClosed(state: State, job: Job, event: EventOf<"AskClosed">): void {
  const { key, outcome, by, comment, values, at } = event;
  openQuestion(job, key);
  const skipped = outcome === "skipped" ? true : undefined;
  const answer = { approved: outcome === "approved", by, comment, at, already: false, values };
  changeAsk(state, job, { key, votes: [], decision: { ...answer, skipped, missing: undefined } });
  closeAsk(state, job, key);
  state.observer?.job(job, at);
  const isAwaited = agentOf(job).waits.some((wait) => wait.type === "ask" && wait.key === key);
  if (isAwaited && isPaused(job)) wake(state, job, at);
}

function openQuestion(job: Job, key: string): AskRecord {
  const ask = askOf(job, key);
  invariant(ask !== undefined && ask.decision === undefined, "a question is answered while open");
  return ask;
}

function changeAsk(
  state: State, job: Job, change: Partial<AskRecord> & Pick<AskRecord, "key">,
): void {
  const agent = agentOf(job);
  const asks = agent.asks.map((ask) => ask.key === change.key ? { ...ask, ...change } : ask);
  leave(state, job, { agent: { ...agent, asks } });
}
