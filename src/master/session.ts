/**
 * Lesson 10: one connection to the master, from HELLO to the end, and what each request does.
 *
 * The pattern of every handler: decode, decide, commit, and queue the answer behind the commit. A handler never awaits
 * the disk itself; the engine releases its answer when the facts behind it are durable.
 *
 * Invariants: nothing but HELLO is served before HELLO; a request has exactly one answer; an answer that may be long is made in
 * its turn, when there is room for it; what a peer sends wrong is answered, and what we do wrong stops the process.
 * Test: test/10-master.test.ts
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { TAG } from "#base";
import { CodecError } from "#codec";
import {
  deadJobs, deadLetter, decideAddJobs, decideCancel, decideDrain, decideGate, decideRetry,
  findJob, findRun, gateInfo, isTerminal, reasonOf, Refusal, roomForJobs, runInfo, waitKind,
  workerInfo, type Job, type Run,
} from "#core";
import { RpcError, type IncomingRequest, type RpcConnection } from "#rpc";
import {
  Affected, Beat, BeatAnswer, BEAT_MS, BlobChunk, BlobHas, BlobPut, BlobRef, DeadPage,
  DecideGate, Decision, Drained, DrainWorker, GateList, Hello, Info, InfoRequest, JobRef, LEASE_MS,
  LogPage, LogsRequest, MAX_PARENT_NAMES, MAX_SLOTS, Op, Output, PROTOCOL, Reasons, RetryRun,
  RunList, RunRef, SealedAddJobs, StatusPage, Welcome, Why, WorkerList, type JobInfo,
  type JobReason,
} from "#wire";
import { BlobError, type Uploads } from "./blobs.ts";
import type { Services } from "./master.ts";
import { takeJobs } from "./intake.ts";
import type { Pace } from "./output.ts";
import { MAX_LONG_PER_PEER } from "./limits.ts";
import { gateBytes, jobBytes, jobRows, letterBytes, pages, runBytes } from "./pages.ts";
import { submit } from "./submit.ts";
import type { WorkerLink } from "./workers.ts";

/** Events that wait for the disk, beyond which no new work is taken: a quarter of what the log can hold for those who cannot wait. */
const MAX_LOG_BACKLOG_BYTES = 64 * 1024 * 1024;

/**
 * Reasons in one answer: questions of gates can be 16 KiB each, and the answer has to fit
 * into a frame.
 */
const MAX_WHY_BYTES = 4 * 1024 * 1024;

export class Session {
  readonly #services: Services;
  readonly #connection: RpcConnection;
  readonly #uploads: Uploads;
  #role: "client" | "worker" | undefined;
  #link: WorkerLink | undefined;
  /** Long answers that have begun, and requests for more. */
  #longs = 0;
  #waiting: [IncomingRequest, Handler][] = [];
  #sorted: Promise<void> = Promise.resolve();

  constructor(services: Services, connection: RpcConnection) {
    this.#services = services;
    this.#connection = connection;
    this.#uploads = services.blobs.uploads();
  }

