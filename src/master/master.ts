/**
 * Lesson 10: a master from its start to its end.
 *
 *     lock the folder ─▶ open the log ─▶ replay ─▶ listen ─▶ serve
 *                                                          └─▶ stop: close the door, settle, unlock
 *
 *     <dir>/lock      one master per folder
 *     <dir>/log/      the events: the only thing that must not be lost (lesson 05)
 *     <dir>/output/   what jobs print
 *     <dir>/blobs/    projects and artifacts, by hash
 *     <dir>/secret    the credentials of jobs are made from it
 *
 * Invariants: nobody is served before the replay is complete; a failed write ends the process
 * instead of leaving a master whose memory knows more than its log.
 * Test: test/10-master.test.ts
 */
import { isLoopback } from "#base";
import {
  allArtifacts, type ArtifactLimits, DEFAULT_HEAP_BYTES, heapFor, memoryLimits, runsAfter,
  stepBlobs, type Effect, type Job, type Observer, type Run,
} from "#core";
import type { Address, Host, Listener, Socket } from "#host";
import { LogError, openLog, type Log, type LogFull } from "#log";
import { RpcConnection } from "#rpc";
import { isTerminal, REJOIN_GRACE_MS, MAX_GRACE_MS, type AttemptKey } from "#wire";
import { BlobStore } from "./blobs.ts";
import { countsOf, type MasterCounts } from "./counts.ts";
import { Doors } from "./doors.ts";
import { Engine } from "./engine.ts";
import { MasterError, startStep } from "./errors.ts";
import { Facts } from "./facts.ts";
import { hearFirstByte, type OnOlderPeer } from "./first-byte.ts";
import { Fleet } from "./fleet.ts";
import { Forwards } from "./forward.ts";
import { StoreDesk, type MasterStore } from "./kv.ts";
import {
  DEFAULT_PLACES, MAX_PAGES_AT_ONCE, MAX_PAGES_PER_PEER, PAGES_MS_PER_TURN, STRANGER_LIMITS,
  type Places,
} from "./limits.ts";
import { KEPT_ATTEMPTS, OutputStore } from "./output.ts";
import { Notices, type Messenger } from "./notices.ts";
import { PastDesk, type OpenPast } from "./past-desk.ts";
import { NeedsMemory } from "./recover.ts";
import { clusterSecret } from "./secret.ts";
import type { Services } from "./services.ts";
import { Session } from "./session.ts";
import { Turns } from "./turns.ts";
import { Watchers } from "./watch.ts";
import { Workers, type LeaseTerms } from "./workers.ts";

export interface MasterOptions {
  readonly host: Host;
  /** The state folder. Made if missing. */
  readonly dir: string;
  /** Port 0: any free one. */
  readonly listen: Address;
  /** Peers must know it. Required for any address but loopback. */
  readonly token?: string;
  readonly durability?: "always" | "everysec" | "no";
  /**
   * Start although the log has lost its beginning, and with it perhaps acknowledged runs (lesson
   * 05). Default false.
   */
  readonly acceptLoss?: boolean;
  /**
   * How long a worker whose connection closed may take to come back and keep what it runs: 0 to
   * MAX_GRACE_MS. Default REJOIN_GRACE_MS.
   */
  readonly graceMs?: number;
  /** For tests that have no time. Default: HEARTBEAT_MS and LEASE_MS, and workers are told. */
  readonly lease?: LeaseTerms;
  readonly version?: string;
  readonly pid?: number;
  /**
   * How many peers, files and so on this process has descriptors for (`placesFor`). Default: what
   * 1,024 allow.
   */
  readonly places?: Places;
  /** The heap that this process may have, which bounds what the master takes. Default 4 GiB. */
  readonly heapBytes?: number;
  /** What artifacts may take of the disk, and for how long. Default: DEFAULT_ARTIFACT_LIMITS. */
  readonly artifacts?: ArtifactLimits;
  /** Tells people of gates (lesson 16). Default: nobody is told. */
  readonly messenger?: Messenger | undefined;
  /** Default: this cluster has none. */
  readonly store?: MasterStore;
  /** Reads the log for those who look back. Default: the master itself does. */
  readonly past?: OpenPast | undefined;
  /**
   * Which cluster this is, for ever. Default: it does not say, and each worker keeps what a run
   * shares for itself.
   */
  readonly cluster?: string;
  /** Gets the peers that speak version 1 (`first-byte.ts`). Default: they are sent away. */
  readonly onOlderPeer?: OnOlderPeer | undefined;
  /**
   * The log could not be written: the process should end. The master has stopped serving by then.
   */
  readonly onFatal?: (error: Error) => void;
  /**
   * The disk of the log is full: reads are answered, changes refused, nothing is started, until
   * there is room.
   */
  readonly onFull?: (full: LogFull) => void;
  /** There is room again, and all that waited is written. */
  readonly onRoom?: (full: LogFull) => void;
}

