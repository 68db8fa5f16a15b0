/**
 * The store of a cluster that runs in one process. It is in a thread beside the master: a job that
 * keeps the store busy must not keep the master from dispatching, and a store that is full must not
 * end the master.
 *
 *     start a thread ──▶ it loads ───┐                (the master and the workers start meanwhile)
 *     take the folder's lock ────────┴─▶ open, listen ─▶ `ready`
 *     it dies later ──▶ a note ──▶ another one, same port, after a wait that doubles
 *
 * Invariants: one thread at a time; the folder is locked for as long as this process may use it; no
 * command line, environment or message for people holds a password.
 * Left out: a store that outlives this process. `titan store` is one, and `--store` names it.
 * Test: test/cli.store.test.ts
 */
import type { Worker } from "node:worker_threads";
import { ClusterError } from "./errors.ts";
import { durationText, hostPort } from "#base";
import type { Address, Host } from "#host";
import type { ServeStoreOptions, StoreRecovered } from "./store-serve.ts";
import type { FromThread } from "./store-thread.ts";
import {
  fullText,
  storeFailure,
  storeFailureAdvice,
  storeFailureText,
  type StoreFailure,
  type StoreLocation,
} from "./store-failure.ts";
import { HEALTHY_MS, restartDelayMs } from "./supervisor.ts";
import { newThread, shareOfMemory } from "./thread.ts";

/**
 * Clients at a time, unless the caller has counted the process's descriptors: as many as the jobs
 * of a hundred workers need, and a share of the 1,024 that a process usually has.
 */
const MAX_CLIENTS = 256;

/** Two seconds for clients that do not read, and the time of a slow disk for the rest. */
const STOP_MS = 4000;
/** A store that loads has promised nothing. It hears us between two pieces of its log. */
const STOP_LOADING_MS = 1000;

export interface EmbeddedStoreOptions extends ServeStoreOptions {
  readonly host: Host;
  readonly onNote: (text: string) => void;
  /** From `newStoreThread`. Default: it starts one. */
  readonly thread?: Worker | undefined;
}

export interface StoreReady extends Address {
  readonly recovered: StoreRecovered;
}

export class EmbeddedStore {
  /** Rejects with a `ClusterError` when the store cannot start; later deaths are notes. */
  readonly ready: Promise<StoreReady>;
  readonly #options: EmbeddedStoreOptions;
  #lock: Promise<{ release(): Promise<void> }> | undefined;
  #listen: Address;
  #thread: Worker | undefined;
  #exited: Promise<void> = Promise.resolve();
  #restart: NodeJS.Timeout | undefined;
  #deaths = 0;
  #serving = false;
  #stopping = false;

  constructor(options: EmbeddedStoreOptions) {
    this.#options = options;
    this.#listen = options.listen;
    const thread = options.thread ?? newStoreThread();
    this.ready = new Promise((resolve, reject) => this.#start(thread, { resolve, reject }));
    this.ready.catch(() => undefined); // also when nobody waits for it yet
  }

  /** Answers leave, the log is flushed, the folder is free. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#restart);
    // A thread that is loading, too, is asked: Node may abort this whole process when it ends a
    // thread in the middle of a call of the file system.
    this.#thread?.postMessage("stop");
    const graceMs = this.#serving ? STOP_MS : STOP_LOADING_MS;
    const timer = setTimeout(() => void this.#thread?.terminate(), graceMs);
    await this.#exited;
    clearTimeout(timer);
    await (await this.#lock?.catch(() => undefined))?.release();
  }

  /** Ends it at once. The log holds everything that was acknowledged. */
  kill(): void {
    this.#stopping = true;
    clearTimeout(this.#restart);
    void this.#thread?.terminate();
  }

  #start(thread: Worker, first?: FirstStart): void {
    const startedAt = performance.now();
    let failure: StoreFailure | undefined;
    this.#thread = thread;
    this.#exited = new Promise((exited) => {
      thread.once("exit", () => {
        this.#thread = undefined;
        this.#serving = false;
        exited();
        const error = failure ?? { name: "Error", code: "", message: "its thread ended" };
        if (first !== undefined && !this.#stopping) this.#failed(error, first.reject);
        else if (!this.#stopping) this.#died(error, performance.now() - startedAt);
        first?.reject(new ClusterError("FAILED", "Cannot start the store: stopped"));
      });
    });
    thread.on("error", (error) => (failure = storeFailure(error)));
    thread.on("message", (message: FromThread) => {
      if (message.kind === "full") return this.#options.onNote(fullText(message.why));
      if (message.kind !== "ready") return void (failure = message.error);
      this.#serving = true;
      // Clients that know the first thread's port find the next one.
      this.#listen = { host: this.#listen.host, port: message.port };
      if (first === undefined) {
        this.#options.onNote(`the store is back at ${hostPort(this.#listen)}`);
      }
      first?.resolve({ host: message.host, port: message.port, recovered: message.recovered });
      first = undefined;
    });
    void this.#open(thread, (error) => (failure = error));
  }

  /** Takes the folder first, and then tells the thread its task. */
  async #open(thread: Worker, failed: (error: StoreFailure) => void): Promise<void> {
    const { dir, durability, password, maxClients, host } = this.#options;
    const { storage } = host;
    try {
      if (dir !== undefined) {
        await (this.#lock ??= storage.mkdir(dir).then(() => storage.lock(`${dir}/lock`)));
      }
      thread.postMessage({
        listen: this.#listen,
        dir,
        durability,
        password,
        maxClients: maxClients ?? MAX_CLIENTS,
        owner: "this cluster",
      } satisfies ServeStoreOptions);
    } catch (error) {
      failed(storeFailure(error as Error));
      thread.postMessage("stop");
    }
  }

  get #location(): StoreLocation {
    return { listen: this.#listen, dir: this.#options.dir };
  }

  #failed(error: StoreFailure, reject: (error: Error) => void): void {
    const isTaken = error.code === "EADDRINUSE";
    const others = "--no-store does without, --store URL uses one that runs elsewhere";
    const advice = isTaken
      ? "--store-port PORT takes another one"
      : storeFailureAdvice(error, this.#location);
    const message = `Cannot start the store: ${storeFailureText(error, this.#location)}`;
    reject(
      new ClusterError("FAILED", message, {
        advice: advice === undefined ? others : `${advice}; ${others}`,
      }),
    );
  }

  #died(error: StoreFailure, aliveMs: number): void {
    this.#deaths = aliveMs > HEALTHY_MS ? 1 : this.#deaths + 1;
    const delayMs = restartDelayMs(this.#deaths);
    const empty = this.#options.dir === undefined ? ", empty, as it lives in memory only" : "";
    const why = storeFailureText(error, this.#location);
    const again = `it starts again in ${durationText(delayMs)}${empty}`;
    this.#options.onNote(`the store ended: ${why}; ${again}`);
    this.#restart = setTimeout(() => this.#start(newStoreThread()), delayMs);
  }
}

/** The caller that waits for the first start. */
interface FirstStart {
  readonly resolve: (ready: StoreReady) => void;
  readonly reject: (error: Error) => void;
}

/**
 * A thread that loads the store's program, and then waits for its task. A caller that will need a
 * store starts the thread early: loading takes 70 ms, and there is another processor.
 */
export function newStoreThread(): Worker {
  // Its data is its heap, and others live here too.
  return newThread("store-thread", { heapMb: shareOfMemory(1 / 2, { leastMb: 64 }) });
}