  request(request: IncomingRequest): void {
    try {
      if (this.#link !== undefined) this.#services.workers.heard(this.#link);
      if (request.opcode === Op.HELLO) return this.#welcome(request);
      if (this.#role === undefined) return request.fail("UNAUTHORIZED", "Cannot serve this request: the first one must be HELLO");
      const handler = HANDLERS[request.opcode];
      if (handler === undefined) return request.fail("UNSUPPORTED", `Cannot serve opcode ${request.opcode}: this master does not know it`);
      const change = CHANGES[request.opcode];
      if (change !== undefined) this.#services.engine.checkRoom(change);
      if (LONG.has(request.opcode)) return this.#long(request, handler);
      const done = handler(this.#services, request, this);
      if (done instanceof Promise) done.catch((error: unknown) => this.#failed(request, error));
    } catch (error) {
      this.#failed(request, error);
    }
  }

  #failed(request: IncomingRequest, error: unknown): void {
    if (answerError(request, error)) return;
    // A bug, with the state perhaps half-way between two events. The log is right, so start again from it.
    request.fail("INTERNAL", `Cannot serve opcode ${request.opcode}: ${(error as Error).message}`);
    this.#services.fatal(error as Error);
  }

  notify(opcode: number): void {
    if (this.#link === undefined) return;
    if (opcode === Op.LEAVING) this.#services.workers.leaving(this.#link);
    if (opcode === Op.GOODBYE) this.#services.workers.left(this.#link);
  }

  closed(): void {
    if (this.#link !== undefined) this.#services.workers.closed(this.#link);
    this.#waiting = []; // nobody hears the answers
    void this.#uploads.close().catch(() => undefined);
  }

  /** A list that has to be sorted exists as a whole: of these a peer has one at a time. */
  alone(work: () => Promise<void>): Promise<void> {
    const done = this.#sorted.then(work);
    this.#sorted = done.catch(() => undefined);
    return done;
  }

  /** Long answers begin in order, a few at a time: what has not begun costs little, however much was asked for. */
  #long(request: IncomingRequest, handler: Handler): void {
    if (this.#longs >= MAX_LONG_PER_PEER) return void this.#waiting.push([request, handler]);
    this.#longs += 1;
    const done = async (): Promise<void> => handler(this.#services, request, this);
    done().catch((error: unknown) => this.#failed(request, error)).finally(() => {
      this.#longs -= 1;
      const next = this.#waiting.shift();
      if (next !== undefined) this.#long(...next);
    });
  }

  get connection(): RpcConnection {
    return this.#connection;
  }

  get uploads(): Uploads {
    return this.#uploads;
  }

  get link(): WorkerLink | undefined {
    return this.#link;
  }

  /** Whoever finds no place is told so, and keeps none. */
  #welcome(request: IncomingRequest): void {
    try {
      this.#hello(request);
    } catch (error) {
      this.#failed(request, error);
      if (error instanceof RpcError && error.code === "OVERLOADED") this.#connection.close();
    }
  }

  // #region hello
  #hello(request: IncomingRequest): void {
    const hello = Hello.decode(request.body);
    if (hello.protocol !== PROTOCOL) {
      return request.fail("UNSUPPORTED", `Cannot serve a ${hello.role} that speaks protocol ${hello.protocol} (Titan ${hello.version || "of an unknown version"}): this master speaks ${PROTOCOL}`);
    }
    const { token, version, engine, doors, workers } = this.#services;
    if (token !== undefined && !sameSecret(token, hello.token ?? "")) {
      return request.fail("UNAUTHORIZED", hello.token === undefined ? "Cannot open a session: this master wants a token (TITAN_TOKEN)" : "Cannot open a session: the token is wrong");
    }
    // A worker with a long HELLO has introduced itself with a short one first.
    const isLonger = this.#role === "client" && hello.role === "worker";
    if (this.#role !== undefined && !isLonger) return request.fail("CONFLICT", "Cannot open a session: this connection has one");
    const welcome = { protocol: PROTOCOL, version, beatMs: BEAT_MS, leaseMs: LEASE_MS };
    if (hello.role === "client") {
      doors.admit(this.#connection, "client");
      this.#role = "client";
      return request.reply(Welcome.encode({
        ...welcome, worker: 0, name: "", stale: [], store: undefined, cluster: undefined,
      }));
    }
    if (hello.instance === "") throw new Refusal("INVALID", "Cannot register worker: it has no instance, by which it could be known again");
    if (hello.slots < 1 || hello.slots > MAX_SLOTS) throw new Refusal("INVALID", `Cannot register worker: ${hello.slots} slots, must be 1 to ${MAX_SLOTS}`);
    const bad = hello.tags.find((tag) => !TAG.test(tag));
    if (bad !== undefined) throw new Refusal("INVALID", `Cannot register worker: "${bad}" is not a tag`);
    const known = engine.state.workersByInstance.get(hello.instance);
    doors.admit(this.#connection, "worker", { isKnown: known !== undefined, older: known && workers.links.get(known.id)?.connection });
    this.#role = "worker";
    const { cluster } = this.#services;
    const join = (store?: string): void => {
      const { id, name, stale, isNew } = this.#services.workers.join(hello, this.#connection);
      this.#link = this.#services.workers.links.get(id);
      const answer = { ...welcome, worker: id, name, stale, store, cluster };
      // Of a worker that was known before nothing new is promised.
      engine[isNew ? "afterwards" : "answer"](() => request.reply(Welcome.encode(answer)));
    };
    const url = this.#services.store?.url;
    if (!(url instanceof Promise)) return join(url);
    url.catch(() => undefined).then((known) => {
      // It has given up meanwhile, or we have.
      if (!request.cancelled && !this.#services.stopped) join(known ?? undefined);
    }).catch((error: unknown) => this.#failed(request, error));
  }
  // #endregion
}

/** Compares in a time that does not depend on where the two differ. Hashing first makes the lengths equal. */
function sameSecret(a: string, b: string): boolean {
  const hash = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(hash(a), hash(b));
}

/** Tells the peer what it did wrong, or what the disk did. False: neither. */
function answerError(request: IncomingRequest, error: unknown): boolean {
  if (error instanceof Refusal || error instanceof RpcError) request.fail(error.code, error.message);
  else if (error instanceof CodecError) request.fail("BAD_REQUEST", error.message);
  else if (error instanceof BlobError) request.fail("INVALID", error.message);
  else if (isSystemError(error)) request.fail("INTERNAL", `Cannot serve opcode ${request.opcode}: ${error.message}`);
  else return false;
  return true;
}

/** Of a file that is not the log (whose failures are LogErrors): a blob or a job's output. Nobody's promise hangs on those. */
function isSystemError(error: unknown): error is Error {
  const { code } = error as { code?: unknown };
  return error instanceof Error && typeof code === "string" && /^E[A-Z0-9]+$/.test(code);
}

type Handler = (services: Services, request: IncomingRequest, session: Session) => void | Promise<void>;

const HANDLERS: Readonly<Record<number, Handler>> = {
  [Op.PING]: (_services, request) => request.reply(),
  [Op.BEAT]: ({ engine }, request, { link }) => {
    const { runs, lateMs: beatLateMs, lateMaxMs: beatLateMaxMs } = Beat.decode(request.body);
    if (link !== undefined) link.lateness = { beatLateMs, beatLateMaxMs };
    const over = runs.filter((id) => engine.isOver(id));
    request.reply(BeatAnswer.encode({ over }));
  },
  [Op.SUBMIT]: (services, request, { connection, uploads }) => {
    checkBacklog(services.engine);
    return submit(services, { request, uploads, peer: connection });
  },
  [Op.ADD_JOBS]: ({ engine, watchers }, request) => {
    const { run, jobs: sealed } = SealedAddJobs.decode(request.body);
    checkBacklog(engine);
    const room = roomForJobs(engine.state, undefined, engine.context);
    const { jobs, bytes: jobBytes } = takeJobs(sealed, room);
    engine.commit(decideAddJobs(engine.state, { run, jobs, jobBytes }, engine.context));
    watchers.grown(findRun(engine.state, run));
    engine.confirm(request, () => Affected.encode({ jobs: jobs.length }));
  },
  [Op.RUNS]: (services, request, session) =>
    list(services, request, { session, rows: mapped(services.engine.state.runs.values(), runInfo), bytesOf: runBytes, encode: (runs) => RunList.encode({ runs }) }),
  [Op.STATUS]: status,
  [Op.WATCH]: ({ engine, watchers }, request, { connection }) => watchers.add(findRun(engine.state, RunRef.decode(request.body).run), request, connection),
  [Op.WHY]: why,
  [Op.LOGS]: logs,
  [Op.CANCEL]: cancel,
  [Op.RETRY]: ({ engine }, request) => {
    const retry = RetryRun.decode(request.body);
    const events = decideRetry(engine.state, retry, engine.context);
    engine.commit(events);
    const run = findRun(engine.state, retry.run);
    const opened = events.flatMap((event) => (event.type === "RunRetried" ? event.jobs : []));
    // A job that waits for a failure may have been skipped again in the same moment.
    const jobs = opened.filter((index) => !isTerminal(run.jobs[index]!.status)).length;
    engine.confirm(request, () => Affected.encode({ jobs }));
  },
  [Op.WORKERS]: ({ engine, workers, turns }, request, { connection }) => turns.reply(request, connection, async () => {
    const rows = [...engine.state.workers.values()].map((worker) => {
      const link = workers.links.get(worker.id);
      const { remote = "" } = link?.connection ?? {};
      const unknown = { beatLateMs: undefined, beatLateMaxMs: undefined };
      const lateness = link?.lateness ?? unknown;
      const known = workerInfo(worker, { remote, connected: link !== undefined });
      const info = { ...known, ...lateness };
      // To whoever asks it is one thing, whoever wanted it: nothing new goes there.
      return link?.leaving === true ? { ...info, draining: true } : info;
    });
    const body = WorkerList.encode({ workers: rows });
    await engine.readable();
    return body;
  }),
  [Op.DRAIN]: ({ engine }, request) => {
    const { events, worker } = decideDrain(engine.state, DrainWorker.decode(request.body), engine.context);
    engine.commit(events);
    engine.confirm(request, () => Drained.encode({ id: worker.id, name: worker.name, running: worker.jobs.size }));
  },
  [Op.DEAD]: (services, request, session) => session.alone(() =>
    list(services, request, { session, rows: mapped(deadJobs(services.engine.state), deadLetter), bytesOf: letterBytes, encode: (letters) => DeadPage.encode({ letters }) })),
  [Op.GATES]: (services, request, session) =>
    list(services, request, { session, rows: mapped(services.engine.state.gates, gateInfo), bytesOf: gateBytes, encode: (gates) => GateList.encode({ gates }) }),
  [Op.DECIDE]: ({ engine }, request) => {
    const { events, decision } = decideGate(engine.state, DecideGate.decode(request.body), engine.context);
    engine.commit(events);
    engine.confirm(request, () => Decision.encode(decision));
  },
  [Op.INFO]: info,
  [Op.KV]: ({ desk }, request, { connection }) => desk.ask(request, connection),
  [Op.BLOB_HAS]: async ({ blobs }, request) => request.reply(BlobHas.encode({ present: await blobs.has(BlobRef.decode(request.body).hash) })),
  [Op.BLOB_PUT]: async (_services, request, session) => {
    const present = await session.uploads.put(BlobPut.decode(request.body));
    request.reply(BlobHas.encode({ present }));
  },
  [Op.BLOB_GET]: async ({ blobs, turns }, request, { connection }) => {
    const pace: Pace = () => turns.pace(request, connection);
    for await (const data of blobs.read(BlobRef.decode(request.body).hash, { pace })) request.item(BlobChunk.encode({ data }));
    request.end();
  },
  [Op.OUTPUT]: async ({ engine, output, attemptOver }, request, session) => {
    const { chunks, ...key } = Output.decode(request.body);
    if (session.link === undefined) return request.fail("CONFLICT", "Cannot take output: this connection belongs to no worker");
    const job = engine.state.runs.get(key.run)?.jobs[key.job];
    // What nobody can ask for is dropped (the run was forgotten, say). What the disk refuses is counted: the worker cannot help it.
    if (job !== undefined && key.attempt >= 1 && key.attempt <= job.attempt) {
      await output.append(key, chunks).catch(onlySystemErrors);
      if (job.attempt !== key.attempt || job.status !== "RUNNING") attemptOver(key);
    }
    request.reply();
  },
  [Op.FINISHED]: ({ engine, workers }, request, session) => {
    const { link } = session;
    if (link === undefined) return request.fail("CONFLICT", "Cannot take a report: this connection belongs to no worker");
    workers.finished(link, request.body);
    engine.afterwards(() => request.reply());
  },
};

/** What a master with a full disk refuses, and what each of them is called then. */
const CHANGES: Readonly<Record<number, string>> = {
  [Op.SUBMIT]: "submit",
  [Op.ADD_JOBS]: "add jobs",
  [Op.CANCEL]: "cancel",
  [Op.RETRY]: "retry",
  [Op.DRAIN]: "drain",
  [Op.DECIDE]: "decide",
  [Op.BLOB_PUT]: "take a file",
  [Op.FINISHED]: "take a report",
};
/** Those whose answers may be long, and that end by themselves. */
const LONG: ReadonlySet<number> = new Set([Op.RUNS, Op.STATUS, Op.WHY, Op.WORKERS, Op.DEAD, Op.GATES, Op.BLOB_GET]);

function checkBacklog({ backlogBytes }: Services["engine"]): void {
  if (backlogBytes <= MAX_LOG_BACKLOG_BYTES) return;
  throw new RpcError("OVERLOADED", `Cannot take new work: the disk is behind by ${backlogBytes} bytes, more than ${MAX_LOG_BACKLOG_BYTES}`);
}

function onlySystemErrors(error: unknown): void {
  if (!isSystemError(error)) throw error;
}

interface Listing<Row> {
  readonly session: Session;
  readonly rows: Iterable<Row>;
  readonly bytesOf: (row: Row) => number;
  readonly encode: (rows: Row[]) => Buffer;
}

/** A list of any length: each page is made when there is room for it, from what is true then. */
async function list<Row>({ engine, turns }: Services, request: IncomingRequest, listing: Listing<Row>): Promise<void> {
  const { session, rows, bytesOf, encode } = listing;
  const made = pages(rows, bytesOf);
  const next = async (): Promise<Buffer | undefined> => {
    const page = made.next().value;
    if (page === undefined) return undefined;
    const body = encode(page.rows);
    // Read first, then wait: what is read meanwhile may be in memory only.
    await engine.readable();
    return body;
  };
  while (await turns.send(request, session.connection, next));
  request.end();
}

/** Rows that are made as they are asked for. A collection that grows meanwhile may be longer than it was, and no row is told twice. */
function* mapped<From, To>(all: Iterable<From>, to: (each: From) => To): Generator<To> {
  for (const each of all) yield to(each);
}

async function status(services: Services, request: IncomingRequest, session: Session): Promise<void> {
  const { engine } = services;
  const { run: id, job } = JobRef.decode(request.body);
  const run = findRun(engine.state, id);
  const jobs = job === undefined ? run.jobs : [findJob(run, job)];
  let isFirst = true;
  const encode = (rows: JobInfo[]): Buffer => {
    const first = isFirst;
    isFirst = false;
    const isNamed = first && job !== undefined && rows[0]!.dependsOn.length <= MAX_PARENT_NAMES;
    const named = isNamed ? rows[0]!.dependsOn : [];
    const parents = named.map((index) => run.jobs[index]!.spec.id);
    return StatusPage.encode({ run: first ? runInfo(run) : undefined, jobs: rows, parents });
  };
  await list(services, request, { session, rows: jobRows(engine, jobs), bytesOf: jobBytes, encode });
}

/**
 * Costs what was asked for, whatever the size of the run. Many jobs of a queue have one reason: it
 * is worked out for each.
 */
function why({ engine, turns }: Services, request: IncomingRequest, { connection }: Session): Promise<void> {
  const { run: id, jobs } = Why.decode(request.body);
  const run = findRun(engine.state, id);
  return turns.reply(request, connection, async () => {
    const body = Reasons.encode({ reasons: reasonsOf(engine, run, jobs) });
    // What is said may follow from events that are not durable yet.
    await engine.readable();
    return body;
  });
}

function reasonsOf(engine: Services["engine"], run: Run, jobs: readonly number[]): JobReason[] {
  const reasons: JobReason[] = [];
  let bytes = 0;
  for (const index of jobs) {
    const job = run.jobs[index];
    const kind = job === undefined ? undefined : waitKind(engine.state, job);
    if (job === undefined || kind === undefined) continue;
    const reason = reasonOf(engine.state, job, engine.context.now);
    bytes += 3 * reason.length;
    if (bytes > MAX_WHY_BYTES) break;
    reasons.push({ index, kind, reason });
  }
  return reasons;
}

const HASHING = "hash the state";

/** Of what is durable, when the answer leaves: whoever looks into the log finds what it says. */
async function info(services: Services, request: IncomingRequest): Promise<void> {
  const { engine, version, startedAt, dir, pid } = services;
  const { hash } = InfoRequest.decode(request.body);
  if (hash) engine.checkRoom(HASHING);
  const made = hash ? await engine.hash() : undefined;
  engine.answer(() => {
    const { nextSeq } = engine;
    // The disk has turned out to be full meanwhile.
    if (made !== undefined && made.nextSeq > nextSeq) return answerError(request, engine.noRoom(HASHING));
    request.reply(Info.encode({
      version, pid, startedAt, state: dir, nextSeq: made?.nextSeq ?? nextSeq, runs: engine.state.runs.size,
      workers: engine.state.workers.size, stateHash: made?.hash ?? "", now: services.host.clock.wall(),
      refused: services.workers.stale, full: engine.full?.message ?? "",
    }));
  });
}

function cancel({ engine, workers }: Services, request: IncomingRequest): void {
  const target = JobRef.decode(request.body);
  const run = findRun(engine.state, target.run);
  const events = decideCancel(engine.state, target, engine.context);
  const touched: Job[] = events.flatMap((event) => (event.type === "JobsCancelled" ? event.jobs.map((index) => run.jobs[index]!) : []));
  engine.commit(events);
  engine.afterwards(() => workers.kill(touched));
  engine.confirm(request, () => Affected.encode({ jobs: touched.length }));
}

async function logs({ engine, output, turns }: Services, request: IncomingRequest, { connection }: Session): Promise<void> {
  const { run: id, job: jobId, attempt, follow } = LogsRequest.decode(request.body);
  const run: Run = findRun(engine.state, id);
  const job = findJob(run, jobId);
  const wanted = attempt === 0 ? Math.max(1, job.attempt) : attempt;
  if (wanted > Math.max(1, job.attempt)) throw new Refusal("NOT_FOUND", `Cannot read output of ${id}/${jobId}: its latest attempt is ${job.attempt}, not ${wanted}`);
  const key = { run: run.number, job: job.index, attempt: wanted };
  const mayGrow = () => follow && (job.attempt < wanted ? !isTerminal(job.status) : job.attempt === wanted && job.status === "RUNNING");
  const reader = output.read(key, mayGrow, () => turns.pace(request, connection));
  request.onCancel(() => reader.stop());
  for await (const chunks of reader) request.item(LogPage.encode({ chunks }));
  request.end();
}
