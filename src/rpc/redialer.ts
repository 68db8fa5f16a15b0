/**
 * Lesson 04: a connection that is wanted for long, dialled again and again.
 *
 *     dial() ─▶ pause ─▶ network.dial ─┬─▶ socket ─┬─▶ it served:  succeeded(), no pause next time
 *                │                     │           └─▶ of no use: failed(), a longer pause
 *              stop()                  └─▶ rejects: failed()
 *
 * Each failure in a row makes the pause longer, and chance makes it shorter, so that the peers of a
 * restarted server do not all dial in the same millisecond. It is counted from the failure: a
 * caller that comes long after it waits no more. Only the owner knows whether a connection was good
 * for something (a worker must be welcomed, a replica must get data), so the owner says so, once
 * for each attempt.
 *
 * Invariants: one attempt at a time; after `stop` no socket is handed out, and one that comes too
 * late is destroyed.
 * Left out: giving up. A worker, a replica and a client of the store wait for their server as long
 * as somebody wants it; `isWanted` and `stop` say when nobody does.
 * Test: test/04-rpc.redialer.test.ts
 */
import type { Address, Host, Socket } from "#host";
import { backoffDelayMs, type RetryPolicy } from "#retry";

export interface RedialerOptions {
  readonly host: Host;
  readonly to: Address;
  /** How long one attempt may take, ms. */
  readonly timeoutMs: number;
  /** The pauses. Its `maxAttempts` has no meaning here. */
  readonly pauses: RetryPolicy;
  /** A random pause of at most so many ms after a connection that served, too. Default 0. */
  readonly spreadMs?: number;
  /** Asked before the pause and after it. False: `dial` gives no socket. Default: always. */
  readonly isWanted?: () => boolean;
}

export class Redialer {
  readonly #options: RedialerOptions;
  #state: "idle" | "pausing" | "dialling" | "stopped" = "idle";
  /** Failures in a row. */
  #failures = 0;
  /** The end of the pause that the last outcome has set, monotonic ms. */
  #notBefore = 0;
  /** Ends the pause of now. */
  #wake: () => void = () => undefined;

  constructor(options: RedialerOptions) {
    this.#options = options;
  }

  get isDialling(): boolean {
    return this.#state === "dialling";
  }

  /**
   * A connection, after the pause that is due. Undefined: this was stopped, or nobody wants a
   * connection any more, or an earlier call is at it and gets the socket.
   *
   * @throws what the network says of the attempt
   */
  async dial(): Promise<Socket | undefined> {
    const { host, to, timeoutMs, isWanted = () => true } = this.#options;
    if (this.#state !== "idle" || !isWanted()) return undefined;
    this.#state = "pausing";
    await this.#pause();
    // Also without a pause `await` lets others in between.
    if (this.#hasStopped) return undefined;
    if (!isWanted()) {
      this.#state = "idle";
      return undefined;
    }
    this.#state = "dialling";
    try {
      const socket = await host.network.dial(to, { timeoutMs });
      if (!this.#hasStopped) return socket;
      socket.destroy();
    } catch (error) {
      if (!this.#hasStopped) throw error;
    } finally {
      if (!this.#hasStopped) this.#state = "idle";
    }
    return undefined;
  }

  /** The last connection was good for something: the next one may be dialled at once. */
  succeeded(): void {
    this.#failures = 0;
    const { host, spreadMs = 0 } = this.#options;
    this.#notBefore = host.clock.monotonic() + (spreadMs > 0 ? host.random.unit() * spreadMs : 0);
  }

  /** The last connection was of no use. */
  failed(): void {
    const { host, pauses } = this.#options;
    const pauseMs = backoffDelayMs(pauses, ++this.#failures, () => host.random.unit());
    this.#notBefore = host.clock.monotonic() + pauseMs;
  }

  /** For good: ends a pause, and whatever an attempt under way brings is dropped. */
  stop(): void {
    this.#state = "stopped";
    this.#wake();
  }

  /** Behind a getter, because the compiler does not see that `await` lets `stop` in between. */
  get #hasStopped(): boolean {
    return this.#state === "stopped";
  }

  /** Waits for the rest of the pause, or until `stop`. */
  async #pause(): Promise<void> {
    const { clock, timers } = this.#options.host;
    const ms = this.#notBefore - clock.monotonic();
    if (ms <= 0) return;
    await new Promise<void>((resolve) => {
      const timer = timers.after(ms, resolve);
      this.#wake = () => {
        timer.cancel();
        resolve();
      };
    });
  }
}
