/**
 * Lesson 20: looking at runs, waiting for them, and changing what happens to them.
 *
 * Test: test/20-mcp.tools.test.ts
 */
import { plural } from "#base";
import { boolean, integer, jobJson, list, oneOf, runJson, shapes, text } from "#rows";
import { isOpenRun, isTerminal, RUN_STATUSES } from "#wire";
import type { JobInfo, RunInfo } from "#sdk";
import { findJob, findRun } from "../names.ts";
import { runUri } from "../uris.ts";
import {
  fields, READS, REPLACES, STARTS, textOf, whole, words, type Tool, type ToolAnswer,
  type ToolContext,
} from "./tool.ts";

const MAX_RUNS = 200;
const RUNS_SHOWN = 20;
/** Jobs of a run in one answer. More than a model reads; get_job_status has each. */
const MAX_JOBS = 200;

const RUN = words("The run's id; its beginning is enough if only one run begins so.");

/** `nightly-7k2m COMPLETED: 3 COMPLETED, 1 SKIPPED` */
export function runText(run: RunInfo): string {
  const { jobs } = runJson(run) as { jobs: Record<string, number> };
  const counts = Object.entries(jobs).filter(([, count]) => count > 0)
    .map(([status, count]) => `${count} ${status}`).join(", ");
  return `${run.id} is ${run.status}${counts === "" ? "" : ` (jobs: ${counts})`}`;
}

/** `train FAILED: exit code 3` */
function jobText({ id, status, reason, failure }: JobInfo): string {
  const why = failure?.message || reason;
  return `- ${id} ${status}${why === "" ? "" : `: ${why}`}`;
}

/** What a model does with a run in this state. */
export function nextOf(run: RunInfo, jobs: readonly JobInfo[] = []): string {
  const waiting = jobs.find(({ status }) => status === "WAITING");
  if (waiting !== undefined) {
    return (
      `Next: a person decides about gate ${run.id}/${waiting.id}; approve_hitl_gate asks ` + "them."
    );
  }
  const failed = jobs.find(({ status }) => status === "FAILED" || status === "DEAD");
  if (failed !== undefined) {
    return `Next: get_job_logs ${run.id}/${failed.id} says what it printed.`;
  }
  if (run.status === "PAUSED") return "Next: agent_budget shows what is spent, and raises it.";
  if (run.status === "RUNNING") return `Next: wait_run ${run.id}.`;
  return run.status === "COMPLETED"
    ? `Next: get_job_logs RUN/JOB or get_artifact have what it made.` : "";
}

export const listRuns: Tool = {
  name: "list_runs", title: "List runs", ...READS,
  description: "Lists runs, the newest first, with how many of their jobs are in which state.",
  input: fields({
    "status?": { ...oneOf(...RUN_STATUSES), description: "Only those of this status." },
    "name?": words("Only those whose id or pipeline name begins so."),
    "limit?": whole("At most so many.", { minimum: 1, maximum: MAX_RUNS, default: RUNS_SHOWN }),
  }),
  output: fields({ runs: list(shapes.run), more: boolean }),
  async run(args, { titan }) {
    const [status, name] = [textOf(args, "status"), textOf(args, "name") ?? ""];
    const limit = (args["limit"] as number | undefined) ?? RUNS_SHOWN;
    const fitting = (await titan.runs()).reverse().filter((run) =>
      (status === undefined || run.status === status)
      && (run.id.startsWith(name) || run.name.startsWith(name)));
    const shown = fitting.slice(0, limit);
    const lines = shown.map((run) => `- ${runText(run)}`);
    const more = fitting.length > shown.length;
    const head = shown.length === 0 ? "There are no such runs." : plural(fitting.length, "run");
    const rest = more ? `\n… and ${fitting.length - limit} more: raise limit, or filter.` : "";
    return {
      text: `${head}\n${lines.join("\n")}${rest}`.trim(),
      data: { runs: shown.map(runJson), more },
    };
  },
};

export const getRun: Tool = {
  name: "get_run", title: "Show a run", ...READS,
  description: "Shows a run and its jobs: their states, why they wait or have failed.",
  input: fields({ run: RUN }),
  output: fields({ run: shapes.run, jobs: list(shapes.job), more: boolean }),
  async run(args, context) {
    const { titan } = context;
    const run = await findRun(titan, textOf(args, "run")!);
    return wholeRun(run, context);
  },
};

