/**
 * Lesson 11: one call under way: its clock, its output and its end.
 *
 * Output that nobody reads is held here and not acknowledged, so that the thread stops after a window's worth.
 *
 * Invariants: settles once; not before the output is delivered, unless it was stopped.
 * Test: test/11-worker.exec.test.ts
 */
import type { Host, Timer } from "#host";
import { durationText, type ExecOutcome, type FailureKind, type OnOutput, type Running, type StreamName } from "./types.ts";

/** How a call ended: without a kind it succeeded. */
export interface CallEnd {
  readonly kind?: FailureKind;
  readonly message?: string;
  readonly exitCode?: number;
  readonly result?: Buffer;
}

export class CallAttempt implements Running {
  readonly id: number;
  readonly done: Promise<ExecOutcome>;
  /** Stops whatever works on it. */
  onStop: () => void = () => {};
  /** So many bytes of output have been taken. */
  onTaken: (bytes: number) => void = () => {};
  private settle!: (outcome: ExecOutcome) => void;
  private readonly host: Host;
  private readonly onOutput: OnOutput;
  private readonly begun: number;
  private readonly timeout: Timer | undefined;
  private readonly held: { stream: StreamName; bytes: Buffer }[] = [];
  private paused = false;
  private ended: CallEnd | undefined;
  private over = false;

  constructor(host: Host, options: { id: number; timeoutMs: number; onOutput: OnOutput }) {
    this.host = host;
    this.id = options.id;
    this.onOutput = options.onOutput;
    this.begun = host.clock.monotonic();
    this.done = new Promise((resolve) => (this.settle = resolve));
    const { timeoutMs } = options;
    if (!(timeoutMs > 0)) return;
    this.timeout = host.timers.after(timeoutMs, () => {
      this.stop({ kind: "timeout", message: `ran longer than its timeout of ${durationText(timeoutMs)}` });
    });
  }

  /** True once `done` is settled. */
  get isOver(): boolean {
    return this.over;
  }

  cancel(reason?: string): void {
    this.stop({ kind: "cancelled", message: reason === undefined ? "cancelled" : `cancelled: ${reason}` });
  }

  pauseOutput(): void {
    this.paused = true;
  }

  resumeOutput(): void {
    this.paused = false;
    while (!this.paused && this.held.length > 0) {
      const { stream, bytes } = this.held.shift() as { stream: StreamName; bytes: Buffer };
      this.deliver(stream, bytes);
    }
    if (!this.paused && this.ended) this.finish(this.ended);
  }

  output(stream: StreamName, bytes: Buffer): void {
    if (this.over) return;
    if (this.paused) this.held.push({ stream, bytes });
    else this.deliver(stream, bytes);
  }

  /** The call came to its end by itself. */
  end(how: CallEnd): void {
    if (this.over || this.ended) return;
    this.ended = how;
    if (this.held.length === 0) this.finish(how);
  }

  private deliver(stream: StreamName, bytes: Buffer): void {
    this.onTaken(bytes.length);
    this.onOutput(stream, bytes);
  }

  private stop(why: CallEnd): void {
    if (this.over) return;
    const running = this.ended === undefined;
    this.finish(why);
    if (running) this.onStop();
  }

  private finish(how: CallEnd): void {
    if (this.over) return;
    this.over = true;
    this.timeout?.cancel();
    this.held.length = 0;
    const durationMs = this.host.clock.monotonic() - this.begun;
    this.settle({ status: how.kind === undefined ? "ok" : "failed", ...how, durationMs });
  }
}
