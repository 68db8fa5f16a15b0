/**
 * Lesson 15: the store for callers that cannot reach it, or do not speak its protocol: they ask the
 * master, and the master asks through this.
 *
 *     titan kv, client.kv ── KV ──▶ master ─▶ gateway ─▶ allowed? ── shared connection ──▶ store
 *                         ◀── RESP3 ──────────────────────┘
 *
 * All callers share a connection, so only a command that leaves nothing behind in it may pass: one
 * answer, no waiting, no transaction, nothing that is set up for later commands. Commands that
 * administer a store (CONFIG, FLUSHALL, REPLICAOF) are for clients that have its password.
 *
 * Invariants: a call is answered, never rejected: an error on the way is an answer in RESP, too,
 * with a code of the client's (UNREACHABLE, LOST, LIMIT, REFUSED, CLOSED). Calls, their bytes and
 * the reply are bounded.
 * Left out: the kind of a reply that the client has decoded: a set arrives as an array.
 * Test: test/15-store.cluster.test.ts
 */
import type { Host } from "#host";
import { parseStoreUrl } from "./url.ts";
import { StoreClient } from "./client.ts";
import { MAX_STRING_BYTES } from "../config.ts";
import { RespWriter } from "../resp/writer.ts";
import { StoreError, type Value } from "../resp/replies.ts";

/** Calls without an answer: as many as ten clients may have open at a master. */
export const MAX_GATEWAY_CALLS = 10 * 1024;
/** Their bytes: ten of the largest that travel to a master. */
export const MAX_GATEWAY_BYTES = 64 * 1024 * 1024;
/**
 * The largest reply that is read: that of the largest value. A master passes on a tenth of that,
 * and answers a larger reply with an error. A reply beyond this limit ends the connection, and with
 * it the calls that others have under way.
 */
const MAX_GATEWAY_REPLY_BYTES = MAX_STRING_BYTES + 1024;

/** The commands that may pass. */
export const GATEWAY_COMMANDS: ReadonlySet<string> = new Set(
  `
  PING ECHO TIME DBSIZE INFO PUBLISH PUBSUB
  GET SET GETDEL GETEX GETSET SETNX SETEX PSETEX MSET MGET MSETNX APPEND STRLEN GETRANGE SUBSTR
  SETRANGE INCR DECR INCRBY DECRBY INCRBYFLOAT
  DEL DELEX UNLINK EXISTS TOUCH TYPE KEYS SCAN RANDOMKEY RENAME RENAMENX COPY
  EXPIRE PEXPIRE EXPIREAT PEXPIREAT TTL PTTL EXPIRETIME PEXPIRETIME PERSIST
  SADD SREM SMEMBERS SISMEMBER SMISMEMBER SCARD SPOP SRANDMEMBER SMOVE SINTER SUNION SDIFF
  SINTERSTORE SUNIONSTORE SDIFFSTORE SINTERCARD SSCAN
  HSET HMSET HGET HMGET HGETALL HDEL HEXISTS HKEYS HVALS HLEN HSTRLEN HINCRBY HINCRBYFLOAT HSETNX
  HSCAN HRANDFIELD
  LPUSH RPUSH LPUSHX RPUSHX LPOP RPOP LLEN LRANGE LINDEX LREM LTRIM LSET LINSERT LMOVE RPOPLPUSH
`
    .trim()
    .split(/\s+/),
);

export interface GatewayOptions {
  readonly host: Host;
  /** `redis://[:password@]host[:port]` */
  readonly url: string;
  /** How long a call may wait for a connection, ms. Default: the client's. */
  readonly patienceMs?: number;
}

export interface Gateway {
  /**
   * Asks the store; the name is the first argument. Resolves with its answer in RESP3, whatever
   * that is.
   */
  call(args: readonly Buffer[]): Promise<Buffer>;
  /** Ends the connection. Calls under way are answered with an error. */
  close(): void;
}

/**
 * A way to a store for many callers that each ask a little. Dials at the first call.
 *
 * @throws {StoreUrlError} for a URL that is no store's
 */
export function openGateway(options: GatewayOptions): Gateway {
  return new SharedGateway(options);
}

class SharedGateway implements Gateway {
  readonly #client: StoreClient;
  #calls = 0;
  #bytes = 0;

  constructor({ host, url, patienceMs }: GatewayOptions) {
    this.#client = new StoreClient({
      host,
      url: parseStoreUrl(url),
      buffers: true,
      maxReplyBytes: MAX_GATEWAY_REPLY_BYTES,
      ...(patienceMs !== undefined && { patienceMs }),
    });
  }

  async call(args: readonly Buffer[]): Promise<Buffer> {
    const name = (args[0] ?? "").toString("latin1").toUpperCase();
    const bytes = args.reduce((sum, arg) => sum + arg.length, 0);
    const refused = this.#refuse(name, bytes);
    if (refused !== undefined) return encodeReply(refused);
    this.#calls += 1;
    this.#bytes += bytes;
    try {
      return encodeReply(await this.#client.call(name, ...args.slice(1)));
    } catch (error) {
      return encodeReply(
        error instanceof StoreError
          ? error
          : new StoreError(`Cannot call ${name}: ${(error as Error).message}`, "ERR"),
      );
    } finally {
      this.#calls -= 1;
      this.#bytes -= bytes;
    }
  }

  close(): void {
    this.#client.close();
  }

  #refuse(name: string, bytes: number): StoreError | undefined {
    if (!GATEWAY_COMMANDS.has(name)) {
      return new StoreError(
        `Cannot call ${printable(name)} through the master: it passes the usual commands on data ` +
          "that are answered at once; for others connect to the store itself",
        "REFUSED",
      );
    }
    if (this.#calls < MAX_GATEWAY_CALLS && this.#bytes + bytes <= MAX_GATEWAY_BYTES) {
      return undefined;
    }
    return new StoreError(
      `Cannot call ${name}: ${this.#calls} calls (${this.#bytes} bytes) are pending`,
      "LIMIT",
    );
  }
}

function printable(name: string): string {
  return name.replace(/[^\x20-\x7e]/g, "?").slice(0, 64);
}

/** A decoded reply as bytes again. The decoder has bounded its depth. */
function encodeReply(value: Value): Buffer {
  const out = new RespWriter();
  out.protocol = 3;
  write(out, value);
  return out.take();
}

function write(out: RespWriter, value: Value): void {
  if (value === null) out.nil();
  else if (Buffer.isBuffer(value)) out.bulkBytes(value);
  else if (typeof value === "string") out.simple(value);
  else if (
    typeof value === "bigint" ? value === BigInt.asIntN(64, value) : Number.isSafeInteger(value)
  ) {
    out.int(value as number | bigint);
  }
  // beyond 64 bits: no command here answers so
  else if (typeof value === "bigint") out.bulk(String(value));
  else if (typeof value === "number") out.double(value);
  else if (typeof value === "boolean") out.bool(value);
  else if (value instanceof StoreError) {
    out.error(
      latin1(
        value.message.startsWith(value.code) ? value.message : `${value.code} ${value.message}`,
      ),
    );
  } else if (Array.isArray(value)) {
    out.array(value.length);
    for (const item of value) write(out, item);
  } else {
    out.map(value.size);
    for (const [key, item] of value) {
      write(out, key);
      write(out, item);
    }
  }
}

function latin1(text: string): string {
  return Buffer.from(text).toString("latin1");
}
