/**
 * Lesson 19: what can be read. Each answer is a row of #rows, as `titan … --json` prints it.
 *
 * Test: test/http.test.ts
 */
import {
  any, deadJson, definitionJson, gateJson, grouped, groupJson, integer, jobJson, list, object,
  poolJson, runJson, shapes, text, time, workerJson,
} from "#rows";
import { RUN_STATUSES } from "#wire";
import { HttpError, type Asked, type Route } from "./route.ts";

const { dead, gate, job, pool, run, serviceGroup, worker } = shapes;

/** Runs of one page, unless somebody asks for another number. */
const RUNS_PER_PAGE = 100;
const MAX_RUNS = 10_000;

export const READS: readonly Route[] = [
  {
    method: "GET", path: "/api/v1/info", summary: "The master itself.",
    answer: object({
      version: text, pid: integer, startedAt: time, now: time, state: text, nextSeq: integer,
      runs: integer, workers: integer, refused: integer, full: text, lettersDropped: integer,
    }),
    run: async ({ client }) => {
      const { stateHash: _, ...info } = await client.info();
      return info;
    },
  },
  {
    method: "GET", path: "/api/v1/runs", summary: "Runs, the newest first.",
    query: {
      status: "only those of this status, or of these: failed,cancelled",
      name: "only those whose id or name begins so",
      since: "only those that were submitted at this time or later (ms since 1970)",
      limit: `at most so many (default ${RUNS_PER_PAGE}, at most ${MAX_RUNS})`,
    },
    answer: list(run), run: readRuns,
  },
  {
    method: "GET", path: "/api/v1/runs/{run}", summary: "A run and its jobs.",
    answer: object({ run, jobs: list(job) }),
    run: async (asked) => {
      const { client, path, host } = asked;
      await tellSeq(asked);
      const found = await client.status(path["run"]!);
      const ids = found.jobs.map(({ id }) => id);
      const now = host.clock.wall();
      const jobs = found.jobs.map((each) =>
        jobJson(each, each.dependsOn.map((index) => ids[index]!), now));
      return { run: runJson(found.run), jobs };
    },
  },
  {
    method: "GET", path: "/api/v1/runs/{run}/jobs/{job}", summary: "One job of a run.",
    answer: object({ run, job }),
    run: async ({ client, path, host }) => {
      const found = await client.status(path["run"]!, path["job"]);
      const [first] = found.jobs;
      return { run: runJson(found.run), job: jobJson(first!, found.parents, host.clock.wall()) };
    },
  },
  {
    method: "GET", path: "/api/v1/runs/{run}/definition",
    summary: "The pipeline of a run as it was submitted, without values of variables.",
    answer: object({ name: text, "version?": text, "agent?": any, jobs: list(any) }),
    run: async ({ client, path }) => definitionJson(await client.definition(path["run"]!)),
  },
  {
    method: "GET", path: "/api/v1/workers", summary: "Workers, and how busy they are.",
    answer: list(worker), run: async ({ client }) => (await client.workers()).map(workerJson),
  },
  {
    method: "GET", path: "/api/v1/pools", summary: "Pools of workers that the master can start.",
    answer: list(pool),
    run: async ({ client }) => {
      const { pools, launches } = await client.pools();
      return pools.map((each) => poolJson(each, launches));
    },
  },
  {
    method: "GET", path: "/api/v1/services", summary: "Services, with their replicas.",
    answer: list(serviceGroup),
    run: async ({ client, host }) => {
      const now = host.clock.wall();
      return grouped(await client.services()).map((group) => groupJson(group, now));
    },
  },
  {
    method: "GET", path: "/api/v1/gates", summary: "Gates that wait for a person.",
    answer: list(gate), run: async ({ client }) => (await client.gates()).map(gateJson),
  },
  {
    method: "GET", path: "/api/v1/waits",
    summary: "How long jobs have waited until they started, all together, since the start.",
    answer: object({ seconds: { type: "number" }, jobs: integer }),
    run: async ({ client }) => {
      const { sumUs, counts } = (await client.metrics()).waited;
      return { seconds: sumUs / 1e6, jobs: counts.reduce((sum, count) => sum + count, 0) };
    },
  },
  {
    method: "GET", path: "/api/v1/dead", summary: "Jobs whose retries are spent.",
    answer: list(dead), run: async ({ client }) => (await client.deadLetters()).map(deadJson),
  },
];

async function readRuns(asked: Asked): Promise<object[]> {
  const { client, query } = asked;
  const statuses = statusesOf(query.get("status") ?? "");
  const name = query.get("name") ?? "";
  const since = numberOf(query, "since", { usual: 0, max: Number.MAX_SAFE_INTEGER });
  const limit = numberOf(query, "limit", { usual: RUNS_PER_PAGE, max: MAX_RUNS });
  const found = [];
  await tellSeq(asked);
  for (const each of (await client.runs()).reverse()) {
    if (found.length === limit) break;
    if (statuses?.has(each.status) === false) continue;
    if (each.submittedAt < since) continue;
    if (each.id.startsWith(name) || each.name.startsWith(name)) found.push(runJson(each));
  }
  return found;
}

/**
 * As `titan runs --status` takes them. A word that is no status would find nothing, for ever.
 *
 * @throws {HttpError} 400
 */
function statusesOf(given: string): ReadonlySet<string> | undefined {
  if (given === "") return undefined;
  const words = given.split(",").map((word) => word.trim().toUpperCase());
  const known: ReadonlySet<string> = new Set(RUN_STATUSES);
  if (words.every((word) => known.has(word))) return new Set(words);
  const found = JSON.stringify(given.slice(0, 100));
  throw new HttpError(400, "BAD_REQUEST",
    `Cannot use status=${found}: there are ${RUN_STATUSES.join(", ")}`);
}

/** What follows has all that is in the log up to this number, and perhaps more. */
async function tellSeq({ client, tell }: Asked): Promise<void> {
  tell("x-titan-seq", String((await client.info()).nextSeq - 1));
}

/** @throws {HttpError} 400 */
export function numberOf(
  query: URLSearchParams, name: string, { usual, max }: { usual: number; max: number },
): number {
  const given = query.get(name);
  if (given === null) return usual;
  if (/^\d{1,16}$/.test(given) && Number(given) <= max) return Number(given);
  const found = JSON.stringify(given.slice(0, 100));
  throw new HttpError(400, "BAD_REQUEST",
    `Cannot use ${name}=${found}: must be a whole number from 0 to ${max}`);
}
