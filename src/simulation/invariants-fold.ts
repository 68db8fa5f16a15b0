/**
 * Lesson 22: the same log, folded by the master's own `apply`, to compare the results with one
 * another.
 *
 *     all events          e1 e2 e3 e4 e5 e6 ──▶ hash
 *     a snapshot, a tail        [s3] e4 e5 e6 ──▶ the same hash, or one of the two lies
 *
 * A hash is made of the bytes of a snapshot, so it cannot know of a field that snapshots forget.
 * Where one was written and read, the two states are therefore compared field by field as well.
 *
 * The only place where the judge runs the master's code. It does not ask whether `apply` is right,
 * only whether it gives the same answer twice, by different ways.
 *
 * Invariants: events are applied once each, when somebody asks; an older prefix is folded anew.
 * Test: test/22-simulation.invariants.test.ts
 */
import { isDeepStrictEqual } from "node:util";
import { apply, Event, hashState, readSnapshot, State, writeSnapshot } from "#core";
import { Violation } from "./invariants-list.ts";

export class Fold {
  /** Event 1 has index 0. */
  readonly bodies: Buffer[] = [];
  #state = new State();
  #seq = 0;
  #hash: { seq: number; hash: string } | undefined;
  /** The newest snapshot, restored, with the tail as far as it was applied. */
  #restored: { state: State; covers: number; seq: number } | undefined;