/** A run with its jobs, those that need a look first. */
async function wholeRun(id: string, { titan, host }: ToolContext): Promise<ToolAnswer> {
  const { run, jobs } = await titan.status(id);
  const ids = jobs.map((job) => job.id);
  const now = host.clock.wall();
  const urgent = [...jobs].sort((a, b) => urgency(a) - urgency(b)).slice(0, MAX_JOBS);
  const rows = urgent.map((job) => jobJson(job, job.dependsOn.map((at) => ids[at]!), now));
  const more = jobs.length > urgent.length;
  const rest = more ? `\n… and ${jobs.length - urgent.length} more jobs` : "";
  const text = `${runText(run)}\n${urgent.map(jobText).join("\n")}${rest}\n${nextOf(run, jobs)}`;
  const link = { type: "resource_link", uri: runUri(run.id), name: run.id };
  return { text: text.trim(), data: { run: runJson(run), jobs: rows, more }, links: [link] };
}

function urgency({ status }: JobInfo): number {
  if (status === "FAILED" || status === "DEAD") return 0;
  return status === "WAITING" ? 1 : status === "RUNNING" ? 2 : status === "PENDING" ? 3 : 4;
}

export const jobStatus: Tool = {
  name: "get_job_status", title: "Status of a job", ...READS,
  description: "Says which state a job is in, and why it waits or has failed.",
  input: fields({ job_id: words("RUN/JOB, or a job id alone: of the newest run that has it.") }),
  output: fields({ job_id: text, status: text, run: text, job: shapes.job }),
  async run(args, { titan, host }) {
    const typed = textOf(args, "job_id")!;
    const { run, job, parents } = await findJob(titan, typed);
    const name = `${run.id}/${job.id}`;
    return {
      text: `${name} is ${job.status}${jobText(job).slice(`- ${job.id} ${job.status}`.length)}\n` +
        nextOf(run, [job]),
      data: {
        job_id: typed, status: job.status, run: run.id,
        job: jobJson(job, parents, host.clock.wall()),
      },
    };
  },
};

export const cancelRun: Tool = {
  name: "cancel_run",
  title: "Cancel a run",
  ...REPLACES,
  description:
    "Cancels a run, or one job of it. What runs gets SIGTERM, and SIGKILL five seconds " +
    "later. Only do this if the person wants it.",
  input: fields({ run: RUN, "job?": words("Only this job of it.") }),
  output: fields({ run: text, jobs: integer, status: text }),
  async run(args, { titan }) {
    const run = await findRun(titan, textOf(args, "run")!);
    const jobs = await titan.cancel(run, textOf(args, "job"));
    const { status } = (await titan.status(run)).run;
    const done = jobs === 0 ? "nothing was left to cancel" : `${plural(jobs, "job")} cancelled`;
    return { text: `${run}: ${done}; it is ${status}`, data: { run, jobs, status } };
  },
};

export const retryRun: Tool = {
  name: "retry_run", title: "Retry a run", ...STARTS,
  description: "Gives the jobs of a run that did not complete another chance, or (from) one job " +
    "and all after it. Results of jobs that completed are kept.",
  input: fields({ run: RUN, "from?": words("This job, and all that depend on it.") }),
  output: fields({ run: text, jobs: integer }),
  async run(args, { titan }) {
    const run = await findRun(titan, textOf(args, "run")!);
    const jobs = await titan.retry(run, textOf(args, "from"));
    return {
      text: `${run}: ${plural(jobs, "job")} will run again\nNext: wait_run ${run}.`,
      data: { run, jobs },
    };
  },
};

/** Whether somebody can do something now: it is over, or nothing goes on until a person decides. */
export function isNews(run: RunInfo, states: Iterable<string>): boolean {
  if (!isOpenRun(run.status) || run.status !== "RUNNING") return true;
  const all = [...states];
  return all.includes("WAITING") && !all.includes("RUNNING");
}

/** How far a run is, in jobs. */
export function ended(states: Iterable<string>): number {
  return [...states].filter((status) => isTerminal(status as JobInfo["status"])).length;
}

