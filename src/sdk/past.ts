/**
 * Lesson 10: the client's end of HISTORY: what was true at a moment, and what led there.
 *
 * Test: test/10-master.history.test.ts
 */
import {
  HistoryAsked, HistoryPage, Op, PAST_ROWS, PastFactsAsked, PastFactsPage, StepAsked, StepTold,
  type ChangedRows, type HistorySpan,
} from "#wire";
import type { Client } from "./client.ts";

/** A master, or whoever else reads its log. */
export type PastSource = Pick<Client, "parts">;

/** After a fact, at a time, or so many ms after the beginning of a run; with the jobs of a run. */
export interface PastMoment {
  readonly seq?: number | undefined;
  readonly at?: number | undefined;
  readonly after?: number | undefined;
  readonly run?: string | undefined;
  /** Rows of each kind, at most. */
  readonly limit?: number | undefined;
}

/** From which fact to which one the past can be told. */
export async function pastSpan(client: PastSource): Promise<HistorySpan> {
  const none = { first: 0, last: 0, firstAt: 0, lastAt: 0 };
  const found = await readMoment(client, {});
  return found.span ?? none;
}

/** @throws {RpcError} NOT_FOUND: it cannot be told, and why */
export async function readMoment(client: PastSource, which: PastMoment): Promise<HistoryPage> {
  const { seq, at, after, run, limit = PAST_ROWS } = which;
  const body = HistoryAsked.encode({ seq, at, after, run, limit });
  let found: HistoryPage | undefined;
  for await (const bytes of client.parts(Op.HISTORY, body)) {
    const page = HistoryPage.decode(bytes);
    if (found === undefined) found = page;
    else for (const key of ["runs", "jobs", "workers", "queue"] as const) {
      found[key].push(...page[key] as never[]);
    }
  }
  return found!;
}

export interface PastFactsRead {
  /** As the log has them, in order: each with its number and a sentence. */
  readonly facts: { readonly at: number }[];
  /** The number to go on with. Undefined: there is no more. */
  readonly next: number | undefined;
  /** The whole id of the run that was meant. */
  readonly run: string | undefined;
  /** Of each fact, if that was asked. */
  readonly changed: ChangedRows[];
}

export async function pastFacts(
  client: PastSource, asked: {
    from: number; limit: number; run?: string | undefined; changes?: boolean; words?: boolean;
  },
): Promise<PastFactsRead> {
  const facts: PastFactsRead["facts"] = [];
  const changed: ChangedRows[] = [];
  let [next, run]: [number | undefined, string | undefined] = [undefined, undefined];
  const { run: wanted, changes = false, words = false } = asked;
  const body = PastFactsAsked.encode({ ...asked, run: wanted, changes, words });
  for await (const bytes of client.parts(Op.HISTORY_FACTS, body)) {
    const page = PastFactsPage.decode(bytes);
    for (const { text } of page.facts) facts.push(JSON.parse(text));
    changed.push(...page.changed);
    [next, run] = [page.next, page.run];
  }
  return { facts, next, run, changed };
}

/** How one fact came about, and what it changed. */
export async function pastStep(client: PastSource, seq: number): Promise<object> {
  let text = "";
  for await (const bytes of client.parts(Op.HISTORY_STEP, StepAsked.encode({ seq }))) {
    text += StepTold.decode(bytes).text;
  }
  return JSON.parse(text) as object;
}
