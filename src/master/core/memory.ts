/**
 * Lesson 10: what the state costs in memory, counted as it grows, and how much of it a master
 * takes.
 *
 *     heap limit of the process ─▶ less a base ─▶ open 1/2 │ finished 1/8 │ rest: garbage, answers
 *
 * A count of jobs says little: one job has four words, another a script of a megabyte. So every run
 * has its bytes, by an estimate that leans to the safe side, and the sums are kept by `apply`.
 *
 * The constants were measured, not reckoned: heap and buffers after a full collection, divided by
 * the number of jobs, for fourteen shapes of pipelines on Node 20 (the figures stand in
 * docs/numbers.md).
 *
 * Invariants: the estimate depends on specs and results alone, so a replay and a snapshot give the
 * same sums; a run costs no more when it ends than when it was accepted, apart from what its jobs
 * hand in, which is counted as it comes.
 * Left out: what the answers to clients take; the connections have budgets of their own.
 * Test: test/10-master.memory.test.ts
 */
import { invariant } from "#base";
import { MAX_DEAD_LETTERS } from "#retry";
import {
  rulesOf, type Gate, type GateRules, type GateVote, type HealthCheck, type JobFiles, type JobSpec,
  type PipelineSpec,
} from "#wire";
import { MAX_KEPT_ARTIFACTS, MAX_KEPT_KEYS } from "./limits.ts";
import type { Step } from "./journal.ts";
import type { AgentRecord, Artifact, Job } from "./state.ts";

// #region measures
/**
 * A job with nothing in it: its spec, its record, its places in the graph and in a queue. Measured:
 * 860 to 920.
 */
export const JOB_BYTES = 1024;
/**
 * A run with nothing in it: tables of statuses and ids, budget, graph. Measured: 4,100 to 4,300.
 */
export const RUN_BYTES = 4608;
/**
 * A dependency: 16 in the graph's columns and 8 in the spec's list, which grows by half when it is
 * full.
 */
export const EDGE_BYTES = 32;
/**
 * A string beside its characters, with the slot that points to it. Measured: 24 to 32 for short
 * ones.
 */
export const TEXT_BYTES = 32;
/**
 * A buffer beside its bytes, for the engine's objects and the share of a slab. Measured: 150 to
 * 210.
 */
export const BUFFER_BYTES = 224;
/**
 * The key of a run that was forgotten, with its digest and the run's id. Measured: 310 for a key of
 * 36 characters; the longest key and id take 341 more.
 */
export const KEY_BYTES = 704;
/** A dead letter: 16 fields, a run's id and a job's, and a reason that was cut. */
export const LETTER_BYTES = 1280;
/**
 * A step beside its name and result: its record, its place in the journal, the hash of its input.
 * Measured: 350 to 400, and 100 more if it has a result.
 */
export const STEP_BYTES = 512;
// #endregion

/**
 * A service beside its job: its spec, its record with a reason, an address and the times of its
 * latest restarts, and its places in two lists.
 */
const SERVICE_BYTES = 4096;

/**
 * A run's place in an agent run, and the agent run itself: limits, sums, two sets. Each of its runs
 * pays for it.
 */
const GROUP_BYTES = 2048;

/** A field of a form, an approval, an input: an object of a few fields, and its place in a list. */
export const FIELD_BYTES = 160;

/** The record of a job that adds jobs, asks or waits, and its places in the lists of those. */
export const AGENT_BYTES = 512;
/** A question: a record, a place by its name and another one by its time. */
const ASK_BYTES = 640;
/** A number in a list that grows by half when it is full. */
const WAIT_JOB_BYTES = 16;

/** Up to here it is cheaper to assume two bytes a character than to look. */
const UNREAD_CHARS = 32;

/** A text takes one byte a character, or two as soon as one of them needs it. */
export function textMemory(text: string): number {
  const { length } = text;
  const isNarrow = length > UNREAD_CHARS && Buffer.byteLength(text) === length;
  return TEXT_BYTES + (isNarrow ? length : 2 * length);
}

function textsMemory(texts: readonly string[]): number {
  let bytes = 0;
  for (const text of texts) bytes += textMemory(text);
  return bytes;
}

/** Bytes that a job is given or hands in. */
export function bufferMemory(bytes: Uint8Array | undefined): number {
  return bytes === undefined ? 0 : BUFFER_BYTES + bytes.length;
}

