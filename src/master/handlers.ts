/**
 * Lesson 10: what each request does. A handler decodes it, asks the engine, and encodes the answer.
 *
 *     a change    decode ─▶ a command ─▶ engine.execute ─▶ the reply, once it is durable ─▶ encode
 *     a read      decode ─▶ what is true now ─▶ encode ─▶ wait until that is durable, too
 *
 * Invariants: a request has exactly one answer; no handler decides anything; an answer that may be
 * long is made page by page.
 * Test: test/10-master.test.ts
 */
import { deadLetters, findRun, roomForJobs, runInfo, servicesOf, serviceRow } from "#core";
import { RpcError, type IncomingRequest } from "#rpc";
import {
  Affected, Beat, BeatAnswer, BlobChunk, BlobHas, BlobPut, BlobRef, DeadPage, DecideGate, Decision,
  Drained, DrainWorker, GateList, HealthReport, JobRef, Launched, LaunchWorker, Op, Output, Retired,
  RetireWorker, RetryRun, RollbackService, RolledBack, RunList, RunRef, Scaled, ScaleService,
  SealedAddJobs, ServicePage, ServiceRef, ServicesMeant, StepPage, WatchRequest,
} from "#wire";
import { AGENT_CHANGES, AGENT_HANDLERS, AGENT_LISTS } from "./agents.ts";
import { isSystemError } from "./answer-error.ts";
import { getArtifact, listArtifacts, putArtifact, removeArtifacts } from "./artifacts.ts";
import { endStep, fork, startStep, stepRows } from "./handlers-agent.ts";
import { FACT_HANDLERS } from "./handlers-facts.ts";
import { PAST_HANDLERS, PAST_LONG } from "./handlers-past.ts";
import { gatesFor, info, listPools, listWorkers, logs, status, why } from "./handlers-reads.ts";
import { takeJobs } from "./intake.ts";
import { checkBacklog, JOB_HANDLERS } from "./job-handlers.ts";
import { list, mapped } from "./lists.ts";
import type { Pace } from "./output.ts";
import {
  definitionPages, gateBytes, letterBytes, runBytes, serviceBytes, stepBytes,
} from "./pages.ts";
import type { Handler, Peer, Services } from "./services.ts";
import { submit } from "./submit.ts";

