/**
 * Lesson 11: the worker's end of the connection: it breaks, and is made again.
 *
 * Whoever sends through a `MasterLink` waits over a broken connection instead of failing: the request is made again on the next
 * one. What must not be done twice is made safe at the other end, by the attempt's number.
 *
 * Invariants: at most one connection; the first dial after a break comes at once, because the master gives what runs here to
 * others after its grace (lesson 12); then waits grow with jitter, so that a restarted master is not met by all its workers in
 * the same millisecond.
 * Test: test/11-worker.test.ts, test/12-membership.test.ts
 */
import type { Address, Host } from "#host";
import { backoffDelayMs, type RetryPolicy } from "#retry";
import { RpcConnection, RpcError } from "#rpc";
import { FIRST_REDIAL_MAX_MS, Hello, Op, PROTOCOL, REDIAL_MAX_MS, Welcome } from "#wire";

/** From 100 ms up: a restarting master is back within a second, a dead one is asked every other second. */
const REDIAL: RetryPolicy = { maxAttempts: 10_000, delayMs: 100, backoff: 1.6, maxDelayMs: REDIAL_MAX_MS, jitter: 0.5 };
/** To connect: a lost packet is sent again after 1 s. With the longest wait before it this is within a lease. */
const DIAL_TIMEOUT_MS = REDIAL_MAX_MS;
/** To be welcomed, which takes an fsync at the other end. A master that is stopped for a while finds us waiting. */
const HELLO_DEADLINE_MS = 5000;
/** A request that was not answered within this time has met a dead connection: the master answers in milliseconds. */
const REQUEST_DEADLINE_MS = 30_000;

export interface LinkOptions {
  readonly host: Host;
  readonly master: Address;
  /** `dial` counts the connections. */
  hello(dial: number): Hello;
  onWelcome(welcome: Welcome): void;
  onNotify(opcode: number, body: Buffer): void;
  onLost(error: Error | undefined): void;
}

export class MasterLink {
  readonly #options: LinkOptions;
  #connection: RpcConnection | undefined;
  /** The one that has not been welcomed yet. */
  #greeting: RpcConnection | undefined;
  #waiting: (() => void)[] = [];
  #stopped = false;
  /** Dials in a row that led to nothing. */
  #failures = 0;
  #dials = 0;

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  /** Dials until stopped. Rejects only for what dialling again cannot mend: a wrong token, another protocol, a bad offer. */
  async run(): Promise<void> {
    while (!this.#stopped) {
      const { host } = this.#options;
      try {
        const lastedMs = await this.#session();
        // A session that ends as soon as it began is a failure, too: a master that throws us out must not be asked 25 times a second.
        this.#failures = lastedMs < REDIAL.delayMs ? this.#failures + 1 : 0;
      } catch (error) {
        if (error instanceof RpcError && !error.retryable) throw error;
        this.#options.onLost(error as Error);
        this.#failures += 1;
      }
      if (this.#stopped) return;
      const random = () => host.random.unit();
      const delayMs = this.#failures === 0 ? random() * FIRST_REDIAL_MAX_MS : backoffDelayMs(REDIAL, this.#failures, random);
      await new Promise<void>((resolve) => {
        this.#wakeUp = resolve;
        host.timers.after(delayMs, resolve);
      });
    }
  }

  #wakeUp: () => void = () => undefined;

  // #region session
  /** One connection, from dial to close; resolves with how long it served (ms). */
  async #session(): Promise<number> {
    const { host, master, hello, onWelcome, onNotify, onLost } = this.#options;
    const socket = await host.network.dial(master, { timeoutMs: DIAL_TIMEOUT_MS });
    if (this.#stopped) {
      socket.destroy();
      return 0;
    }
    let closed: (error?: Error) => void = () => undefined;
    const end = new Promise<Error | undefined>((resolve) => { closed = resolve; });
    // The first jobs may come in the same bytes as the welcome, of which this function hears a moment later.
    let early: { opcode: number; body: Buffer }[] | undefined = [];
    const connection = new RpcConnection(socket, {
      host,
      onNotify: (opcode, body) => void (early === undefined ? onNotify(opcode, body) : early.push({ opcode, body })),
      onClose: closed,
    });
    this.#greeting = connection;
    try {
      const welcome = Welcome.decode(await connection.request(Op.HELLO, Hello.encode(hello(++this.#dials)), { deadlineMs: HELLO_DEADLINE_MS }));
      if (welcome.protocol !== PROTOCOL) throw new RpcError("UNSUPPORTED", `The master speaks protocol ${welcome.protocol}, this worker ${PROTOCOL}`);
      const since = host.clock.monotonic();
      this.#greeting = undefined;
      this.#connection = connection;
      onWelcome(welcome);
      for (const { opcode, body } of early.splice(0)) onNotify(opcode, body);
      early = undefined;
      for (const resume of this.#waiting.splice(0)) resume();
      const error = await end;
      this.#connection = undefined;
      onLost(error);
      return host.clock.monotonic() - since;
    } finally {
      connection.destroy();
      this.#greeting = this.#connection = undefined;
    }
  }
  // #endregion

  get connected(): boolean {
    return this.#connection !== undefined;
  }

  /** Makes a request on this connection, or the next one, or the one after. Rejects for a refusal, or when stopped. */
  async request(opcode: number, body: Buffer): Promise<Buffer> {
    for (;;) {
      if (this.#stopped) throw new RpcError("CLOSED", "The worker is stopping");
      const connection = this.#connection;
      if (connection === undefined) {
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
        continue;
      }
      try {
        return await connection.request(opcode, body, { deadlineMs: REQUEST_DEADLINE_MS });
      } catch (error) {
        if (!(error instanceof RpcError) || !error.retryable) throw error;
        // Not answered and not broken: make it broken, so that both sides start again from what they know.
        if (error.code === "DEADLINE") connection.destroy();
        if (error.code === "OVERLOADED") await connection.drained().catch(() => undefined);
        else if (this.#connection === connection) this.#connection = undefined;
      }
    }
  }

  /** The same on this connection only; for what has no meaning on another one. */
  current(): RpcConnection | undefined {
    return this.#connection;
  }

  stop(): void {
    this.#stopped = true;
    this.#wakeUp();
    for (const resume of this.#waiting.splice(0)) resume();
    this.#greeting?.destroy();
    this.#connection?.close();
  }
}
