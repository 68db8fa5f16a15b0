/**
 * Lesson 15: the store as a command sees it: the keys, what changes in them, and the clients that
 * watch, wait and listen.
 *
 *     engine.ts ─▶ a command ─▶ keys · blocking · subscriptions        what it reads and changes
 *                            └▶ log · watch · tell                     who must learn of it
 *
 * Invariants: while there is too much data, commands that make it larger are refused, and no others
 * (memory.ts); every change of a key reaches the clients that watch it, and the log.
 * Left out: scripts, streams, sorted sets, ACLs, several databases.
 * Test: test/15-store.test.ts
 */
import type { Address } from "#host";
import { Blocking } from "./blocking.ts";
import { Changes } from "./changes.ts";
import { Config } from "./config.ts";
import { dumpKey } from "./data/dump.ts";
import { Keyspace } from "./data/keyspace.ts";
import { MemoryLimit, type MemoryOptions } from "./data/memory.ts";
import { Snapshot } from "./data/snapshot.ts";
import { OOM } from "./refusal.ts";
import { nameCost, type Session } from "./session.ts";
import { Subscriptions } from "./subscriptions.ts";
import type { Propagate, Replies, StoreHost } from "./types.ts";

export interface StoreOptions {
  readonly host: StoreHost;
  readonly propagate?: Propagate;
  /** Clients must say AUTH first. Default: none. */
  readonly requirepass?: string;
  /** Default: primary. */
  readonly role?: Role;
  /** How much data there may be. */
  readonly memory?: MemoryOptions;
}

/**
 * `primary` executes everything; `replica` gets its changes through `load` and refuses the writes
 * of clients; `loading` refuses all but `load`. Only a primary lets keys expire: it tells the
 * others.
 */
export type Role = "primary" | "replica" | "loading";

/** Figures for INFO. */
export interface StoreStats {
  commands: number;
  connections: number;
  expired: number;
}

/** What sessions keep in the store. All of it goes with them: without sessions each is 0. */
export interface StoreCounts {
  readonly sessions: number;
  /** Sessions in BLPOP and the like. */
  readonly waiting: number;
  readonly waitedFor: number;
  readonly watched: number;
  /** Channels and patterns that somebody listens to. */
  readonly channels: number;
}

/**
 * What commands about the log and about replicas talk to. A store that lives in memory only has
 * none of it.
 */
export interface StoreServices {
  /** Throws a `Refusal` while no write could be remembered. */
  admitWrite(): void;
  /** BGREWRITEAOF: says what it did, or throws a `Refusal`. */
  rewrite(): string;
  /** REPLICAOF; undefined: be a primary. */
  follow(primary: Address | undefined): void;
  /** ROLE */
  describeRole(out: Replies): void;
  /**
   * The client is a replica, and knows the changes of `id` up to `offset`: its connection becomes a
   * stream of them.
   */
  sync(session: Session, known: { readonly id: string; readonly offset: number }): void;
}

export abstract class Store {
  readonly host: StoreHost;
  readonly keys: Keyspace;
  readonly config: Config;
  readonly memory: MemoryLimit;
  readonly subscriptions = new Subscriptions((session, write) => this.tell(session, write));
  readonly blocking: Blocking;
  readonly changes: Changes;
  /** Every client that has not gone, by id. */
  readonly sessions = new Map<number, Session>();
  readonly stats: StoreStats = { commands: 0, connections: 0, expired: 0 };
  /** More sections for INFO, from the log, the replication and the server. */
  readonly info = new Map<string, () => Readonly<Record<string, string | number>>>();
  /** The log and the replicas, where there are any. */
  services: StoreServices | undefined;
  /** Monotonic ms at the start. */
  readonly startedAt: number;
  /** The client whose command is under way. */
  current: Session | undefined;
  /** Inside EXEC: nothing blocks. */
  inTransaction = false;
  readonly #watchers = new Map<string, Set<Session>>();
  /** Messages to the client whose command is under way. They follow its answer. */
  readonly #later: (() => void)[] = [];
  #role: Role = "primary";
  #snapshot: Snapshot | undefined;

  constructor(options: StoreOptions) {
    this.host = options.host;
    this.changes = new Changes(options.propagate);
    this.startedAt = options.host.clock.monotonic();
    this.config = new Config(options.requirepass ?? "");
    this.memory = new MemoryLimit(options.memory ?? {});
    this.config.define("maxmemory", this.memory.setting);
    this.blocking = new Blocking(options.host);
    this.keys = new Keyspace(options.host, {
      changed: (key) => this.#changed(key),
      listAppeared: (key) => this.blocking.signal(key),
      expired: (key) => this.#expired(key),
      moving: (from, to) => this.#snapshot?.moving(from, to),
    });
    this.role = options.role ?? "primary";
  }

