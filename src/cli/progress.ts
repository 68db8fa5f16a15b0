/**
 * Shows a run as it goes: redrawn in place on a terminal, as lines everywhere else, as JSON for
 * programs.
 *
 * Invariants: at most ten redraws a second; a drawing fits the terminal, so that the next redraw
 * finds where it began; nothing is drawn after `end`.
 * Test: test/cli.test.ts, test/cli.text.test.ts, test/cli.terminal.test.ts
 */
import type { RunInfo } from "#wire";
import { terminalSize, type Context } from "./context.ts";
import { Drawing } from "./drawing.ts";
import { jobLine, runLine } from "./json.ts";
import { addressOf } from "./service-view.ts";
import { durationText, oneLine } from "./text.ts";
import { isFailure, type JobRow, type News, type Tracker } from "./tracker.ts";
import { detailOf, howToAnswer, lookOf, progressText, renderRun } from "./view.ts";
import { Waits, type Wait } from "./waits.ts";

const REDRAW_MS = 100;
/** While nothing happens, the clocks on the screen still go. */
const IDLE_REDRAW_MS = 500;
/** With more jobs nobody reads a line per job, and a log file would hold nothing else. */
const MAX_LINE_JOBS = 1000;
/** Failures that get a line of their own in such a run. */
const MAX_FAILURE_LINES = 20;
const SUMMARY_MS = 2000;

export interface Progress {
  news(news: News): void;
  /** The reasons of the jobs that wait now. The rows have them, too. */
  waits(waits: readonly Wait[]): void;
  /** A line for the person, between the rest. */
  note(text: string): void;
  end(): void;
}

export interface ProgressOptions {
  readonly context: Context;
  readonly tracker: Tracker;
  readonly json: boolean;
  /** Slots of the cluster, when known; for the estimate. */
  readonly slots: number;
  /** Flags with which other commands reach the master. */
  readonly where: string;
  /** A run that has just been submitted: known before the master shows it. */
  readonly submitted?: { readonly id: string; readonly name: string } | undefined;
}

export function startProgress(options: ProgressOptions): Progress {
  if (options.json) return new JsonProgress(options);
  return options.context.live ? new LiveProgress(options) : new PlainProgress(options);
}

class JsonProgress implements Progress {
  readonly #options: ProgressOptions;
  readonly #waits = new Waits();
  /** The status in the last line about the run. */
  #status: string | undefined;

  constructor(options: ProgressOptions) {
    this.#options = options;
    if (options.submitted !== undefined) this.#sayRun({ ...options.submitted, status: "RUNNING" });
  }

  /** The first line is about the run, and so is the last. */
  news({ jobs, run }: News): void {
    const { context, tracker } = this.#options;
    if (this.#status === undefined) this.#sayRun(tracker.run!);
    for (const row of jobs) context.json(jobLine(tracker.run!.id, row));
    if (run === undefined) return;
    if (run.status !== "RUNNING" || this.#status !== "RUNNING") this.#sayRun(run);
  }

  #sayRun(run: { id: string; name: string; status: string }): void {
    this.#status = run.status;
    this.#options.context.json(runLine(run));
  }

  /**
   * On stderr, and only the reasons that a person alone can remove: a stream of JSON that stands
   * still explains nothing.
   */
  waits(waits: readonly Wait[]): void {
    const stuck = waits.filter(({ kind }) => kind === "worker");
    for (const { jobs, reason } of this.#waits.look(stuck)) {
      this.note(`waiting: ${jobs}: ${reason}`);
    }
  }

  note(text: string): void {
    this.#options.context.note(`titan: ${text}`);
  }

  end(): void {}
}

class PlainProgress implements Progress {
  readonly #options: ProgressOptions;
  readonly #waits = new Waits();
  #failures = 0;
  #summaryAt = 0;

  constructor(options: ProgressOptions) {
    this.#options = options;
  }

