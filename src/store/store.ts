/**
 * Lesson 15: the engine. Takes commands one at a time, answers them, and says what must be
 * remembered.
 *
 *     execute ─▶ known? arity? AUTH? ─▶ queue it (MULTI), or run it ─▶ propagate what changed ─▶ serve those who wait
 *
 * There are no locks because there are no two commands at once: the event loop hands them over one
 * by one, and a transaction is a loop inside one command. What a command changed is gathered in a
 * group, which leaves as a whole: the log holds all of a transaction or nothing.
 *
 * Invariants: what makes the data larger is refused while there is too much of it, and nothing else
 * is (memory.ts); replaying the propagated groups on an empty store gives the same keyspace; a
 * command that was refused changed
 * nothing; nobody but the session itself sees a transaction in part.
 * Left out: scripts, streams, sorted sets, ACLs, several databases.
 * Test: test/15-store.test.ts
 */
import { Blocking } from "./commands/blocking.ts";
import { fullName, keysOf, takes, type Command } from "./commands/command.ts";
import { findCommand } from "./commands/table.ts";
import { Config, MAX_STRING_BYTES } from "./config.ts";
import { dumpKey } from "./data/dump.ts";
import { Keyspace } from "./data/keyspace.ts";
import { MemoryLimit, type MemoryOptions } from "./data/memory.ts";
import { PubSub } from "./commands/pubsub.ts";
import { NOWHERE } from "./recorder.ts";
import { OOM, Refusal, wrongArity, unknownCommand } from "./refusal.ts";
import { nameCost, Session, type SessionInit } from "./session.ts";
import { Snapshot } from "./data/snapshot.ts";
import type { Propagate, StoreHost, StoreServices } from "./types.ts";

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
 * `primary` executes everything; `replica` gets its changes through `load` and refuses others';
 * `loading` refuses all but `load`. Only a primary lets keys expire: the others are told.
 */
export type Role = "primary" | "replica" | "loading";

/** What one client may hold back between MULTI and EXEC: the largest value, and room for more. */
export const MAX_QUEUED_BYTES = 2 * MAX_STRING_BYTES;
/** What an argument costs beside its bytes: a string's header and a place in an array. */
const ARGUMENT_BYTES = 24;

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
 * The data and the rules, without a protocol around them.
 *
 * @example
 * ```ts
 * import { nodeHost } from "#host";
 * import { Recorder, Store } from "#store";
 * const store = new Store({ host: nodeHost() });
 * const out = new Recorder();
 * const session = store.session({ out });
 * store.execute(session, ["SET", "greeting", "hello"]);
 * store.execute(session, ["STRLEN", "greeting"]);
 * store.execute(session, ["INCR", "greeting"]);
 * out.take() // => [ 'OK', 5, Refusal { text: 'ERR value is not an integer or out of range' } ]
 * ```
 */
export class Store {
  readonly host: StoreHost;
  readonly keys: Keyspace;
  readonly config: Config;
  readonly memory: MemoryLimit;
  readonly pubsub = new PubSub();
  readonly blocking: Blocking;
  /** Every client that has not gone, by id. */
  readonly sessions = new Map<number, Session>();
  readonly stats: StoreStats = { commands: 0, connections: 0, expired: 0 };
  /**
   * More sections for INFO, from whoever has something to say (the log, replication, the server).
   */
  readonly info = new Map<string, () => Readonly<Record<string, string | number>>>();
  /** The log and the replicas, where there are any. */
  services: StoreServices | undefined;
  /** Monotonic ms at the start. */
  readonly startedAt: number;
  /** Whose command is under way. */
  current: Session | undefined;
  /** Inside EXEC: nothing blocks. */
  inTransaction = false;
  readonly #propagate: Propagate | undefined;
  readonly #watchers = new Map<string, Set<Session>>();
  /** What happens once the answer of the command under way is complete. */
  #later: (() => void)[] = [];
  #group: string[][] = [];
  /** The command under way changed something. */
  #dirty = false;
  /** It said itself what to log: not the words it came with. */
  #logged = false;
  #role: Role = "primary";
  #nextId = 1;
  #snapshot: Snapshot | undefined;
  readonly #replay: Session;
  #replaying = false;

  constructor(options: StoreOptions) {
    this.host = options.host;
    this.#propagate = options.propagate;
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
    this.#replay = new Session(0, { out: NOWHERE, since: 0, authenticated: true });
    this.role = options.role ?? "primary";
  }

  counts(): StoreCounts {
    return {
      sessions: this.sessions.size,
      waiting: this.blocking.size,
      waitedFor: this.blocking.names,
      watched: this.#watchers.size,
      channels: this.pubsub.channels.size + this.pubsub.patterns.size,
    };
  }

  get role(): Role {
    return this.#role;
  }

  set role(role: Role) {
    this.#role = role;
    this.keys.mode = role === "primary" ? "remove" : "hide";
    this.keys.expiry.run(role === "primary");
    if (role === "primary") return;
    // Whoever asked for this is in the midst of a command: they go on after it.
    this.blocking.dismiss(
      "UNBLOCKED force unblock from blocking operation, instance state changed (master -> " +
        "replica?)",
    );
  }