/** A job as it was accepted. */
export function jobMemory(spec: JobSpec): number {
  const { id, action, env, gate, requirement, dependsOn, service, files } = spec;
  let bytes = JOB_BYTES + textMemory(id) + EDGE_BYTES * dependsOn.length;
  // Twice: as they are written, and together as the key of a queue.
  if (requirement.length > 0) bytes += 2 * textsMemory(requirement);
  for (const name in env) bytes += textMemory(name) + textMemory(env[name]!);
  if (gate !== undefined) bytes += textMemory(gate.message) + rulesMemory(rulesOf(gate));
  if (files !== undefined) bytes += filesMemory(files);
  if (service !== undefined) bytes += SERVICE_BYTES + checkMemory(service.check);
  switch (action.type) {
    case "file": return bytes + textMemory(action.file) + textsMemory(action.args);
    case "command": return bytes + textsMemory(action.argv);
    case "shell": return bytes + textMemory(action.script);
    case "call": return bytes + textMemory(action.target) + bufferMemory(action.input);
  }
}

function rulesMemory({ form, approvers, notify }: GateRules): number {
  let bytes = textsMemory(approvers);
  if (notify?.type === "command") bytes += FIELD_BYTES + textsMemory(notify.argv);
  if (notify?.type === "webhook") bytes += FIELD_BYTES + textMemory(notify.url);
  for (const { name, label, choices, default: preset = "" } of form) {
    bytes += FIELD_BYTES + textsMemory([name, label, preset]) + textsMemory(choices);
  }
  return bytes;
}

function filesMemory({ outputs, inputs }: JobFiles): number {
  let bytes = FIELD_BYTES + textsMemory(outputs);
  for (const { path, to = "" } of inputs) bytes += FIELD_BYTES + textsMemory([path, to]);
  return bytes;
}

function valuesMemory(values: Record<string, string>): number {
  return textsMemory(Object.keys(values)) + textsMemory(Object.values(values));
}

function checkMemory(check: HealthCheck): number {
  if (check.type === "http") return textMemory(check.path);
  return check.type === "command" ? textsMemory(check.argv) : 0;
}

export function jobsMemory(specs: readonly JobSpec[]): number {
  let bytes = 0;
  for (const spec of specs) bytes += jobMemory(spec);
  return bytes;
}

/** Edges between jobs that were accepted apart: in the graph, and in a list for the snapshot. */
export function edgesMemory(count: number): number {
  return 3 * EDGE_BYTES * count;
}

/** A run as it was accepted, without its jobs. Its id is the name and a few letters. */
export function runMemory(key: string | undefined, spec: PipelineSpec): number {
  const { name, version, agent } = spec;
  const texts = 3 * textMemory(name) + textMemory(version ?? "") + textMemory(key ?? "");
  return RUN_BYTES + texts + (agent === undefined ? 0 : groupMemory(agent.id ?? name));
}

/** For each run of an agent run with this name. */
export function groupMemory(id: string): number {
  return GROUP_BYTES + 2 * textMemory(id);
}

/** An artifact: its record, and its places in two maps. */
const ARTIFACT_BYTES = 512;

export function artifactMemory(
  { name, sha256, byRun, byJob, by }: Omit<Artifact, "run" | "size" | "at" | "byAttempt">,
): number {
  return ARTIFACT_BYTES + textsMemory([name, sha256, byRun, byJob, by]);
}

type Left = Partial<
  Pick<Job, "result" | "failure" | "decision" | "votes" | "notice" | "lostOutput" | "agent">
>;

function answerMemory({ by, comment, values }: Omit<GateVote, "at">): number {
  return textMemory(by) + textMemory(comment) + valuesMemory(values);
}

/** What the attempts of a job have left: a result, the words of a failure or of a decision. */
export function leftMemory(
  { result, failure, decision, votes, notice, lostOutput, agent }: Left,
): number {
  let bytes = bufferMemory(result);
  if (failure !== undefined) bytes += textMemory(failure.message);
  if (decision !== undefined) bytes += answerMemory(decision);
  if (votes !== undefined) for (const vote of votes) bytes += FIELD_BYTES + answerMemory(vote);
  if (notice !== undefined) bytes += FIELD_BYTES + textMemory(notice.why);
  if (lostOutput !== undefined) bytes += textMemory(lostOutput.why);
  if (agent !== undefined) bytes += agentMemory(agent);
  return bytes;
}

