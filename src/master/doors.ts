/**
 * Lesson 10: who may come in, and how many.
 *
 *     dial ─▶ stranger ──HELLO──▶ client ─┐
 *               │    └───HELLO──▶ worker ─┴─ places: each kind may have most, neither may have all
 *               └─ too many: the oldest goes; no word for 2 s: it goes
 *
 * Connecting costs nothing, so strangers have a pool of their own and use up nobody's place. The
 * oldest leaves for the newest: an honest peer says HELLO in its first packet and is through before
 * it is old. A place is for a peer that has said HELLO (and has the token); a worker that lost its
 * connection finds its place again, since clients may not take those of registered workers.
 *
 * Invariants: at most `strangers` of them, twice that within a turn of the loop; clients and
 * workers together are at most `connections`; whoever is sent away is told why.
 * Test: test/10-master.doors.test.ts
 */
import type { Host, Timer } from "#host";
import { Budget, RpcError, type RpcConnection, type RpcErrorCode } from "#rpc";
import { HELLO_TIMEOUT_MS } from "#wire";
import {
  BURST, MAX_CLIENTS_BYTES, MAX_WORKERS_BYTES, PEER_LIMITS, type Places,
} from "./limits.ts";

type Role = "client" | "worker";

export interface DoorsOptions {
  readonly host: Host;
  readonly places: Places;
  /** Workers that have a registration, whether they are here or not. */
  registered(): number;
}

export class Doors {
  readonly #options: DoorsOptions;
  /** The oldest first, each with the end of its time. */
  readonly #strangers = new Map<RpcConnection, Timer>();
  readonly #known = { client: new Set<RpcConnection>(), worker: new Set<RpcConnection>() };
  readonly #budgets = {
    client: new Budget(MAX_CLIENTS_BYTES),
    worker: new Budget(MAX_WORKERS_BYTES),
  };
  #trimming = false;

  constructor(options: DoorsOptions) {
    this.#options = options;
  }

  get strangers(): number {
    return this.#strangers.size;
  }

  count(role: Role): number {
    return this.#known[role].size;
  }

  /** Bytes that all of this kind make the master hold. */
  heldBytes(role: Role): number {
    return this.#budgets[role].bytes;
  }

  /** Somebody who has introduced itself (and has the token) is connected from this machine. */
  knows(host: string): boolean {
    const { client, worker } = this.#known;
    return [...worker, ...client].some(({ remote }) => hostOf(remote) === host);
  }

  *connections(): Generator<RpcConnection> {
    yield* this.#strangers.keys();
    yield* this.#known.client;
    yield* this.#known.worker;
  }

  // #region enter
  /** Somebody has connected. */
  enter(connection: RpcConnection): void {
    const { host: { timers }, places } = this.#options;
    // Its HELLO may have arrived while this process was busy: what has arrived is read before it is
    // judged.
    const late = (): void =>
      timers.soon(() =>
        this.#dismiss(
          connection,
          "DEADLINE",
          `it has not introduced itself within ${HELLO_TIMEOUT_MS} ms`,
        ),
      );
    this.#strangers.set(connection, timers.after(HELLO_TIMEOUT_MS, late));
    if (this.#strangers.size > BURST * places.strangers) this.#dismissOldest();
    else if (this.#strangers.size > places.strangers && !this.#trimming) this.#trimLater();
  }
  // #endregion

  /**
   * After one more look at the sockets: a peer that dials and speaks at once is no stranger by
   * then.
   */
  #trimLater(): void {
    const { host: { timers }, places } = this.#options;
    this.#trimming = true;
    timers.soon(() => timers.soon(() => {
      this.#trimming = false;
      while (this.#strangers.size > places.strangers) this.#dismissOldest();
    }));
  }

  #dismissOldest(): void {
    const [oldest] = this.#strangers.keys();
    this.#dismiss(
      oldest!,
      "OVERLOADED",
      `this master is at its limit of ${this.#options.places.strangers} connections that have ` +
        "not introduced themselves",
    );
  }

  #dismiss(connection: RpcConnection, code: RpcErrorCode, why: string): void {
    if (!this.#strangers.has(connection)) return;
    this.left(connection);
    connection.destroy(new RpcError(code, `Cannot keep this connection: ${why}`));
  }

  // #region admit
  /**
   * It has introduced itself. A worker that has a registration has a place, which may be that of
   * its older connection.
   *
   * @throws {RpcError} OVERLOADED: its kind has all the places that it may have
   */
  admit(
    connection: RpcConnection,
    role: Role,
    worker: { isKnown: boolean; older?: RpcConnection | undefined } = { isKnown: false },
  ): void {
    const {
      places: { connections, kept },
      registered,
    } = this.#options;
    const { client: clients, worker: workers } = this.#known;
    const most = connections - kept;
    // An absent worker keeps its place, but all of them together no more than workers may have.
    const absent = worker.isKnown ? 0 : Math.max(0, Math.min(most, registered()) - workers.size);
    const leaving = [connection, worker.older].filter(
      (each) => each !== undefined && (clients.has(each) || workers.has(each)),
    ).length;
    const same = role === "client" ? clients.size : workers.size + absent;
    if (same - leaving >= most) throw tooMany(most, `${role} connections`);
    if (clients.size + workers.size + absent - leaving >= connections) {
      throw tooMany(connections, "connections");
    }
    this.left(connection);
    this.#known[role].add(connection);
    connection.admit({ limits: PEER_LIMITS[role], budget: this.#budgets[role] });
  }
  // #endregion

  left(connection: RpcConnection): void {
    this.#strangers.get(connection)?.cancel();
    this.#strangers.delete(connection);
    this.#known.client.delete(connection);
    this.#known.worker.delete(connection);
  }
}

/** The machine of a peer, without its port. */
export function hostOf(remote: string): string {
  return remote.slice(0, remote.lastIndexOf(":"));
}

function tooMany(limit: number, of: string): RpcError {
  return new RpcError(
    "OVERLOADED",
    `Cannot open a session: this master is at its limit of ${limit} ${of}`,
  );
}
