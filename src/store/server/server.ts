/**
 * Lesson 15: the store's server, for Redis's clients.
 *
 *     turn:   onData ─▶ commands ─▶ log, unsynced ─┐
 *             onData ─▶ commands ─▶ log, unsynced ─┤        one fsync for all of them
 *     end of the turn:      afterCommit() ◀────────┘ ··· ─▶ answers of this turn leave
 *
 * Without `afterCommit` the answers of a client leave when its commands are done. With it, all
 * answers of a turn wait until its promise resolves, and turns leave in order: a client that reads
 * "+OK" has a promise, and a value that a client reads cannot be taken back.
 *
 * Invariants: no timer runs and no buffer is held for a client that is idle; a port that others can
 * reach has a password.
 * Left out: TLS (as in Redis's own early years: put a tunnel in front).
 * Test: test/15-store.server.test.ts
 */
import { isLoopback } from "#base";
import type { Address, Host, Listener, Socket } from "#host";
import { LINGER_MS, type Shared, StoreConnection } from "./connection.ts";
import type { Engine } from "../engine.ts";

/** As in Redis. An idle client costs about 11 kB here, most of it Node's socket. */
export const MAX_CLIENTS = 10_000;

/**
 * How much the server may hold for all clients together: answers, half commands, transactions. Four
 * of the largest answers.
 */
export const MAX_CLIENTS_BYTES = 1024 * 1024 * 1024;

export interface StoreServerOptions {
  readonly host: Host;
  /** Port 0: any free one. Other than loopback only when the store has a password. */
  readonly listen: Address;
  readonly store: Engine;
  /** Clients at a time, 1 … ; default MAX_CLIENTS. */
  readonly maxClients?: number;
  /** Default MAX_CLIENTS_BYTES: beyond it, the client that costs most is cut off. */
  readonly maxClientsBytes?: number;
  /**
   * Called at the end of a turn that answered something. While its promise is pending the answers
   * wait; if it rejects, their clients are cut off, since the answers would not be true.
   */
  readonly afterCommit?: () => Promise<void> | undefined;
  /**
   * Asked before a write: while its promise is pending, clients whose next command is a write are
   * not read from. It resolves, whatever happens. Undefined: the write may come.
   */
  readonly caughtUp?: () => Promise<void> | undefined;
  /**
   * Gets a listener for a disk that is full: while it is, reads are answered although `afterCommit`
   * is pending. A client that has written waits for it.
   */
  readonly whenFull?: (listener: (full: boolean) => void) => void;
}

/**
 * `UNPROTECTED`: others could reach the port, and no password stands in their way. Not retryable.
 */
export class StoreServerError extends Error {
  override readonly name = "StoreServerError";
  readonly code = "UNPROTECTED";
}

export interface StoreServer extends Address {
  /** Clients that are connected now. */
  readonly clients: number;
  /** Stops listening, lets answers leave, closes every connection. */
  close(): Promise<void>;
}

/**
 * Serves `store` to RESP clients.
 *
 * @throws {StoreServerError} for an open port without a password; the system's error (EADDRINUSE,
 *   …) when it cannot listen
 */
export async function startStore(options: StoreServerOptions): Promise<StoreServer> {
  const { host, listen, store } = options;
  if (!isLoopback(listen.host) && !store.config.hasPassword) {
    throw new StoreServerError(
      `Cannot listen on ${listen.host}: it is not a loopback address, and no password is set`,
    );
  }
  if (!isLoopback(listen.host)) keepPassword(store);
  const clients = new Clients(options);
  store.config.define("maxmemory-clients", {
    get: () => String(options.maxClientsBytes ?? MAX_CLIENTS_BYTES),
  });
  store.config.define("maxclients", { get: () => String(options.maxClients ?? MAX_CLIENTS) });
  const listener = await host.network.listen(listen, (socket) => clients.accept(socket));
  clients.address = `${listener.host}:${listener.port}`;
  return {
    host: listener.host,
    port: listener.port,
    get clients() {
      return clients.size;
    },
    close: () => clients.close(listener),
  };
}

/** CONFIG SET may change the password of an open port, and not take it away. */
function keepPassword({ config }: Engine): void {
  const { get, set } = config.settings.get("requirepass")!;
  config.define("requirepass", {
    get,
    set: (value) => (value === "" ? "others can reach the port" : set!(value)),
  });
}