/** What a start found in the log. */
export interface Recovered {
  readonly events: number;
  /** Cut from its end: an unfinished write. */
  readonly tornBytes: number;
  /** Damage in spite of which it started. Tell a person. */
  readonly ignored: readonly string[];
  readonly runs: number;
}

export interface Master extends Address {
  /** For somebody who starts and ends workers. */
  readonly fleet: Fleet;
  /** Events that the start replayed. */
  readonly recovered: Recovered;
  /** Whether no job of this run will run any more, by its id. True for a run that is not known. */
  isOver(run: string): boolean;
  /** What it holds at this moment: see counts.ts. */
  counts(): MasterCounts;
  /** Runs with a higher number than this one, the oldest first. To be read only. */
  runsAfter(number: number): readonly Run[];
  /** Takes a snapshot now, so that the next start is short. */
  snapshot(): Promise<void>;
  /**
   * Lets what is under way become durable, then closes everything. Running jobs keep running on
   * their workers.
   */
  stop(): Promise<void>;
}

/**
 * Starts a master, its memory restored from its log.
 *
 * @throws {MasterError} LOCKED (another master has the folder), ADDRESS_IN_USE, UNSAFE_ADDRESS (not
 * loopback and no token), START_FAILED (an option, or the system said no: to which step and why)
 * @throws {LogError} the log is damaged; nothing has been changed
 */
