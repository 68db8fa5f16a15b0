/**
 * A whole cluster from one call: a master in this process and workers beside it. `titan up` and `titan run` are made of
 * it, and so are demos, benchmarks and tests.
 *
 *     store's thread ──────────────────┐
 *     listen ─▶ start workers ─────────┴─▶ return     nothing waits for the workers: a job that is submitted
 *                                                     at once starts when the first of them has dialled
 *
 * Invariants: nothing is left behind by `stop`, and by an embedded cluster without `stateDir` no folder either; the
 * workers die with this process, however it dies.
 * Left out: moving running jobs elsewhere before a stop. They are lost attempts, which the next master starts again.
 * Test: test/cli.cluster.test.ts
 */
import { mkdtemp } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { getHeapStatistics } from "node:v8";
import { ClusterError } from "./errors.ts";
import { dialable, durationText, hostPort } from "#base";
import { type Address, descriptorLimit, type Host, nodeHost, removeTree, sharedRoot, VERSION } from "#host";
import {
  MIN_DESCRIPTORS,
  placesFor,
  startMaster,
  type Master,
  type MasterOptions,
  type Places,
} from "#master";
import { openClusterStore, type ClusterStore, type StoreChoice, type StoreInfo } from "./cluster-store.ts";
import { clusterId } from "./cluster-id.ts";
import { Supervisor } from "./supervisor.ts";

const LISTEN_HOST = "127.0.0.1";

export interface ClusterOptions {
  readonly workers: number;
  /** Jobs at once, per worker. Default: as many as there are processors. */
  readonly slots?: number | undefined;
  /** Capabilities of every worker, or a list per worker. */
  readonly tags?: readonly string[] | readonly (readonly string[])[] | undefined;
  /** Kept afterwards. Default: a temporary folder, removed by `stop`. */
  readonly stateDir?: string | undefined;
  /** Default 0: any free one. */
  readonly port?: number;
  /** Default 127.0.0.1. */
  readonly listenHost?: string;
  readonly durability?: "always" | "everysec" | "no";
  /** How long a worker whose connection broke may stay away. Default: the master's. */
  readonly graceMs?: number | undefined;
  /** Start although the log has lost its beginning. Default false. */
  readonly acceptLoss?: boolean;
  /** What peers must know. Default: nothing. */
  readonly token?: string | undefined;
  /** Default: none. */
  readonly store?: StoreChoice | undefined;
  /** A worker or the store died, or said something. */
  readonly onNote?: (text: string) => void;
  /** The master's log could not be written; it serves nobody any more. */
  readonly onFatal?: (error: Error) => void;
  /** Files and sockets that this process may have open. Default: what the system says. */
  readonly descriptors?: number;
  /** Resolves when nobody waits for it any more: a store may take a minute to load. */
  readonly giveUp?: Promise<unknown>;
}

export interface EmbeddedCluster {
  readonly master: Address;
  readonly stateDir: string;
  readonly token: string | undefined;
  readonly recovered: Master["recovered"];
  readonly store: StoreInfo | undefined;
  /** Resolves when all workers have registered. */
  readonly ready: Promise<void>;
  /** Of the workers that live now. */
  readonly workerPids: number[];
  /** Settles what is under way, ends the workers and their jobs, and removes a temporary folder. */
  stop(): Promise<void>;
  /** Ends everything now. The log holds what was acknowledged. */
  kill(): void;
}

/**
 * Starts a master and its workers. Resolves as soon as the master listens, and the store if it is to have one of its own.
 *
 * @throws {MasterError} LOCKED, ADDRESS_IN_USE, UNSAFE_ADDRESS
 * @throws {ClusterError} the store cannot start; INTERRUPTED: `giveUp` came first
 */
