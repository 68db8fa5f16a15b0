/**
 * A whole cluster from one call: a master in this process and workers beside it. `titan up` and
 * `titan run` are made of it, and so are demos, benchmarks and tests.
 *
 *     store's thread ──────────────────┐
 *     listen ─▶ start workers ─────────┴─▶ return
 *
 * Nothing waits for the workers: a job that is submitted at once starts when the first of them has
 * dialled.
 *
 * Invariants: nothing is left behind by `stop`, and by an embedded cluster without `stateDir` no
 * folder either; the workers die with this process, however it dies.
 * Left out: moving running jobs elsewhere before a stop. They are lost attempts, which the next
 * master starts again.
 * Test: test/cli.cluster.test.ts
 */
import { mkdtemp } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { ClusterError } from "./errors.ts";
import { dialable, durationText, hostPort } from "#base";
import {
  type Address,
  descriptorLimit,
  heapLimit,
  type Host,
  nodeHost,
  removeTree,
  sharedRoot,
  VERSION,
} from "#host";
import type { Autoscaler, Master, MasterOptions, OnOlderPeer, Places } from "#master";
import {
  openClusterStore,
  type ClusterStore,
  type StoreChoice,
  type StoreInfo,
} from "./cluster-store.ts";
import type { PoolDefinition } from "#pipeline";
import type { Pool } from "#scaling";
import { clusterId } from "./cluster-id.ts";
import type { CommandDriver } from "./drivers.ts";
import { GateMessenger, NOTIFY_ALL, type NotifyPolicy } from "./messenger.ts";
import { readInThread } from "./past-reader.ts";
import { Supervisor } from "./supervisor.ts";
import { writeTokenFile } from "./token-file.ts";

const LISTEN_HOST = "127.0.0.1";

export interface ClusterOptions {
  readonly workers: number;
  /** Jobs at once, per worker. Default: as many as there are processors. */
  readonly slots?: number | undefined;
  /** Capabilities of every worker, or a list per worker. */
  readonly tags?: readonly string[] | readonly (readonly string[])[] | undefined;
  /** Kept afterwards. Default: a temporary folder, removed by `stop`. */
  readonly stateDir?: string | undefined;
  /** Further workers that come and go with the load. Default: none. */
  readonly scale?: Scale | undefined;
  /** The same, elsewhere: pools of a file. Default: none. */
  readonly pools?: PoolsOption | undefined;
  /** Default 0: any free one. */
  readonly port?: number;
  /** Default 127.0.0.1. */
  readonly listenHost?: string;
  readonly durability?: "always" | "everysec" | "no";
  /** How long a worker whose connection broke may stay away. Default: the master's. */
  readonly graceMs?: number | undefined;
  /** What artifacts may take of the disk, and for how long. Default: the master's. */
  readonly artifacts?: MasterOptions["artifacts"] | undefined;
  /** Start although the log has lost its beginning. Default false. */
  readonly acceptLoss?: boolean;
  /** The secret that peers must know. Default: none. */
  readonly token?: string | undefined;
  /** Variables of this process that jobs see, too, unless TITAN_JOB_ENV names others. */
  readonly jobEnv?: readonly string[];
  /** What is done to tell people of gates. Default: all that they ask for. */
  readonly notify?: NotifyPolicy | undefined;
  /** Default: none. */
  readonly store?: StoreChoice | undefined;
  /** Gets the peers of the master's port that speak version 1. Default: they are sent away. */
  readonly onOlderPeer?: OnOlderPeer | undefined;
  /** A worker or the store died, or said something. */
  readonly onNote?: (text: string) => void;
  /** The master's log could not be written; it serves nobody any more. */
  readonly onFatal?: (error: Error) => void;
  /** Files and sockets that this process may have open. Default: the system's limit. */
  readonly descriptors?: number;
  /** Resolves when nobody waits for the cluster any more: a store may take a minute to load. */
  readonly giveUp?: Promise<unknown>;
}

export interface PoolsOption {
  readonly pools: readonly PoolDefinition[];
  /** The folder of their file, in which their programs run. */
  readonly cwd: string;
  /** The host under which their workers reach the master. Default: the one that it listens on. */
  readonly master?: string | undefined;
}

