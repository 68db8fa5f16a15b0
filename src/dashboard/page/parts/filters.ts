/**
 * Lesson 19: which runs are meant: what the address says, and what it makes of a list. Pure.
 *
 *     /runs?status=FAILED&name=nightly&since=24h
 *
 * Test: test/19-dashboard.shell.test.ts
 */
import type { Run } from "../rows.ts";

export const STATUSES = [
  "RUNNING", "SERVING", "PAUSED", "COMPLETED", "FAILED", "CANCELLED",
] as const;

const HOUR_MS = 3_600_000;
/** As the address has it, as a person reads it, and how long it is. */
export const PERIODS: readonly (readonly [key: string, text: string, ms: number])[] = [
  ["", "Any time", Infinity], ["1h", "The last hour", HOUR_MS],
  ["24h", "The last day", 24 * HOUR_MS],
  ["7d", "The last week", 7 * 24 * HOUR_MS],
];

export interface Filter {
  readonly status: string;
  /** Of a run's id or name: any part, in small letters. */
  readonly name: string;
  readonly since: string;
}

export function filterOf(query: URLSearchParams): Filter {
  const value = (name: string): string => query.get(name) ?? "";
  return { status: value("status"), name: value("name").toLowerCase(), since: value("since") };
}

export interface Found {
  /** Newest first. */
  readonly runs: readonly Run[];
  /** By status, how many there would be. */
  readonly counts: ReadonlyMap<string, number>;
  readonly total: number;
}

/** Ages are looked at so often: a run that is a moment too old harms nobody. */
const AGE_STEP_MS = 10_000;
let lastFound: { all: unknown; key: string; found: Found } | undefined;

/** The same rows and the same question have the same answer: a page is drawn more often. */
export function findRuns(
  all: ReadonlyMap<string, Run>, filter: Filter, now: number,
): Found {
  const period = PERIODS.find(([key]) => key === filter.since)?.[2] ?? Infinity;
  const age = period === Infinity ? 0 : Math.floor(now / AGE_STEP_MS);
  const key = JSON.stringify([filter, age]);
  if (lastFound?.all === all && lastFound.key === key) return lastFound.found;
  const found = search(all, filter, now - period);
  lastFound = { all, key, found };
  return found;
}

/** In small letters. Most runs stay what they are from one key to the next. */
const knownWords = new WeakMap<Run, string>();

function wordsOf(run: Run): string {
  let words = knownWords.get(run);
  if (words === undefined) {
    words = `${run.id}\n${run.name}`.toLowerCase();
    knownWords.set(run, words);
  }
  return words;
}

function search(
  all: ReadonlyMap<string, Run>, { status, name }: Filter, from: number,
): Found {
  const counts = new Map<string, number>();
  const runs: Run[] = [];
  let total = 0;
  for (const run of all.values()) {
    if (run.submittedAt < from) continue;
    if (name !== "" && !wordsOf(run).includes(name)) continue;
    total++;
    counts.set(run.status, (counts.get(run.status) ?? 0) + 1);
    if (status === "" || run.status === status) runs.push(run);
  }
  runs.sort((a, b) => b.submittedAt - a.submittedAt || (a.id < b.id ? 1 : -1));
  return { runs, counts, total };
}