class Clients implements Shared {
  readonly host: Host;
  readonly store: Engine;
  address = "";
  readonly commits: boolean;
  readonly #maxClients: number;
  readonly #afterCommit: (() => Promise<void> | undefined) | undefined;
  readonly #connections = new Set<StoreConnection>();
  /** The connections with something to send at the end of this turn. */
  #dirty = new Set<StoreConnection>();
  /** Pending while answers of an earlier turn wait for the disk. */
  #commit: Promise<void> | undefined;
  #onEmpty: (() => void) | undefined;
  readonly #maxBytes: number;
  #diskIsFull = false;
  readonly caughtUp: (() => Promise<void> | undefined) | undefined;
  /** What all clients cost. */
  #bytes = 0;

  constructor(options: StoreServerOptions) {
    this.host = options.host;
    this.store = options.store;
    this.#afterCommit = options.afterCommit;
    this.commits = options.afterCommit !== undefined;
    this.caughtUp = options.caughtUp;
    options.whenFull?.((full) => {
      this.#diskIsFull = full;
      if (full) for (const each of [...this.#connections]) each.releaseReads();
    });
    this.#maxClients = options.maxClients ?? MAX_CLIENTS;
    this.#maxBytes = options.maxClientsBytes ?? MAX_CLIENTS_BYTES;
  }

  get size(): number {
    return this.#connections.size;
  }

  accept(socket: Socket): void {
    if (this.#connections.size >= this.#maxClients) this.#refuse(socket);
    else this.#connections.add(new StoreConnection(socket, this));
  }

  flushLater(connection: StoreConnection): void {
    if (this.#dirty.size === 0) this.host.timers.soon(() => this.#endTurn());
    this.#dirty.add(connection);
  }

  gone(connection: StoreConnection): void {
    this.#connections.delete(connection);
    if (this.#connections.size === 0) this.#onEmpty?.();
  }

  account(bytes: number): void {
    this.#bytes += bytes;
    while (this.#bytes > this.#maxBytes) {
      [...this.#connections].reduce((a, b) => (b.accounted > a.accounted ? b : a)).destroy();
    }
  }

  async close(listener: Listener): Promise<void> {
    await listener.close();
    if (this.#connections.size === 0) return;
    const empty = new Promise<void>((resolve) => (this.#onEmpty = resolve));
    for (const connection of [...this.#connections]) connection.end();
    await empty;
  }

  // #region turn
  /** Hands the turn's changes to the disk. The turn's answers wait for that. */
  #endTurn(): void {
    const dirty = this.#dirty;
    this.#dirty = new Set();
    const commit = this.#afterCommit?.();
    // There is nothing to wait for, and no earlier turn waits.
    if (commit === undefined && this.#commit === undefined) {
      for (const connection of dirty) connection.flush();
      return;
    }
    const waiting = this.#diskIsFull ? this.#withoutReaders(dirty) : [...dirty];
    if (waiting.length === 0) return void commit?.catch(() => {}); // nobody waits, should it fail
    const held = waiting.map((connection) => ({ connection, bytes: connection.hold() }));
    const done = Promise.all([this.#commit, commit]).then(
      () => held.forEach(({ connection, bytes }) => connection.release(bytes)),
      () => held.forEach(({ connection }) => connection.destroy()),
    ).then(() => {
      if (this.#commit === done) this.#commit = undefined;
    });
    this.#commit = done;
  }
  // #endregion

  /**
   * For a full disk: answers the clients that have only read. Returns the others, which wait for
   * room.
   */
  #withoutReaders(dirty: ReadonlySet<StoreConnection>): StoreConnection[] {
    const [unsafe, safe]: [StoreConnection[], StoreConnection[]] = [[], []];
    for (const connection of dirty) (connection.isUnsafe ? unsafe : safe).push(connection);
    for (const connection of safe) connection.flush();
    return unsafe;
  }

  #refuse(socket: Socket): void {
    let linger: { cancel(): void } | undefined;
    socket.handle({ onData: () => {}, onClose: () => linger?.cancel() });
    socket.write(Buffer.from("-ERR max number of clients reached\r\n"));
    socket.end();
    linger = this.host.timers.after(LINGER_MS, () => socket.destroy());
  }
}
