/**
 * Lesson 10: facts of the past, from the log on disk, for somebody who has missed some.
 *
 * Events have numbers for names. The names are those of the state, which is later than the events,
 * and of the events themselves; one that nobody knows any more makes the gap one that cannot be
 * told.
 *
 * Invariants: the facts of a gap come whole and in order, or not at all; reading it takes a bounded
 * amount of memory.
 * Test: test/10-master.facts.test.ts
 */
import { Event, eventJson, Names, runOf, type EventNames } from "#core";
import { LogError, type Log } from "#log";
import type { Fact, Touched } from "#wire";

/** A fact that waits for those who follow. */
export interface KeptFact {
  readonly fact: Fact;
  /** What it costs in memory. */
  readonly bytes: number;
  /** What has changed up to this fact since one that said so. */
  readonly touched: Touched[];
}

/** Of one gap: a minute of a busy cluster. A reader that was away for longer looks at it anew. */
export const MAX_PAST_FACTS = 50_000;
const MAX_PAST_BYTES = 32 * 1024 * 1024;

/** Thrown through the log's reading, to end it. */
const ENOUGH = Symbol("enough");

/** What numbers mean, as far as it is known. */
export interface KnownNames {
  run(number: number): string | undefined;
  jobId(key: { readonly run: number; readonly job: number }): string | undefined;
  workerName(number: number): string | undefined;
}

interface Gap {
  readonly log: Log;
  readonly names: KnownNames;
  /** `to` is not part of it. */
  readonly range: { readonly from: number; readonly to: number };
}

/** Undefined: it cannot be told any more. */
export async function readPast({ log, names, range }: Gap): Promise<KeptFact[] | undefined> {
  const { from, to } = range;
  if (to - from > MAX_PAST_FACTS) return undefined;
  const facts: KeptFact[] = [];
  const past = new PastNames(names);
  const latest = new Map<string, KeptFact>();
  let bytes = 0;
  try {
    await log.replay((seq, body) => {
      if (seq >= to) throw ENOUGH;
      const event = Event.decode(body);
      const fact = past.fact(seq, event);
      facts.push(fact);
      for (const run of past.runsOf(event)) latest.set(run, fact);
      bytes += fact.bytes;
      if (past.hasUnknown || bytes > MAX_PAST_BYTES) throw ENOUGH;
    }, { from });
  } catch (error) {
    if (isGone(error)) return undefined;
    if (error !== ENOUGH) throw error;
  }
  if (facts.length < to - from || past.hasUnknown) return undefined;
  // Which jobs these facts have changed is not in the log.
  for (const [run, { touched }] of latest) touched.push({ run, jobs: [], all: true });
  return facts;
}

/** A snapshot has taken its place, or takes it now. */
function isGone(error: unknown): boolean {
  if (error instanceof LogError) return error.code === "GAP";
  return (error as { code?: unknown }).code === "ENOENT";
}

class PastNames implements EventNames {
  readonly #known: KnownNames;
  /** From the events themselves: runs that have come and gone since. */
  readonly #learned = new Names();
  hasUnknown = false;

  constructor(known: KnownNames) {
    this.#known = known;
  }

  fact(seq: number, event: Event): KeptFact {
    this.#learned.learn(event);
    return keptFact(seq, event, this);
  }

  /** The runs that this event is about, by their ids. */
  runsOf(event: Event): string[] {
    if ("runs" in event) return event.runs.map((run) => this.run(run));
    const run = runOf(event);
    return run === undefined ? [] : [this.run(run)];
  }

  run(number: number): string {
    return this.#known.run(number) ?? this.#learned.runId(number) ?? this.#unknown(number);
  }

  jobId(key: { run: number; job: number }): string {
    const known = this.#known.jobId(key);
    if (known !== undefined) return known;
    if (this.#learned.runId(key.run) === undefined) return this.#unknown(key.job);
    return this.#learned.jobId(key);
  }

  workerName(number: number): string | undefined {
    return this.#known.workerName(number) ?? this.#learned.workerName(number);
  }

  #unknown(number: number): string {
    this.hasUnknown = true;
    return `${number}`;
  }
}

/** Of a fact in memory, beside its text. */
const KEPT_BYTES = 200;

/** With its number in front, as it is told. */
export function keptFact(seq: number, event: Event, names: EventNames): KeptFact {
  const text = JSON.stringify({ seq, ...eventJson(event, names) });
  const number = runOf(event);
  const run = number === undefined ? undefined : names.run(number);
  return kept({ type: event.type, run, text, times: 1 });
}

/**
 * Without its text. One that is like the one before is the same object: a busy master has
 * thousands of them in a second.
 */
export function bareFact(type: string, run: string | undefined, before?: KeptFact): KeptFact {
  const isSame = before?.fact.text === "" && before.fact.type === type && before.fact.run === run;
  return isSame ? before : kept({ type, run, text: "", times: 1 });
}

function kept(fact: Fact): KeptFact {
  return { fact, bytes: KEPT_BYTES + 2 * fact.text.length, touched: [] };
}

/** Bare ones in a row that are the same, as one. */
export function inRows(facts: readonly KeptFact[]): Fact[] {
  const rows: Fact[] = [];
  let [last, before]: [Fact | undefined, Fact | undefined] = [undefined, undefined];
  for (const { fact } of facts) {
    if (last !== undefined && (fact === before || isSame(last, fact))) last.times += 1;
    else rows.push(last = { ...fact });
    before = fact;
  }
  return rows;
}

function isSame(one: Fact, other: Fact): boolean {
  return one.text === "" && other.text === "" && one.type === other.type && one.run === other.run;
}
