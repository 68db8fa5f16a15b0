/**
 * Lesson 19: the routes under /api/v1/history: the rows of a moment in the past, and the facts that
 * led there, each with its number in the log. The page's time travel asks them; `titan replay` asks
 * the master without HTTP, or reads the log in a folder.
 *
 * Test: test/http.history.test.ts
 */
import {
  any, changedJson, integer, jobJson, list, object, orNull, runJson, shapes, text, time, workerJson,
} from "#rows";
import { pastFacts, pastSpan, pastStep, readMoment } from "#sdk";
import { numberOf } from "./reads.ts";
import { HttpError, type Asked, type Route } from "./route.ts";

const { job, pastStep: step, queueRow, run, worker } = shapes;

/** Rows of each kind, and facts. */
const ROWS = 1000;
const MAX_ROWS = 100_000;
const FACTS = 200;
const MAX_FACTS = 10_000;
const MAX_SEQ = Number.MAX_SAFE_INTEGER;

export const HISTORY: readonly Route[] = [
  {
    method: "GET", path: "/api/v1/history",
    summary: "From the state after which fact to the state after which one the past can be told.",
    answer: object({
      first: integer, last: integer, firstAt: orNull(time), lastAt: orNull(time),
    }),
    run: async ({ client }) => {
      const { firstAt, lastAt, ...facts } = await pastSpan(client);
      return { ...facts, firstAt: firstAt || null, lastAt: lastAt || null };
    },
  },
  {
    method: "GET", path: "/api/v1/history/at",
    summary: "What was true after a fact, or at a time: the rows of then.",
    query: {
      seq: "the number of the fact", at: "or the time: ISO 8601, or ms since 1970",
      run: "also the jobs of this run, by its id or the beginning of one",
      limit: `at most so many runs and jobs (default ${ROWS}, at most ${MAX_ROWS})`,
    },
    answer: object({
      seq: integer, at: orNull(time), runs: list(run), moreRuns: integer, workers: list(worker),
      queue: list(queueRow), "run?": text, "jobs?": list(job), "moreJobs?": integer,
    }),
    run: momentOf,
  },
  {
    method: "GET", path: "/api/v1/history/facts",
    summary: "Facts as the log has them, each with its number and a sentence.",
    query: {
      from: "the number of the first one (default: the earliest)",
      limit: `at most so many (default ${FACTS}, at most ${MAX_FACTS})`,
      run: "only those of this run, by its id or the beginning of one",
      changes: "1: each with the rows of the run that it has changed, without results",
    },
    answer: object({ facts: list(any), next: orNull(integer), "run?": text }),
    run: async ({ client, query }) => {
      const from = numberOf(query, "from", { usual: 1, max: MAX_SEQ });
      const limit = numberOf(query, "limit", { usual: FACTS, max: MAX_FACTS });
      const run = query.get("run") ?? undefined;
      const changes = query.get("changes") === "1";
      const { facts, next, changed, run: id } = await pastFacts(
        client, { from, limit, run, changes });
      return {
        facts: facts.map((fact, index) => ({
          ...fact, ...(changed[index] && { changed: changedJson(changed[index], fact.at) }),
        })),
        next: next ?? null, ...runKey(id),
      };
    },
  },
  {
    method: "GET", path: "/api/v1/history/step",
    summary: "How one fact came about, and what it changed: decide, append, apply, effects.",
    query: { seq: "the number of the fact" },
    answer: step,
    run: ({ client, query }) =>
      pastStep(client, numberOf(query, "seq", { usual: 0, max: MAX_SEQ })),
  },
];

function runKey(id: string | undefined): { run?: string } {
  return id === undefined ? {} : { run: id };
}

async function momentOf({ client, query }: Asked): Promise<object> {
  const limit = numberOf(query, "limit", { usual: ROWS, max: MAX_ROWS });
  const found = await readMoment(client, {
    ...whichOf(query), run: query.get("run") ?? undefined, limit,
  });
  const { seq, at, runs, workers, queue, run: id, jobs, moreRuns, moreJobs } = found;
  const ids = jobs.map((each) => each.id);
  const rows = jobs.map((each) =>
    jobJson(each, each.dependsOn.map((index) => ids[index]!), at ?? 0));
  return {
    seq, at: at ?? null, runs: runs.map(runJson), moreRuns, workers: workers.map(workerJson), queue,
    ...(id !== undefined && { run: id, jobs: rows, moreJobs }),
  };
}

/** @throws {HttpError} 400 */
function whichOf(query: URLSearchParams): { seq: number } | { at: number } {
  const at = query.get("at");
  if (at === null && query.get("seq") !== null) {
    return { seq: numberOf(query, "seq", { usual: 0, max: MAX_SEQ }) };
  }
  const ms = at === null ? NaN : /^\d{1,16}$/.test(at) ? Number(at) : Date.parse(at);
  if (ms >= 0 && query.get("seq") === null) return { at: ms };
  const found = at === null ? "neither is there" : `found ${JSON.stringify(at.slice(0, 100))}`;
  throw new HttpError(400, "BAD_REQUEST",
    `Cannot go back: seq must be the number of a fact, or at a time, and not both: ${found}`);
}
