/**
 * Lesson 10: requests that change nothing, and what each of them is answered.
 *
 * Invariants: those of handlers.ts.
 * Test: test/10-master.test.ts
 */
import {
  findJob, findRun, isTerminal, launchOf, listedJobs, openGates, reasonOf, Refusal, runInfo,
  waitKind, workerInfo, type Run, type State, type Whys,
} from "#core";
import type { IncomingRequest } from "#rpc";
import {
  Info, InfoRequest, OutputPage, OutputRequest, MAX_PARENT_NAMES, PoolPage, Reasons, StatusPage,
  StatusRequest, Why, WorkerList, type GateInfo, type JobInfo, type JobReason, type LaunchInfo,
  type PoolInfo,
} from "#wire";
import { answerError } from "./answer-error.ts";
import { list } from "./lists.ts";
import type { Pace } from "./output.ts";
import { jobBytes, jobRows, poolBytes } from "./pages.ts";
import type { Peer, Services } from "./services.ts";

/**
 * Reasons in one answer: questions of gates can be 16 KiB each, and the answer has to fit
 * into a frame.
 */
const MAX_WHY_BYTES = 4 * 1024 * 1024;

/** All that waits for a person; for a job, as far as it is in its own run. */
export function* gatesFor(state: State, { scope }: Peer): Generator<GateInfo> {
  for (const { job, info } of openGates(state)) {
    if (scope === undefined || job.run.number === scope.run) yield info();
  }
}

export async function status(
  services: Services, request: IncomingRequest, peer: Peer,
): Promise<void> {
  const { engine } = services;
  const { run: id, job, only } = StatusRequest.decode(request.body);
  const run = findRun(engine.state, id);
  const jobs = job !== undefined ? [findJob(run, job)]
    : only.length === 0 ? run.jobs : only.map((each) => findJob(run, each));
  let isFirst = true;
  const encode = (rows: JobInfo[]): Buffer => {
    const first = isFirst;
    isFirst = false;
    const isNamed = first && job !== undefined && rows[0]!.dependsOn.length <= MAX_PARENT_NAMES;
    const named = isNamed ? rows[0]!.dependsOn : [];
    const parents = named.map((index) => run.jobs[index]!.spec.id);
    return StatusPage.encode({ run: first ? runInfo(run) : undefined, jobs: rows, parents });
  };
  await list(services, request, { peer, rows: jobRows(engine, jobs), bytesOf: jobBytes, encode });
}

/**
 * Costs what was asked for, whatever the size of the run. The question is as long as the answer, so
 * it is decoded in its turn, too.
 */
export function why(
  { engine, turns }: Services, request: IncomingRequest, { connection }: Peer,
): Promise<void> {
  return turns.reply(request, connection, async () => {
    const { run: id, jobs } = Why.decode(request.body);
    const run = findRun(engine.state, id);
    const body = Reasons.encode({ reasons: reasonsOf(engine, run, jobs) });
    // The reasons may follow from events that are not durable yet.
    await engine.readable();
    return body;
  });
}

function reasonsOf(engine: Services["engine"], run: Run, jobs: readonly number[]): JobReason[] {
  const reasons: JobReason[] = [];
  const whys: Whys = new Map();
  let bytes = 0;
  for (const index of jobs) {
    const job = run.jobs[index];
    const kind = job === undefined ? undefined : waitKind(engine.state, job, whys);
    if (job === undefined || kind === undefined) continue;
    const reason = reasonOf(engine.state, job, engine.context.now, whys);
    bytes += 3 * reason.length;
    if (bytes > MAX_WHY_BYTES) break;
    reasons.push({ index, kind, reason });
  }
  return reasons;
}

