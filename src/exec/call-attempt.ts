/**
 * Lesson 11: one call under way: its clock, its output and its end.
 *
 * While nobody takes its output, the pipe is not read. Its end comes by the same pipe.
 *
 * Invariants: it settles once, and after its output is delivered, unless it was stopped.
 * Test: test/11-worker.exec.test.ts
 */
import type { Host, Timer } from "#host";
import type { FailureKind } from "#wire";
import {
  durationText, type ExecOutcome, type OnOutput, type Running, type StreamName,
} from "./types.ts";

/** Shared by all calls: most of them have nothing to stop. */
const NOTHING = (): void => {};

/** How a call ended: without a kind it succeeded. */
export interface CallEnd {
  readonly kind?: FailureKind;
  readonly message?: string;
  readonly exitCode?: number;
  readonly signal?: string;
  readonly result?: Buffer;
}

export class CallAttempt implements Running {
  readonly id: number;
  readonly done: Promise<ExecOutcome>;
  /** Stops the process or timer that works on the call. */
  onStop: () => void = NOTHING;
  /** Called when the reader stops, and when it goes on. */
  onPause: (paused: boolean) => void = NOTHING;
  #settle!: (outcome: ExecOutcome) => void;
  readonly #host: Host;
  readonly #onOutput: OnOutput;
  readonly #begun: number;
  readonly #timeout: Timer | undefined;
  #paused = false;
  #over = false;

  constructor(host: Host, options: { id: number; timeoutMs: number; onOutput: OnOutput }) {
    this.#host = host;
    this.id = options.id;
    this.#onOutput = options.onOutput;
    this.#begun = host.clock.monotonic();
    this.done = new Promise((resolve) => (this.#settle = resolve));
    const { timeoutMs } = options;
    if (!(timeoutMs > 0)) return;
    this.#timeout = host.timers.after(timeoutMs, () => {
      const message = `ran longer than its timeout of ${durationText(timeoutMs)}`;
      this.#stop({ kind: "timeout", message });
    });
  }

  /** True once `done` is settled. */
  get isOver(): boolean {
    return this.#over;
  }

  cancel(reason?: string): void {
    const message = reason === undefined ? "cancelled" : `cancelled: ${reason}`;
    this.#stop({ kind: "cancelled", message });
  }

  /** Whether the reader has stopped. */
  get isPaused(): boolean {
    return this.#paused;
  }

  pauseOutput(): void {
    this.#paused = true;
    this.onPause(true);
  }

  resumeOutput(): void {
    this.#paused = false;
    this.onPause(false);
  }

  output(stream: StreamName, bytes: Buffer): void {
    if (!this.#over) this.#onOutput(stream, bytes);
  }

  /** The call ended by itself. */
  end(how: CallEnd): void {
    this.#finish(how);
  }

  #stop(why: CallEnd): void {
    if (this.#over) return;
    this.#finish(why);
    this.onStop();
  }

  #finish(how: CallEnd): void {
    if (this.#over) return;
    this.#over = true;
    this.#timeout?.cancel();
    const durationMs = this.#host.clock.monotonic() - this.#begun;
    this.#settle({ status: how.kind === undefined ? "ok" : "failed", ...how, durationMs });
  }
}
