/**
 * A run in a few lines of a terminal, as text. Pure: the live view calls it ten times a second at
 * most.
 *
 * A small run shows every job in its order. A run that does not fit shows the jobs that matter
 * first (running, failed, asking for a person, next) and counts the rest.
 *
 * Invariants: at most `height` lines of at most `width` cells; the cost does not grow with the run
 * once it no longer fits.
 * Test: test/cli.text.test.ts
 */
import { isAtGate, isTerminal, type JobStatus } from "#wire";
import type { Color } from "./context.ts";
import { addressOf, phaseColor } from "./service-view.ts";
import { clip, durationText, oneLine, pad, width as textWidth } from "./text.ts";
import { isFailure, MAX_SEARCH, type JobRow, type Tracker } from "./tracker.ts";

export interface ViewOptions {
  readonly width: number;
  readonly height: number;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Jobs that can run at once, if known. */
  readonly slots: number;
  readonly unicode: boolean;
  /** Flags with which other commands reach the master. */
  readonly where: string;
  /** The last drawing, above a summary: no headline, and no successes if they do not fit. */
  readonly last?: boolean;
  paint(color: Color, text: string): string;
}

export interface Look {
  readonly sign: string;
  readonly ascii: string;
  readonly color: Color;
  readonly word: string;
}

export const LOOKS: Readonly<Record<JobStatus, Look>> = {
  PENDING: { sign: "·", ascii: ".", color: "dim", word: "pending" },
  RUNNING: { sign: "●", ascii: ">", color: "cyan", word: "running" },
  WAITING: { sign: "?", ascii: "?", color: "yellow", word: "waiting" },
  COMPLETED: { sign: "✓", ascii: "+", color: "green", word: "completed" },
  FAILED: { sign: "✗", ascii: "x", color: "red", word: "failed" },
  DEAD: { sign: "✗", ascii: "x", color: "red", word: "dead" },
  CANCELLED: { sign: "-", ascii: "-", color: "yellow", word: "cancelled" },
  SKIPPED: { sign: "-", ascii: "-", color: "dim", word: "skipped" },
};

/** It has begun, and waits for others, for a person or for a moment in the middle of its work. */
const PAUSED: Look = { sign: "‖", ascii: "=", color: "yellow", word: "paused" };

/** A service that runs is told by its phase. */
export function lookOf(row: JobRow): Look {
  const { status, service, paused } = row;
  const look = LOOKS[status];
  if (paused !== undefined) return PAUSED;
  if (status !== "RUNNING" || service === undefined) return look;
  return { ...look, word: service.phase.toLowerCase(), color: phaseColor(service.phase) };
}

const MAX_NAME_CELLS = 40;
/** A shorter piece of a question says nothing: then the whole line is cut at its end instead. */
const MIN_QUESTION_CELLS = 8;

export function renderRun(tracker: Tracker, options: ViewOptions): string[] {
  const { run, rows } = tracker;
  if (run === undefined) return [];
  const room = Math.max(1, options.height - 2);
  const fits = rows.length <= room;
  const shown = fits ? rows : choose(tracker, { room: room - 1, last: options.last === true });
  const longest = Math.max(4, ...shown.map((row) => row.id.length));
  const name = Math.min(MAX_NAME_CELLS, longest, Math.floor(options.width / 2));
  const lines = shown.map((row) => rowLine(row, { ...options, name, run: run.id }));
  if (options.last) return lines;
  lines.unshift(headline(tracker, options));
  if (!fits) {
    const more = `  … and ${rows.length - shown.length} more of ${rows.length} jobs`;
    lines.push(options.paint("dim", clip(more, options.width)));
  }
  return lines.slice(0, Math.max(1, options.height - 1));
}

/** `nightly-7k2m  RUNNING  3/10 done, 2 running, 1 failed  12.4s  about 30.0s left` */
export function headline(tracker: Tracker, options: ViewOptions): string {
  const run = tracker.run!;
  const { paint, now, width } = options;
  const elapsedMs = (run.endedAt ?? Math.max(now, run.submittedAt)) - run.submittedAt;
  const status = run.status === "RUNNING" && run.cancelling ? "CANCELLING" : run.status;
  const left = run.status === "RUNNING" ? remainingMs(tracker, options) : undefined;
  const parts = [progressText(tracker), durationText(elapsedMs)];
  if (left !== undefined) parts.push(`about ${durationText(left)} left`);
  const rest = clip(parts.join("  "), Math.max(10, width - run.id.length - status.length - 4));
  return `${paint("bold", clip(run.id, width))}  ${paint(runColor(run.status), status)}  ${rest}`;
}

const RUN_COLORS: Readonly<Record<string, Color>> = {
  COMPLETED: "green",
  SERVING: "green",
  RUNNING: "cyan",
  FAILED: "red",
};

export function runColor(status: string): Color {
  return RUN_COLORS[status] ?? "yellow";
}

