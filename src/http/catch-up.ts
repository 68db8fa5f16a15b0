/**
 * Lesson 19: a reader that is new, or back after a gap, or was slow: what it needs before it can be
 * told what happens.
 *
 *     short gap     its facts, and the rows of what they touched
 *     none, long,   everything as it stands
 *     or unknown
 *
 * Invariants: no message has an id before its reader has everything up to it; a snapshot is made
 * once for all who come within SHARED_MS.
 * Test: test/http.events.test.ts
 */
import type { Host } from "#host";
import { runJson } from "#rows";
import { RpcError } from "#rpc";
import type { Client } from "#sdk";
import {
  lacksText, message, news, NO_ROWS, type Interest, type SeenFact, type SeenRows,
} from "./frames.ts";
import type { Reader } from "./reader.ts";
import type { RecentFacts } from "./recent.ts";
import { Touches, type RowReader } from "./touched.ts";

/** Of a gap that is told: beyond, a snapshot is shorter. */
export const MAX_GAP_FACTS = 5000;
/** Of a reader that was slow: as much as may wait for it. */
const MAX_LATE_CHARS = 256 * 1024;
const SHARED_MS = 2000;
const MAX_SHARED = 32;

export interface Sources {
  readonly host: Host;
  readonly client: Client;
  readonly recent: RecentFacts;
  readonly rows: RowReader;
  readonly version: string;
  /** Of the master. */
  readonly startedAt: number;
}

// #region come
export async function catchUp(reader: Reader, from: Sources): Promise<void> {
  const { recent } = from;
  const wasSlow = !reader.isNew;
  if (reader.isNew) greet(reader, from);
  reader.isNew = false;
  // #exercise catchUp
  const isKnown = reader.at !== undefined && (await reaches(reader.at, reader.interest, from));
  const gap = isKnown ? recent.after(reader.at!) : undefined;
  const isLate = wasSlow && gap !== undefined && charsOf(gap) > MAX_LATE_CHARS;
  if (gap === undefined || isLate) await sendSnapshot(reader, from);
  else if (gap.length > 0) await sendGap(reader, gap, from);
  // #end-exercise
}
// #endregion

/** Without an id, or that of the reader itself: it does not know anything yet. */
function greet(reader: Reader, { host, recent, version, startedAt }: Sources): void {
  const seq = reader.at ?? recent.end;
  const hello = { seq, now: host.clock.wall(), version, startedAt };
  write(reader, message("hello", JSON.stringify(hello), reader.at), { host });
}

function charsOf(facts: readonly SeenFact[]): number {
  return facts.reduce((sum, { text }) => sum + text.length, 0);
}

// #region gap
/**
 * Whether all facts after this number are at hand. Those before the latest are in the log, and so
 * are all texts.
 */
async function reaches(
  seq: number, interest: Interest, { recent, client }: Sources,
): Promise<boolean> {
  if (seq > recent.end || recent.end - seq > MAX_GAP_FACTS) return false;
  const last = lacksText(interest, recent.after(seq)) ? recent.end : recent.start;
  if (seq >= last) return true;
  const facts: SeenFact[] = [];
  for await (const page of client.facts({ from: seq + 1 })) {
    if (page.reset) return false;
    for (const [at, { type, run, text }] of page.facts.entries()) {
      if (page.first + at > last) return recent.fill(facts);
      facts.push({ seq: page.first + at, type, run, text });
    }
    if (seq + facts.length >= last) return recent.fill(facts);
  }
  return false;
}

async function sendGap(
  reader: Reader, facts: readonly SeenFact[], from: Sources,
): Promise<void> {
  const { end } = from.recent;
  if (facts.every(isNarrow)) {
    const rows = await rowsAfter(facts, reader, from);
    write(reader, news(reader.interest, { facts, rows, end }), from);
  } else {
    // Everything, as it is behind these facts, and then they.
    await sendSnapshot(reader, from, { least: end, id: reader.at! });
    write(reader, news(reader.interest, { facts, rows: NO_ROWS, end }), from);
  }
  reader.at = end;
}

function rowsAfter(
  facts: readonly SeenFact[], { interest }: Reader, { rows }: Sources,
): Promise<SeenRows> {
  const touches = new Touches();
  touches.add(facts.flatMap(runsOf).map((run) => ({ run, jobs: [], all: true })));
  return rows.read(touches.asked(new Set(interest.runs)));
}
// #endregion

