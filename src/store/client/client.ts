/**
 * Lesson 15: a client for the store, for Redis and for Valkey.
 *
 *     call() ─▶ unsent ──(end of the turn, one write)──▶ sent ──(replies, in order)──▶ resolved
 *                  │ no connection: waits for one          │ connection lost
 *                  └─▶ UNREACHABLE (was not done)          └─▶ LOST (done or not: nobody can say)
 *
 * A call that was not written yet goes over the next connection. A call that was written is never
 * sent again, because INCR twice is not INCR once: the caller learns that it may have happened, and
 * decides. The client speaks RESP3, in which messages to a subscriber come between the replies and
 * are marked, so that one connection does for both.
 *
 * Invariants: replies pair with calls by order alone, so only calls that are answered exactly once
 * may go out; all that can pile up is bounded: calls, their bytes, the reply.
 * Left out: pools and cluster redirects. One connection pipelines more than one event loop can ask
 * for.
 * Test: test/15-store.client.test.ts
 */
import type { Host, Socket, Timer } from "#host";
import { retryPolicy } from "#retry";
import { Redialer } from "#rpc";
import { Push, ReplyParser, StoreError, type Value } from "../resp/replies.ts";
import { encode, TooLong } from "./encode.ts";
import {
  MAX_PENDING_BYTES, MAX_PENDING_CALLS, PATIENCE_MS, SILENCE_MS, type Argument, type Listener,
  type StoreClientOptions,
} from "./options.ts";
import { Subscriptions } from "./subscriptions.ts";
import { parseStoreUrl, type StoreTarget } from "./url.ts";

/**
 * Doubled with each failed dial, to two seconds; half of it is chance, so that the clients of a
 * restarted store do not all dial at once.
 */
const REDIAL = retryPolicy({ delayMs: 50, backoff: 2, maxDelayMs: 2000, jitter: 0.5 });

/** The codes of a refused HELLO for which trying again is of no use. */
const FINAL = new Set(["WRONGPASS", "NOAUTH", "NOPERM", "NOPROTO"]);

/** Commands that are answered never, more than once, or with another protocol. */
const UNPAIRED = new Set([
  "SUBSCRIBE", "UNSUBSCRIBE", "PSUBSCRIBE", "PUNSUBSCRIBE", "SSUBSCRIBE", "SUNSUBSCRIBE",
  "MONITOR", "HELLO", "RESET", "QUIT", "SYNC", "PSYNC", "TITAN.SYNC",
]);

interface Call {
  readonly name: string;
  readonly bytes: string;
  /** Until when it waits for a connection, monotonic ms. */
  until: number;
  readonly resolve: (value: Value) => void;
  readonly reject: (error: Error) => void;
}

/**
 * A connection to a store, which it renews by itself.
 *
 * Server errors reject with a `StoreError` whose `code` is their first word. The client's own
 * codes:
 *
 * | code          | what happened                                               | was it done? |
 * |---------------|-------------------------------------------------------------|--------------|
 * | `UNREACHABLE` | no connection within `patienceMs`                           | no           |
 * | `LOST`        | the connection ended before the answer came                 | unknown      |
 * | `LIMIT`       | too much is pending already, or the arguments are too long  | no           |
 * | `REFUSED`     | a command that does not fit a shared connection (SUBSCRIBE) | no           |
 * | `CLOSED`      | `close` was called before it was sent                       | no           |
 */
export class StoreClient {
  readonly #host: Host;
  readonly #target: StoreTarget;
  readonly #options: StoreClientOptions;
  readonly #redialer: Redialer;
  #socket: Socket | undefined;
  #parser = new ReplyParser();
  #ready = false;
  #full = false;
  #closed = false;
  #unsent: Call[] = [];
  #sent: Call[] = [];
  #sentHead = 0;
  #pendingBytes = 0;
  #heardAt = -Infinity;
  #silence: Timer | undefined;
  #patience: Timer | undefined;
  #linkError: Error | undefined;
  readonly #subscriptions = new Subscriptions();