/** `3/10 done, 2 running, 1 failed` */
export function progressText(tracker: Tracker): string {
  const parts = [`${tracker.over}/${tracker.rows.length} done`];
  const failed = tracker.count("FAILED") + tracker.count("DEAD");
  if (tracker.count("RUNNING") > 0) parts.push(`${tracker.count("RUNNING")} running`);
  const asking = tracker.waiting.size;
  const paused = tracker.count("WAITING") - asking;
  if (asking > 0) parts.push(`${asking} waiting for a person`);
  if (paused > 0) parts.push(`${paused} paused`);
  if (failed > 0) parts.push(`${failed} failed`);
  for (const status of ["SKIPPED", "CANCELLED"] as const) {
    if (tracker.count(status) > 0) parts.push(`${tracker.count(status)} ${LOOKS[status].word}`);
  }
  return parts.join(", ");
}

/**
 * Jobs left times how long one took so far, divided by the number that run at once. A guess, and
 * only once some jobs have ended.
 */
export function remainingMs(tracker: Tracker, { slots }: { slots: number }): number | undefined {
  const { count, totalMs } = tracker.timed;
  const left = tracker.rows.length - tracker.over;
  if (count < 2 || left === 0 || tracker.waiting.size > 0) return undefined;
  const atOnce = Math.max(1, Math.min(left, Math.max(slots, tracker.running.size)));
  return (totalMs / count) * (left / atOnce);
}

function choose(tracker: Tracker, { room, last }: { room: number; last: boolean }): JobRow[] {
  const chosen = new Set<JobRow>();
  const add = (rows: Iterable<JobRow>, limit: number): void => {
    for (const row of rows) {
      if (chosen.size >= limit) return;
      chosen.add(row);
    }
  };
  add(tracker.waiting, Math.ceil(room / 4));
  add(tracker.failed, Math.ceil(room / 2));
  add(tracker.running, room);
  for (let at = 0; at < Math.min(MAX_SEARCH, tracker.rows.length) && chosen.size < room; at++) {
    const row = tracker.rows[at]!;
    if (!isTerminal(row.status)) chosen.add(row);
  }
  if (!last) add(tracker.recent.toReversed(), room); // so that the screen keeps its height
  return [...chosen].sort((a, b) => a.index - b.index);
}

function rowLine(row: JobRow, options: ViewOptions & { name: number; run: string }): string {
  const { sign, ascii, color, word } = lookOf(row);
  const { paint, width, name } = options;
  const room = Math.max(0, width - 15 - name);
  const how = howToAnswer(`${options.run}/${row.id}`, options.where);
  const detail =
    isAtGate(row)
      ? askingText(row, { how, room: room - 2 })
      : detailOf(row, options.now, how);
  const shownSign = options.unicode ? sign : ascii;
  const head = `${shownSign} ${pad(clip(row.id, name), name)}  ${pad(word, 9)}`;
  return `  ${paint(color, head)}${clip(detail === "" ? "" : `  ${detail}`, room)}`.trimEnd();
}

/** A long question is cut. The command that answers it is not: half a command is useless. */
function askingText(row: JobRow, { how, room }: { how: string; room: number }): string {
  const left = room - 2 - textWidth(how);
  const question = questionOf(row);
  return `${left >= MIN_QUESTION_CELLS ? clip(question, left) : question}  ${how}`.trim();
}

/**
 * The words about a job besides its status. `how`: the command that answers a gate, or the reason
 * why there is none.
 */
export function detailOf(row: JobRow, now: number, how: string): string {
  const { status, startedAt, failure, reason } = row;
  const attempt = row.attempt > 1 ? `attempt ${row.attempt}  ` : "";
  const until = status === "RUNNING" ? now : row.stoppedAt || row.at;
  const took = startedAt === 0 ? "" : pad(durationText(until - startedAt), 7);
  if (status === "RUNNING") {
    const at = addressOf(row.service);
    const where = at === "" ? row.worker : `${at}  ${row.worker}`;
    return `${took}  ${attempt}${where}${row.cancelling ? "  cancelling" : ""}`;
  }
  if (status === "COMPLETED") return `${took}  ${attempt}${row.worker}`;
  if (isFailure(status)) return `${attempt}${oneLine(failure?.message ?? "")}`;
  if (status === "PENDING" && failure !== undefined) {
    return `${attempt}will try again: ${oneLine(failure.message)}`;
  }
  if (isAtGate(row)) return `${questionOf(row)}  ${how}`.trim();
  return oneLine(reason);
}

/** The master's sentence is `waits for approval: Ship it?`. The row itself says that it waits. */
function questionOf({ reason }: JobRow): string {
  return oneLine(reason.replace(/^waits for approval: /, ""));
}

/** How a gate is answered; `where`: flags that reach the master. */
export function howToAnswer(gate: string, where: string): string {
  return `titan approve${where} ${gate}`;
}