export async function startMaster(options: MasterOptions): Promise<Master> {
  const { host, dir, listen, store } = options;
  // A worker that joins looks at it. Until then it may fail unseen.
  if (store?.url instanceof Promise) store.url.catch(() => undefined);
  if (options.token?.trim() === "") {
    throw new MasterError("START_FAILED", "Cannot start a master: the token is blank");
  }
  if (!isLoopback(listen.host) && options.token === undefined) {
    const why = "anybody there could run programs here";
    const advice = "Give a token (TITAN_TOKEN), or listen on 127.0.0.1";
    throw new MasterError("UNSAFE_ADDRESS", `Cannot listen on ${listen.host}: ${why}. ${advice}`);
  }
  const { graceMs = REJOIN_GRACE_MS } = options;
  if (!(graceMs >= 0 && graceMs <= MAX_GRACE_MS)) {
    const doing = `start a master with a grace of ${graceMs} ms`;
    throw new MasterError("START_FAILED", `Cannot ${doing}: must be 0 to ${MAX_GRACE_MS}`);
  }
  await startStep({ dir, doing: "make the folder" }, () => host.storage.mkdir(dir));
  const lock = await takeLock(host, dir);
  try {
    return await serve(options, lock);
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function takeLock(host: Host, dir: string): Promise<{ release(): Promise<void> }> {
  try {
    const step = { dir, doing: `write the lock ${dir}/lock` };
    return await startStep(step, () => host.storage.lock(`${dir}/lock`));
  } catch (error) {
    if ((error as { code?: string }).code !== "ELOCKED") throw error;
    const found = `another one is using it (${(error as Error).message})`;
    throw new MasterError("LOCKED", `Cannot start a master on ${dir}: ${found}`, error);
  }
}

// #region serve
async function serve(options: MasterOptions, lock: { release(): Promise<void> }): Promise<Master> {
  const { host, dir, durability = "always", acceptLoss = false } = options;
  let listener: Listener | undefined;
  const fatal = (error: Error): void => {
    if (services.stopped) return;
    services.stopped = true;
    services.engine.halt();
    services.workers.stop();
    services.notices.stop();
    void listener?.close();
    // No goodbye: a client that hears nothing asks again, one that hears "ok" does not.
    for (const connection of [...services.doors.connections()]) connection.destroy(error);
    options.onFatal?.(error);
  };
  const secret = await clusterSecret(host, dir);
  const log = await startStep({ dir, doing: `open the log ${dir}/log` }, () => openLog({
    host, dir: `${dir}/log`, durability, acceptLoss, onFatal: fatal,
    onFull: (full) => {
      engine.diskFull();
      options.onFull?.(full);
    },
    onRoom: (full) => {
      engine.roomAgain();
      workers.roomAgain();
      options.onRoom?.(full);
    },
  }));
  const services: Services = makeServices(options, { log, fatal, secret });
  const { engine, workers, output, blobs } = services;
  const accept = (socket: Socket): void =>
    services.stopped ? socket.destroy() : services.doors.enter(openConnection(services, socket));
  let recovered: Master["recovered"];
  try {
    const { tornBytes, ignored } = log.recovery;
    const step = (doing: string) => ({ dir, doing });
    const { events } = await startStep(step(`read the log ${dir}/log`), () => engine.recover());
    recovered = { events, tornBytes, ignored, runs: engine.state.runs.size };
    await startStep(step("look through outputs and blobs"), () => findLeftovers(services));
    const { host: name, port } = options.listen;
    listener = await startStep(
      step(`listen on ${name}:${port}`), () => host.network.listen(options.listen, accept),
    );
  } catch (error) {
    await Promise.all([output.close(), blobs.close(), log.close()]);
    throw needsMemory(options, error) ?? listenFailed(options.listen, error);
  }
  const serving = listener;
  workers.expectReturns(options.store?.url);
  engine.begin();
  services.notices.begin();

  return {
    host: serving.host, port: serving.port, recovered,
    fleet: services.fleet, isOver: (run) => engine.isOver(run),
    counts: () => countsOf(services),
    runsAfter: (number) => runsAfter(engine.state, number),
    snapshot: () => engine.snapshot(),
    stop: () => stopMaster(services, { listener: serving, log, lock }),
  };
}
// #endregion

/** What a master holds, given back in order. */
async function stopMaster(
  services: Services,
  held: { listener: Listener; log: Log; lock: { release(): Promise<void> } },
): Promise<void> {
  if (services.stopped) return;
  services.stopped = true;
  const { engine, workers, output, blobs, doors, past } = services;
  await held.listener.close();
  // Before the connections: their closing must not look like the death of the workers.
  workers.stop();
  services.notices.stop();
  await engine.stop();
  for (const connection of [...doors.connections()]) connection.close();
  await Promise.all([output.close(), blobs.close(), past.close()]);
  await held.log.close().catch((error: unknown) => {
    // The disk is full. Events that could not be written were not acknowledged either.
    if (!(error instanceof LogError) || error.code !== "FULL") throw error;
  });
  await held.lock.release();
}

function makeServices(
  options: MasterOptions,
  { log, fatal, secret }: { log: Log; fatal: (error: Error) => void; secret: Buffer },
): Services {
  const { host, dir, places = DEFAULT_PLACES, heapBytes = DEFAULT_HEAP_BYTES } = options;
  const { artifacts, messenger, graceMs = REJOIN_GRACE_MS, lease } = options;
  const output = new OutputStore(host, `${dir}/output`, {
    maxOpenFiles: places.outputs,
    isEndless: ({ run, job }) => engine.state.runs.get(run)?.jobs[job]?.spec.service !== undefined,
  });
  const blobs = new BlobStore(host, `${dir}/blobs`, { maxUploads: places.uploads });
  const pages = { host, msPerTurn: PAGES_MS_PER_TURN };
  const turns = new Turns({ ...pages, atOnce: MAX_PAGES_AT_ONCE, perPeer: MAX_PAGES_PER_PEER });
  const specs = new Turns({ ...pages, atOnce: 1, perPeer: 1 });
  const watchers = new Watchers(() => engine, turns, host.timers.soon);
  const facts = new Facts({ host, log, turns, engine: () => engine });
  const past = new PastDesk(host, dir, options.past);
  const tellLost = lossTeller(output, () => engine);
  const attemptOver = (key: AttemptKey): void => {
    tellLost(key);
    output.ended(key);
  };
  const workers = new Workers({ host, graceMs, lease, engine: () => engine, beforeEnd: tellLost });
  const forwards = new Forwards({ host, engine: () => engine, workers: () => workers });
  const notices = new Notices({ host, messenger, engine: () => engine });
  const observer = makeObserver(() => engine, { watchers, facts, forwards, output, tellLost });
  // #region perform
  const perform = (effect: Effect): void => {
    switch (effect.type) {
      case "Dispatch": return workers.dispatch(effect.start);
      case "Kill": return workers.kill(effect.attempts);
      case "StartWorker": case "StopWorker": return services.fleet.perform(effect);
      case "Announce": return notices.announce(effect.ref);
      case "Notify": return watchers.grown(engine.state.runs.get(effect.run));
      case "Hold": return blobs.hold(effect.blob);
      case "Release": return blobs.release(effect.blob);
      case "Forget":
        // Its files may outlive it for a while, and this process: nobody can name them any more.
        output.remove(effect.run);
        effect.blobs.forEach((hash) => blobs.release(hash));
    }
  };
  // #endregion
  const engine: Engine = new Engine({
    host, log, memory: memoryLimits(heapBytes), artifacts, observer, witness: facts, perform,
    onFatal: fatal, connections: forwards.openOf, returnsUntil: () => workers.returnsUntil,
    mayNotify: messenger?.refusal.bind(messenger),
    onReleased: () => { workers.flush(); fleet.released(); },
  });
  const services: Services = {
    host, dir, engine, workers, watchers, facts, past, forwards, output, blobs, turns, specs,
    notices,
    doors: new Doors({ host, places, registered: () => engine.state.workers.size }),
    store: options.store, cluster: options.cluster, desk: new StoreDesk(options.store),
    token: options.token, secret, version: options.version ?? "", pid: options.pid ?? 0,
    startedAt: host.clock.wall(), attemptOver, fatal, stopped: false, arriving: { bytes: 0 },
    onOlderPeer: options.onOlderPeer, get fleet() { return fleet; },
  };
  const fleet = new Fleet(services);
  return services;
}

/** Makes a fact of output that could not be stored. */
function lossTeller(output: OutputStore, engine: () => Engine): (key: AttemptKey) => void {
  return (key) => {
    if (!output.lossOf(key)) return;
    engine().whenRoom(`output ${key.run}/${key.job}/${key.attempt}`, () => {
      const lost = output.takeLost(key);
      if (lost !== undefined) engine().commit({ type: "LoseOutput", ...key, ...lost });
    });
  };
}

interface Watching {
  readonly watchers: Watchers;
  readonly facts: Facts;
  readonly forwards: Forwards;
  readonly output: OutputStore;
  tellLost(key: AttemptKey): void;
}

/** What follows from changes of jobs and runs besides the log. */
function makeObserver(
  engine: () => Engine, { watchers, facts, forwards, output, tellLost }: Watching,
): Observer {
  return {
    grown: (run, from, at) => watchers.jobsAdded(run, from, at),
    job(job, at) {
      watchers.jobChanged(job, at);
      facts.jobChanged(job);
      if (job.service !== undefined) {
        dropOld(output, job);
        forwards.changed();
      }
      if (!output.busy || job.status === "RUNNING") return;
      const key = { run: job.run.number, job: job.index, attempt: Math.max(1, job.attempt) };
      output.ended(key);
      // Somebody may wait for an attempt that does not come.
      if (isTerminal(job.status)) output.ended({ ...key, attempt: key.attempt + 1 });
      // Not here, in the middle of another event.
      if (output.lossOf(key)) engine().whenDurable(() => tellLost(key));
    },
    run: (run) => {
      watchers.runChanged(run);
      facts.runChanged(run);
      // Its services may be reached by now.
      if (run.update !== undefined) forwards.changed();
    },
  };
}

/** A service has as many attempts as its life is long. */
function dropOld(output: OutputStore, { run, index, attempt, service, status }: Job): void {
  if (attempt <= KEPT_ATTEMPTS || status !== "RUNNING" || service!.phase !== "STARTING") return;
  output.drop({ run: run.number, job: index, attempt: attempt - KEPT_ATTEMPTS });
}

/**
 * What an earlier process had begun, or was about to remove, when it died. It goes in the
 * background.
 */
async function findLeftovers({ engine, output, blobs }: Services): Promise<void> {
  const needed: string[] = [];
  for (const run of engine.state.runs.values()) {
    if (run.spec.project !== undefined) needed.push(run.spec.project);
    if (run.steps > 0) needed.push(...stepBlobs(run));
  }
  for (const { sha256 } of allArtifacts(engine.state)) needed.push(sha256);
  await blobs.recover(needed);
  await output.keepOnly(engine.state.runs);
}

function openConnection(services: Services, socket: Socket): RpcConnection {
  const { doors, onOlderPeer } = services;
  const ours = onOlderPeer === undefined ? socket : hearFirstByte(socket, { doors, onOlderPeer });
  const connection: RpcConnection = new RpcConnection(ours, {
    host: services.host,
    limits: STRANGER_LIMITS,
    onRequest: (request) => {
      if (services.stopped) return request.fail("CLOSED", "The master is shutting down");
      session.request(request);
    },
    onNotify: (opcode) => session.notify(opcode),
    onClose: () => {
      services.doors.left(connection);
      if (!services.stopped) session.closed();
    },
  });
  const session = new Session(services, connection);
  return connection;
}

/** Node takes the size in MiB; a quarter of a gigabyte more or less is nothing to a machine. */
const HEAP_STEP_MB = 256;

/** All acknowledged runs are in the log. A process with more memory finds them there. */
function needsMemory(
  { dir, heapBytes = DEFAULT_HEAP_BYTES }: MasterOptions, error: unknown,
): unknown {
  if (!(error instanceof NeedsMemory)) return undefined;
  const mb = (bytes: number): number => Math.ceil(bytes / 2 ** 20);
  const heapMb = HEAP_STEP_MB * Math.ceil(mb(heapFor(error.bytes)) / HEAP_STEP_MB);
  const found = `its runs take about ${mb(error.bytes)} MB of memory`;
  const advice = `Start it with NODE_OPTIONS=--max-old-space-size=${heapMb}`;
  const why = `${found}, and a heap of ${mb(heapBytes)} MB is too small for them. ${advice}`;
  return new MasterError("NEEDS_MEMORY", `Cannot start a master on ${dir}: ${why}`, error);
}

function listenFailed(at: Address, error: unknown): unknown {
  const { code } = ((error as Error).cause ?? {}) as { code?: string };
  if (code !== "EADDRINUSE") return error;
  const found = "the port is in use (is a master running there already?)";
  const doing = `listen on ${at.host}:${at.port}`;
  return new MasterError("ADDRESS_IN_USE", `Cannot ${doing}: ${found}`, error);
}
