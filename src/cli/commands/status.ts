/**
 * `titan status`: a run and its jobs, or all about one job, with the reason of each job that waits.
 *
 * Test: test/cli.test.ts
 */
import { jobJson, runJson, tookMs, waitedMs } from "#rows";
import {
  resultValue, type Decision, type JobInfo, type RunInfo, type ServiceInfo,
} from "#wire";
import { openMaster } from "../address.ts";
import type { Call, Command } from "../command.ts";
import type { Context } from "../context.ts";
import { EXIT } from "../exit.ts";
import { parseRef, withRun } from "../refs.ts";
import { addressOf } from "../service-view.ts";
import { clip, durationText, oneLine, printable, table, timeText } from "../text.ts";
import { isFailure } from "../tracker.ts";
import { LOOKS, runColor } from "../view.ts";
import { countsText } from "./runs.ts";

const MAX_REASON_CELLS = 100;
const MAX_RESULT_CHARS = 2000;

export const status: Command = {
  name: "status",
  summary: "how a run or a job is doing, and why what waits does wait",
  usage: "RUN[/JOB]",
  args: [1, 1],
  flags: {},
  notes: ["RUN may be the beginning of a run's id, if only one run begins so."],
  examples: [
    "titan status nightly-7k2m",
    "titan status nightly-7k2m/train",
    "titan status nightly --json",
  ],
  async run(call: Call): Promise<number> {
    const { context } = call;
    const ref = parseRef(call.args[0]!);
    const client = await openMaster(call);
    const { run, jobs, parents } = await withRun(client, ref.run, (id) => {
      return client.status(id, ref.job);
    });
    const single = ref.job !== undefined;
    if (call.json) printJson(context, { run, jobs, parents, single });
    else if (single) printJob(context, run, jobs[0]!);
    else printRun(context, { run, jobs, now: Date.now() });
    return EXIT.OK;
  },
};

interface Found {
  readonly run: RunInfo;
  readonly jobs: readonly JobInfo[];
  readonly parents: readonly string[];
  readonly single: boolean;
}

function printJson(context: Context, { run, jobs, parents, single }: Found): void {
  const now = Date.now();
  if (single) return context.json({ run: runJson(run), job: jobJson(jobs[0]!, parents, now) });
  const row = (job: JobInfo) => jobJson(job, job.dependsOn.map((index) => jobs[index]!.id), now);
  context.json({ run: runJson(run), jobs: jobs.map(row) });
}

/** As it is, or was, at this moment (ms since 1970). */
export function printRun(
  context: Context, { run, jobs, now }: Pick<Found, "run" | "jobs"> & { now: number },
): void {
  const { submittedAt, endedAt } = run;
  const word = run.cancelling ? `${run.status} (cancelling)` : run.status;
  const state = context.paint(runColor(run.status), word);
  context.out(`${context.paint("bold", run.id)}  ${state}  ${countsText(run)}`);
  const took =
    endedAt === undefined
      ? `${durationText(now - submittedAt)} ago`
      : `took ${durationText(endedAt - submittedAt)}`;
  context.out(`submitted ${timeText(submittedAt)}, ${took}\n`);
  const rows = jobs.map((job) => [
    job.id,
    context.paint(LOOKS[job.status].color, statusText(job)),
    String(job.attempt),
    job.worker,
    tookText(job, now),
    clip(whyText(job), MAX_REASON_CELLS),
  ]);
  context.out(table(["JOB", "STATUS", "ATTEMPT", "WORKER", "TOOK", "WHY"], rows, context.columns));
}

function statusText({ status: found, cancelling, service }: JobInfo): string {
  if (found === "RUNNING" && service !== undefined && !cancelling) {
    return `${found} (${service.phase.toLowerCase()})`;
  }
  return cancelling ? `${found} (cancelling)` : found;
}

/** Why it waits or was skipped, why it failed, or who approved it; success needs no reason. */
function whyText({ status: found, failure, reason, decision }: JobInfo): string {
  if (isFailure(found)) return oneLine(failure?.message ?? "");
  if (decision !== undefined) return oneLine(decisionText(decision));
  if (failure === undefined || found !== "PENDING") return oneLine(reason);
  return oneLine(`${reason}; the last attempt: ${failure.message}`);
}

/** `approved by ada@desk: looks fine` */
function decisionText({ approved, skipped, by, comment, values }: Decision): string {
  const said = comment === "" ? "" : `: ${comment}`;
  const filled = Object.entries(values).map(([name, value]) => `${name}=${value}`).join(", ");
  const word = approved ? "approved" : skipped === true ? "passed over" : "rejected";
  return `${word} by ${by}${said}${filled === "" ? "" : ` (${filled})`}`;
}

function tookText(job: JobInfo, now: number): string {
  const ms = tookMs(job, now);
  return ms === undefined ? "" : durationText(ms);
}

function serviceLines(service: ServiceInfo): [string, string][] {
  const { phase, since, pid, restarts } = service;
  const lines: [string, string][] = [["service", `${phase}, since ${timeText(since)}`]];
  const at = addressOf(service);
  if (at !== "") lines.push(["address", pid === 0 ? at : `${at} (pid ${pid})`]);
  if (restarts > 0) lines.push(["restarts", String(restarts)]);
  return lines;
}

function printJob(context: Context, run: RunInfo, job: JobInfo): void {
  const now = Date.now();
  const lines: [string, string][] = [
    ["job", `${run.id}/${job.id}`],
    ["status", context.paint(LOOKS[job.status].color, statusText(job))],
  ];
  if (job.reason !== "") lines.push(["why", printable(job.reason)]);
  lines.push(["attempt", job.attempt === 0 ? "none yet" : String(job.attempt)]);
  if (job.worker !== "") lines.push(["worker", job.worker]);
  if (job.service !== undefined) lines.push(...serviceLines(job.service));
  if (job.startedAt !== undefined) {
    lines.push(["started", timeText(job.startedAt)], ["took", tookText(job, now)]);
  }
  const waited = waitedMs(job, now);
  if (waited !== undefined) lines.push(["waited", `${durationText(waited)} for a person`]);
  if (job.decision !== undefined) {
    const decided = `${oneLine(decisionText(job.decision))} (${timeText(job.decision.at)})`;
    lines.push(["decision", decided]);
  }
  if (job.failure !== undefined) {
    const { kind, message, exitCode, signal } = job.failure;
    const detail: string[] = [kind];
    if (exitCode !== undefined) detail.push(`exit code ${exitCode}`);
    if (signal !== undefined) detail.push(signal);
    const title = isFailure(job.status) ? "failed" : "last failure";
    lines.push([title, `${printable(message)} (${detail.join(", ")})`]);
  }
  if (job.lostOutput !== undefined) {
    const { bytes, why } = job.lostOutput;
    lines.push(["output lost", `${bytes} bytes (${printable(why)})`]);
  }
  if (job.result !== undefined && job.result.length > 0) {
    const value = resultValue(job.result);
    const text = typeof value === "string" ? value : JSON.stringify(value);
    lines.push(["result", printable(clip(text, MAX_RESULT_CHARS))]);
  }
  for (const [name, value] of lines) context.out(`${name.padEnd(12)}  ${value}`);
  if (job.attempt === 0) return;
  const earlier = job.attempt > 1 ? " (--attempt N for an earlier one)" : "";
  context.note(`\ntitan: its output: titan logs ${run.id}/${job.id}${earlier}`);
}