  /** A new client. Say `end` when it has gone. */
  session(init: SessionInit): Session {
    const authenticated = init.authenticated ?? !this.config.hasPassword;
    const session = new Session(this.#nextId++, {
      ...init,
      authenticated,
      since: this.host.clock.wall(),
    });
    this.sessions.set(session.id, session);
    this.stats.connections++;
    return session;
  }

  /** The client has gone: its waits, watches and subscriptions end. */
  end(session: Session): void {
    this.blocking.abandon(session);
    this.unwatch(session);
    this.pubsub.leave(session);
    session.queue = undefined;
    this.sessions.delete(session.id);
  }

  // #region execute
  /**
   * Does one command: the answer is in `session.out` when it returns, unless `session.blocked` is
   * set then. `argv` belongs to the store from here on, for it may be logged or queued as it is.
   */
  execute(session: Session, argv: string[]): void {
    this.stats.commands++;
    this.keys.tick();
    this.current = session;
    let admitted = false;
    try {
      const command = this.#admit(session, argv);
      admitted = true;
      session.lastCommand = fullName(command, argv);
      if (session.queue !== undefined && !command.immediate) this.#enqueue(session, argv);
      else this.call(command, { session, argv });
    } catch (refusal) {
      if (!(refusal instanceof Refusal)) throw refusal;
      session.out.error(
        admitted ? refusal.text : this.#reject(session, { name: argv[0]!, text: refusal.text }),
      );
    }
    this.#settle();
  }
  // #endregion

  /**
   * A transaction with a command that could not even be queued is not the one its client meant:
   * EXEC will refuse it.
   */
  #reject(session: Session, { name, text }: { name: string; text: string }): string {
    session.queueBroken = true;
    if (findCommand(name)?.name !== "exec") return text;
    session.queue = undefined;
    this.unwatch(session);
    return discardedBecause(text).text;
  }

  /** The command that `argv` names, if this client may give it now. */
  #admit(session: Session, argv: string[]): Command {
    const command = findCommand(argv[0]!);
    if (command === undefined) throw unknownCommand(argv);
    if (!takes(command, argv.length)) throw wrongArity(command.name);
    command.check?.(argv);
    if (!session.authenticated && !command.open) throw NO_AUTH;
    this.#checkRole(command);
    if (command.denyoom) this.memory.admit(this.keys);
    if (command.write) this.services?.admitWrite();
    if (session.subscriptions !== 0 && session.protocol === 2 && !command.whileSubscribed) {
      throw new Refusal(
        `ERR Can't execute '${fullName(command, argv)}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE ` +
          "/ PING / QUIT / RESET are allowed in this context",
      );
    }
    return command;
  }

  #checkRole(command: Command): void {
    if (this.#role === "primary") return;
    if (this.#role === "loading" && !command.open && !command.flags.includes("loading")) {
      throw LOADING;
    }
    if (command.write) throw READ_ONLY;
  }

  // #region call
  /** Runs an admitted command, and takes note of what must be logged. Throws its `Refusal`. */
  call(command: Command, { session, argv }: { session: Session; argv: string[] }): void {
    // Whatever the spelling, the log has one: argv[0] is the same string for all calls of a
    // command.
    argv[0] = command.name;
    if (command.write && this.#snapshot !== undefined) {
      for (const key of keysOf(command, argv)) this.beforeChange(key);
    }
    this.#dirty = false;
    this.#logged = false;
    command.run(this, session, argv);
    if (this.#dirty) session.wrote = true;
    if (this.#dirty && !this.#logged) this.#remember(argv);
    // EXEC is such a call around others: what they changed is remembered already
    this.#dirty = false;
  }
  // #endregion

  /** Whether a value of `size` entries may get so many more. What was logged once is taken. */
  fits(size: number, more: number): boolean {
    return this.#replaying || this.memory.fits(size, more);
  }

  /** Throws the `Refusal` when it may not. */
  admitEntries(size: number, more: number): void {
    if (!this.fits(size, more)) throw OOM;
  }

  /** `MemoryLimit.admitBytes`: a copy may be as large as all there is. */
  admitBytes(more: number): void {
    if (!this.#replaying) this.memory.admitBytes(more, this.keys);
  }

  /** A copy under way gets this key as it is now. `call` says it for the keys of a command. */
  beforeChange(key: string): void {
    this.#snapshot?.save(key);
  }

  /** Whether this command, given now by this client, would have to be remembered. */
  wouldWrite(session: Session, argv: readonly string[]): boolean {
    const command = findCommand(argv[0]!);
    if (command?.name !== "exec") return command?.write === true;
    return session.queue?.some(([name]) => findCommand(name!)!.write) === true;
  }

  #enqueue(session: Session, argv: string[]): void {
    // EXEC will refuse anyway.
    if (session.queueBroken) return session.out.simple("QUEUED");
    for (const arg of argv) session.queuedBytes += arg.length + ARGUMENT_BYTES;
    if (session.queuedBytes > MAX_QUEUED_BYTES) {
      session.queueBroken = true;
      session.queue = [];
      session.queuedBytes = 0;
      throw new Refusal(`ERR transaction exceeds ${MAX_QUEUED_BYTES} bytes`);
    }
    session.queue!.push(argv);
    session.out.simple("QUEUED");
  }

  /** The body of EXEC: all of these, with nothing in between, and one answer around theirs. */
  runAll(session: Session, queue: readonly string[][]): void {
    const commands = queue.map((argv) => findCommand(argv[0]!)!);
    try {
      // it may have changed since they were queued
      for (const command of commands) this.#checkRole(command);
      if (commands.some(({ denyoom }) => denyoom)) this.memory.admit(this.keys);
      if (commands.some(({ write }) => write)) this.services?.admitWrite();
    } catch (refusal) {
      throw refusal instanceof Refusal ? discardedBecause(refusal.text) : refusal;
    }
    session.out.array(queue.length);
    this.inTransaction = true;
    queue.forEach((argv, i) => {
      try {
        this.call(commands[i]!, { session, argv });
      } catch (refusal) {
        if (!(refusal instanceof Refusal)) throw refusal;
        session.out.error(refusal.text);
      }
    });
    this.inTransaction = false;
  }

  /**
   * For a command that must not be repeated in its own words: says what happened instead. May be
   * called several times.
   */
  log(...argv: string[]): void {
    this.#logged = true;
    this.#remember(argv);
  }

  #remember(argv: string[]): void {
    if (this.#propagate !== undefined && !this.#replaying) this.#group.push(argv);
  }

  // #region settle
  /**
   * After a command: its changes leave as one group; then those who waited for them are served,
   * each a group of its own.
   */
  #settle(): void {
    this.#flush();
    while (this.blocking.serve(this)) this.#flush();
    this.current = undefined;
    if (this.#later.length > 0) {
      const later = this.#later;
      this.#later = [];
      for (const each of later) each();
    }
    this.blocking.release();
  }
  // #endregion

  #flush(): void {
    if (this.#group.length === 0) return;
    const group = this.#group;
    this.#group = [];
    this.#propagate?.(group);
  }

  /**
   * A message to `session`, sent by a command of whichever session: never in the midst of its own
   * answer.
   */
  tell(session: Session, write: () => void): void {
    if (session === this.current) this.#later.push(write);
    else {
      write();
      session.onPush();
    }
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
    this.#dirty = true;
    if (this.#watchers.size !== 0) this.#touch(key);
  }

  #touch(key: string): void {
    for (const session of this.#watchers.get(key) ?? []) session.touched = true;
  }

  #expired(key: string): void {
    this.stats.expired++;
    this.#touch(key);
    this.#remember(["del", key]);
    if (this.current === undefined) this.#flush();
  }

  // #region load
  /**
   * Does again what was propagated once: nothing is checked, propagated or expired, and the clock
   * is not asked. Throws when the command fails, since a log that holds such a one was not written
   * by this program.
   */
  load(argv: string[]): void {
    const { mode } = this.keys;
    this.keys.mode = "replay";
    this.#replaying = true;
    try {
      const command = findCommand(argv[0] ?? "");
      if (command === undefined) throw unknownCommand(argv);
      if (!takes(command, argv.length)) throw wrongArity(command.name);
      if (!command.write || command.flags.includes("blocking")) {
        throw new Refusal("ERR it is no change");
      }
      this.call(command, { session: this.#replay, argv });
    } catch (refusal) {
      if (!(refusal instanceof Refusal)) throw refusal;
      throw new Error(`Cannot replay ${argv[0]}: ${refusal.text}`);
    } finally {
      this.#replaying = false;
      this.keys.mode = mode;
    }
  }
  // #endregion

  /**
   * Begins anew, empty; the function that it yields brings back what was there. Neither is a change
   * that is logged.
   */
  setAside(): () => void {
    const bringBack = this.keys.setAside();
    this.#dirty = false;
    return () => {
      bringBack();
      this.#dirty = false;
    };
  }

  /**
   * Commands that rebuild the keyspace as it is now. Walk it to its end before the next command is
   * executed.
   */
  *dump(): Generator<string[]> {
    const { dict, expiry } = this.keys;
    for (let i = 0; i < dict.size; i++) {
      yield* dumpKey(dict.keys[i]!, { value: dict.values[i]!, deadline: expiry.get(dict.keys[i]!) });
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

  /** Stops every timer. */
  close(): void {
    for (const session of [...this.sessions.values()]) this.end(session);
    this.keys.expiry.run(false);
  }
}

const NO_AUTH = new Refusal("NOAUTH Authentication required.");
const LOADING = new Refusal("LOADING Redis is loading the dataset in memory");
const READ_ONLY = new Refusal("READONLY You can't write against a read only replica.");

function discardedBecause(text: string): Refusal {
  return new Refusal(`EXECABORT Transaction discarded because of: ${text.replace(/^ERR /, "")}`);
}
