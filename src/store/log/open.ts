/**
 * Lesson 15: a store that outlives its process.
 *
 *     lock the folder ─▶ recover the log (chapter 05) ─▶ replay it ─▶ gather each turn's changes
 *
 * Invariants: one process writes to a folder; `afterCommit` resolves when the changes of the turn
 * are as safe as the policy demands, and rejects for ever once the disk has failed.
 * Left out: serving while it loads. A million keys take about a second.
 * Test: test/15-store.log.test.ts
 */
import type { Address, Host } from "#host";
import { type Durability, type LogRecovery, openLog } from "#log";
import { MAX_BEHIND_BYTES, REWRITE_MIN_BYTES, StoreLog } from "./aof.ts";
import type { MemoryOptions } from "../data/memory.ts";
import { encodeGroup, TextBuffer } from "./text.ts";
import { SnapshotQueue } from "./snapshot-queue.ts";
import { Refusal } from "../refusal.ts";
import { BACKLOG_BYTES, Replication } from "../replication/replication.ts";
import { Engine } from "../engine.ts";

/**
 * A turn's text goes to the log early when it gets this long: a single string of all of it would be
 * copied once more.
 */
const FLUSH_CHARS = 4 * 1024 * 1024;

export interface OpenStoreOptions {
  readonly host: Host;
  /**
   * Folder of the log, made if missing. Without one the store lives in memory only, and replicas
   * may still follow it.
   */
  readonly dir?: string;
  /**
   * When an answer may leave: with `always` after the fsync of the changes; with `everysec`
   * (default) and `no` after the write, which outlives the process but not a power cut. A power cut
   * costs up to about a second, or half a minute.
   */
  readonly durability?: Durability;
  readonly requirepass?: string;
  /**
   * The name of the system that this store is a part of ("this cluster"). Clients may not change
   * the store's password, which other parts know, nor make it a replica. Default: the store stands
   * alone.
   */
  readonly owner?: string;
  /** How much data there may be; default: as much as the heap takes. */
  readonly memory?: MemoryOptions;
  /**
   * Called when the disk turns out to be full, with the system's words, and (undefined) when there
   * is room again. Meanwhile writes are refused, and reads go on.
   */
  readonly onFull?: (why: string | undefined) => void;
  /**
   * Called once, when a write or an fsync has failed. Nothing is promised from then on: the process
   * should stop.
   */
  readonly onFatal?: (error: Error) => void;
  /**
   * Rewrite by itself when the log has doubled and is at least this large; default
   * REWRITE_MIN_BYTES.
   */
  readonly rewriteMinBytes?: number;
  /** Writes wait while more than this waits for the disk; default MAX_BEHIND_BYTES. */
  readonly maxBehindBytes?: number;
  /** Default: as #log has it. */
  readonly segmentBytes?: number;
  /**
   * Ends the replay of the log: `openStore` rejects with the signal's reason, and the folder is
   * free.
   */
  readonly signal?: AbortSignal;
  /**
   * Follow this primary from the start: the store takes its data and refuses writes. REPLICAOF
   * changes it.
   */
  readonly replicaOf?: Address;
  /** The primary's password. */
  readonly primaryPassword?: string;
  /** A replica's link to its primary has an error, or (undefined) works. */
  readonly onLinkError?: (primary: Address, linkError: string | undefined) => void;
  /**
   * How many bytes a replica may miss while it is away; a connected one may be behind by LAG_FACTOR
   * times as much. Default BACKLOG_BYTES.
   */
  readonly backlogBytes?: number;
}

export interface OpenStore {
  readonly store: Engine;
  /** What opening the log found. */
  readonly recovery: LogRecovery | undefined;
  /** For `startStore`. */
  afterCommit(): Promise<void> | undefined;
  /**
   * For `startStore`: resolves when a write need no longer wait for the disk; undefined: it need
   * not.
   */
  caughtUp(): Promise<void> | undefined;
  /** For `startStore`: `listener` hears when the disk is full, and when it is no longer. */
  whenFull(listener: (full: boolean) => void): void;
  /** Rewrites the log now. Rejects when that fails, or one runs already, or there is no log. */
  rewrite(): Promise<void>;
  /**
   * Stops timers, flushes the log to the disk whatever the policy, and frees the folder. Close the
   * server first.
   */
  close(): Promise<void>;
}

/**
 * @throws {LogError} for damage, naming file and offset; a StoreLogError for another program's log;
 * an error with code ELOCKED when the folder is in use
 */
export async function openStore(options: OpenStoreOptions): Promise<OpenStore> {
  const { host, dir } = options;
  const opened = new PersistentStore(options);
  if (dir === undefined) return opened.start();
  await host.storage.mkdir(dir);
  const lock = await host.storage.lock(`${dir}/lock`);
  try {
    await opened.openLog(dir, lock);
  } catch (error) {
    await lock.release();
    throw error;
  }
  return opened.start();
}

class PersistentStore implements OpenStore {
  readonly store: Engine;
  recovery: LogRecovery | undefined;
  readonly #options: OpenStoreOptions;
  readonly #snapshots: SnapshotQueue;
  readonly #replication: Replication;
  #log: StoreLog | undefined;
  #lock: { release(): Promise<void> } | undefined;
  readonly #flushChars: number;
  /** The turn's changes so far. */
  readonly #text = new TextBuffer();
  #scheduled = false;
  #closed: Promise<void> | undefined;
  readonly #fullListeners: ((full: boolean) => void)[] = [];

