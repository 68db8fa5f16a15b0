/**
 * Lesson 15: the engine. Takes commands one at a time, answers them, and says what must be
 * remembered.
 *
 *     execute ─▶ known? arity? AUTH? ─▶ queue it (MULTI), or run it ─▶ propagate what changed
 *                                                                   └▶ serve the clients that wait
 *
 * There are no locks because there are no two commands at once: the event loop hands them over one
 * by one, and a transaction is a loop inside one command. The changes of a command are gathered in
 * a group (changes.ts), which leaves as a whole: the log holds all of a transaction or nothing.
 *
 * Invariants: a replay of the propagated groups on an empty store gives the same keyspace; a
 * command that was refused changed nothing; only the session itself sees a transaction in part.
 * Test: test/15-store.test.ts
 */
import { acceptsArity, fullName, keysOf, type Command } from "./commands/command.ts";
import { findCommand } from "./commands/table.ts";
import { MAX_STRING_BYTES } from "./config.ts";
import { Refusal, unknownCommand, wrongArity } from "./refusal.ts";
import { discard } from "./reply-buffer.ts";
import { Session, type SessionInit } from "./session.ts";
import { Store, type StoreOptions } from "./store.ts";

/** What one client may hold back between MULTI and EXEC: the largest value, and room for more. */
export const MAX_QUEUED_BYTES = 2 * MAX_STRING_BYTES;
/** What an argument costs beside its bytes: a string's header and a place in an array. */
const ARGUMENT_BYTES = 24;

/**
 * Earlier versions had these as commands of their own, and their logs hold them. Each changed the
 * data as its namesake does.
 */
const FORMER_NAMES: Readonly<Record<string, string>> = {
  hmset: "hset", lpushx: "lpush", rpushx: "rpush",
};

/**
 * The data and the rules, without a protocol around them.
 *
 * @example
 * ```ts
 * import { nodeHost } from "#host";
 * import { Engine, ReplyBuffer } from "#store";
 * const engine = new Engine({ host: nodeHost() });
 * const out = new ReplyBuffer();
 * const session = engine.session({ out });
 * engine.execute(session, ["SET", "greeting", "hello"]);
 * engine.execute(session, ["STRLEN", "greeting"]);
 * engine.execute(session, ["INCR", "greeting"]);
 * out.take() // => [ 'OK', 5, Refusal { text: 'ERR value is not an integer or out of range' } ]
 * ```
 */
export class Engine extends Store {
  #nextId = 1;
  readonly #replay: Session;

  constructor(options: StoreOptions) {
    super(options);
    this.#replay = new Session(0, { out: discard, since: this.startedAt });
  }

  /** A new client. Call `end` when it has gone. */
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
    this.subscriptions.leave(session);
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
    this.#afterCommand();
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
    if (!acceptsArity(command, argv.length)) throw wrongArity(command.name);
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
    if (this.role === "primary") return;
    if (this.role === "loading" && !command.open && !command.flags.includes("loading")) {
      throw LOADING;
    }
    if (command.write) throw READ_ONLY;
  }

  // #region call
  /** Runs an admitted command, and takes note of what must be logged. Throws its `Refusal`. */
  call(command: Command, { session, argv }: { session: Session; argv: string[] }): void {
    // However the client spelled it, the log has one spelling: argv[0] is the same string for all
    // calls of a command.
    argv[0] = command.name;
    if (command.write && this.isCopied) {
      for (const key of keysOf(command, argv)) this.beforeChange(key);
    }
    const { changes } = this;
    changes.dirty = false;
    changes.logged = false;
    command.run(this, session, argv);
    if (changes.dirty) session.wrote = true;
    if (changes.dirty && !changes.logged) changes.add(argv);
    // EXEC is such a call around others, and their changes are in the group already.
    changes.dirty = false;
  }
  // #endregion

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

  override runAll(session: Session, queue: readonly string[][]): void {
    const commands = queue.map((argv) => findCommand(argv[0]!)!);
    try {
      // The role, the memory and the disk may have changed since the commands were queued.
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
   * The changes of the command leave as one group; then the clients that waited for them are
   * served, each with a group of its own.
   */
  #afterCommand(): void {
    this.changes.flush();
    while (this.blocking.serve(this.keys)) this.changes.flush();
    this.current = undefined;
    this.tellHeldBack();
    this.blocking.release();
  }

  /**
   * Does a change again that was propagated once: nothing is checked, propagated or expired, and
   * the clock is not asked. Throws when the command fails: this program has not written such a log.
   */
  load(argv: string[]): void {
    const { mode } = this.keys;
    this.keys.mode = "replay";
    this.changes.replaying = true;
    try {
      const command = findCommand(argv[0] ?? "") ?? formerCommand(argv[0] ?? "");
      if (command === undefined) throw unknownCommand(argv);
      if (!acceptsArity(command, argv.length)) throw wrongArity(command.name);
      if (!command.write || command.flags.includes("blocking")) {
        throw new Refusal("ERR it is no change");
      }
      this.call(command, { session: this.#replay, argv });
    } catch (refusal) {
      if (!(refusal instanceof Refusal)) throw refusal;
      throw new Error(`Cannot replay ${argv[0]}: ${refusal.text}`);
    } finally {
      this.changes.replaying = false;
      this.keys.mode = mode;
    }
  }

  /** Stops every timer. */
  close(): void {
    for (const session of [...this.sessions.values()]) this.end(session);
    this.keys.expiry.run(false);
  }
}

function formerCommand(name: string): Command | undefined {
  return Object.hasOwn(FORMER_NAMES, name) ? findCommand(FORMER_NAMES[name]!) : undefined;
}

const NO_AUTH = new Refusal("NOAUTH Authentication required.");
const LOADING = new Refusal("LOADING Redis is loading the dataset in memory");
const READ_ONLY = new Refusal("READONLY You can't write against a read only replica.");

function discardedBecause(text: string): Refusal {
  return new Refusal(`EXECABORT Transaction discarded because of: ${text.replace(/^ERR /, "")}`);
}
