/**
 * What an agent has come to, said at the end of its run: the results of its last jobs and the files
 * that it has put, or how to get them.
 *
 * Test: test/18-agents.result.test.ts
 */
import { RpcError } from "#rpc";
import type { RunCalls } from "#calls";
import type { AgentReport } from "#sdk";
import { resultValue, type JobInfo, type RunInfo } from "#wire";
import type { Context } from "./context.ts";
import { bytesText, oneLine, printable, shellWord } from "./text.ts";

/** A screen of text. A longer result is fetched by those who want it. */
const MAX_SHOWN_CHARS = 2000;
const MAX_SHOWN_JOBS = 5;
const MAX_SHOWN_FILES = 10;
/** Declared jobs beyond this are a pipeline, and no agent with a report. */
const MAX_DECLARED = 100;

export interface ResultOptions {
  readonly context: Context;
  readonly client: RunCalls;
  /** Nothing of it can be fetched afterwards: the cluster goes away. */
  readonly vanishes: boolean;
  /** A command that reaches the run later. */
  later(...words: string[]): string;
}

export async function tellResult({ id }: RunInfo, options: ResultOptions): Promise<void> {
  const { client } = options;
  const report = await agentOf(client, id);
  if (report === undefined) return;
  const last = await lastJobs(client, id, report);
  for (const job of last.slice(0, MAX_SHOWN_JOBS)) tellJob(id, job, options);
  await tellFiles(id, options);
}

function tellJob(run: string, { id, result }: JobInfo, options: ResultOptions): void {
  const { context, vanishes, later } = options;
  const text = textOf(result!);
  const isLong = text.length > MAX_SHOWN_CHARS;
  if (!isLong || vanishes) {
    const shown = isLong ? `${text.slice(0, MAX_SHOWN_CHARS)}…` : text;
    context.out(`${id} has handed in:`);
    for (const line of shown.trimEnd().split("\n")) context.out(`  ${printable(line)}`);
  }
  if (!isLong) return;
  const how = vanishes ? "with --state DIR it is kept" : later("status", `${run}/${id}`, "--json");
  context.note(`titan: all that ${id} has handed in (${bytesText(result!.length)}): ${how}`);
}

async function tellFiles(run: string, options: ResultOptions): Promise<void> {
  const { context, client, vanishes, later } = options;
  const files = await client.artifacts({ run });
  const shown = files.slice(0, MAX_SHOWN_FILES).map(({ name, size }) =>
    `${oneLine(name)} (${bytesText(size)})`);
  const rest = files.length - shown.length;
  if (files.length === 0) return;
  const more = rest > 0 ? ` and ${rest} more` : "";
  const name = files.length === 1 ? shellWord(files[0]!.name) : "NAME";
  const how = vanishes ? "with --state DIR they are kept"
    : later("artifact", `get ${name} --run ${run}`);
  context.note(`titan: files of the run: ${shown.join(", ")}${more}; ${how}`);
}

/** Undefined: it is no agent run, or the master is an older one. */
async function agentOf(client: RunCalls, id: string): Promise<AgentReport | undefined> {
  try {
    return await client.agent(id);
  } catch (error) {
    if (error instanceof RpcError) return undefined;
    throw error;
  }
}

/** Those of the pipeline itself that no other one of it comes after, and that hand something in. */
async function lastJobs(client: RunCalls, id: string, { jobs }: AgentReport): Promise<JobInfo[]> {
  const declared = jobs.filter((job) => job.run === id && job.spawner === undefined);
  if (declared.length > MAX_DECLARED) return [];
  const { jobs: rows } = await client.status(id, undefined, declared.map((job) => job.id));
  const before = new Set(rows.flatMap(({ dependsOn }) => dependsOn));
  return rows.filter(({ index, status, result }) =>
    status === "COMPLETED" && !before.has(index) && (result?.length ?? 0) > 0);
}

/** A text as it is; of an object its fields, one after the other; else JSON. */
function textOf(result: Buffer): string {
  const value = resultValue(result);
  const shown = (each: unknown): string =>
    typeof each === "string" ? each : JSON.stringify(each);
  if (typeof value !== "object" || value === null || Array.isArray(value)) return shown(value);
  return Object.entries(value).map(([key, each]) => `${key}: ${shown(each)}`).join("\n");
}