export const HANDLERS: Readonly<Record<number, Handler>> = {
  ...AGENT_HANDLERS,
  ...FACT_HANDLERS,
  ...PAST_HANDLERS,
  [Op.PING]: (_services, request) => request.reply(),
  [Op.BEAT]: beat,

  // #region changes
  [Op.SUBMIT]: (services, request, { connection, uploads }) => {
    checkBacklog(services.engine);
    return submit(services, { request, uploads, peer: connection });
  },
  [Op.ADD_JOBS]: async ({ engine }, request) => {
    const { run, jobs: sealed, before } = SealedAddJobs.decode(request.body);
    checkBacklog(engine);
    const room = roomForJobs(engine.state, undefined, engine.context);
    const { jobs, bytes: jobBytes } = takeJobs(sealed, room);
    const added = await engine.execute({ type: "AddJobs", run, jobs, before, jobBytes });
    request.reply(Affected.encode(added));
  },
  [Op.CANCEL]: async ({ engine }, request) => {
    const target = JobRef.decode(request.body);
    request.reply(Affected.encode(await engine.execute({ type: "Cancel", ...target })));
  },
  [Op.RETRY]: async ({ engine }, request) => {
    const wish = RetryRun.decode(request.body);
    request.reply(Affected.encode(await engine.execute({ type: "Retry", ...wish })));
  },
  [Op.DRAIN]: async ({ engine }, request) => {
    const wish = DrainWorker.decode(request.body);
    request.reply(Drained.encode(await engine.execute({ type: "Drain", ...wish })));
  },
  [Op.DECIDE]: async ({ engine }, request) => {
    const answer = DecideGate.decode(request.body);
    request.reply(Decision.encode(await engine.execute({ type: "DecideGate", ...answer })));
  },
  // #endregion
  ...JOB_HANDLERS,
  [Op.STOP]: async ({ engine }, request) => {
    const wish = ServiceRef.decode(request.body);
    const meant = await engine.execute({ type: "Stop", ...wish });
    request.reply(ServicesMeant.encode(meant));
  },
  [Op.RESTART]: async ({ engine }, request) => {
    const wish = ServiceRef.decode(request.body);
    const meant = await engine.execute({ type: "Restart", ...wish });
    request.reply(ServicesMeant.encode(meant));
  },
  [Op.LAUNCH]: async ({ engine, fleet }, request) => {
    const { pool, by } = LaunchWorker.decode(request.body);
    request.reply(Launched.encode(await engine.execute(fleet.launchByPerson(pool, by))));
  },
  [Op.RETIRE]: async ({ engine }, request) => {
    const { worker, by } = RetireWorker.decode(request.body);
    const reason = `${by || "somebody"} retires it`;
    request.reply(Retired.encode(await engine.execute({ type: "Retire", worker, reason })));
  },
  [Op.SCALE]: async ({ engine }, request) => {
    checkBacklog(engine);
    const wish = ScaleService.decode(request.body);
    request.reply(Scaled.encode(await engine.execute({ type: "Scale", ...wish })));
  },
  [Op.ROLLBACK]: async ({ engine }, request) => {
    checkBacklog(engine);
    const wish = RollbackService.decode(request.body);
    request.reply(RolledBack.encode(await engine.execute({ type: "Rollback", ...wish })));
  },
  [Op.FORK]: (services, request) => {
    checkBacklog(services.engine);
    return fork(services, request);
  },
  [Op.STEP_START]: startStep,
  [Op.STEP_END]: endStep,
  [Op.HEALTH]: health,
  [Op.OUTPUT]: output,
  [Op.FINISHED]: ({ engine, workers }, request, { link }) => {
    if (link === undefined) throw notWorker("take a report");
    workers.finished(link, request.body);
    engine.whenDurable(() => request.reply());
  },

  [Op.RUNS]: (services, request, peer) => list(services, request, {
    peer,
    rows: mapped(services.engine.state.runs.values(), runInfo),
    bytesOf: runBytes,
    encode: (runs) => RunList.encode({ runs }),
  }),
  [Op.DEAD]: (services, request, peer) => peer.alone(() => list(services, request, {
    peer,
    rows: deadLetters(services.engine.state),
    bytesOf: letterBytes,
    encode: (letters) => DeadPage.encode({ letters }),
  })),
  [Op.GATES]: (services, request, peer) => list(services, request, {
    peer,
    rows: gatesFor(services.engine.state, peer),
    bytesOf: gateBytes,
    encode: (gates) => GateList.encode({ gates }),
  }),
  [Op.SERVICES]: (services, request, peer) => peer.alone(() => list(services, request, {
    peer,
    rows: mapped(servicesOf(services.engine.state), (job) =>
      serviceRow(services.engine.state, job, services.engine.context.now)),
    bytesOf: serviceBytes,
    encode: (rows) => ServicePage.encode({ rows }),
  })),
  [Op.POOLS]: listPools,
  [Op.STEPS]: (services, request, peer) => peer.alone(() => list(services, request, {
    peer,
    rows: stepRows(services, request),
    bytesOf: stepBytes,
    encode: (steps) => StepPage.encode({ steps }),
  })),
  [Op.DEFINITION]: (services, request, peer) => peer.alone(() => list(services, request, {
    peer, ...definitionPages(findRun(services.engine.state, RunRef.decode(request.body).run)),
  })),
  [Op.STATUS]: status,
  [Op.WATCH]: ({ engine, watchers }, request, { connection }) => {
    const { run, grows } = WatchRequest.decode(request.body);
    watchers.add(findRun(engine.state, run), request, { peer: connection, grows });
  },
  [Op.WHY]: why,
  [Op.LOGS]: logs,
  [Op.WORKERS]: listWorkers,
  [Op.INFO]: info,

  [Op.FORWARD]: ({ forwards }, request, { connection }) => forwards.open(request, connection),
  [Op.PULL]: ({ forwards }, request, { connection }) => forwards.pulled(request, connection),
  [Op.KV]: ({ desk }, request, { connection }) => desk.ask(request, connection),
  [Op.ARTIFACT_PUT]: putArtifact,
  [Op.ARTIFACT_GET]: getArtifact,
  [Op.ARTIFACTS]: listArtifacts,
  [Op.REMOVE_ARTIFACTS]: removeArtifacts,
  [Op.BLOB_HAS]: async ({ blobs }, request) => {
    const present = await blobs.has(BlobRef.decode(request.body).hash);
    request.reply(BlobHas.encode({ present }));
  },
  [Op.BLOB_PUT]: async (_services, request, { uploads }) => {
    const present = await uploads.put(BlobPut.decode(request.body));
    request.reply(BlobHas.encode({ present }));
  },
  [Op.BLOB_GET]: async ({ blobs, turns }, request, { connection }) => {
    const pace: Pace = () => turns.pace(request, connection);
    const { hash } = BlobRef.decode(request.body);
    for await (const data of blobs.read(hash, { pace })) request.item(BlobChunk.encode({ data }));
    request.end();
  },
};

