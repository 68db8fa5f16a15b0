/**
 * Lesson 10: what a job must be before it becomes a fact.
 *
 * The wire (src/wire) bounds each field by itself, and a client need not be ours: it may never have
 * seen the reader of pipelines, which is stricter. Here is what `apply` and the log rely on: sums
 * that stay numbers, sentences that still fit once there is something in front of them, names that
 * can be told apart from what is around them.
 *
 * Invariants: what passes here can be applied, written to the log and into a snapshot, and shown,
 * whatever happens to it later.
 * Test: test/10-master.test.ts
 */
import { TAG } from "#base";
import { DagError } from "#dag";
import { rulesProblem } from "#gates";
import { retryPolicy, RetryPolicyError } from "#retry";
import { MAX_JOBS_PER_RUN, type JobSpec, type PipelineSpec } from "#wire";
import { filesBytes, unfitFiles } from "./check-files.ts";
import { unfitService } from "./check-service.ts";
import { needKey } from "./knowledge.ts";
import { MAX_EDGES_PER_RUN, MAX_JOB_BYTES } from "./limits.ts";
import { Refusal, type Context } from "./refusal.ts";
import { buildGraph, isAlone, MAX_REQUIREMENTS, type State } from "./state.ts";

/**
 * Ten years, for delays, gates and timeouts: with any date before the year 200,000 the sum is a
 * safe integer.
 */
export const MAX_WAIT_MS = 10 * 365 * 24 * 3600 * 1000;

/** As the messages have it for everything that is written for people. */
const MAX_SENTENCE_BYTES = 16 * 1024;

// Here, and not where they are used: an expression in a function is made anew each time.
const NO_NAME = /[\p{Cc}/]/u;
const NO_VARIABLE = /[=\0]/;

/** As the messages have it. An id that came in one is no longer; one that is made here may be. */
const MAX_ID_BYTES = 128;

/** What is wrong with a job, to be read after its name; undefined if nothing is. */
export function unfit(job: JobSpec): string | undefined {
  const { id, delayMs, timeoutMs, gate, retry, env, files } = job;
  if (id === "") return "has an empty id";
  if (!isName(id)) return "has a control character or a slash in its id";
  if (Buffer.byteLength(id) > MAX_ID_BYTES) return `has an id of more than ${MAX_ID_BYTES} bytes`;
  if (delayMs > MAX_WAIT_MS) return `is delayed by ${delayMs} ms, more than ${MAX_WAIT_MS}`;
  if (timeoutMs > MAX_WAIT_MS) return `has a timeout of ${timeoutMs} ms, more than ${MAX_WAIT_MS}`;
  if (gate !== undefined && gate.maxWaitMs > MAX_WAIT_MS) {
    return `has a gate that waits ${gate.maxWaitMs} ms, more than ${MAX_WAIT_MS}`;
  }
  const rules = gate?.rules === undefined ? undefined : rulesProblem(gate.rules);
  if (rules !== undefined) return `has a gate that ${rules}`;
  const policy = retry === undefined ? undefined : badPolicy(retry);
  const wrong = files === undefined ? undefined : unfitFiles(job, files);
  return unfitEnv(env) ?? policy ?? unfitService(job) ?? wrong;
}

/**
 * The system writes a variable as NAME=value and ends it with a zero, so such a name would be lost
 * or another.
 */
function unfitEnv(env: JobSpec["env"]): string | undefined {
  for (const name in env) {
    if (name === "") return "has a variable without a name in its environment";
    if (NO_VARIABLE.test(name)) {
      return `has ${JSON.stringify(name)} in its environment, and a name cannot have "=" or NUL ` +
        "in it";
    }
  }
  return undefined;
}

/** What is wrong with a pipeline's name, to be read after "its name". */
export function unfitName(name: string): string | undefined {
  if (name === "") return "is empty";
  return isName(name) ? undefined : "has a control character or a slash";
}

/** Names are printed on terminals, and a gate is called RUN/JOB. */
function isName(text: string): boolean {
  return !NO_NAME.test(text);
}

function badPolicy(policy: NonNullable<JobSpec["retry"]>): string | undefined {
  try {
    retryPolicy(policy);
  } catch (error) {
    if (error instanceof RetryPolicyError) return `cannot be retried like this: ${error.message}`;
    throw error;
  }
  return undefined;
}

/** Text with something put in front of it, cut to what a message may hold. */
export function sentence(text: string, maxBytes = MAX_SENTENCE_BYTES): string {
  // A character is at most three bytes of UTF-8: most texts need not be measured.
  if (3 * text.length <= maxBytes) return text;
  const bytes = Buffer.from(text);
  if (bytes.length <= maxBytes) return text;
  // `stream` leaves out a character that the cut has gone through.
  return `${new TextDecoder().decode(bytes.subarray(0, maxBytes - 3), { stream: true })}…`;
}