/** How many workers more there may be, and, if it is to be another one than usual, the pace. */
export type Scale = Pick<Pool, "min" | "max"> &
  Partial<Pick<Pool, "upAfterMs" | "idleMs" | "startTimeoutMs">>;

export interface EmbeddedCluster {
  readonly master: Address;
  /** For the door of version 1. */
  readonly view: Pick<Master, "runsAfter" | "counts">;
  readonly stateDir: string;
  readonly token: string | undefined;
  readonly recovered: Master["recovered"];
  readonly store: StoreInfo | undefined;
  /** Resolves when all workers have registered, those that come and go with the load apart. */
  readonly ready: Promise<void>;
  /** Processes of the workers that live now. */
  readonly workerPids: number[];
  /** Ends the workers and their jobs, then the master, and removes a temporary folder. */
  stop(): Promise<void>;
  /** Ends everything now. The log holds what was acknowledged. */
  kill(): void;
}

/** The parts that have been started so far. A start that fails stops them all. */
interface Parts {
  readonly host: Host;
  readonly stateDir: string;
  readonly isTemporary: boolean;
  readonly onNote: (text: string) => void;
  isStopping: boolean;
  store?: ClusterStore;
  cluster?: string;
  master?: Master;
  supervisor?: Supervisor;
  autoscaler?: Autoscaler<PoolDefinition>;
  commands?: CommandDriver;
  messenger?: GateMessenger;
}

/**
 * Starts a master and its workers. Resolves as soon as the master listens, and the store if it is
 * one of our own.
 *
 * @throws {MasterError} LOCKED, ADDRESS_IN_USE, UNSAFE_ADDRESS
 * @throws {ClusterError} the store cannot start; INTERRUPTED: `giveUp` came first
 */
