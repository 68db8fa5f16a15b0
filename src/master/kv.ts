/**
 * Lesson 15: a command for the store, and its answer, on their way through the master.
 *
 *     KV ─▶ store ─▶ small: at once
 *                └─▶ large: in turn, each when its client has taken most of the one before
 *
 * An answer to ten bytes may have six million, and rpc ends a connection whose peer is two of the
 * largest behind: a client that asks for three of those at once would lose all that it has under
 * way, although it reads as fast as it can.
 *
 * Invariants: a request has one answer; large answers that wait are bounded for each client, and
 * count as what it holds; the master's own state has no part in any of it, so nothing waits for the
 * master's log.
 * Test: test/15-store.cluster.test.ts
 */
import type { IncomingRequest, RpcConnection } from "#rpc";
import { KvReply, KvRequest, MAX_KV_BYTES } from "#wire";
import { MAX_KV_WAITING_BYTES } from "./limits.ts";

/** The store of the cluster, as the master knows it: where workers find it, and a way to ask it. */
export interface MasterStore {
  /**
   * `redis://…`, which workers hand to their jobs. A promise: no worker registers before it
   * settles; if it rejects, they do without.
   */
  readonly url: string | Promise<string>;
  /** One command; resolves with the answer in RESP3, errors included. */
  call(args: readonly Buffer[]): Promise<Buffer>;
}

/**
 * 1,024 of these, as many requests as one client may have open, are a quarter of what ends its
 * connection.
 */
const LARGE_BYTES = 4 * 1024;

export class StoreDesk {
  readonly #store: MasterStore | undefined;
  /** The last answer in the queue of each connection that has one. */
  readonly #turns = new WeakMap<RpcConnection, { last: Promise<void>; bytes: number }>();

  constructor(store: MasterStore | undefined) {
    this.#store = store;
  }

  async ask(request: IncomingRequest, connection: RpcConnection): Promise<void> {
    const store = this.#store;
    if (store === undefined) {
      const advice = "start its master with --store redis://HOST:PORT";
      const found = `Cannot ask the store: this cluster has none (${advice})`;
      return request.fail("NOT_FOUND", found);
    }
    const { args } = KvRequest.decode(request.body);
    const name = args[0]?.toString("latin1").slice(0, 64) ?? "";
    const bytes = args.reduce((sum, arg) => sum + arg.length, 0);
    if (args.length === 0) {
      return request.fail("BAD_REQUEST", "Cannot ask the store: the command is empty");
    }
    if (bytes > MAX_KV_BYTES) {
      const found = `${name} with ${bytes} bytes is more than ${MAX_KV_BYTES}`;
      return request.fail("TOO_LARGE", `Cannot ask the store: ${found}`);
    }
    let resp: Buffer;
    try {
      resp = await store.call(args);
    } catch (error) {
      // The trouble is the store's: the master's own state has no part in it.
      return request.fail("INTERNAL", `Cannot ask the store: ${(error as Error).message}`);
    }
    const { length } = resp;
    const doing = `pass on what the store answered to ${name}`;
    if (length > MAX_KV_BYTES) {
      const advice = "ask for less, or ask the store itself";
      const found = `${length} bytes are more than ${MAX_KV_BYTES}; ${advice}`;
      return request.fail("TOO_LARGE", `Cannot ${doing}: ${found}`);
    }
    if (length <= LARGE_BYTES) return request.reply(KvReply.encode({ resp }));
    const waiting = this.#turns.get(connection)?.bytes ?? 0;
    // Not OVERLOADED, which would be asked again: the command has been executed.
    if (waiting + length > MAX_KV_WAITING_BYTES) {
      const found = `answers of ${waiting} bytes wait for this client already`;
      return request.fail("TOO_LARGE", `Cannot ${doing}: ${found}; ask for less at once`);
    }
    await this.#inTurn(connection, length, () => request.reply(KvReply.encode({ resp })));
  }

  async #inTurn(connection: RpcConnection, bytes: number, reply: () => void): Promise<void> {
    const turns = this.#turns.get(connection) ?? { last: Promise.resolve(), bytes: 0 };
    // a closed connection has nobody who waits
    const turn = turns.last.then(() => connection.drained()).then(reply, () => undefined);
    this.#turns.set(connection, turns);
    turns.last = turn;
    turns.bytes += bytes;
    // Counted as the client's: when there is too much of all, the client with the most waiting is
    // the first to go.
    connection.hold(bytes);
    await turn;
    connection.hold(-bytes);
    turns.bytes -= bytes;
    if (turns.last === turn) this.#turns.delete(connection);
  }
}