  constructor(options: OpenStoreOptions) {
    const { host, requirepass, memory, owner } = options;
    this.#options = options;
    // The limit counts only text that the log has, so a turn keeps back at most half of it.
    this.#flushChars = Math.min(FLUSH_CHARS, (options.maxBehindBytes ?? MAX_BEHIND_BYTES) / 2);
    this.store = new Engine({
      host, role: "primary", propagate: (group) => this.#gather(group),
      ...(requirepass !== undefined && { requirepass }), ...(memory !== undefined && { memory }),
    });
    if (owner !== undefined) keepPassword(this.store, owner);
    this.#snapshots = new SnapshotQueue(this.store);
    this.store.services = {
      admitWrite: () => this.#log?.admit(),
      rewrite: () => `Background append only file rewriting ${this.#logOrRefuse().rewrite()}`,
      follow: (primary) => {
        if (owner !== undefined) {
          throw new Refusal(`ERR this store is a part of ${owner}, and follows no other`);
        }
        this.#replication.follow(primary);
      },
      describeRole: (out) => this.#replication.describe(out),
      sync: (session, known) => this.#replication.sync(session, known),
    };
    this.#replication = new Replication({
      host,
      store: this.store,
      snapshots: this.#snapshots,
      primaryPassword: options.primaryPassword ?? "",
      backlogBytes: options.backlogBytes ?? BACKLOG_BYTES,
      flush: () => this.#flush(),
      applied: (group) => this.#gather(group),
      onLinkError: options.onLinkError ?? (() => {}),
      caughtUp: () => {
        const log = this.#log;
        return log?.isBehind === true || log?.isFull === true ? this.afterCommit() : undefined;
      },
    });
  }

  start(): this {
    this.#replication.follow(this.#options.replicaOf);
    return this;
  }

  async openLog(dir: string, lock: { release(): Promise<void> }): Promise<void> {
    const { host, durability = "everysec", segmentBytes, onFatal } = this.#options;
    const { rewriteMinBytes = REWRITE_MIN_BYTES, maxBehindBytes = MAX_BEHIND_BYTES } =
      this.#options;
    this.#lock = lock;
    const { store } = this;
    const log = await openLog({
      host, dir: `${dir}/log`, durability, ...(segmentBytes === undefined ? {} : { segmentBytes }),
      onFull: ({ message }) => this.#fullOrNot(message),
      onRoom: () => this.#fullOrNot(undefined),
      onFatal: (error) => {
        this.#log?.fail(error);
        onFatal?.(error);
      },
    });
    this.recovery = log.recovery;
    const storeLog = new StoreLog(log, {
      store,
      snapshots: this.#snapshots,
      rewriteMinBytes,
      maxBehindBytes,
    });
    storeLog.beforeSnapshot = () => this.#flush();
    store.role = "loading";
    try {
      await storeLog.replay(this.#options.signal);
    } catch (error) {
      await log.close();
      throw error;
    }
    store.role = "primary";
    this.#log = storeLog;
    store.info.set("Persistence", () => storeLog.info());
    store.config.define("appendonly", { get: () => "yes" });
    store.config.define("appendfsync", { get: () => durability });
  }

  #fullOrNot(why: string | undefined): void {
    this.#log?.changed();
    for (const listener of this.#fullListeners) listener(why !== undefined);
    this.#options.onFull?.(why);
  }

  whenFull(listener: (full: boolean) => void): void {
    this.#fullListeners.push(listener);
  }

  #logOrRefuse(): StoreLog {
    if (this.#log === undefined) throw new Refusal("ERR this store has no log");
    return this.#log;
  }

  #gather(group: string[][]): void {
    if (this.#closed !== undefined) return;
    if (this.#log === undefined && !this.#replication.wantsChanges) return;
    let cut = false;
    for (const piece of encodeGroup(group)) {
      this.#text.add(piece);
      if (this.#text.length < this.#flushChars) continue;
      this.#flush();
      cut = true;
    }
    // When this function returns, the stream must end between two groups.
    if (cut) this.#flush();
    if (this.#text.length > 0 && !this.#scheduled) {
      // No answer waits for an expiry, or for the change of an embedded client: this flushes them.
      this.#scheduled = true;
      this.store.host.timers.soon(() => {
        this.#scheduled = false;
        this.#flush();
      });
    }
  }

  #flush(): void {
    if (this.#text.length === 0) return;
    const bytes = this.#text.take();
    this.#log?.append(bytes);
    this.#replication.append(bytes);
  }

  afterCommit(): Promise<void> | undefined {
    this.#flush();
    return this.#log?.commit();
  }

  caughtUp(): Promise<void> | undefined {
    return this.#log?.caughtUp();
  }

  async rewrite(): Promise<void> {
    try {
      await new Promise<void>((resolve, reject) =>
        this.#logOrRefuse().rewrite((error) => (error === undefined ? resolve() : reject(error))),
      );
    } catch (error) {
      throw error instanceof Refusal ? new Error(`Cannot rewrite the log: ${error.text}`) : error;
    }
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#replication.close();
    this.store.close();
    this.#flush();
    try {
      await this.#log?.close();
    } finally {
      await this.#lock?.release();
    }
  }
}

/** Refuses a new password: jobs, workers and the master got this one when they started. */
function keepPassword({ config }: Engine, owner: string): void {
  const { get } = config.settings.get("requirepass")!;
  const refused = `this store is a part of ${owner}, whose jobs know its password`;
  config.define("requirepass", { get, set: () => refused });
}