  news({ jobs }: News): void {
    const { context, tracker } = this.#options;
    const now = Date.now();
    const many = tracker.rows.length > MAX_LINE_JOBS;
    for (const row of jobs) {
      if (many && (!isFailure(row.status) || ++this.#failures > MAX_FAILURE_LINES)) continue;
      context.note(this.#line(tracker.run!, row));
    }
    if (!many || now - this.#summaryAt < SUMMARY_MS) return;
    this.#summaryAt = now;
    context.note(`[${durationText(now - tracker.run!.submittedAt)}] ${progressText(tracker)}`);
  }

  waits(waits: readonly Wait[]): void {
    const { context, tracker } = this.#options;
    for (const { jobs, reason } of this.#waits.look(waits)) {
      const elapsed = durationText(Math.max(0, Date.now() - tracker.run!.submittedAt));
      context.note(`[${elapsed}] ${jobs} ${context.paint("dim", "pending", "note")}  ${reason}`);
    }
  }

  #line(run: RunInfo, row: JobRow): string {
    const { context } = this.#options;
    const { color, word: usual } = lookOf(row);
    const word = row.cancelling ? "cancelling" : usual;
    const how = howToAnswer(`${run.id}/${row.id}`, this.#options.where);
    const attempt = row.attempt > 1 ? `, attempt ${row.attempt}` : "";
    const detail =
      row.status === "RUNNING"
        ? `${atText(row)}on ${row.worker}${attempt}`
        : oneLine(detailOf(row, row.at, how));
    const elapsed = durationText(Math.max(0, row.at - run.submittedAt));
    const head = `[${elapsed}] ${row.id} ${context.paint(color, word, "note")}`;
    return detail === "" ? head : `${head}  ${detail}`;
  }

  note(text: string): void {
    this.#options.context.note(`titan: ${text}`);
  }

  end(): void {}
}

function atText({ service }: JobRow): string {
  const at = addressOf(service);
  return at === "" ? "" : `at ${at} `;
}

class LiveProgress implements Progress {
  readonly #options: ProgressOptions;
  readonly #timer: NodeJS.Timeout;
  readonly #drawing = new Drawing();
  #dirty = true;
  #drawnAt = 0;
  #ended = false;
  readonly #onResize = (): void => this.#startBelow();
  readonly #onStop = (): void => this.#stop();
  readonly #onContinue = (): void => this.#continue();

  constructor(options: ProgressOptions) {
    this.#options = options;
    this.#timer = setInterval(() => {
      if (this.#dirty || performance.now() - this.#drawnAt >= IDLE_REDRAW_MS) this.#draw();
    }, REDRAW_MS);
    process.stderr.on("resize", this.#onResize);
    process.on("SIGTSTP", this.#onStop).on("SIGCONT", this.#onContinue);
    process.stderr.write(this.#drawing.begin());
    options.context.onExit(() => this.end());
    process.on("exit", () => this.end());
  }

  news(): void {
    this.#dirty = true;
  }

  waits(): void {
    this.#dirty = true;
  }

  note(text: string): void {
    process.stderr.write(this.#drawing.note(`titan: ${text}`));
    this.#draw();
  }

  #draw(last = false): void {
    const { context, tracker, slots } = this.#options;
    const { columns = 80, rows = 24 } = terminalSize(process.stderr);
    const lines = renderRun(tracker, {
      // One cell less: some terminals break the line when its last cell is filled.
      width: columns - 1,
      height: rows,
      now: Date.now(),
      slots,
      unicode: context.unicode,
      last,
      where: this.#options.where,
      paint: (color, text) => context.paint(color, text, "note"),
    });
    this.#dirty = false;
    this.#drawnAt = performance.now();
    process.stderr.write(this.#drawing.frame(lines, columns));
  }

  /** The terminal has broken our lines anew: where they began is unknown, so they stay. */
  #startBelow(): void {
    this.#drawing.abandon();
    this.#dirty = true;
  }

  /**
   * Ctrl-Z: the shell that comes next wants a cursor. The process stops by another signal than the
   * one that we have caught.
   */
  #stop(): void {
    process.stderr.write(this.#drawing.end());
    process.kill(process.pid, "SIGSTOP");
  }

  /** `fg`: the shell has written below our drawing meanwhile. */
  #continue(): void {
    process.stderr.write(this.#drawing.begin());
    this.#startBelow();
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    clearInterval(this.#timer);
    process.stderr.off("resize", this.#onResize);
    process.off("SIGTSTP", this.#onStop).off("SIGCONT", this.#onContinue);
    // A summary follows, and repeats the headline.
    this.#draw(this.#options.tracker.run?.status !== "RUNNING" && process.stdout.isTTY);
    process.stderr.write(this.#drawing.end());
  }
}