/** Pools, then their workers. */
export function listPools(services: Services, request: IncomingRequest, peer: Peer): Promise<void> {
  const { fleet } = services;
  function* rows(): Generator<PoolInfo | LaunchInfo> {
    yield* fleet.rows();
    yield* fleet.launchRows();
  }
  return list(services, request, {
    peer, rows: rows(), bytesOf: poolBytes,
    encode: (page) => PoolPage.encode({
      pools: page.filter((row): row is PoolInfo => "why" in row),
      launches: page.filter((row): row is LaunchInfo => "orderedAt" in row),
    }),
  });
}

export function listWorkers(
  { engine, host, workers, turns }: Services, request: IncomingRequest, { connection }: Peer,
): Promise<void> {
  return turns.reply(request, connection, async () => {
    const { state } = engine;
    const now = host.clock.monotonic();
    const jobsEach = listedJobs(state.workers.size);
    const rows = [...state.workers.values()].map((worker) => {
      const link = workers.links.get(worker.id);
      const { remote = "" } = link?.connection ?? {};
      const unknown = { beatLateMs: undefined, beatLateMaxMs: undefined };
      const lateness = link?.lateness ?? unknown;
      const { pool } = launchOf(state, worker.id) ?? {};
      const connected = link !== undefined;
      const known = workerInfo(worker, { remote, connected, pool }, jobsEach);
      const heardMs = link === undefined ? undefined : Math.max(0, Math.round(now - link.heardAt));
      const row = { ...known, ...lateness, heardMs };
      // Whether a person drains it or it stops by itself, people are told one thing: it gets
      // nothing new.
      return link?.leaving === true ? { ...row, draining: true } : row;
    });
    const body = WorkerList.encode({ workers: rows });
    await engine.readable();
    return body;
  });
}

const HASHING = "hash the state";

/** Tells what is durable when the answer leaves: the log says the same. */
export async function info(services: Services, request: IncomingRequest): Promise<void> {
  const { engine, version, startedAt, dir, pid } = services;
  const { hash } = InfoRequest.decode(request.body);
  if (hash) engine.checkRoom(HASHING);
  const made = hash ? await engine.hash() : undefined;
  engine.answer(() => {
    const { nextSeq } = engine;
    // The disk has turned out to be full meanwhile.
    if (made !== undefined && made.nextSeq > nextSeq) {
      return answerError(request, engine.noRoom(HASHING));
    }
    request.reply(Info.encode({
      version, pid, startedAt, state: dir,
      nextSeq: made?.nextSeq ?? nextSeq,
      runs: engine.state.runs.size,
      workers: engine.state.workers.size,
      stateHash: made?.hash ?? "",
      now: services.host.clock.wall(),
      refused: services.workers.stale,
      full: engine.full?.message ?? "",
      lettersDropped: engine.state.letters.dropped,
    }));
  });
}

export async function logs(
  services: Services, request: IncomingRequest, { connection }: Peer,
): Promise<void> {
  const { engine, turns } = services;
  const asked = OutputRequest.decode(request.body);
  const { run: id, job: jobId, attempt, follow, lastBytes, from } = asked;
  const run: Run = findRun(engine.state, id);
  const job = findJob(run, jobId);
  const wanted = attempt === 0 ? Math.max(1, job.attempt) : attempt;
  // A reader who follows may be here before the next attempt is.
  const next = follow && !isTerminal(job.status) ? 1 : 0;
  if (wanted > Math.max(1, job.attempt + next)) {
    const found = `its latest attempt is ${job.attempt}, not ${wanted}`;
    throw new Refusal("NOT_FOUND", `Cannot read output of ${id}/${jobId}: ${found}`);
  }
  const key = { run: run.number, job: job.index, attempt: wanted };
  const isLatest = (): boolean => job.attempt === wanted && job.status === "RUNNING";
  const mayGrow = (): boolean =>
    follow && (job.attempt < wanted ? !isTerminal(job.status) : isLatest());
  const pace = (): ReturnType<Pace> => turns.pace(request, connection);
  const reader = services.output.read(key, mayGrow, { pace, lastBytes, from });
  request.onCancel(() => reader.stop());
  for await (const chunks of reader) request.item(OutputPage.encode({ chunks }));
  request.end();
}
