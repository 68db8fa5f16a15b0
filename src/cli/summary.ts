/**
 * The end of a run, said to a person: one line, and for each failed job the reason and the last
 * lines of its output.
 *
 * Test: test/cli.test.ts
 */
import { stripVTControlCharacters } from "node:util";
import { LineReader, Tail, type Client, type Line } from "#sdk";
import { jobCounts, type RunInfo } from "#wire";
import { tellResult } from "./agent-result.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit.ts";
import { addressOf } from "./service-view.ts";
import { durationText, plural, printable, shellWord } from "./text.ts";
import type { JobRow, Tracker } from "./tracker.ts";
import { progressText, runColor } from "./view.ts";

/** Failed jobs that are shown in full. After five the reader has seen enough. */
const MAX_SHOWN = 5;
const TAIL_LINES = 10;
const MAX_LINE_CHARS = 400;
/** A gigabyte of output is not worth reading for its last lines. */
const TAIL_MAX_BYTES = 32 * 1024 * 1024;
const TAIL_MAX_MS = 3000;

export interface SummaryOptions {
  readonly context: Context;
  readonly client: Client;
  readonly tracker: Tracker;
  /** The cluster goes away: there will be nothing to look at afterwards. */
  readonly vanishes: boolean;
  /** The folder that keeps the state, when the master itself goes away. */
  readonly kept?: string | undefined;
  /** Flags that reach the same master: ` --master HOST:PORT`, or nothing. */
  readonly where: string;
}

/** A run that serves has done all that ends; whether that went well, its jobs say. */
export function exitOf(run: RunInfo): number {
  if (run.status === "COMPLETED") return EXIT.OK;
  const { FAILED, DEAD } = jobCounts(run);
  return run.status === "SERVING" && FAILED + DEAD === 0 ? EXIT.OK : EXIT.RUN_FAILED;
}

export async function summarize(run: RunInfo, options: SummaryOptions): Promise<void> {
  const { context, tracker } = options;
  const failed = [...tracker.failed].sort((a, b) => a.at - b.at);
  for (const row of failed.slice(0, MAX_SHOWN)) await describeFailure(run, row, options);
  if (failed.length > MAX_SHOWN) {
    const more = options.vanishes ? "" : `: ${later(options, "status", run.id)}`;
    context.note(`titan: ${plural(failed.length - MAX_SHOWN, "more job")} failed${more}`);
  }
  if (failed.length > 0 && options.vanishes) {
    context.note(
      "titan: this cluster ends with the run; " +
        "with --state DIR its runs and their output are kept",
    );
  }
  warnOfLost(run, options);
  if (run.status === "SERVING") return tellServices(run, options);
  if (run.status === "PAUSED") return tellPause(run, options);
  const took = durationText((run.endedAt ?? run.submittedAt) - run.submittedAt);
  const status = context.paint(runColor(run.status), run.status);
  context.out(`${run.id} ${status} in ${took} (${progressText(tracker)})`);
  if (run.status !== "COMPLETED") return;
  await tellResult(run, { ...options, later: (...words) => later(options, ...words) });
}

/** Where the services are that go on. */
function tellServices(run: RunInfo, options: SummaryOptions): void {
  const { context, tracker } = options;
  const status = context.paint(runColor(run.status), run.status);
  context.out(`${run.id} ${status} (${progressText(tracker)})`);
  for (const { id, service, worker } of tracker.running) {
    if (service === undefined) continue;
    context.out(`  ${id} ${service.phase.toLowerCase()} at ${addressOf(service)} on ${worker}`);
  }
  context.note(`titan: its services go on; ${later(options, "stop", run.id)} ends them`);
}

/** It goes on as soon as somebody says so; until then nobody need watch. */
function tellPause(run: RunInfo, options: SummaryOptions): void {
  const { context, tracker, vanishes } = options;
  const status = context.paint(runColor(run.status), run.status);
  context.out(`${run.id} ${status} (${progressText(tracker)})`);
  context.note(`titan: ${printable(run.paused ?? "its budget is used up")}`);
  context.note(vanishes
    ? "titan: this cluster ends now, and the run with it; --wait stays, --state DIR keeps both"
    : `titan: it goes on with ${later(options, "agents", `budget ${run.id} --usd +N`)}`);
}

/** Output with a hole looks like whole output, so its readers must be told of the hole. */
function warnOfLost(run: RunInfo, { context, tracker }: SummaryOptions): void {
  const rows = [...tracker.lossy];
  for (const { id, lostOutput } of rows.slice(0, MAX_SHOWN)) {
    const { bytes, why } = lostOutput!;
    const what = `${plural(bytes, "byte")} of output of ${run.id}/${id} could not be stored`;
    context.note(`titan: warning: ${what}: ${printable(why)}`);
  }
  const more = rows.length - MAX_SHOWN;
  if (more > 0) {
    context.note(`titan: warning: output of ${plural(more, "more job")} could not be stored whole`);
  }
}

/** How to look at the run later: at this master, or at one that has its state. */
function later({ where, kept }: SummaryOptions, ...words: readonly string[]): string {
  if (kept === undefined) return `titan ${words[0]}${where} ${words.slice(1).join(" ")}`;
  return `titan up --state ${shellWord(kept)}, then titan ${words.join(" ")}`;
}

async function describeFailure(run: RunInfo, row: JobRow, options: SummaryOptions): Promise<void> {
  const { context, client, vanishes } = options;
  const name = `${run.id}/${row.id}`;
  const attempt = row.attempt > 1 ? ` (attempt ${row.attempt})` : "";
  const title = context.paint("red", `${name} failed${attempt}`, "note");
  context.note(`\n${title}: ${printable(row.failure?.message ?? "no reason was given")}`);
  const tail = await lastLines(client, { run: run.id, job: row.id });
  if (tail === undefined) context.note("  (its output is too long to show the end of it here)");
  const bar = context.paint("dim", "|", "note");
  for (const line of tail ?? []) context.note(`  ${bar} ${printable(line)}`);
  if (!vanishes) context.note(`  all of it: ${later(options, "logs", name)}`);
}

/**
 * The last lines that a job printed, both streams together. Undefined: it would take too long to
 * read as far as them.
 */
export async function lastLines(
  client: Client,
  job: { run: string; job: string },
): Promise<string[] | undefined> {
  const until = performance.now() + TAIL_MAX_MS;
  const reader = new LineReader();
  const tail = new Tail<Line>(TAIL_LINES);
  let [bytes, count] = [0, 0];
  const take = (lines: readonly Line[]): void => {
    count += lines.length;
    for (const line of lines) tail.push(line);
  };
  try {
    for await (const chunk of client.logs(job.run, job.job)) {
      bytes += chunk.data.length;
      if (bytes > TAIL_MAX_BYTES || performance.now() > until) return undefined;
      take(reader.take(chunk));
    }
  } catch {
    return []; // the failure itself has been told already
  }
  take(reader.end());
  const shown = tail.lines().map(({ text }) => lineText(text));
  const cut = count - shown.length;
  return cut > 0 ? [`… ${plural(cut, "line")} before`, ...shown] : shown;
}

/** As a terminal would show it: a progress bar at its last state, a long line by its end. */
function lineText(text: string): string {
  const last = stripVTControlCharacters(text.slice(text.lastIndexOf("\r") + 1));
  return last.length > MAX_LINE_CHARS ? `…${last.slice(-MAX_LINE_CHARS)}` : last;
}