/** Facts that change other runs than they name, or more of them. */
const WIDE: ReadonlySet<string> = new Set([
  "BudgetReached", "BudgetRaised", "UpdateDone", "UpdateFailed", "NameLetGo",
]);

/** The runs that a fact is about. */
function runsOf(fact: SeenFact): readonly string[] {
  return fact.run === undefined ? forgottenOf(fact).runs : [fact.run];
}

function isNarrow(fact: SeenFact): boolean {
  const { runs, count } = forgottenOf(fact);
  return !WIDE.has(fact.type) && runs.length === count;
}

/** A fact names the first of them, and says how many there are. */
function forgottenOf({ type, text }: SeenFact): { runs: string[]; count: number } {
  if (type !== "RunsForgotten" && type !== "RunsLetGo") return { runs: [], count: 0 };
  return JSON.parse(text) as { runs: string[]; count: number };
}

// #region snapshot
/** Everything as it stands, which is the truth at number `at` or later. */
interface Shared {
  readonly at: number;
  readonly madeAt: number;
  /** The message, without its id. */
  readonly bytes: Buffer;
}

const shared = new WeakMap<RecentFacts, Map<string, Shared>>();

interface As {
  readonly least?: number;
  readonly id?: number;
}

/**
 * What somebody else was sent a moment ago, and the rows of what has changed since. `least`: not
 * older than this. `id`: what it has in place of its own, because more belongs to it.
 */
async function sendSnapshot(reader: Reader, from: Sources, as: As = {}): Promise<void> {
  const { least = 0, id } = as;
  const { recent } = from;
  const { end } = recent;
  let parts = await partsOf(reader, least, from);
  let late = recent.after(Math.min(...parts.map(({ at }) => at)));
  if (!late.every(isNarrow)) {
    parts = await partsOf(reader, end, from);
    late = [];
  }
  const rows = late.length === 0 ? NO_ROWS : await rowsAfter(late, reader, from);
  const tail = news(reader.interest, { facts: [], rows, end });
  for (const [index, { bytes }] of parts.entries()) {
    if (index === parts.length - 1 && tail === "") write(reader, `id: ${id ?? end}\n`, from);
    reader.write(bytes, from.host.clock.monotonic());
  }
  write(reader, tail, from);
  reader.at = end;
}

async function partsOf(reader: Reader, least: number, from: Sources): Promise<Shared[]> {
  const parts = [await sharedPart("", { least, from, make: () => allRuns(from) })];
  for (const run of reader.interest.runs) {
    parts.push(await sharedPart(run, { least, from, make: () => oneRun(run, from) }));
  }
  return parts;
}

interface Part {
  readonly least: number;
  readonly from: Sources;
  readonly make: () => Promise<string>;
}

async function sharedPart(key: string, { least, from, make }: Part): Promise<Shared> {
  const { host, recent } = from;
  const known = shared.get(recent) ?? new Map<string, Shared>();
  shared.set(recent, known);
  const madeAt = host.clock.monotonic();
  const old = known.get(key);
  const isFresh = old !== undefined && madeAt - old.madeAt < SHARED_MS;
  if (isFresh && old.at >= Math.max(least, recent.start)) return old;
  const made = { at: recent.end, madeAt, bytes: Buffer.from(await make()) };
  known.delete(key); // the newest is last
  known.set(key, made);
  const [oldest] = known.keys();
  if (known.size > MAX_SHARED) known.delete(oldest!);
  return made;
}

async function allRuns({ client, recent }: Sources): Promise<string> {
  const seq = recent.end;
  const runs = (await client.runs()).reverse().map(runJson);
  return message("snapshot", JSON.stringify({ seq, runs }));
}

/** A run that is not known is gone, however it is asked for. */
async function oneRun(run: string, { client, recent, rows }: Sources): Promise<string> {
  const seq = recent.end;
  try {
    return message("snapshot", JSON.stringify({ seq, ...(await rows.jobs(client, run)) }));
  } catch (error) {
    if (!(error instanceof RpcError) || error.code !== "NOT_FOUND") throw error;
    return message("rows", JSON.stringify({ seq, gone: [run] }));
  }
}
// #endregion

function write(reader: Reader, text: string, { host }: Pick<Sources, "host">): void {
  if (text !== "") reader.write(Buffer.from(text), host.clock.monotonic());
}
