/**
 * Lesson 10: questions and answers as bytes, in the words of the wire: so that history can be told
 * in another thread than that of its asker.
 *
 * Test: test/10-master.history.test.ts
 */
import type { Host } from "#host";
import {
  HistoryAsked, HistoryPage, Op, PastFactsAsked, PastFactsPage, StepAsked, StepTold,
} from "#wire";
import type { CheckpointLimits } from "./checkpoints.ts";
import { History, type Moment } from "./history.ts";
import { rowsAt } from "./rows.ts";

const ROWS_PER_PAGE = 500;
const PAGE_BYTES = 256 * 1024;
const FACTS_PER_PAGE = 250;
/** Of a job's row, mostly. */
const ROW_BYTES = 200;
/** Facts of one answer. */
const MAX_FACTS = 10_000;
const MAX_ROWS = 100_000;

export interface HistoryQuestion {
  readonly kind: "moment" | "facts" | "step";
  readonly body: Buffer;
  /** Nothing behind this fact is told. */
  readonly until: number;
}

const KINDS: Readonly<Record<number, HistoryQuestion["kind"]>> = {
  [Op.HISTORY]: "moment", [Op.HISTORY_FACTS]: "facts", [Op.HISTORY_STEP]: "step",
};

/** A log in a folder that answers as a master would: for somebody without one. */
export function openPast(host: Host, dir: string, limits: Partial<CheckpointLimits> = {}) {
  const history = new History(host, dir, limits);
  return {
    async *parts(opcode: number, body: Buffer = Buffer.alloc(0)): AsyncGenerator<Buffer> {
      yield* await answerHistory(history, { kind: KINDS[opcode]!, body, until: Infinity });
    },
    close: () => history.close(),
  };
}

/** The pages of the answer. @throws {HistoryError} {LogError} {CodecError} */
export async function answerHistory(
  history: History, { kind, body, until }: HistoryQuestion,
): Promise<Buffer[]> {
  switch (kind) {
    case "moment": return momentPages(history, HistoryAsked.decode(body), until);
    case "facts": {
      const { limit, ...asked } = PastFactsAsked.decode(body);
      const found = await history.facts({ ...asked, limit: Math.min(limit, MAX_FACTS) }, until);
      const all = found.facts.map((fact, index) => ({ fact, changed: found.changed[index] }));
      const pages = chunks(all, ({ fact: { text }, changed }) =>
        text.length + ROW_BYTES * (changed?.jobs.length ?? 0), FACTS_PER_PAGE);
      return pages.map((page, index) => PastFactsPage.encode({
        facts: page.map(({ fact }) => fact), changed: page.flatMap(({ changed }) => changed ?? []),
        run: found.run?.id, next: index === pages.length - 1 ? found.next : undefined,
      }));
    }
    case "step": {
      const told = await history.step(StepAsked.decode(body).seq, until);
      return [StepTold.encode({ text: JSON.stringify(told) })];
    }
  }
}

const NOTHING: HistoryPage = {
  span: undefined, seq: undefined, at: undefined, run: undefined, runs: [], jobs: [], workers: [],
  queue: [], moreRuns: 0, moreJobs: 0, madeBy: 0, forgottenBy: undefined,
};

async function momentPages(
  history: History, asked: HistoryAsked, until: number,
): Promise<Buffer[]> {
  const isSpan = [asked.seq, asked.at, asked.after].every((each) => each === undefined);
  if (isSpan) return [HistoryPage.encode({ ...NOTHING, span: await history.span(until) })];
  const limit = Math.min(asked.limit, MAX_ROWS);
  return history.at(asked, (moment) => pagesOf(moment, limit), until);
}

function pagesOf({ seq, at, state, run }: Moment, limit: number): Buffer[] {
  const known = run === undefined ? undefined : state.runs.get(run.number);
  const { runs, jobs, workers, queue, moreRuns, moreJobs } =
    rowsAt(state, { run: known, limit, now: at ?? 0 });
  const head = {
    ...NOTHING, seq, at, run: run?.id, moreRuns, moreJobs,
    madeBy: run?.seq ?? 0, forgottenBy: run?.forgotten,
  };
  return [
    HistoryPage.encode({ ...head, queue }),
    ...chunks(workers, () => 0).map((page) => HistoryPage.encode({ ...NOTHING, workers: page })),
    ...chunks(runs, () => 0).map((page) => HistoryPage.encode({ ...NOTHING, runs: page })),
    ...chunks(jobs, ({ result }) => result?.length ?? 0)
      .map((page) => HistoryPage.encode({ ...NOTHING, jobs: page })),
  ];
}

/** At least one, which may be empty. */
function chunks<T>(all: readonly T[], bytesOf: (each: T) => number, most = ROWS_PER_PAGE): T[][] {
  const pages: T[][] = [];
  let page: T[] = [];
  let bytes = 0;
  for (const each of all) {
    page.push(each);
    bytes += bytesOf(each);
    if (page.length < most && bytes < PAGE_BYTES) continue;
    pages.push(page);
    page = [];
    bytes = 0;
  }
  if (page.length > 0 || pages.length === 0) pages.push(page);
  return pages;
}