  /** Dials at the first call. */
  constructor(options: StoreClientOptions) {
    this.#host = options.host;
    this.#options = options;
    this.#target = typeof options.url === "string" ? parseStoreUrl(options.url) : options.url;
    this.#redialer = new Redialer({
      host: this.#host,
      to: this.#target.at,
      timeoutMs: this.#patienceMs,
      pauses: REDIAL,
      isWanted: () => this.#unsent.length + this.#subscriptions.size > 0,
    });
  }

  /**
   * Resolves once the store has answered.
   *
   * @throws {StoreError} UNREACHABLE, or the store's own refusal (WRONGPASS, …)
   */
  static async connect(options: StoreClientOptions): Promise<StoreClient> {
    const client = new StoreClient(options);
    try {
      await client.call("PING");
      return client;
    } catch (error) {
      client.close();
      throw error;
    }
  }

  /** Calls that have no answer yet. */
  get pending(): number {
    return this.#unsent.length + this.#sent.length - this.#sentHead;
  }

  /**
   * Asks one thing. Calls of one turn leave in one write, and are done in order. Text goes out as
   * UTF-8.
   */
  call(...args: readonly [string, ...Argument[]]): Promise<Value> {
    const name = args[0].toUpperCase();
    // CLIENT REPLY takes answers away: the others would pair with the wrong calls.
    if (UNPAIRED.has(name) || (name === "CLIENT" && String(args[1]).toUpperCase() === "REPLY")) {
      return refused(name, "REFUSED", "it needs a connection of its own, or subscribe()");
    }
    return this.#enqueue(name, args);
  }

  /**
   * Passes on the messages of a channel, or of all channels that match a glob. Resolves once the
   * store has confirmed; the function that it yields ends the subscription. A message that is
   * published while the connection is down is lost: pub/sub has no memory.
   */
  async subscribe(
    channel: string,
    listener: Listener,
    options: { pattern?: boolean } = {},
  ): Promise<() => Promise<void>> {
    const verb = options.pattern === true ? "PSUBSCRIBE" : "SUBSCRIBE";
    const leave = this.#subscriptions.add({ verb, channel }, listener);
    try {
      // Also for a second listener: once this is answered, the first one's call is, too.
      await this.#enqueue(verb, [verb, channel]);
    } catch (error) {
      leave();
      throw error;
    }
    return async () => {
      const end = verb === "PSUBSCRIBE" ? "PUNSUBSCRIBE" : "UNSUBSCRIBE";
      if (!leave() || !this.#ready) return;
      await this.#enqueue(end, [end, channel]).catch((error: StoreError) => {
        // a connection that ends takes the subscription along
        if (error.code !== "LOST" && error.code !== "CLOSED") throw error;
      });
    };
  }

  /**
   * Ends the connection at once. Calls without an answer are rejected: LOST if they were sent,
   * CLOSED if not.
   */
  close(): void {
    this.#closed = true;
    this.#patience?.cancel();
    this.#redialer.stop();
    this.#drop(new Error("the client was closed"));
    this.#reject(this.#unsent.splice(0), "CLOSED", "the client is closed");
  }

  #enqueue(name: string, args: readonly Argument[]): Promise<Value> {
    let bytes: string;
    try {
      bytes = encode(args);
    } catch (error) {
      if (!(error instanceof TooLong)) return Promise.reject(error as Error);
      return refused(name, "LIMIT", `its arguments are longer than ${MAX_PENDING_BYTES} bytes`);
    }
    if (this.#closed) return refused(name, "CLOSED", "the client is closed");
    const { pending } = this;
    const most = this.#options.maxPendingCalls ?? MAX_PENDING_CALLS;
    if (pending >= most || this.#pendingBytes + bytes.length > MAX_PENDING_BYTES) {
      return refused(name, "LIMIT", `${pending} calls (${this.#pendingBytes} bytes) are pending`);
    }
    this.#pendingBytes += bytes.length;
    // Those that stand there already are on their way, or wait for a connection or for room.
    if (this.#unsent.length === 0) this.#host.timers.soon(() => this.#leave());
    return new Promise((resolve, reject) => {
      this.#unsent.push({
        name,
        bytes,
        until: this.#host.clock.monotonic() + this.#patienceMs,
        resolve,
        reject,
      });
    });
  }

  #leave(): void {
    if (this.#ready) this.#send();
    else this.#wantConnection();
  }

  #send(): void {
    if (this.#full || this.#unsent.length === 0) return;
    const calls = this.#unsent;
    this.#unsent = [];
    if (this.#sentHead === this.#sent.length) this.#heardAt = this.#host.clock.monotonic();
    // These calls count as sent from here on: a socket that breaks does not say how much arrived.
    for (const call of calls) this.#sent.push(call);
    this.#full = !this.#socket!.write(
      Buffer.from(calls.map(({ bytes }) => bytes).join(""), "latin1"),
    );
    this.#watchSilence();
  }

  #wantConnection(): void {
    if (this.#closed) return;
    this.#watchPatience();
    if (this.#socket === undefined) void this.#dial();
  }

  async #dial(): Promise<void> {
    try {
      const socket = await this.#redialer.dial();
      if (socket !== undefined) this.#greet(socket);
    } catch (error) {
      this.#tryAgain(error as Error);
    }
  }

  #greet(socket: Socket): void {
    const { username = "default", password } = this.#target;
    const { buffers = false, maxReplyBytes } = this.#options;
    this.#socket = socket;
    this.#parser = new ReplyParser({
      buffers,
      ...(maxReplyBytes === undefined ? {} : { maxReplyBytes }),
    });
    socket.handle({
      onData: (chunk) => this.#onData(socket, chunk),
      onDrain: () => {
        this.#full = false;
        if (this.#ready) this.#send();
      },
      onClose: (error) => {
        if (this.#socket === socket) {
          this.#drop(error ?? new Error("the store closed the connection"));
        }
      },
    });
    const hello = ["HELLO", 3, ...(password === undefined ? [] : ["AUTH", username, password])];
    this.#sent.push({
      name: "HELLO",
      bytes: "",
      until: Infinity,
      resolve: () => this.#welcome(),
      reject: (error) => this.#drop(error),
    });
    socket.write(Buffer.from(encode(hello), "latin1"));
    this.#watchSilence();
  }

  #welcome(): void {
    this.#ready = true;
    this.#silence?.cancel();
    this.#silence = undefined;
    this.#redialer.succeeded();
    this.#linkError = undefined;
    this.#patience?.cancel();
    this.#patience = undefined;
    const already = new Set(this.#unsent.map(({ bytes }) => bytes));
    for (const { verb, channel } of this.#subscriptions) {
      const bytes = encode([verb, channel]);
      if (already.has(bytes)) continue;
      this.#pendingBytes += bytes.length;
      // The subscriber was told long ago that it is subscribed. If the store refuses now, the
      // connection is of no use to it.
      this.#unsent.unshift({
        name: verb,
        bytes,
        until: Infinity,
        resolve: () => {},
        reject: (error) => this.#drop(error),
      });
    }
    this.#send();
  }

  #onData(socket: Socket, chunk: Buffer): void {
    this.#heardAt = this.#host.clock.monotonic();
    try {
      if (this.#socket !== socket) return;
      this.#parser.push(chunk);
      for (let value = this.#parser.next(); value !== undefined; value = this.#parser.next()) {
        if (value instanceof Push) this.#onPush(value.items);
        else this.#answer(value);
        if (this.#socket !== socket) return;
      }
    } catch (error) {
      // An error of a listener, and not of the parser: its author must see it.
      if ((error as Error).name !== "RespError") throw error;
      this.#drop(error as Error);
    }
  }

  #answer(value: Value): void {
    if (this.#sentHead === this.#sent.length) {
      return this.#drop(new Error("the store answered what was not asked"));
    }
    const call = this.#sent[this.#sentHead]!;
    this.#sent[this.#sentHead++] = undefined as never;
    this.#pendingBytes -= call.bytes.length;
    if (this.#sentHead * 2 >= this.#sent.length) {
      this.#sent = this.#sent.slice(this.#sentHead);
      this.#sentHead = 0;
    }
    if (value instanceof StoreError) call.reject(value);
    else call.resolve(value);
  }

  #onPush(items: readonly Value[]): void {
    const [kind, ...rest] = items.map((item, i) => (i === items.length - 1 ? item : String(item)));
    if (kind === "message") {
      const [channel, message = null] = rest as [string, Value?];
      this.#subscriptions.tell({ verb: "SUBSCRIBE", channel }, channel, message);
    } else if (kind === "pmessage") {
      const [pattern, channel, message = null] = rest as [string, string, Value?];
      this.#subscriptions.tell({ verb: "PSUBSCRIBE", channel: pattern }, channel, message);
    }
    // The confirmation stands where a reply would, and is the answer to the call.
    else if (this.#sent[this.#sentHead]?.name === String(kind).toUpperCase()) this.#answer(null);
  }

  /** Gives up the connection, or the attempt at one. */
  #drop(why: Error): void {
    const socket = this.#socket;
    const sent = this.#sent.slice(this.#sentHead);
    const wasReady = this.#ready;
    this.#socket = undefined;
    this.#full = false;
    this.#ready = false;
    this.#sent = [];
    this.#sentHead = 0;
    this.#silence?.cancel();
    this.#silence = undefined;
    socket?.destroy();
    for (const call of sent) {
      if (call.bytes === "") continue; // our own HELLO
      this.#refuse(
        call,
        new StoreError(
          `Cannot say what became of ${call.name}: it was sent, then ${why.message}`,
          "LOST",
        ),
      );
    }
    if (why instanceof StoreError && FINAL.has(why.code)) {
      for (const call of this.#unsent.splice(0)) this.#refuse(call, why);
    }
    if (!wasReady) return this.#tryAgain(why);
    // Calls that stood behind a full socket begin to wait for a connection now.
    const until = this.#host.clock.monotonic() + this.#patienceMs;
    for (const call of this.#unsent) call.until = until;
    this.#wantConnection();
  }

  #tryAgain(why: Error): void {
    this.#linkError = why;
    this.#redialer.failed();
    this.#wantConnection();
  }

  get #patienceMs(): number {
    return this.#options.patienceMs ?? PATIENCE_MS;
  }

  /** The calls stand in the order in which they came, so the first one is the first to give up. */
  #watchPatience(): void {
    const [first] = this.#unsent;
    if (first === undefined || this.#patience !== undefined) return;
    this.#patience = this.#host.timers.after(first.until - this.#host.clock.monotonic(), () => {
      this.#patience = undefined;
      const now = this.#host.clock.monotonic();
      const over = this.#unsent.findIndex(({ until }) => until > now);
      const { host, port } = this.#target.at;
      const cause = this.#linkError === undefined ? "" : `: ${this.#linkError.message}`;
      this.#reject(
        this.#unsent.splice(0, over < 0 ? this.#unsent.length : over),
        "UNREACHABLE",
        `no connection to ${host}:${port} within ${this.#patienceMs} ms${cause}`,
      );
      this.#watchPatience();
    });
  }

  #reject(calls: readonly Call[], code: string, why: string): void {
    for (const call of calls) {
      this.#refuse(call, new StoreError(`Cannot call ${call.name}: ${why}`, code));
    }
  }

  #refuse(call: Call, error: StoreError): void {
    this.#pendingBytes -= call.bytes.length;
    call.reject(error);
  }

  #watchSilence(): void {
    // The greeting is answered at once, whatever this client waits for later.
    const limitMs = this.#ready ? (this.#options.silenceMs ?? SILENCE_MS) : this.#patienceMs;
    if (limitMs === 0 || this.#silence !== undefined) return;
    const check = (): void => {
      this.#silence = undefined;
      if (this.#sentHead === this.#sent.length) return;
      const quietMs = this.#host.clock.monotonic() - this.#heardAt;
      if (quietMs >= limitMs) this.#drop(new Error(`the store said nothing for ${limitMs} ms`));
      else this.#silence = this.#host.timers.after(limitMs - quietMs, check);
    };
    this.#silence = this.#host.timers.after(limitMs, check);
  }
}

function refused(name: string, code: string, why: string): Promise<never> {
  return Promise.reject(new StoreError(`Cannot call ${name}: ${why}`, code));
}
