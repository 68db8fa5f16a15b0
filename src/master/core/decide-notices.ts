/**
 * Lesson 16: the message that a gate is open: who is told to send it, and what follows from a try.
 *
 *     the gate opens ─▶ due ─▶ sent by the shell ─▶ NoticeSent
 *                        ▲                       └▶ NoticeFailed ─▶ the last try: given up
 *                        └────── a pause that grows ────┘
 *
 * The opening itself is the order to send, so no event says that a message is due. A master that
 * dies in the middle finds the gate open and nothing sent when it is back, and sends it. So a
 * message may arrive twice.
 *
 * Invariant: after its last try, or when the gate has its answer, a message is not sent any more.
 * Test: test/16-gates.notify.test.ts
 */
import { backoffDelayMs, type RetryPolicy } from "#retry";
import { MAX_NOTICE_WHY_BYTES, rulesOf, type Gate } from "#wire";
import { sentence } from "./check.ts";
import type { CommandOf } from "./command.ts";
import { NO_EFFECTS, onlyReply, type DecidedOn, type Effect } from "./effect.ts";
import { dueNotice } from "./notice-state.ts";
import type { Context } from "./refusal.ts";
import type { NoticeRef, State } from "./state.ts";

/** Ten tries in about an hour: a server that is away for longer is a person's work. */
const AGAIN: RetryPolicy = {
  maxAttempts: 10, delayMs: 2000, backoff: 3, maxDelayMs: 15 * 60_000, jitter: 0.2,
};

/** What follows besides, when a gate opens. */
export function announced(
  gate: Gate | undefined, { run, job, attempt, key }: NoticeRef,
): readonly Effect[] {
  if (gate === undefined || rulesOf(gate).notify === undefined) return NO_EFFECTS;
  return [{ type: "Announce", ref: { run, job, attempt, key } }];
}

// #region tried
/** A message was delivered, or was not. No event if nobody waits for it any more. */
export function decideTried(
  state: State, { ref, failure }: CommandOf<"NoticeTried">, context: Context,
): DecidedOn<"NoticeTried"> {
  const notice = dueNotice(state, ref);
  if (notice === undefined) return onlyReply(undefined);
  const { now: at } = context;
  if (failure === undefined) {
    return { events: [{ type: "NoticeSent", ...ref, at }], effects: NO_EFFECTS, reply: undefined };
  }
  const tries = notice.tries + 1;
  const isLast = tries >= AGAIN.maxAttempts;
  const retryAt = isLast ? undefined : at + backoffDelayMs(AGAIN, tries, () => context.random());
  const why = sentence(failure, MAX_NOTICE_WHY_BYTES);
  return {
    events: [{ type: "NoticeFailed", ...ref, at, why, retryAt }],
    effects: NO_EFFECTS,
    reply: retryAt,
  };
}
// #endregion