/** A step of a journal. */
export function stepMemory({ name, result, blob, message, usage }: Step): number {
  let bytes = STEP_BYTES + 2 * textMemory(name) + bufferMemory(result) + textMemory(message);
  if (blob !== undefined) bytes += textMemory(blob.sha256);
  return usage === undefined ? bytes : bytes + FIELD_BYTES + textMemory(usage.model);
}

/** Steps of another run, for a job that has this place and is not there yet. */
export function carriedMemory(place: string, steps: readonly Step[]): number {
  let bytes = FIELD_BYTES + textMemory(place);
  for (const step of steps) bytes += stepMemory(step);
  return bytes;
}

/** What a job keeps of its spawns, its questions and its waits. */
function agentMemory({ spawns, asks, waits }: AgentRecord): number {
  let bytes = AGENT_BYTES;
  for (const { key, stage } of spawns) bytes += spawnMemory(key, stage);
  for (const { key, gate, votes, decision, notice } of asks) {
    bytes += askMemory(key, gate) + leftMemory({ votes, decision, notice });
  }
  for (const wait of waits) {
    bytes += FIELD_BYTES + (wait.type === "jobs" ? WAIT_JOB_BYTES * wait.jobs.length : 0);
  }
  return bytes;
}

/** A spawn as its job remembers it, without the jobs. */
export function spawnMemory(key: string, stage: string): number {
  return FIELD_BYTES + BUFFER_BYTES + textMemory(key) + textMemory(stage);
}

/** A question, in its job's record and in the lists of those that are open. */
export function askMemory(key: string, gate: Gate): number {
  return ASK_BYTES + textMemory(key) + textMemory(gate.message) + rulesMemory(rulesOf(gate));
}

// ── limits ───────────────────────────────────────────────────────────────────────────────────────

/**
 * The heap that Node gives a process on a machine with 16 GB or more; the simulator's masters have
 * it.
 */
export const DEFAULT_HEAP_BYTES = 4 * 1024 * 1024 * 1024;

/**
 * The program itself, its workers' and clients' connections, what is being read and written, and
 * what is left of runs that were forgotten.
 */
export const BASE_BYTES = 64 * 1024 * 1024;
invariant(
  MAX_KEPT_KEYS * KEY_BYTES + MAX_DEAD_LETTERS * LETTER_BYTES <= BASE_BYTES / 4,
  "what is left of forgotten runs is the smaller part of the base",
);
invariant(
  MAX_KEPT_ARTIFACTS * 4 * ARTIFACT_BYTES <= BASE_BYTES / 8,
  "artifacts that are kept by name, four times as large as empty ones, are in the base as well",
);

/** How much the state may hold, in bytes as they are counted here. */
export interface MemoryLimits {
  /** Runs that go on, as they are accepted. */
  readonly open: number;
  /** Runs that have ended: beyond this the oldest are forgotten. */
  readonly finished: number;
  /**
   * Both together. Results that would lead beyond it are refused, and what has ended is forgotten,
   * to the last run.
   */
  readonly total: number;
  /** A log that holds more than this is not replayed to its end. */
  readonly ceiling: number;
}

// #region limits
/**
 * Shares of the heap beside the base. Why not all of it? The collector needs room to work: a master
 * whose heap was full to the limit took minutes to start again. And a pipeline that is being judged
 * is in memory already, beside all that was accepted.
 */
const SHARES = { open: 1 / 2, finished: 1 / 8, total: 5 / 8, ceiling: 3 / 4 } as const;
invariant(
  SHARES.open + SHARES.finished <= SHARES.total,
  "what is open and what has ended fit beside each other",
);
invariant(
  SHARES.total < SHARES.ceiling && SHARES.ceiling < 1,
  "whatever was accepted can be replayed",
);

/** What a process with this heap takes. */
export function memoryLimits(heapBytes: number): MemoryLimits {
  const room = Math.max(0, heapBytes - BASE_BYTES);
  const share = (part: number): number => Math.floor(part * room);
  return {
    open: share(SHARES.open),
    finished: share(SHARES.finished),
    total: share(SHARES.total),
    ceiling: share(SHARES.ceiling),
  };
}

/** The smallest heap that takes a state of so many bytes: the inverse of `ceiling`. */
export function heapFor(bytes: number): number {
  return Math.ceil(bytes / SHARES.ceiling) + BASE_BYTES;
}
// #endregion

export const DEFAULT_LIMITS = memoryLimits(DEFAULT_HEAP_BYTES);
