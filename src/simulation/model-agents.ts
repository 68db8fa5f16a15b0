/**
 * Lesson 22: what may happen to a job that adds jobs, asks people, or ends an attempt to wait
 * (lesson 18).
 *
 * Once more in other words: nobody is watched, and no list is kept of who waits for whom. Whenever
 * a job ends, all that are paused are asked whether they wait for it.
 *
 * Invariant: what is not allowed changes nothing.
 * Test: test/22-simulation.invariants.test.ts
 */
import type { EventOf } from "#core";
import { rulesOf, type Wait } from "#wire";
import type { Invariant } from "./invariants-list.ts";
import * as services from "./model-services.ts";
import type { ModelAsk, ModelJob, ModelRun } from "./model-state.ts";

/** As the core has it, once more. */
const [MAX_DEPTH, MAX_AT_ONCE] = [8, 1000];

interface Hands {
  fail(invariant: Invariant, what: string): never;
  again(job: ModelJob, notBefore: number): void;
}

/** Those who wait for more budget: model-budgets.ts. */
interface Budgets {
  paused(job: ModelJob, at: number): void;
}

const isRunning = (job: ModelJob, attempt: number): boolean =>
  job.status === "RUNNING" && job.attempt === attempt;

function fence(hands: Hands, job: ModelJob, event: { type: string; attempt: number }): void {
  if (isRunning(job, event.attempt)) return;
  const what = `${event.type} of ${job}#${event.attempt}, and the job is ${job.status}`;
  hands.fail("one-unfenced-attempt", `${what}, its attempt ${job.attempt}`);
}

/** Each key of a job once, for ever. To be called before the jobs are there. */
export function spawned(hands: Hands, job: ModelJob, event: EventOf<"JobsSpawned">): void {
  fence(hands, job, event);
  const { key, jobs } = event;
  if (job.spawnedKeys.has(key)) hands.fail("added-once", `${job} adds jobs under "${key}" twice`);
  if (jobs.length > MAX_AT_ONCE) hands.fail("bounded-queues", `${job} adds ${jobs.length} jobs`);
  if (job.depth >= MAX_DEPTH) hands.fail("bounded-queues", `${job} is too deep to add jobs`);
  job.spawnedKeys.add(key);
}

function waitAsked(hands: Hands, job: ModelJob, event: EventOf<"WaitAsked">): void {
  fence(hands, job, event);
  if (event.waits.length === 0) hands.fail("goes-on-when-met", `${job} waits for nothing`);
  job.waits = event.waits;
}

/** The attempt has ended already. */
export function paused(hands: Hands, budgets: Budgets, job: ModelJob, at: number): void {
  if (job.waits.length === 0) {
    hands.fail("goes-on-when-met", `${job} is paused, and has not asked for it`);
  }
  if (job.cancelled) hands.fail("terminal-absorbs", `${job} is paused after it was cancelled`);
  job.pauses += 1;
  job.status = "WAITING";
  goOn(hands, job, at);
  budgets.paused(job, at);
}

/** Asked again, whenever something has happened for which somebody might wait. */
export function goOn(hands: Hands, job: ModelJob, at: number): void {
  if (job.status !== "WAITING" || !job.waits.some((wait) => isMet(job, wait, at))) return;
  wake(hands, job, at);
}

export function wake(hands: Hands, job: ModelJob, at: number): void {
  job.waits = [];
  hands.again(job, at);
}

export function allGoOn(hands: Hands, { jobs }: ModelRun, at: number): void {
  for (const job of jobs) if (job.waits.length > 0) goOn(hands, job, at);
}

export function timePassed(hands: Hands, runs: Iterable<ModelRun>, at: number): void {
  for (const run of runs) if (!run.ended) allGoOn(hands, run, at);
}

/** A service that is READY is over for those who wait for it. */
export function heardOf(
  hands: services.Hands, job: ModelJob, event: EventOf<"ServiceHealth">,
): void {
  services.health(hands, job, event);
  allGoOn(hands, job.run, event.at);
}

function isMet(job: ModelJob, wait: Wait, at: number): boolean {
  if (wait.type === "jobs") return wait.jobs.every((index) => job.run.jobs[index]!.settled);
  if (wait.type === "ask") return job.asks.get(wait.key)?.isOpen === false;
  // Whether a budget has room is looked at when that changes: see model-budgets.ts.
  return wait.type === "time" && wait.at <= at;
}

function askOpened(hands: Hands, job: ModelJob, event: EventOf<"AskOpened">): void {
  fence(hands, job, event);
  const { key, gate, at } = event;
  if (job.asks.has(key)) hands.fail("gate-decided-once", `${job} asks "${key}" twice`);
  job.asks.set(key, { gate, deadline: at + gate.maxWaitMs, approvals: [], isOpen: true });
}

function openAsk(hands: Hands, job: ModelJob, { key, by }: { key: string; by: string }): ModelAsk {
  const ask = job.asks.get(key);
  if (ask?.isOpen === true && !job.over) return ask;
  return hands.fail("gate-decided-once", `${job}:${key} is answered by ${by}, and is not open`);
}

function askApproved(hands: Hands, job: ModelJob, event: EventOf<"AskApproved">): void {
  const { key, by } = event;
  const ask = openAsk(hands, job, event);
  const wrong = (what: string): never =>
    hands.fail("gate-decided-once", `${job}:${key} is approved by ${by}${what}`);
  if (ask.approvals.includes(by)) wrong(" twice");
  if (ask.approvals.length + 1 >= rulesOf(ask.gate).required) wrong(", which is enough");
  ask.approvals.push(by);
  job.everApproved.add(`${by} at ${event.at}`);
}

function askClosed(hands: Hands, job: ModelJob, event: EventOf<"AskClosed">): void {
  const { key, by, comment, at, outcome } = event;
  const ask = openAsk(hands, job, event);
  const byItself = by === "titan" && / within \d[\d.dhms ]*$/.test(comment);
  const missing = rulesOf(ask.gate).required - ask.approvals.length - 1;
  if (!byItself && outcome === "approved" && missing > 0) {
    hands.fail("gate-decided-once", `${job}:${key} is approved, and ${missing} are missing`);
  }
  if (byItself && at < ask.deadline) {
    const early = ask.deadline - at;
    hands.fail("timers-are-kept", `${job}:${key} closes by itself ${early} ms early`);
  }
  ask.isOpen = false;
  const approved = outcome === "approved";
  job.decisions.push({ key, approved, by, comment, at, acknowledged: false });
  if (job.waits.some((wait) => wait.type === "ask" && wait.key === key)) goOn(hands, job, at);
}

type AgentEvent = EventOf<"WaitAsked" | "AskOpened" | "AskApproved" | "AskClosed">;

export function apply(hands: Hands, job: ModelJob, event: AgentEvent): void {
  switch (event.type) {
    case "WaitAsked": return waitAsked(hands, job, event);
    case "AskOpened": return askOpened(hands, job, event);
    case "AskApproved": return askApproved(hands, job, event);
    case "AskClosed": return askClosed(hands, job, event);
  }
}
