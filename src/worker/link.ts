/**
 * Lesson 11: the worker's end of the connection: it breaks, and is made again.
 *
 * A sender through a `MasterLink` waits while the connection is broken instead of failing: the
 * request is made again on the next connection. The master makes requests that must not be done
 * twice safe, by the attempt's number.
 *
 * A master whose disk is full answers OVERLOADED: it is there, and cannot promise anything. Then
 * the same request is made again after a pause that grows, for as long as it takes, and a person
 * gets one line that says why.
 *
 * Invariants: at most one connection; no request is made again without an event or a pause in
 * between; the first dial after a break comes at once, because the master gives the jobs of this
 * worker to others after its grace (lesson 12); then waits grow with jitter, so that not all
 * workers come to a restarted master in the same millisecond.
 * Test: test/11-worker.test.ts, test/12-membership.test.ts
 */
import type { Address, Host, Socket } from "#host";
import { backoffDelayMs, type RetryPolicy } from "#retry";
import { Redialer, RpcConnection, RpcError, type IncomingRequest } from "#rpc";
import {
  FIRST_REDIAL_MAX_MS,
  FORWARD_BACKLOG_BYTES,
  Hello,
  MAX_HELLO_BYTES,
  Op,
  PROTOCOL,
  REDIAL_MAX_MS,
  Welcome,
} from "#wire";

/**
 * From 100 ms up: a restarting master is back within a second, and a dead one is dialled every
 * other second.
 */
const REDIAL: RetryPolicy = {
  maxAttempts: 10_000,
  delayMs: 100,
  backoff: 1.6,
  maxDelayMs: REDIAL_MAX_MS,
  jitter: 0.5,
};
/**
 * After OVERLOADED. Two limits of the master have this answer: bytes under way, which are gone in
 * milliseconds, and its full disk, which takes a person. The pauses serve both: 5 ms first, 2 s in
 * the end.
 */
const ASK_AGAIN: RetryPolicy = { ...REDIAL, delayMs: 5, backoff: 2 };
/** Refusals of one request in a row that are worth a line: some 100 ms. */
const NOTED_REFUSALS = 5;
/**
 * Time to connect: a lost packet is sent again after 1 s. Together with the longest wait before it
 * this is within a lease.
 */
const DIAL_TIMEOUT_MS = REDIAL_MAX_MS;
/**
 * Time to be welcomed, which takes an fsync at the master. It is long enough for a master that is
 * stopped for a while.
 */
const HELLO_DEADLINE_MS = 5000;
/**
 * After this time without an answer the connection counts as dead: the master answers in
 * milliseconds.
 */
const REQUEST_DEADLINE_MS = 30_000;


const NOTHING = Buffer.alloc(0);

/** The HELLO of the same peer as a client that only says who it is. */
function introduction({ protocol, token, version }: Hello): Hello {
  return {
    protocol,
    token,
    version,
    role: "client",
    instance: "",
    name: "",
    tags: [],
    slots: 1,
    running: [],
    knows: [],
    dial: undefined,
    leaving: undefined,
    advertise: undefined,
    permanent: undefined,
  };
}

export interface LinkOptions {
  readonly host: Host;
  readonly master: Address;
  /** `dial` is the number of the connection. */
  hello(dial: number): Hello;
  onWelcome(welcome: Welcome): void;
  /** The body is the listener's to keep. */
  onNotify(opcode: number, body: Buffer): void;
  onRequest(request: IncomingRequest, connection: RpcConnection): void | Promise<void>;
  onLost(error: Error | undefined): void;
  /** The master is there and may take the request later. Called once until it has taken one. */
  onRefused(error: RpcError): void;
}