// ── all jobs of a submission ─────────────────────────────────────────────────────────────────────

export function checkGraph(spec: PipelineSpec): void {
  if (isAlone(spec.jobs)) return;
  try {
    buildGraph(spec.jobs);
  } catch (error) {
    if (error instanceof DagError) throw new Refusal("INVALID", error.message);
    throw error;
  }
}

/** What the graph itself does not check. Indexes come from a peer and may be anything. */
export function checkJobs(
  jobs: readonly JobSpec[], options: { from: number; doing: string }, context: Context,
): void {
  const { from, doing } = options;
  const refuse = (why: string): Refusal => new Refusal("INVALID", `Cannot ${doing}: ${why}`);
  if (jobs.length === 0) throw refuse("it has no jobs");
  const total = from + jobs.length;
  if (total > MAX_JOBS_PER_RUN) throw refuse(`${total} jobs exceed ${MAX_JOBS_PER_RUN}`);
  const edges = jobs.reduce((sum, job) => sum + job.dependsOn.length, 0);
  if (edges > MAX_EDGES_PER_RUN) {
    throw refuse(`${edges} dependencies exceed ${MAX_EDGES_PER_RUN}`);
  }
  for (const job of jobs) {
    const why = unfitHere(job, total) ?? unsendable(job, context);
    if (why !== undefined) throw refuse(`job "${job.id}" ${why}`);
  }
}

/** Its gate is to tell people in a way in which this master tells nobody. */
function unsendable({ gate }: JobSpec, { mayNotify }: Context): string | undefined {
  const notify = gate?.rules?.notify;
  const why = notify === undefined ? undefined : mayNotify?.(notify);
  return why === undefined ? undefined : `has a gate that ${why}`;
}

/** Why a job cannot be one of a run of so many. */
function unfitHere(job: JobSpec, total: number): string | undefined {
  const bytes = specBytes(job);
  if (bytes > MAX_JOB_BYTES) {
    const what = "arguments, input and environment";
    return `has up to ${bytes} bytes of ${what}, more than ${MAX_JOB_BYTES}`;
  }
  const why = unfit(job);
  if (why !== undefined) return why;
  for (const parent of job.dependsOn) {
    if (parent >= total) return `depends on job number ${parent} of ${total}`;
  }
  if (job.affinity !== undefined && !job.dependsOn.includes(job.affinity)) {
    return "has affinity to a job that it does not depend on";
  }
  const bad = job.requirement.find((tag) => !TAG.test(tag));
  return bad === undefined ? undefined : `requires "${bad}", which is not a tag`;
}

/** An upper bound of the bytes that a job's action and environment take in a message. */
export function specBytes({ action, env, service, files }: JobSpec): number {
  let bytes = 0;
  if (files !== undefined) bytes += filesBytes(files);
  if (service?.check.type === "command") bytes += sumBytes(service.check.argv);
  for (const name in env) bytes += textBytes(name) + textBytes(env[name]!) + 5;
  switch (action.type) {
    case "file": return bytes + textBytes(action.file) + sumBytes(action.args);
    case "command": return bytes + sumBytes(action.argv);
    case "shell": return bytes + textBytes(action.script);
    case "call": return bytes + textBytes(action.target) + action.input.length;
  }
}

/**
 * A character is at most three bytes of UTF-8, and to count them exactly costs more. The five are a
 * field's number and length.
 */
function textBytes(text: string): number {
  return 5 + (text.length < 1024 ? 3 * text.length : Buffer.byteLength(text));
}

function sumBytes(texts: readonly string[]): number {
  let bytes = 0;
  for (const text of texts) bytes += textBytes(text);
  return bytes;
}

/**
 * Each requirement may need a queue, and the number of queues bounds what every dispatch has to
 * look at.
 */
export function checkRequirements(state: State, jobs: readonly JobSpec[]): void {
  let added: Set<string> | undefined; // as a rule there is nothing new
  for (const job of jobs) {
    const key = needKey(job);
    if (!state.requirements.has(key)) (added ??= new Set()).add(key);
  }
  const total = state.requirements.size + (added?.size ?? 0);
  if (total > MAX_REQUIREMENTS) {
    const found = `with those of the other open runs they have ${total} different requirements`;
    throw new Refusal("INVALID", `Cannot accept jobs: ${found}, more than ${MAX_REQUIREMENTS}`);
  }
}
