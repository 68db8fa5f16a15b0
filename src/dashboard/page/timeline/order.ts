/**
 * Lesson 19: the order of a timeline's rows, and when anything happened, at one moment after
 * another of a run with thousands of jobs.
 *
 *     by begin   c  a  d │ b  e        the same at all moments: those that have begun by then
 *     at `now`   c  a  d   0 1 …       are its first part, and the rest follow as they are numbered
 *
 * Somebody who drags through the past wants sixty pictures a second. So what the facts say is
 * sorted once, and a picture makes bars only for rows of which the facts do not say all.
 *
 * Test: test/19-dashboard.run.test.ts
 */
import type { Attempts } from "./attempts.ts";
import { barsOf, type TimedJob } from "./bars.ts";
import type { Span } from "./scale.ts";

interface TimedRow extends TimedJob {
  readonly id: string;
}

export interface Ordered {
  /** Numbers of rows, the first one first. */
  readonly order: Uint32Array;
  /** When something happened, up to the moment. */
  readonly spans: readonly Span[];
  /** Rows whose bars had to be made for that. */
  readonly looked: number;
}

/** What the facts say of each row, by its number. */
interface Told {
  readonly facts: number;
  readonly rows: number;
  /** When it began; Infinity: they do not say. */
  readonly begins: Float64Array;
  /** The latest of its attempts, if they say when it ended. */
  readonly ended: Uint32Array;
  readonly order: Uint32Array;
}

const known = new WeakMap<Attempts, Told>();

function toldOf(attempts: Attempts, rows: readonly TimedRow[]): Told {
  const old = known.get(attempts);
  if (old !== undefined && old.facts === attempts.size && old.rows === rows.length) return old;
  const begins = Float64Array.from(rows, ({ id }) => attempts.beginOf(id) ?? Infinity);
  const ended = Uint32Array.from(rows, ({ id }) => attempts.endedOf(id));
  const order = Uint32Array.from(rows.keys());
  order.sort((a, b) => (begins[a]! === begins[b]! ? a - b : begins[a]! - begins[b]!));
  const told = { facts: attempts.size, rows: rows.length, begins, ended, order };
  known.set(attempts, told);
  return told;
}

export function ordered(
  rows: readonly TimedRow[], { attempts, now }: { attempts: Attempts; now: number },
): Ordered {
  const told = toldOf(attempts, rows);
  const { begins, ended } = told;
  const spans: Span[] = attempts.busyUntil(now);
  const began = new Map<number, number>();
  let looked = 0;
  for (let at = 0; at < rows.length; at++) {
    const row = rows[at]!;
    if (row.startedAt === null) continue;
    const isTold = begins[at]! <= now;
    // Of a gate the facts of attempts say nothing.
    if (isTold && row.attempt <= ended[at]! && row.waitedMs === null) continue;
    looked += 1;
    const bars = barsOf(row, now);
    spans.push(...bars);
    if (isTold || bars[0] === undefined || bars[0].from > now) continue;
    began.set(at, bars[0].from);
  }
  return { order: orderAt(told, now, began), spans, looked };
}

/** `began`: rows that have begun though the facts do not say so, and when. */
function orderAt({ begins, order }: Told, now: number, began: ReadonlyMap<number, number>) {
  const found = new Uint32Array(order.length);
  const count = begun(begins, order, now);
  found.set(order.subarray(0, count));
  let next = count;
  for (const at of began.keys()) found[next++] = at;
  const beginOf = (at: number): number => began.get(at) ?? begins[at]!;
  if (began.size > 0) {
    found.subarray(0, next).sort((a, b) => beginOf(a) - beginOf(b) || a - b);
  }
  for (let at = 0; at < begins.length; at++) {
    if (begins[at]! > now && !began.has(at)) found[next++] = at;
  }
  return found;
}

/** How many rows have begun: found by halving. */
function begun(begins: Float64Array, order: Uint32Array, now: number): number {
  let [low, high] = [0, order.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (begins[order[middle]!]! <= now) low = middle + 1;
    else high = middle;
  }
  return low;
}
