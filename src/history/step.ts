/**
 * Lesson 10: how one fact came about, and what it changed: decide → append → apply → effects.
 *
 * Test: test/10-master.history.test.ts
 */
import { eventJson, type Job, type State } from "#core";
import { stepOn, type Cursor, type Written } from "./cursor.ts";
import { sentenceOf } from "./facts.ts";
import type { PastNames } from "./names.ts";

/** A difference that a fact has made. Null: it was not there, or is not there any more. */
export interface Change {
  readonly what: string;
  readonly before: string | null;
  readonly after: string | null;
}

export interface StepTold {
  readonly seq: number;
  readonly fact: object;
  readonly text: string;
  /** Commands from which such a fact follows, as far as the log can say it. */
  readonly decide: { readonly commands: readonly string[]; readonly text: string };
  /** Bytes on the disk. */
  readonly append: { readonly seq: number; readonly bytes: number; readonly type: string };
  readonly apply: readonly Change[];
  /** Changes beyond those. */
  readonly more: number;
  readonly effects: readonly { readonly type: string; readonly text: string }[];
}

const MAX_CHANGES = 100;

/** Takes the next fact: the cursor stands behind it afterwards. */
export function tellStep(cursor: Cursor, fact: Written, names: PastNames): StepTold {
  const { event, place: { seq }, bytes } = fact;
  const text = sentenceOf(seq, event, names);
  const apply = changesOf(cursor, fact);
  return {
    seq, text, fact: { seq, ...eventJson(event, names), text },
    decide: { commands: [], text: "" },
    append: { seq, bytes, type: event.type },
    apply: apply.slice(0, MAX_CHANGES), more: Math.max(0, apply.length - MAX_CHANGES), effects: [],
  };
}

function changesOf(cursor: Cursor, fact: Written): Change[] {
  const { state } = cursor;
  const touched = new Map<Job, string>();
  const before = (job: Job): void => {
    if (!touched.has(job)) touched.set(job, said(state, job));
  };
  state.keepers = [{ before }];
  stepOn(cursor, fact);
  state.keepers = [];
  return [...touched].flatMap(([job, before]) => {
    const after = said(state, job);
    if (after === before) return [];
    return [{ what: `job ${job.run.id}/${job.spec.id}`, before, after }];
  });
}

/** A job in short words. */
function said(state: State, { status, attempt, worker }: Job): string {
  const where = worker === 0 ? "" : ` on ${state.workers.get(worker)?.name ?? `#${worker}`}`;
  return attempt === 0 ? status : `${status}, attempt ${attempt}${where}`;
}
