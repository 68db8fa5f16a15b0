/**
 * The store of a cluster that one process has: in a thread beside the master, because a job that keeps the store busy must
 * not keep the master from dispatching, and a store that is full must not be the end of it.
 *
 *     start a thread ──▶ it loads ───┐                (the master and the workers start meanwhile)
 *     take the folder's lock ────────┴─▶ open, listen ─▶ `ready`
 *     it dies later ──▶ a note ──▶ another one, same port, after a wait that doubles
 *
 * Invariants: one thread at a time; the folder is locked for as long as this process may use it; a password is in no command
 * line, no environment and no message for people.
 * Left out: a store that outlives this process. `titan store` is that, and `--store` names it.
 * Test: test/cli.store.test.ts
 */
import { totalmem } from "node:os";
import { Worker } from "node:worker_threads";
import { ClusterError } from "./errors.ts";
import { durationText, hostPort } from "#base";
import type { Address, Host } from "#host";
import type { ServeStoreOptions, StoreRecovered } from "./store-serve.ts";
import type { FromThread } from "./store-thread.ts";
import {
  fullText,
  trouble,
  troubleAdvice,
  troubleText,
  type StorePlace,
  type StoreTrouble,
} from "./store-trouble.ts";
import { HEALTHY_MS, restartDelayMs } from "./supervisor.ts";

/**
 * Clients at a time, where nobody has counted the process's descriptors: what a hundred workers'
 * jobs need, and a share of the 1,024 that a process has as a rule.
 */
const MAX_CLIENTS = 256;

/** Two seconds for clients that do not read, and the time of a slow disk for the rest. */
const STOP_MS = 4000;

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
  /** Rejects with a `ClusterError` when it cannot start; later deaths are notes. */
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
    this.ready = new Promise((resolve, reject) => this.#start(options.thread ?? newStoreThread(), { resolve, reject }));
    this.ready.catch(() => undefined); // also when nobody waits for it yet
  }

  /** Answers leave, the log is flushed, the folder is free. */
  async stop(): Promise<void> {
    const wasServing = this.#serving;
    this.#stopping = true;
    clearTimeout(this.#restart);
    // A replay has promised nothing: it need not be waited for.
    if (wasServing) this.#thread?.postMessage("stop");
    else void this.#thread?.terminate();
    const timer = setTimeout(() => void this.#thread?.terminate(), STOP_MS);
    await this.#exited;
    clearTimeout(timer);
    await (await this.#lock?.catch(() => undefined))?.release();
  }

  /** At once. The log holds what was acknowledged. */
  kill(): void {
    this.#stopping = true;
    clearTimeout(this.#restart);
    void this.#thread?.terminate();
  }

  #start(thread: Worker, first?: { resolve: (ready: StoreReady) => void; reject: (error: Error) => void }): void {
    const startedAt = performance.now();
    let failure: StoreTrouble | undefined;
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
    thread.on("error", (error) => (failure = trouble(error)));
    thread.on("message", (message: FromThread) => {
      if (message.kind === "full") return this.#options.onNote(fullText(message.why));
      if (message.kind !== "ready") return void (failure = message.error);
      this.#serving = true;
      this.#listen = { host: this.#listen.host, port: message.port }; // those who know the first one's port find the next one
      if (first === undefined) this.#options.onNote(`the store is back at ${hostPort(this.#listen)}`);
      first?.resolve({ host: message.host, port: message.port, recovered: message.recovered });
      first = undefined;
    });
    void this.#open(thread, (error) => (failure = error));
  }

  /** The folder first, then what the thread is to do. */
  async #open(thread: Worker, failed: (error: StoreTrouble) => void): Promise<void> {
    const { dir, durability, password, maxClients, host: { storage } } = this.#options;
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
      failed(trouble(error as Error));
      await thread.terminate();
    }
  }

  get #place(): StorePlace {
    return { listen: this.#listen, dir: this.#options.dir };
  }

  #failed(error: StoreTrouble, reject: (error: Error) => void): void {
    const advice = error.code === "EADDRINUSE" ? "--store-port PORT takes another one" : troubleAdvice(error, this.#place);
    const others = "--no-store does without, --store URL uses one that runs elsewhere";
    reject(new ClusterError("FAILED", `Cannot start the store: ${troubleText(error, this.#place)}`, { advice: advice === undefined ? others : `${advice}; ${others}` }));
  }

  #died(error: StoreTrouble, aliveMs: number): void {
    this.#deaths = aliveMs > HEALTHY_MS ? 1 : this.#deaths + 1;
    const delayMs = restartDelayMs(this.#deaths);
    const empty = this.#options.dir === undefined ? ", empty, as it lives in memory only" : "";
    this.#options.onNote(`the store ended: ${troubleText(error, this.#place)}; it starts again in ${durationText(delayMs)}${empty}`);
    this.#restart = setTimeout(() => this.#start(newStoreThread()), delayMs);
  }
}

/**
 * A thread that loads the store's program, and then waits to be told what to serve. Whoever knows early that there will be a
 * store starts it early: loading takes 70 ms, and there is another processor.
 *
 * From the build a thread is a file. From the sources it needs our loader, which Node 20 does not give to threads: a line of
 * JavaScript brings it along.
 */
export function newStoreThread(): Worker {
  const options = { env: {}, resourceLimits: { maxOldGenerationSizeMb: heapMb() } };
  if (import.meta.url.endsWith(".js")) return new Worker(new URL("./store-thread.js", import.meta.url), options);
  const program = JSON.stringify(new URL("./store-thread.ts", import.meta.url).href);
  const loader = JSON.stringify(import.meta.resolve("tsx/esm/api"));
  return new Worker(`import(${loader}).then(({ register }) => (register(), import(${program})))`, { ...options, eval: true });
}

/** Half of what there is: the store's data is its heap, and others live here too. */
function heapMb(): number {
  const allowed = process.constrainedMemory();
  const bytes = allowed > 0 ? Math.min(allowed, totalmem()) : totalmem();
  return Math.max(64, Math.floor(bytes / 2 / 2 ** 20));
}