  /** The body of EXEC: all of these, with nothing in between, and one answer around theirs. */
  abstract runAll(session: Session, queue: readonly string[][]): void;

  counts(): StoreCounts {
    return {
      sessions: this.sessions.size,
      waiting: this.blocking.size,
      waitedFor: this.blocking.names,
      watched: this.#watchers.size,
      channels: this.subscriptions.channels.size + this.subscriptions.patterns.size,
    };
  }

  get role(): Role {
    return this.#role;
  }

  set role(role: Role) {
    this.#role = role;
    this.keys.mode = role === "primary" ? "remove" : "hide";
    this.keys.expiry.run(role === "primary");
    // A command has asked for the new role. The clients that waited, which only a primary has, go
    // on after that command.
    this.blocking.dismiss(UNBLOCKED);
  }

  /** Whether a value of `size` entries may get so many more. A replay is always allowed to. */
  fits(size: number, more: number): boolean {
    return this.changes.replaying || this.memory.fits(size, more);
  }

  /** Throws the `Refusal` when it may not. */
  admitEntries(size: number, more: number): void {
    if (!this.fits(size, more)) throw OOM;
  }

  /** `MemoryLimit.admitBytes`: a copy may be as large as all there is. */
  admitBytes(more: number): void {
    if (!this.changes.replaying) this.memory.admitBytes(more, this.keys);
  }

  /** A snapshot is being taken: `beforeChange` must be called for every key. */
  get isCopied(): boolean {
    return this.#snapshot !== undefined;
  }

  /** A snapshot under way gets this key as it is now. `call` says it for the keys of a command. */
  beforeChange(key: string): void {
    this.#snapshot?.save(key);
  }

  /**
   * For a command that a replay must not repeat in its own words: logs the words of what happened.
   * May be called several times.
   */
  log(...argv: string[]): void {
    this.changes.logged = true;
    this.changes.add(argv);
  }

  /**
   * Sends a message to `session`, for a command of any session. A session never gets a message in
   * the midst of the answer to its own command.
   */
  tell(session: Session, write: () => void): void {
    if (session === this.current) this.#later.push(write);
    else {
      write();
      session.onPush();
    }
  }

  /** Sends what `tell` has held back: the answer of the command is complete. */
  tellHeldBack(): void {
    while (this.#later.length > 0) this.#later.shift()!();
  }

  watch(session: Session, key: string): void {
    if (session.watched.has(key)) return;
    session.watched.add(key);
    session.namesBytes += nameCost(key);
    const watchers = this.#watchers.get(key);
    if (watchers === undefined) this.#watchers.set(key, new Set([session]));
    else watchers.add(session);
  }

  unwatch(session: Session): void {
    for (const key of session.watched) {
      session.namesBytes -= nameCost(key);
      const watchers = this.#watchers.get(key);
      watchers?.delete(session);
      if (watchers?.size === 0) this.#watchers.delete(key);
    }
    session.watched.clear();
    session.touched = false;
  }

  #changed(key: string): void {
    this.changes.dirty = true;
    this.#touch(key);
  }

  #touch(key: string): void {
    this.#watchers.get(key)?.forEach((session) => (session.touched = true));
  }

  #expired(key: string): void {
    this.stats.expired++;
    this.#touch(key);
    this.changes.add(["del", key]);
    if (this.current === undefined) this.changes.flush();
  }

  /**
   * Makes the store empty, and returns a function that brings the old data back. Neither is a
   * change that is logged.
   */
  setAside(): () => void {
    const bringBack = this.keys.setAside();
    return () => {
      bringBack();
      this.changes.dirty = false; // for REPLICAOF, if it is under way
    };
  }

  /**
   * Commands that rebuild the keyspace as it is now. Walk it to its end before the next command is
   * executed.
   */
  *dump(): Generator<string[]> {
    const { dict, expiry } = this.keys;
    for (let i = 0; i < dict.size; i++) {
      const key = dict.keys[i]!;
      yield* dumpKey(key, { value: dict.values[i]!, deadline: expiry.get(key) });
    }
  }

  /**
   * The same, in pieces, while commands go on: `emit` gets the commands that rebuild the keyspace
   * as it is at this call. One at a time; a second call throws.
   */
  snapshot(emit: (argv: string[]) => void): Snapshot {
    if (this.#snapshot !== undefined) {
      throw new Error("Cannot take a snapshot: another one is under way");
    }
    this.#snapshot = new Snapshot(this.keys, { emit, done: () => (this.#snapshot = undefined) });
    return this.#snapshot;
  }
}

const UNBLOCKED =
  "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)";