export async function startEmbeddedCluster(options: ClusterOptions): Promise<EmbeddedCluster> {
  const { workers, slots, token, onNote = () => undefined } = options;
  const host = nodeHost();
  const temporary = options.stateDir === undefined;
  const stateDir = options.stateDir === undefined ? await mkdtemp(join(tmpdir(), "titan-run-")) : resolve(options.stateDir);
  let stopping = false;
  const note = (text: string): void => {
    if (!stopping) onNote(text); // that the master is gone is no news then
  };
  let store: ClusterStore | undefined;
  let cluster: string | undefined;
  let master: Master | undefined;
  let supervisor: Supervisor | undefined;
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopped ??= stopAll());
  const stopAll = async (): Promise<void> => {
    stopping = true;
    // The master first: a worker that leaves a living master has its jobs started again elsewhere, only to be killed there, too.
    await master?.stop();
    await supervisor?.stop();
    await store?.stop(); // last: jobs use it to the end
    if (cluster !== undefined) {
      await removeOver(cluster, (run) => temporary || (master?.isOver(run) ?? false), onNote);
    }
    if (temporary) {
      await removeTree(stateDir)
        .catch((error: Error) => onNote(`Cannot remove ${stateDir}: ${error.message}`));
    }
  };
  try {
    // Begun first and awaited last: it loads while the others start.
    const places = placesOf(options, note);
    if (options.store !== undefined) {
      store = await openClusterStore(options.store, {
        host,
        stateDir,
        listenHost: options.listenHost ?? LISTEN_HOST,
        token,
        maxClients: places.store,
        onNote: note,
      });
    }
    cluster = await clusterId(stateDir);
    master = await startMaster(
      masterOptions(options, { host, stateDir, store, cluster, places, onNote }),
    );
    const { host: listening, port } = master;
    supervisor = new Supervisor({
      workers: Array.from({ length: workers }, (_, index) => workerArgs({ host: listening, port }, { stateDir, slots, tags: tagsOf(options.tags, index) })),
      env: workerEnv(token),
      onNote: note,
    });
    const found = await untilReady(store, options.giveUp);
    const { ready } = supervisor;
    return {
      master: { host: listening, port }, stateDir, token, recovered: master.recovered, store: found, ready,
      get workerPids() {
        return supervisor!.pids;
      },
      stop,
      kill() {
        supervisor!.kill();
        store?.kill();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function untilReady(store: ClusterStore | undefined, giveUp: Promise<unknown> | undefined): Promise<StoreInfo | undefined> {
  const over = giveUp?.then((): never => {
    throw new ClusterError("INTERRUPTED", "Cannot start the cluster: it was stopped before its store had loaded");
  });
  over?.catch(() => undefined); // mostly it comes later, when nobody listens here
  return store === undefined || over === undefined ? store?.ready : Promise.race([store.ready, over]);
}

/** What jobs shared. It cannot be removed? That is no reason to fail a run that went well. */
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
 * Who may have how many of this process's descriptors: the master's peers and files, and the
 * clients of a store of its own.
 */
function placesOf(
  { store, workers, descriptors = descriptorLimit() }: ClusterOptions,
  note: (text: string) => void,
): Places {
  const places = placesFor(descriptors, {
    store: store !== undefined && !("url" in store),
    workers,
  });
  if (descriptors < MIN_DESCRIPTORS) {
    note(
      `warning: this process may open ${descriptors} files and sockets, and needs ` +
        `${MIN_DESCRIPTORS} (ulimit -n); only ${places.connections} peers can connect`,
    );
  }
  return places;
}

interface Parts {
  readonly host: Host;
  readonly stateDir: string;
  readonly store: ClusterStore | undefined;
  readonly cluster: string;
  readonly places: Places;
  readonly onNote: (text: string) => void;
}

function masterOptions(
  options: ClusterOptions,
  { host, stateDir, store, cluster, places, onNote }: Parts,
): MasterOptions {
  const {
    port = 0,
    listenHost = LISTEN_HOST,
    durability = "always",
    acceptLoss = false,
    token,
    graceMs,
  } = options;
  const onFatal =
    options.onFatal ?? ((error: Error) => onNote(`the master has stopped: ${error.message}`));
  return {
    host,
    dir: stateDir,
    cluster,
    places,
    listen: { host: listenHost, port },
    durability,
    acceptLoss,
    version: VERSION,
    pid: process.pid,
    onFatal,
    heapBytes: getHeapStatistics().heap_size_limit,
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
    ...(store !== undefined && { store: store.forMaster }),
  };
}

function workerArgs(master: Address, worker: { stateDir: string; slots: number | undefined; tags: readonly string[] }): string[] {
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

/** The token travels in the environment: other users of the machine can read a command line. Of the store the master tells them. */
function workerEnv(token: string | undefined): NodeJS.ProcessEnv {
  const { TITAN_TOKEN: _ours, TITAN_MASTER: _named, TITAN_STORE: _theirs, TITAN_STORE_PASSWORD: _password, TITAN_STORE_PRIMARY_PASSWORD: _primary, ...env } = process.env;
  return token === undefined ? env : { ...env, TITAN_TOKEN: token };
}