export class MasterLink {
  readonly #options: LinkOptions;
  #connection: RpcConnection | undefined;
  /** The connection that has not been welcomed yet. */
  #greeting: RpcConnection | undefined;
  /**
   * Wakes pauses, and requests that have no connection. A new connection calls all of them, and so
   * does the end.
   */
  readonly #waiting = new Set<() => void>();
  readonly #redialer: Redialer;
  #stopped = false;
  #refused = false;
  #dials = 0;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#redialer = new Redialer({
      host: options.host,
      to: options.master,
      timeoutMs: DIAL_TIMEOUT_MS,
      pauses: REDIAL,
      spreadMs: FIRST_REDIAL_MAX_MS,
    });
  }

  /**
   * Dials until stopped. Rejects only for a reason that another dial cannot mend: a wrong token,
   * another protocol, a bad offer.
   */
  async run(): Promise<void> {
    while (!this.#stopped) {
      try {
        const socket = await this.#redialer.dial();
        if (socket === undefined) return;
        const lastedMs = await this.#session(socket);
        // A session that ends as soon as it began is a failure, too: a master that throws us out
        // must not be dialled 25 times a second.
        if (lastedMs < REDIAL.delayMs) this.#redialer.failed();
        else this.#redialer.succeeded();
      } catch (error) {
        if (error instanceof RpcError && !error.retryable) throw error;
        this.#options.onLost(error as Error);
        this.#redialer.failed();
      }
    }
  }

  /**
   * Resolves when the time has passed (without one: never for that reason), or there is a new
   * connection, or this link stops.
   */
  #pause(ms?: number): Promise<void> {
    return new Promise((resolve) => {
      const timer =
        ms === undefined ? undefined : this.#options.host.timers.after(ms, () => resume());
      const resume = (): void => {
        timer?.cancel();
        this.#waiting.delete(resume);
        resolve();
      };
      this.#waiting.add(resume);
    });
  }

  #wakeAll(): void {
    for (const resume of [...this.#waiting]) resume();
  }

  // #region session
  /** One connection, from its first byte to its close; resolves with how long it served (ms). */
  async #session(socket: Socket): Promise<number> {
    const { host, hello, onWelcome, onNotify, onLost } = this.#options;
    let closed: (error?: Error) => void = () => undefined;
    const end = new Promise<Error | undefined>((resolve) => { closed = resolve; });
    // The first jobs may come in the same bytes as the welcome, which this function sees a moment
    // later.
    let early: { opcode: number; body: Buffer }[] | undefined = [];
    const connection: RpcConnection = new RpcConnection(socket, {
      host,
      limits: { streamBacklogBytes: FORWARD_BACKLOG_BYTES },
      onRequest: (request) => this.#options.onRequest(request, connection),
      onNotify: (opcode, lent) => {
        // An attempt keeps the results of its parents, which are views of the body.
        const body = Buffer.from(lent);
        if (early === undefined) onNotify(opcode, body);
        else early.push({ opcode, body });
      },
      onClose: closed,
    });
    this.#greeting = connection;
    try {
      const words = hello(++this.#dials);
      const longest = Hello.encode(words);
      // A stranger may not send so much: first comes an introduction, and then the whole HELLO.
      const parts =
        longest.length > MAX_HELLO_BYTES ? [Hello.encode(introduction(words)), longest] : [longest];
      let answer: Buffer = NOTHING;
      for (const part of parts) {
        answer = await connection.request(Op.HELLO, part, { deadlineMs: HELLO_DEADLINE_MS });
      }
      const welcome = Welcome.decode(answer);
      if (welcome.protocol !== PROTOCOL) {
        throw new RpcError(
          "UNSUPPORTED",
          `The master speaks protocol ${welcome.protocol}, this worker ${PROTOCOL}`,
        );
      }
      const since = host.clock.monotonic();
      this.#greeting = undefined;
      this.#connection = connection;
      onWelcome(welcome);
      for (const { opcode, body } of early.splice(0)) onNotify(opcode, body);
      early = undefined;
      this.#wakeAll();
      onLost(await end);
      return host.clock.monotonic() - since;
    } finally {
      connection.destroy();
      this.#greeting = this.#connection = undefined;
    }
  }
  // #endregion

  /** Requests that wait for a connection or for a better moment. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /**
   * Makes a request on this connection, or the next one, or the one after. Rejects when the master
   * refuses it, or when this link stops.
   */
  request(opcode: number, body: Buffer): Promise<Buffer> {
    return this.insist((connection) =>
      connection.request(opcode, body, { deadlineMs: REQUEST_DEADLINE_MS }),
    );
  }

  /**
   * The same for a whole stream: if the connection breaks, the stream is asked for again from its
   * beginning.
   */
  collect(opcode: number, body: Buffer): Promise<Buffer[]> {
    return this.insist(async (connection) => {
      const items: Buffer[] = [];
      for await (const item of connection.stream(opcode, body)) items.push(item);
      return items;
    });
  }

  // #region insist
  /** Asks over this connection, and again over the next one, until there is an answer. */
  async insist<T>(ask: (connection: RpcConnection) => Promise<T>): Promise<T> {
    for (let refusals = 0; ; ) {
      if (this.#stopped) throw new RpcError("CLOSED", "The worker is stopping");
      const connection = this.#connection;
      if (connection === undefined) {
        await this.#pause();
        continue;
      }
      try {
        const answer = await ask(connection);
        this.#refused = false;
        return answer;
      } catch (error) {
        if (!(error instanceof RpcError) || !error.retryable) throw error;
        // The connection neither answers nor breaks: break it, so that both sides start again from
        // their records.
        if (error.code === "DEADLINE") connection.destroy();
        if (error.code === "OVERLOADED") {
          await this.#takeTime(error, { connection, refusals: ++refusals });
        } else if (this.#connection === connection) this.#connection = undefined;
      }
    }
  }
  // #endregion

  /**
   * Waits before a refused request is made again: until our own queue has drained, if it was full,
   * and then for a pause that grows, as a master may take nothing for hours.
   */
  async #takeTime(
    error: RpcError,
    at: { connection: RpcConnection; refusals: number },
  ): Promise<void> {
    const { host, onRefused } = this.#options;
    await at.connection.drained().catch(() => undefined);
    if (this.#stopped || at.connection.closed) return;
    // Fewer refusals are the ordinary back-pressure of a job that prints.
    if (at.refusals === NOTED_REFUSALS && !this.#refused) {
      this.#refused = true;
      onRefused(error);
    }
    await this.#pause(backoffDelayMs(ASK_AGAIN, at.refusals, () => host.random.unit()));
  }

  /** The connection of now, for messages that have no meaning on another one. */
  current(): RpcConnection | undefined {
    return this.#connection;
  }

  stop(): void {
    this.#stopped = true;
    this.#redialer.stop();
    this.#wakeAll();
    this.#greeting?.destroy();
    this.#connection?.close();
  }
}
