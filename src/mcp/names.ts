/**
 * Lesson 20: how a model names things, and what it means.
 *
 *     nightly-7k2m            a run; the beginning is enough if only one begins so
 *     nightly-7k2m/train      a job
 *     train, DAG-train        a job, of the newest run that has one: as the first Titan named jobs
 *     nightly-7k2m/train      its gate, too; hitl-gate-train is the first Titan's name for it
 *
 * Invariant: a name that means several things, or none, is refused with those that there are.
 * Test: test/20-mcp.tools.test.ts
 */
import { didYouMean } from "#base";
import type { Client, GateInfo, JobInfo, RunInfo } from "#sdk";
import { isRpcError } from "./rpc-error.ts";
import { ToolProblem } from "./tools/tool.ts";

/** Runs that are asked for a job at a time. */
const AT_ONCE = 32;
/** Names in a message. */
const MAX_LISTED = 10;
const OLD_JOB = /^DAG-(.+)$/s;
const OLD_GATE = /^(?:DAG-)?hitl-gate-(.+)$/s;

export interface FoundJob {
  readonly run: RunInfo;
  readonly job: JobInfo;
  readonly parents: readonly string[];
}

/** The id of a run. */
export async function findRun(titan: Client, typed: string): Promise<string> {
  const runs = await titan.runs();
  if (runs.some(({ id }) => id === typed)) return typed;
  const fitting = runs.map(({ id }) => id).filter((id) => typed !== "" && id.startsWith(typed));
  if (fitting.length === 1) return fitting[0]!;
  if (fitting.length > 1) {
    throw new ToolProblem(`Cannot choose a run: "${typed}" fits ${listed(fitting.reverse())}. ` +
      "Call again with one of these.");
  }
  const meant = didYouMean(typed, runs.map(({ id }) => id));
  const hint = meant === undefined ? "list_runs lists the runs" : `did you mean ${meant}?`;
  throw new ToolProblem(`Cannot find run "${typed}": there is none of this name; ${hint}`);
}

export async function findJob(titan: Client, typed: string): Promise<FoundJob> {
  const slash = typed.indexOf("/");
  if (slash > 0) {
    const run = await findRun(titan, typed.slice(0, slash));
    return jobOf(titan, run, typed.slice(slash + 1));
  }
  const runs = (await titan.runs()).reverse();
  const old = OLD_JOB.exec(typed)?.[1];
  const names = old === undefined ? [typed] : [typed, old];
  for (let at = 0; at < runs.length; at += AT_ONCE) {
    const asked = runs.slice(at, at + AT_ONCE).map(({ id }) => firstOf(titan, id, names));
    const found = (await Promise.all(asked)).find((job) => job !== undefined);
    if (found !== undefined) return found;
  }
  const isRun = runs.some(({ id }) => id === typed);
  const why = isRun ? "it is a run: name a job of it as RUN/JOB" : "no run has such a job";
  throw new ToolProblem(`Cannot find job "${typed}": ${why}; get_run lists the jobs of a run`);
}

async function firstOf(
  titan: Client, run: string, names: readonly string[],
): Promise<FoundJob | undefined> {
  for (const name of names) {
    try {
      return await jobOf(titan, run, name);
    } catch (error) {
      if (!isRpcError(error, "NOT_FOUND")) throw error;
    }
  }
  return undefined;
}

async function jobOf(titan: Client, run: string, id: string): Promise<FoundJob> {
  const { run: info, jobs, parents } = await titan.status(run, id);
  return { run: info, job: jobs[0]!, parents };
}

// ── gates ────────────────────────────────────────────────────────────────────────────────────────

/** An open gate. */
export async function findGate(titan: Client, typed: string): Promise<GateInfo> {
  const gates = await titan.gates();
  const exact = gates.filter(({ id }) =>
    id === typed || id.startsWith(`${typed}#`) || id.startsWith(`${typed}:`));
  if (exact.length === 1) return exact[0]!;
  const names = [typed, OLD_GATE.exec(typed)?.[1], OLD_JOB.exec(typed)?.[1]];
  const named = gates.filter(({ id }) => names.includes(jobIn(id)));
  const newest = named.sort((a, b) => b.openedAt - a.openedAt)[0];
  if (newest !== undefined && exact.length === 0) return newest;
  const [run = "", job] = typed.split("/");
  const inRun = gates.filter(({ id }) => run !== "" && id.startsWith(run)
    && (job === undefined || jobIn(id) === job));
  if (inRun.length === 1) return inRun[0]!;
  const several = exact.length > 1 ? exact : inRun;
  if (several.length > 1) {
    const ids = listed(several.map(({ id }) => id));
    throw new ToolProblem(`Cannot choose a gate: "${typed}" may be ${ids}. Use one of these.`);
  }
  const open = gates.length === 0 ? "no gate is open" : `open are ${listed(gates.map(idOf))}`;
  throw new ToolProblem(
    `Cannot find gate "${typed}": ${await whyNone(titan, typed, names)}${open}`,
  );
}

/** `train` of `nightly-7k2m/train`, `nightly-7k2m/train#2` and `nightly-7k2m/train:ask`. */
function jobIn(gate: string): string {
  return gate.slice(gate.indexOf("/") + 1).replace(/#\d+$|:.*$/s, "");
}

/** It was open, and somebody has answered it. */
async function whyNone(
  titan: Client, typed: string, names: readonly (string | undefined)[],
): Promise<string> {
  for (const name of typed.includes("/") ? [typed] : names) {
    if (name === undefined) continue;
    const found = await findJob(titan, name).catch(() => undefined);
    if (found === undefined) continue;
    const { run, job } = found;
    const which = `${run.id}/${job.id}`;
    if (job.decision === undefined) return `${which} is ${job.status}, and waits for nobody; `;
    const { approved, by, at } = job.decision;
    const what = approved ? "approved" : "rejected";
    return `${which} was ${what} by ${by} at ${new Date(at).toISOString()}, and that stands; `;
  }
  return "";
}

function idOf({ id }: GateInfo): string {
  return id;
}

function listed(names: readonly string[]): string {
  const more = names.length > MAX_LISTED ? ` and ${names.length - MAX_LISTED} more` : "";
  return `${names.slice(0, MAX_LISTED).join(", ")}${more}`;
}