  /** The hash of events 1 to `seq`. */
  hashAt(seq: number): string {
    if (this.#hash?.seq !== seq) this.#hash = { seq, hash: hashState(this.#stateAt(seq)) };
    return this.#hash.hash;
  }

  /**
   * The hash of nothing, of event 1, of events 1 to 2, and so on: each must survive a snapshot and
   * the tail after it.
   */
  checkPrefixes(step: number): void {
    const state = new State();
    let restored = state;
    let from = 0;
    for (let seq = 0; seq <= this.bodies.length; seq++) {
      if (seq > 0) this.#apply(state, seq);
      if (seq > 0 && restored !== state) this.#apply(restored, seq, `after a snapshot at ${from}`);
      if (seq % step !== 0 && seq !== this.bodies.length) continue;
      const hash = hashState(state);
      if (hashState(restored) !== hash) {
        throw new Violation(
          "snapshot-plus-tail",
          `a snapshot at ${from} plus events ${from + 1} to ${seq} give another state than all ` +
            "events",
          { seq },
        );
      }
      restored = restore([...writeSnapshot(state)], seq);
      from = seq;
      const lost = difference(state, restored);
      if (lost !== undefined || hashState(restored) !== hash) {
        throw new Violation(
          "snapshot-plus-tail",
          `the state after events 1 to ${seq} changes when it is written and read: ` +
            `${lost ?? "its hash does"}`,
          { seq },
        );
      }
    }
  }

  /** A snapshot that a master has written: of these events, and of no others. */
  addSnapshot(seq: number, parts: Iterable<Uint8Array>): void {
    const state = restore(parts, seq);
    if (hashState(state) !== this.hashAt(seq)) {
      throw new Violation(
        "snapshot-plus-tail",
        `the snapshot that covers events 1 to ${seq} is of another state than they give`,
        { seq },
      );
    }
    const lost = difference(this.#stateAt(seq), state);
    if (lost !== undefined) {
      throw new Violation(
        "snapshot-plus-tail",
        `the snapshot that covers events 1 to ${seq} has lost something: ${lost}`,
        { seq },
      );
    }
    this.#restored = { state, covers: seq, seq };
    this.checkTail();
  }

  /** The newest snapshot plus all events after it. */
  checkTail(): void {
    const restored = this.#restored;
    if (restored === undefined) return;
    const last = this.bodies.length;
    while (restored.seq < last) {
      this.#apply(restored.state, ++restored.seq, `after the snapshot at ${restored.covers}`);
    }
    if (hashState(restored.state) === this.hashAt(last)) return;
    throw new Violation(
      "snapshot-plus-tail",
      `the snapshot at ${restored.covers} plus events ${restored.covers + 1} to ${last} give ` +
        "another state than all events",
      { seq: last },
    );
  }

  #stateAt(seq: number): State {
    if (seq < this.#seq) {
      this.#state = new State();
      this.#seq = 0;
    }
    while (this.#seq < seq) this.#apply(this.#state, ++this.#seq);
    return this.#state;
  }

  #apply(state: State, seq: number, how?: string): void {
    try {
      apply(state, Event.decode(this.bodies[seq - 1]!));
    } catch (error) {
      const what =
        `event ${seq} cannot be applied${how === undefined ? "" : ` ${how}`}: ` +
        `${(error as Error).message}`;
      throw new Violation(how === undefined ? "replay-equals-live" : "snapshot-plus-tail", what, {
        seq,
      });
    }
  }
}

function restore(parts: Iterable<Uint8Array>, seq: number): State {
  try {
    return readSnapshot(parts);
  } catch (error) {
    throw new Violation(
      "snapshot-plus-tail",
      `the snapshot at ${seq} cannot be read: ${(error as Error).message}`,
      { seq },
    );
  }
}

/**
 * The first plain field of a run, a job, a worker or a pool in which two states differ, as a
 * sentence. Their indexes follow from these.
 */
export function difference(whole: State, restored: State): string | undefined {
  for (const run of whole.runs.values()) {
    const { number } = run;
    const other = restored.runs.get(number);
    const found =
      other === undefined
        ? "is not there"
        : fieldDifference(
            { ...run, budget: run.budget.toJSON() },
            { ...other, budget: other.budget.toJSON() },
          );
    if (found !== undefined) return `run ${run.id} ${found}`;
    for (const job of run.jobs) {
      const lost = fieldDifference({ ...job }, { ...other!.jobs[job.index] });
      if (lost !== undefined) return `job ${run.id}/${job.spec.id} ${lost}`;
    }
  }
  for (const [id, worker] of whole.workers) {
    const lost = fieldDifference({ ...worker }, { ...restored.workers.get(id) });
    if (lost !== undefined) return `worker ${worker.name} ${lost}`;
  }
  for (const kind of ["launches", "pools"] as const) {
    for (const [name, record] of whole[kind]) {
      const lost = fieldDifference({ ...record }, { ...restored[kind].get(name) });
      if (lost !== undefined) return `${name} of ${kind} ${lost}`;
    }
  }
  for (const [id, group] of whole.groups) {
    const other = restored.groups.get(id);
    const lost = other === undefined ? "is not there"
      : fieldDifference(groupFacts(group), groupFacts(other));
    if (lost !== undefined) return `agent run ${id} ${lost}`;
  }
  const left = ({ keys, letters }: State) => ({ keys: keys.toJSON(), letters: letters.toJSON() });
  const lost = fieldDifference(left(whole), left(restored));
  return lost === undefined ? undefined : `what is left of forgotten runs ${lost}`;
}

type Group = NonNullable<ReturnType<State["groups"]["get"]>>;

/** Its runs and jobs are compared on their own. */
function groupFacts({ runs, waiting, ...facts }: Group): Record<string, unknown> {
  const jobs = [...waiting].map((job) => `${job.run.id}/${job.spec.id}`);
  return { ...facts, runs: [...runs].map(({ id }) => id).sort(), waiting: jobs.sort() };
}

/**
 * Fields that point to the owner of a thing or to its parts: compared on their own, or by the hash.
 */
const PARTS: ReadonlySet<string> = new Set(["run", "jobs", "dag", "spec", "group"]);

function fieldDifference(
  whole: Readonly<Record<string, unknown>>,
  restored: Readonly<Record<string, unknown>>,
): string | undefined {
  const field = Object.keys(whole).find(
    (name) => !PARTS.has(name) && !isDeepStrictEqual(whole[name], restored[name]),
  );
  return field === undefined
    ? undefined
    : `had ${field} ${JSON.stringify(whole[field])} and has ${JSON.stringify(restored[field])}`;
}