export async function startEmbeddedCluster(options: ClusterOptions): Promise<EmbeddedCluster> {
  const { token, onNote = () => undefined } = options;
  const isTemporary = options.stateDir === undefined;
  const stateDir =
    options.stateDir === undefined
      ? await mkdtemp(join(tmpdir(), "titan-run-"))
      : resolve(options.stateDir);
  const parts: Parts = { host: nodeHost(), stateDir, isTemporary, onNote, isStopping: false };
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopped ??= stopParts(parts));
  try {
    const { master, supervisor } = await startParts(options, parts);
    const store = await untilReady(parts.store, options.giveUp);
    return {
      master: { host: master.host, port: master.port },
      view: master,
      stateDir,
      token,
      recovered: master.recovered,
      store,
      ready: supervisor.ready,
      get workerPids() {
        return supervisor.pids;
      },
      stop,
      kill() {
        void parts.autoscaler?.stop();
        supervisor.kill();
        parts.commands?.kill();
        parts.messenger?.kill();
        parts.store?.kill();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The store begins first and is awaited last: it loads while the others start. */
async function startParts(
  options: ClusterOptions,
  parts: Parts,
): Promise<{ master: Master; supervisor: Supervisor }> {
  const { host, stateDir } = parts;
  const { slots, token, jobEnv } = options;
  const note = (text: string): void => {
    if (!parts.isStopping) parts.onNote(text); // while we stop, a lost master is no news
  };
  // Only now: its thread, if there is one, loads the store while we load the master.
  const { startMaster } = await import("#master");
  const places = await placesOf(options, note);
  if (options.store !== undefined) {
    parts.store = await openClusterStore(options.store, {
      host,
      stateDir,
      listenHost: options.listenHost ?? LISTEN_HOST,
      token,
      maxClients: places.store,
      onNote: note,
    });
  }
  parts.cluster = await clusterId(stateDir);
  const policy = options.notify ?? NOTIFY_ALL;
  const messenger = new GateMessenger({ policy, cwd: process.cwd(), env: process.env });
  parts.messenger = messenger;
  const master = await startMaster(
    masterOptions(options, { ...parts, cluster: parts.cluster, places, messenger }),
  );
  parts.master = master;
  const supervisor = new Supervisor({
    workers: Array.from({ length: options.workers }, (_, index) =>
      workerArgs(master, { stateDir, slots, tags: tagsOf(options.tags, index) }),
    ),
    env: workerEnv(token, jobEnv),
    onNote: note,
  });
  parts.supervisor = supervisor;
  Object.assign(
    parts, await autoscale(options, { host, stateDir, master, supervisor, onNote: note }),
  );
  return { master, supervisor };
}

interface ScaledParts extends Pick<Parts, "host" | "stateDir" | "onNote"> {
  readonly master: Master;
  readonly supervisor: Supervisor;
}

/** Pools of the file, and the one of `--scale`. Undefined: there is nothing to do for a loop. */
async function autoscale(
  options: ClusterOptions, { host, stateDir, master, supervisor, onNote }: ScaledParts,
): Promise<Pick<Parts, "autoscaler" | "commands">> {
  const { scale, pools: { pools: named = [], cwd = stateDir, master: dial } = {} } = options;
  const { slots = availableParallelism(), tags, token } = options;
  const isIdle = scale === undefined && named.length === 0;
  // Without pools, workers of the life before are ended at most.
  if (isIdle && master.fleet.look().launches.length === 0) return {};
  const [{ definePool }, { Autoscaler }, drivers] = await Promise.all([
    import("#scaling"),
    import("#master"),
    import("./drivers.ts"),
  ]);
  const { CommandDriver, processDriver } = drivers;
  const local = scale && definePool({ name: "local", slots, tags: [...tagsOf(tags, 0)], ...scale });
  const pools = [...named, ...(local ? [{ ...local, driver: { type: "process" } as const }] : [])];
  const commands = new CommandDriver({
    cwd,
    master: hostPort({ host: dial ?? dialable(master.host), port: master.port }),
    tokenFile: await writeTokenFile(stateDir, token),
    env: workerEnv(undefined),
  });
  const argsOf = (pool: Pool) => workerArgs(master, { stateDir, ...pool });
  const hands = { process: processDriver(supervisor, argsOf), command: commands };
  const { fleet } = master;
  const autoscaler = new Autoscaler({ host, fleet, pools, drivers: hands, onNote });
  await fleet.settled(); // those of the minimum are on their way
  return { commands, autoscaler };
}

/**
 * The master stops first: a worker that leaves a living master has its jobs started again
 * elsewhere, only to be killed there, too. The store stops last: jobs use it to the end.
 */
async function stopParts(parts: Parts): Promise<void> {
  const { cluster, master, stateDir, isTemporary, onNote } = parts;
  parts.isStopping = true;
  await parts.autoscaler?.stop();
  parts.commands?.kill();
  await master?.stop();
  parts.messenger?.kill();
  await parts.supervisor?.stop();
  await parts.store?.stop();
  if (cluster !== undefined) {
    await removeOver(cluster, (run) => isTemporary || (master?.isOver(run) ?? false), onNote);
  }
  if (!isTemporary) return;
  await removeTree(stateDir).catch((error: Error) => {
    onNote(`Cannot remove ${stateDir}: ${error.message}`);
  });
}

async function untilReady(
  store: ClusterStore | undefined,
  giveUp: Promise<unknown> | undefined,
): Promise<StoreInfo | undefined> {
  const over = giveUp?.then((): never => {
    const why = "it was stopped before its store had loaded";
    throw new ClusterError("INTERRUPTED", `Cannot start the cluster: ${why}`);
  });
  over?.catch(() => undefined); // it mostly comes later, when nobody listens here
  if (store === undefined || over === undefined) return store?.ready;
  return Promise.race([store.ready, over]);
}

/** Removes the files that jobs shared. A run that went well must not fail because that fails. */
async function removeOver(
  cluster: string,
  isOver: (run: string) => boolean,
  onNote: (text: string) => void,
): Promise<void> {
  const { removeSharedRuns } = await import("#exec");
  await removeSharedRuns(sharedRoot(), cluster, isOver).catch((error: Error) => {
    onNote(`Cannot remove what jobs shared: ${error.message}`);
  });
}

/**
 * Divides this process's descriptors: among the master's peers and files, and the clients of a
 * store of its own.
 */
async function placesOf(
  { store, workers, scale, pools, descriptors = descriptorLimit() }: ClusterOptions,
  note: (text: string) => void,
): Promise<Places> {
  const { MIN_DESCRIPTORS, placesFor } = await import("#master");
  const places = placesFor(descriptors, {
    store: store !== undefined && !("url" in store),
    workers: workers + (scale?.max ?? 0) + childrenOf(pools?.pools ?? []),
  });
  if (descriptors < MIN_DESCRIPTORS) {
    note(
      `warning: this process may open ${descriptors} files and sockets, and needs ` +
        `${MIN_DESCRIPTORS} (ulimit -n); only ${places.connections} peers can connect`,
    );
  }
  return places;
}

/** Each has pipes to this process. */
function childrenOf(pools: readonly PoolDefinition[]): number {
  return pools.reduce((sum, { driver, max }) => sum + (driver.type === "process" ? max : 0), 0);
}

interface MasterParts extends Pick<Parts, "host" | "stateDir" | "store" | "onNote"> {
  readonly cluster: string;
  readonly places: Places;
  readonly messenger: GateMessenger;
}

function masterOptions(
  options: ClusterOptions,
  { host, stateDir, store, cluster, places, messenger, onNote }: MasterParts,
): MasterOptions {
  const {
    port = 0,
    listenHost = LISTEN_HOST,
    durability = "always",
    acceptLoss = false,
    token,
    graceMs,
    artifacts,
    onOlderPeer,
  } = options;
  const onFatal =
    options.onFatal ?? ((error: Error) => onNote(`the master has stopped: ${error.message}`));
  return {
    host,
    dir: stateDir,
    cluster,
    places,
    messenger,
    past: (dir) => readInThread(dir),
    listen: { host: listenHost, port },
    durability,
    acceptLoss,
    version: VERSION,
    pid: process.pid,
    onFatal,
    onOlderPeer,
    heapBytes: heapLimit(),
    onFull: ({ message }) =>
      onNote(
        `the disk is full: ${message}. Reads go on; changes are refused, and nothing starts, ` +
          "until there is room",
      ),
    onRoom: ({ since }) =>
      onNote(
        `the disk has room again, after ${durationText(Date.now() - since)}: changes are taken, ` +
          "jobs start",
      ),
    ...(token !== undefined && { token }),
    ...(graceMs !== undefined && { graceMs }),
    ...(artifacts !== undefined && { artifacts }),
    ...(store !== undefined && { store: store.forMaster }),
  };
}

interface WorkerPlan {
  readonly stateDir: string;
  readonly slots: number | undefined;
  readonly tags: readonly string[];
}

function workerArgs(master: Address, worker: WorkerPlan): string[] {
  const { stateDir, slots = availableParallelism(), tags } = worker;
  const dial = { host: dialable(master.host), port: master.port };
  const args = ["--master", hostPort(dial), "--slots", String(slots), "--home", stateDir];
  return tags.length > 0 ? [...args, "--tags", tags.join(",")] : args;
}

function tagsOf(tags: ClusterOptions["tags"], index: number): readonly string[] {
  if (tags === undefined) return [];
  const perWorker = tags.filter((entry) => Array.isArray(entry)) as readonly (readonly string[])[];
  return perWorker.length > 0 ? (perWorker[index] ?? []) : (tags as readonly string[]);
}

/**
 * The token travels in the environment: other users of the machine can read a command line. The
 * master tells the workers about the store.
 */
function workerEnv(token: string | undefined, jobEnv?: readonly string[]): NodeJS.ProcessEnv {
  const {
    TITAN_TOKEN: _ours,
    TITAN_TOKEN_FILE: _file,
    TITAN_WORKER_NAME: _name,
    TITAN_SLOTS: _slots,
    TITAN_TAGS: _tags,
    TITAN_MASTER: _named,
    TITAN_STORE: _theirs,
    TITAN_STORE_PASSWORD: _password,
    TITAN_STORE_PRIMARY_PASSWORD: _primary,
    ...env
  } = process.env;
  return {
    ...(jobEnv && { TITAN_JOB_ENV: jobEnv.join(",") }),
    ...env,
    ...(token !== undefined && { TITAN_TOKEN: token }),
  };
}
