/**
 * Lesson 22: the promises, by name. A closed list: a broken promise is reported in these words.
 *
 * Invariants: a name is never given to another promise, because seeds and deliberate bugs are filed
 * under it.
 * Test: test/22-simulation.invariants.test.ts
 */

// #region list
export const INVARIANTS = {
  "acknowledged-is-durable":
    "Everything that a client or a worker was told is on disk, and everything on disk stays " +
    "there.",
  "dispatched-is-durable":
    "Nothing leaves the master before the facts that it follows from are on disk: no program " +
    "runs for an attempt that the log has not started.",
  "one-key-one-run":
    "While a run is remembered, its key, its id and its number mean this run and no other.",
  "one-ending-per-attempt": "Every attempt ends once: succeeded, failed, lost or stopped.",
  "one-unfenced-attempt":
    "At most one attempt of a job counts at a time, under a number that no other attempt ever " +
    "has.",
  "parents-before-children":
    "A job starts after all its parents have ended, and only if they ended as its condition " +
    "wants.",
  "terminal-absorbs":
    "An ended or cancelled job or run stays so, unless a person asks for another try.",
  "retries-within-budget":
    "A job fails as often as its policy allows, no more and no less; a lost worker spends no " +
    "try, up to a cap.",
  "timers-are-kept":
    "Nothing starts before its delay or its backoff is over, no gate closes before its deadline, " +
    "and time in the log does not go back.",
  "gate-decided-once": "A gate has one decision, and it is what every client is told.",
  "replay-equals-live":
    "The log alone, read from its first event, gives the state that the master has in memory.",
  "snapshot-plus-tail": "A snapshot and the events after it give what all events give.",
  "slots":
    "A worker gets what it is fit for: registered, not draining, with every tag, within its " +
    "slots, new enough for a service, and the parent's worker where affinity asks for it.",
  "bounded-queues": "Whatever peers do, everything that is held in memory has a limit.",
  "no-process-after-its-attempt":
    "When a worker reports the end of an attempt, its program is gone; when all is quiet, every " +
    "program is.",
  "runs-once": "An attempt is executed at most once, by the worker that owns it.",
  "pool-within-max":
    "A pool has never more workers than its max: launched and not ended, as the log says, rented " +
    "and not told to end, as the cloud says.",
  "nobody-busy-is-ended":
    "No worker of a pool is retired or ended while an attempt or a service lives there.",
  "launched-once":
    "A worker is launched once, ordered once and ended once, whenever its master dies.",
  "launches-follow-the-backlog":
    "No more workers are on their way than the jobs that wait need, or the pool's min.",
  "fleet-returns-to-min":
    "Once nothing is left to do, every pool has its min of workers, and every other machine is " +
    "gone.",
  "everything-ends": "Once faults stop, every run ends.",
  "update-without-gap":
    "A version of a service is left alone until every replica of the next one is READY, and an " +
    "update is given up for a reason and not before its time.",
  "one-current-version":
    "The name of a deployed service leads to one version at a time, and those that it replaced " +
    "end; the one before it can be deployed again.",
  "step-result-stands":
    "A step of a job that is done has one result for ever, and does not run again.",
  "once-is-once":
    "A step that must happen once, and may have, does not run again unless a person says so.",
  "added-once":
    "What a job adds to its run under a key is added once, whichever of its attempts asks.",
  "goes-on-when-met":
    "A job that ends an attempt to wait goes on as soon as one of its waits is met, and not " +
    "before.",
  "brakes-hold":
    "An agent run never has more jobs and steps than its budget, its steps never cost or reserve " +
    "more than it, and nothing begins after its deadline.",
  "no-crash": "No process of ours dies of its own error.",
} as const;
// #endregion

export type Invariant = keyof typeof INVARIANTS;

/** A promise was broken. The message names it, and says where in the log and what was found. */
export class Violation extends Error {
  override readonly name = "Violation";
  readonly invariant: Invariant;
  /** What was found, without the name of the promise. */
  readonly what: string;
  /** The last event that the judge had seen. */
  readonly seq: number;
  /** Its time, ms since 1970. */
  readonly at: number;

  constructor(invariant: Invariant, what: string, where: { seq?: number; at?: number } = {}) {
    const { seq = 0, at = 0 } = where;
    super(
      `${invariant}: ${what}${seq === 0 ? "" : ` (event ${seq}${at === 0 ? "" : `, at ${at}`})`}`,
    );
    this.invariant = invariant;
    this.what = what;
    this.seq = seq;
    this.at = at;
  }
}

/** The part of a judge that reports a broken promise. */
export interface Complaints {
  fail(invariant: Invariant, what: string): never;
}
