/**
 * Lesson 10: what others can see of a decision. An effect is plain data, too: the core says what is
 * to be sent, and the shell around it (../master.ts) sends it.
 *
 * Invariants: no effect before the events that were decided with it are durable (../engine.ts holds
 * it back until then); a replay applies events and makes no effects, so nothing is sent twice.
 * Test: test/10-master.transcripts.test.ts
 */
import type { AttemptKey } from "#wire";
import type { Command, Replies } from "./command.ts";
import type { Event, EventOf } from "./events.ts";
import type { Job, NoticeRef } from "./state.ts";

// #region effects
export type Effect =
  /** An attempt has begun (`nextStart`): its worker is to run it. */
  | { readonly type: "Dispatch"; readonly start: EventOf<"JobStarted"> }
  /** These attempts are to end: their workers are to kill them. */
  | { readonly type: "Kill"; readonly attempts: readonly PlacedAttempt[] }
  /** Jobs were added to a run: its watchers hear of them. */
  | { readonly type: "Notify"; readonly run: number }
  /** A gate has opened, and people are to be told (lesson 16). */
  | { readonly type: "Announce"; readonly ref: NoticeRef }
  /** A blob is needed, once more: a project, a step's result, the content of an artifact… */
  | { readonly type: "Hold"; readonly blob: string }
  /** …and this one no longer. */
  | { readonly type: "Release"; readonly blob: string }
  /** Nobody can ask for a run any more: its output is removed, and its blobs are let go. */
  | { readonly type: "Forget"; readonly run: number; readonly blobs: readonly string[] }
  /** This worker of a pool is to be started, or ended. */
  | { readonly type: "StartWorker"; readonly name: string }
  | { readonly type: "StopWorker"; readonly name: string };
// #endregion

export interface PlacedAttempt extends AttemptKey {
  readonly worker: number;
}

export function placed({ run, index, attempt, worker }: Job): PlacedAttempt {
  return { run: run.number, job: index, attempt, worker };
}

/**
 * What follows from a command. The reply is the one effect that goes to the giver of the command.
 */
export interface Decided<R> {
  readonly events: readonly Event[];
  readonly effects: readonly Effect[];
  readonly reply: R;
}

export type DecidedOn<T extends Command["type"]> = Decided<Replies[T]>;

export const NO_EFFECTS: readonly Effect[] = [];

/** Nothing follows, and nobody waits for an answer. */
export const NOTHING: Decided<undefined> = { events: [], effects: NO_EFFECTS, reply: undefined };

/** An answer, and nothing has changed. */
export function onlyReply<R>(reply: R): Decided<R> {
  return { events: [], effects: NO_EFFECTS, reply };
}

/** Events, and no more. */
export function onlyEvents(events: readonly Event[]): Decided<undefined> {
  return { events, effects: NO_EFFECTS, reply: undefined };
}
