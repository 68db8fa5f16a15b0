/**
 * Lesson 22: what may happen to a gate: approvals, and one end (lesson 16).
 *
 * Once more in other words: approvals are names in a list, and a deadline is compared with the
 * event that says it has passed.
 *
 * Invariant: what is not allowed changes nothing.
 * Test: test/22-simulation.invariants.test.ts
 */
import type { EventOf } from "#core";
import { rulesOf, type GateOutcome, type JobStatus } from "#wire";
import type { Invariant } from "./invariants-list.ts";
import type { ModelJob } from "./model-state.ts";

interface Hands {
  fail(invariant: Invariant, what: string): never;
  end(job: ModelJob, as: JobStatus): void;
}

const ENDS: Readonly<Record<GateOutcome, JobStatus>> = {
  approved: "COMPLETED", rejected: "FAILED", skipped: "SKIPPED",
};

/** A job that is paused is WAITING, too. */
const isAtGate = ({ status, waits }: ModelJob): boolean =>
  status === "WAITING" && waits.length === 0;

/** Approvals by different people that open the gate behind a job. */
const wanted = ({ spec }: ModelJob): number => rulesOf(spec.gate!).required;

/** One of several approvals: by people who differ, and never the last one. */
export function approved(hands: Hands, job: ModelJob, event: EventOf<"GateApproved">): void {
  const { by, at } = event;
  const wrong = (what: string): never =>
    hands.fail("gate-decided-once", `the gate of ${job} is approved by ${by}${what}`);
  if (!isAtGate(job)) wrong(`, and the job is ${job.status}`);
  if (job.approvals.includes(by)) wrong(" twice");
  if (job.approvals.length + 1 >= wanted(job)) wrong(", which is enough, and it stays open");
  job.approvals.push(by);
  job.everApproved.add(`${by} at ${at}`);
}

/** It waits for an answer, and closes by itself at its deadline and not before. */
export function closed(
  hands: Hands,
  job: ModelJob,
  event: { by: string; comment: string; at: number; outcome: GateOutcome },
): void {
  const { by, comment, at, outcome } = event;
  if (!isAtGate(job)) {
    const what = `the gate of ${job} is decided by ${by}, and the job is ${job.status}`;
    hands.fail("gate-decided-once", what);
  }
  const byItself = by === "titan" && / within \d[\d.dhms ]*$/.test(comment);
  const missing = wanted(job) - job.approvals.length - 1;
  if (!byItself && outcome === "approved" && missing > 0) {
    const what = `the gate of ${job} opens, and ${missing} more were to approve`;
    hands.fail("gate-decided-once", what);
  }
  if (byItself && at < job.deadline) {
    const what = `the gate of ${job} closes by itself ${job.deadline - at} ms before its deadline`;
    hands.fail("timers-are-kept", what);
  }
  job.decisions.push({ approved: outcome === "approved", by, comment, at, acknowledged: false });
  job.approvals = [];
  hands.end(job, ENDS[outcome]);
}

/** A message about an open gate: sent once, and tried again when it was said to be. */
export function noticed(
  hands: Hands, job: ModelJob, event: EventOf<"NoticeSent" | "NoticeFailed">,
): void {
  const { key, attempt, at } = event;
  const gate = key === undefined ? `the gate of ${job}` : `question "${key}" of ${job}`;
  if (key === undefined && (!isAtGate(job) || job.attempt !== attempt)) {
    hands.fail("gate-decided-once", `people are told of ${gate}, and it is not open`);
  }
  const name = `${attempt}:${key ?? ""}`;
  const dueAt = job.notices.get(name) ?? 0;
  if (at < dueAt) {
    hands.fail("timers-are-kept", `people are told of ${gate} ${dueAt - at} ms too early`);
  }
  const next = event.type === "NoticeSent" ? undefined : event.retryAt;
  job.notices.set(name, next ?? Infinity);
}
