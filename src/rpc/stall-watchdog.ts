/**
 * Lesson 04: how long a peer may say nothing, and how long it may take nothing.
 *
 * Both are checked when their time is up and not on each frame: a frame only writes down when it
 * came.
 * Test: test/04-rpc.hostile.test.ts
 */
import type { Clock } from "#host";
import type { Deadlines } from "./deadlines.ts";
import { RpcError } from "./errors.ts";
import type { RpcLimits } from "./limits.ts";
import type { Outbox } from "./outbox.ts";

export class StallWatchdog {
  readonly #clock: Clock;
  readonly #deadlines: Deadlines;
  readonly #limits: RpcLimits;
  readonly #giveUp: (error: RpcError) => void;
  #heardAt: number;
  /** When the socket last stopped taking. Each such moment but the first follows a drain. */
  #blockedAt = 0;
  #watchesStall = false;

  constructor(options: {
    clock: Clock;
    deadlines: Deadlines;
    limits: RpcLimits;
    giveUp: (error: RpcError) => void;
  }) {
    this.#clock = options.clock;
    this.#deadlines = options.deadlines;
    this.#limits = options.limits;
    this.#giveUp = options.giveUp;
    this.#heardAt = this.#clock.monotonic();
    if (this.#limits.idleMs > 0) this.#watchSilence(this.#limits.idleMs);
  }

  /** A whole frame has come. */
  heard(): void {
    if (this.#limits.idleMs > 0) this.#heardAt = this.#clock.monotonic();
  }

  /**
   * The socket takes no more. A drain before the time is up shows that the peer is slow, and not
   * gone.
   */
  blocked(outbox: Outbox): void {
    this.#blockedAt = this.#clock.monotonic();
    // A busy connection blocks a thousand times a second: one entry is enough for all of them.
    if (!this.#watchesStall) this.#watchStall(outbox, this.#limits.stallMs);
  }

  #watchStall(outbox: Outbox, ms: number): void {
    this.#watchesStall = true;
    this.#deadlines.add(ms, () => {
      this.#watchesStall = false;
      if (!outbox.blocked) return;
      const { stallMs } = this.#limits;
      const stalled = this.#clock.monotonic() - this.#blockedAt;
      if (stalled < stallMs) this.#watchStall(outbox, stallMs - stalled);
      else this.#giveUp(new RpcError("DEADLINE", `took nothing for ${stallMs} ms`));
    });
  }

  #watchSilence(ms: number): void {
    this.#deadlines.add(ms, () => {
      const { idleMs } = this.#limits;
      const silence = this.#clock.monotonic() - this.#heardAt;
      if (silence < idleMs) this.#watchSilence(idleMs - silence);
      else this.#giveUp(new RpcError("DEADLINE", `said nothing for ${idleMs} ms`));
    });
  }
}
