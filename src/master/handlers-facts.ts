/**
 * Lesson 10: requests of those who follow a whole cluster: the log's facts, and the rows that these
 * have changed; and what the master measures.
 *
 * Invariants: those of handlers.ts.
 * Test: test/10-master.facts.test.ts
 */
import { jobInfo, runInfo, type Run, type State } from "#core";
import {
  FactsAsked, JOB_STATUSES, Metrics, Op, RowsAsked, RowsPage, RUN_STATUSES, type JobInfo,
  type RunInfo, type Touched,
} from "#wire";
import { countsOf } from "./counts.ts";
import { list } from "./lists.ts";
import { jobBytes, runBytes } from "./pages.ts";
import type { Handler, Services } from "./services.ts";

export const FACT_HANDLERS: Readonly<Record<number, Handler>> = {
  [Op.FACTS]: ({ facts }, request, { connection }) =>
    facts.follow(request, connection, FactsAsked.decode(request.body)),
  [Op.METRICS]: (services, request) => request.reply(Metrics.encode(metricsOf(services))),
  [Op.ROWS]: (services, request, peer) => list(services, request, {
    peer,
    rows: rowsOf(services, RowsAsked.decode(request.body).runs),
    bytesOf: rowBytes,
    encode: (rows) => RowsPage.encode({
      runs: rows.flatMap((row) => "info" in row ? [row.info] : []),
      jobs: rows.filter((row) => "job" in row),
      gone: rows.flatMap((row) => "gone" in row ? [row.gone] : []),
    }),
  }),
};

type Row = { info: RunInfo } | { run: string; job: JobInfo } | { gone: string };

/** As they are when each of them is made. */
function* rowsOf({ engine }: Services, asked: readonly Touched[]): Generator<Row> {
  for (const { run: id, jobs, all } of asked) {
    const run = engine.state.runsById.get(id);
    if (run === undefined) {
      yield { gone: id };
      continue;
    }
    yield { info: runInfo(run) };
    for (const index of all ? run.jobs.keys() : jobs) yield* jobRow(engine, run, index);
  }
}

function* jobRow(engine: Services["engine"], run: Run, index: number): Generator<Row> {
  const job = run.jobs[index];
  if (job === undefined) return;
  yield { run: run.id, job: jobInfo(engine.state, job, engine.context.now) };
}

function rowBytes(row: Row): number {
  if ("info" in row) return runBytes(row.info);
  return "job" in row ? jobBytes(row.job) : 3 * row.gone.length;
}

function metricsOf(services: Services): Metrics {
  const { engine, facts, startedAt, version } = services;
  const { connections, requests, gates } = countsOf(services);
  const { bytes, appends, segments } = engine.logStats;
  return {
    ...sums(engine.state), ...facts.meter.told, logBytes: bytes, logRecords: appends,
    logSegments: segments, lastSeq: engine.nextSeq - 1, backlogBytes: engine.backlogBytes,
    stateBytes: engine.state.bytes, connections, requests, gates, startedAt, version,
  };
}

function sums(state: State): Pick<Metrics, "runs" | "jobs"> {
  const jobs = JOB_STATUSES.map(() => 0);
  const runs = RUN_STATUSES.map(() => 0);
  for (const { status, counts } of state.runs.values()) {
    runs[RUN_STATUSES.indexOf(status)]! += 1;
    for (const [at, count] of counts.entries()) jobs[at]! += count;
  }
  return { runs, jobs };
}
