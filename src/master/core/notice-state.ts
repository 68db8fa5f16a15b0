/**
 * Lesson 16: what the state keeps of the message that a gate is open, and which are to be sent.
 *
 * Invariant: a message is due only while its gate is open.
 * Test: test/16-gates.notify.test.ts
 */
import { rulesOf, type Gate, type Notice } from "#wire";
import { askOf, isAtGate } from "./agent-state.ts";
import type { EventOf } from "./events.ts";
import { leave } from "./jobs.ts";
import type { Job, NoticeRef, State } from "./state.ts";

/** A gate that has just opened. Undefined: it tells nobody. */
export function newNotice(gate: Gate, at: number): Notice | undefined {
  if (rulesOf(gate).notify === undefined) return undefined;
  return { tries: 0, dueAt: at, sentAt: 0, why: "" };
}

/** The message about this gate, if it is to be sent: now, or later. */
export function dueNotice(state: State, ref: NoticeRef): Notice | undefined {
  const job = state.runs.get(ref.run)?.job(ref.job);
  const notice = job && noticeAt(job, ref);
  return (notice?.dueAt ?? 0) > 0 ? notice : undefined;
}

/** Of a gate that is open. */
function noticeAt(job: Job, { attempt, key }: NoticeRef): Notice | undefined {
  if (key === undefined) {
    return isAtGate(job) && job.attempt === attempt ? job.notice : undefined;
  }
  const ask = askOf(job, key);
  const isOpen = ask !== undefined && ask.decision === undefined && ask.attempt === attempt;
  return isOpen ? ask.notice : undefined;
}

/** All that are to be sent: what a master that starts takes up. */
export function* dueNotices({ gates, asks }: State): Generator<NoticeRef> {
  const isDue = (notice: Notice | undefined): boolean => (notice?.dueAt ?? 0) > 0;
  for (const { run, index, attempt, notice } of gates) {
    if (isDue(notice)) yield { run: run.number, job: index, attempt };
  }
  for (const { job, ask: { key } } of asks.values()) {
    const { attempt, notice } = askOf(job, key)!;
    if (isDue(notice)) yield { run: job.run.number, job: job.index, attempt, key };
  }
}

/** `apply`: what has become of a message. */
export function noticeTried(
  state: State, job: Job, event: EventOf<"NoticeSent" | "NoticeFailed">,
): void {
  const before = noticeAt(job, event)!;
  const tries = before.tries + 1;
  const notice: Notice = event.type === "NoticeSent"
    ? { tries, dueAt: 0, sentAt: event.at, why: "" }
    : { ...before, tries, dueAt: event.retryAt ?? 0, why: event.why };
  const { agent } = job;
  if (event.key === undefined || agent === undefined) leave(state, job, { notice });
  else {
    const asks = agent.asks.map((ask) => ask.key === event.key ? { ...ask, notice } : ask);
    leave(state, job, { agent: { ...agent, asks } });
  }
  state.observer?.job(job, event.at);
}
