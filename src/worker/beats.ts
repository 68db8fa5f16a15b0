/**
 * Lesson 12: heartbeats, and what they ask: which of the runs that have left something in this
 * worker's folders are over.
 *
 * Invariant: a run that is being worked on here keeps its folders.
 * Test: test/11-worker.test.ts, test/12-membership.lateness.test.ts
 */
import type { Host, Timer } from "#host";
import { RpcError } from "#rpc";
import { Beat, BeatAnswer, Op, type Welcome } from "#wire";
import { Lateness } from "./lateness.ts";
import type { MasterLink } from "./link.ts";
import type { WorkerOptions } from "./types.ts";

/** Runs in the question of one beat; the others wait for the next beat. */
const BEAT_RUNS = 1000;

export interface BeatsOptions {
  readonly host: Host;
  readonly executor: WorkerOptions["executor"];
  readonly link: Pick<MasterLink, "current">;
  cluster(): string | undefined;
  /** Runs of which an attempt is here: it may be being ended. */
  busy(): ReadonlySet<string>;
}

export class Beats {
  /** Runs that have left something in this worker's folders. */
  readonly runs = new Set<string>();
  readonly #options: BeatsOptions;
  readonly #lateness = new Lateness();
  #timer: Timer | undefined;

  constructor(options: BeatsOptions) {
    this.#options = options;
  }

  /**
   * A request, not a notice: its answer shows that the master is there. A silent connection does
   * not show that.
   */
  start({ beatMs, leaseMs }: Pick<Welcome, "beatMs" | "leaseMs">): void {
    const { host: { clock, timers }, link } = this.#options;
    const dueAt = clock.monotonic() + beatMs;
    this.#timer = timers.after(beatMs, () => {
      this.#lateness.note(dueAt, clock.monotonic());
      const connection = link.current();
      if (connection === undefined) return;
      const runs = this.#asked();
      // Moved to the end of the set, so that many long runs at its beginning do not keep us from
      // asking about the others.
      for (const run of runs) if (this.runs.delete(run)) this.runs.add(run);
      connection.request(Op.BEAT, this.#encode(runs), { deadlineMs: leaseMs }).then(
        (answer) => this.#endRuns(BeatAnswer.decode(answer).over),
        // The way out is full at the moment, and so the connection lives. The next beat follows.
        (error: unknown) => {
          if (!(error instanceof RpcError && error.code === "OVERLOADED")) connection.destroy();
        },
      );
      this.start({ beatMs, leaseMs });
    });
  }

  stop(): void {
    this.#timer?.cancel();
  }

  /**
   * Runs may have ended since the last beat. Their shared folders would wait for the next worker
   * here, and there may be none.
   */
  async last(deadlineMs: number): Promise<void> {
    const { executor, link, cluster } = this.#options;
    const runs = this.#asked();
    const connection = link.current();
    if (executor.sharedRuns === undefined || runs.length === 0 || connection === undefined) return;
    try {
      const asked = connection.request(Op.BEAT, this.#encode(runs), { deadlineMs });
      for (const run of BeatAnswer.decode(await asked).over) {
        if (this.runs.delete(run)) await executor.endRun?.(run, cluster());
      }
    } catch {
      // The master is gone. The next worker will ask.
    }
  }

  #asked(): string[] {
    return [...this.runs].slice(0, BEAT_RUNS);
  }

  #encode(runs: string[]): Buffer {
    const { recentMs: lateMs, maxMs: lateMaxMs } = this.#lateness;
    return Beat.encode({ runs, lateMs, lateMaxMs });
  }

  /** Removes the folders that jobs of these runs share on this machine. */
  #endRuns(over: readonly string[]): void {
    const { executor, cluster } = this.#options;
    const busy = this.#options.busy();
    for (const run of over) {
      if (busy.has(run) || !this.runs.delete(run)) continue;
      void executor.endRun?.(run, cluster());
    }
  }
}