/** What a master with a full disk refuses, and what each of them is called then. */
export const CHANGES: Readonly<Record<number, string>> = {
  ...AGENT_CHANGES,
  [Op.SUBMIT]: "submit",
  [Op.ADD_JOBS]: "add jobs",
  [Op.CANCEL]: "cancel",
  [Op.RETRY]: "retry",
  [Op.DRAIN]: "drain",
  [Op.DECIDE]: "decide",
  [Op.STOP]: "stop",
  [Op.RESTART]: "restart",
  [Op.LAUNCH]: "start a worker",
  [Op.RETIRE]: "retire a worker",
  [Op.SCALE]: "scale",
  [Op.ROLLBACK]: "roll back",
  [Op.FORK]: "fork",
  [Op.STEP_START]: "start a step",
  [Op.STEP_END]: "end a step",
  [Op.HEALTH]: "take news of a service",
  [Op.BLOB_PUT]: "take a file",
  [Op.REMOVE_ARTIFACTS]: "remove artifacts",
  [Op.FINISHED]: "take a report",
  [Op.SPAWN]: "add jobs",
  [Op.WAIT]: "wait",
  [Op.ASK]: "ask",
};

/** Those whose answers may be long, and that end by themselves. */
export const LONG: ReadonlySet<number> = new Set([
  Op.RUNS, Op.SERVICES, Op.POOLS, Op.STATUS, Op.WHY, Op.WORKERS, Op.DEAD, Op.GATES, Op.BLOB_GET,
  Op.STEPS, Op.DEFINITION, Op.ARTIFACT_GET, Op.ARTIFACTS, Op.ROWS, ...AGENT_LISTS, ...PAST_LONG,
]);

// ── from workers ─────────────────────────────────────────────────────────────────────────────────

function beat({ engine }: Services, request: IncomingRequest, { link }: Peer): void {
  const { runs, lateMs: beatLateMs, lateMaxMs: beatLateMaxMs } = Beat.decode(request.body);
  if (link !== undefined) link.lateness = { beatLateMs, beatLateMaxMs };
  const over = runs.filter((id) => engine.isOver(id));
  request.reply(BeatAnswer.encode({ over }));
}

/** Its host is what the worker says others can reach, or its address as we see it. */
function health(
  { engine }: Services, request: IncomingRequest, { link, connection }: Peer,
): void {
  if (link === undefined) throw notWorker("take news of a service");
  const report = HealthReport.decode(request.body);
  const host = link.advertise ?? connection.remote.replace(/:\d+$/, "").replace(/^\[|\]$/g, "");
  engine.commit({ type: "Health", worker: link.id, host, report });
  engine.whenDurable(() => request.reply());
}

async function output(services: Services, request: IncomingRequest, { link }: Peer): Promise<void> {
  const { engine, attemptOver } = services;
  const { chunks, ...key } = Output.decode(request.body);
  if (link === undefined) throw notWorker("take output");
  const job = engine.state.runs.get(key.run)?.jobs[key.job];
  // Output that nobody can ask for is dropped (the run was forgotten, say). Output that the disk
  // refuses is counted: the worker cannot help it.
  if (job !== undefined && key.attempt >= 1 && key.attempt <= job.attempt) {
    await services.output.append(key, chunks).catch(onlySystemErrors);
    if (job.attempt !== key.attempt || job.status !== "RUNNING") attemptOver(key);
  }
  request.reply();
}

function notWorker(doing: string): RpcError {
  return new RpcError("CONFLICT", `Cannot ${doing}: this connection belongs to no worker`);
}

function onlySystemErrors(error: unknown): void {
  if (!isSystemError(error)) throw error;
}
