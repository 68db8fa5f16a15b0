/**
 * Lesson 15: a command for the store, and its answer, on their way through the master.
 *
 *     KV ─▶ line of its client ─▶ store ─▶ small: at once ──────────────────────────▶ the next
 *           1, 2, 4 … 16 at a time     └─▶ large: when its client has taken the others ─▶ one
 *
 * An answer to ten bytes may have six million, and nobody knows that before the store has made it.
 * A client that asks for a thousand of those and reads none must not make the store and the master
 * work for it. So a line begins with one command, has more of them under way while the answers are
 * small, and one again after a large one: the next waits until most of it has been taken.
 *
 * Invariants: a request has one answer; the commands of a client begin in order; large answers that
 * wait are bounded for each client, and count as what it holds; the master's own state has no part
 * in any of it, so nothing waits for the master's log.
 * Test: test/15-store.cluster.test.ts, test/10-master.limits.test.ts
 */
import type { IncomingRequest, RpcConnection } from "#rpc";
import { KvReply, KvRequest, MAX_KV_BYTES } from "#wire";
import { MAX_KV_AT_ONCE, PEER_LIMITS } from "./limits.ts";

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

/** The commands of one client. */
interface Line {
  /** Begins the next one. */
  readonly waiting: (() => void)[];
  busy: number;
  /** That many may be under way now. */
  most: number;
  /** When the last large answer has been taken. */
  taken: Promise<void>;
}

export class StoreDesk {
  readonly #store: MasterStore | undefined;
  readonly #lines = new WeakMap<RpcConnection, Line>();

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
    const bytes = args.reduce((sum, arg) => sum + arg.length, 0);
    if (args.length === 0) {
      return request.fail("BAD_REQUEST", "Cannot ask the store: the command is empty");
    }
    if (bytes > MAX_KV_BYTES) {
      const found = `${nameOf(args)} with ${bytes} bytes is more than ${MAX_KV_BYTES}`;
      return request.fail("TOO_LARGE", `Cannot ask the store: ${found}`);
    }
    const line = this.#lines.get(connection)
      ?? { waiting: [], busy: 0, most: 1, taken: Promise.resolve() };
    this.#lines.set(connection, line);
    if (line.busy >= line.most) await new Promise<void>((begin) => line.waiting.push(begin));
    else line.busy += 1;
    const resp = request.over ? undefined : await this.#call(store, request, args);
    if (resp === undefined) return goOn(line, 1);
    if (resp.length <= LARGE_BYTES) {
      request.reply(KvReply.encode({ resp }));
      return goOn(line, Math.min(2 * line.most, MAX_KV_AT_ONCE));
    }
    const reply = (): void => request.reply(KvReply.encode({ resp }));
    await this.#large(line, connection, { bytes: resp.length, reply });
    goOn(line, 1);
  }

  /** Undefined: it has been answered, and by an error. */
  async #call(
    store: MasterStore, request: IncomingRequest, args: readonly Buffer[],
  ): Promise<Buffer | undefined> {
    try {
      const resp = await store.call(args);
      if (resp.length <= MAX_KV_BYTES) return resp;
      const name = nameOf(args);
      const advice = "ask for less, or ask the store itself";
      const found = `${resp.length} bytes are more than ${MAX_KV_BYTES}; ${advice}`;
      request.fail("TOO_LARGE", `Cannot pass on what the store answered to ${name}: ${found}`);
    } catch (error) {
      // The trouble is the store's: the master's own state has no part in it.
      request.fail("INTERNAL", `Cannot ask the store: ${(error as Error).message}`);
    }
    return undefined;
  }

  /** One after the other: a connection is ended when two of the largest wait in it. */
  async #large(
    line: Line, connection: RpcConnection, answer: { bytes: number; reply: () => void },
  ): Promise<void> {
    const { bytes, reply } = answer;
    const room = (): Promise<void> => connection.drained(PEER_LIMITS.client.streamBacklogBytes);
    // Counted as the client's: when there is too much of all, the client with the most waiting is
    // the first to go.
    connection.hold(bytes);
    const left = line.taken.then(room).then(reply).finally(() => connection.hold(-bytes));
    // A closed connection has nobody who waits.
    await (line.taken = left.then(room).catch(() => undefined));
  }
}

/** A command is over: that many may be under way now. */
function goOn(line: Line, most: number): void {
  line.busy -= 1;
  line.most = most;
  while (line.busy < line.most && line.waiting.length > 0) {
    line.busy += 1;
    line.waiting.shift()!();
  }
}

function nameOf([name]: readonly Buffer[]): string {
  return name?.toString("latin1").slice(0, 64) ?? "";
}
