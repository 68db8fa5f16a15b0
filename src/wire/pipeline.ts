/**
 * A pipeline as it travels and as the log keeps it (lesson 10): names of parents become indexes,
 * defaults disappear, and a bare job costs about twenty bytes.
 *
 * Invariants: `dependsOn` and `affinity` index into the same run's list of jobs; a spec never
 * changes once it is in the log.
 * Test: test/10-master.test.ts
 */
import {
  bytes,
  enumOf,
  f64,
  list,
  map,
  message,
  optional,
  string,
  u32,
  u53,
  i53,
  union,
  withDefault,
  type Infer,
} from "#codec";
import { JobFiles } from "./artifact.ts";
import { Agent } from "./budget.ts";
import { Gate } from "./gate.ts";
import { MAX_FRAME_BODY_BYTES, MAX_JOBS_PER_RUN, MAX_SPEC_BYTES } from "./limits.ts";
import { Service } from "./service.ts";

/** Text that a person wrote into a pipeline: a script, an argument. */
const text = string(1024 * 1024);
const args = list(text, 100_000);
/** Environment variables of a job. */
export const Env = map(string(128 * 1024), 10_000);

/** The action of a job. */
export const Action = union("Action", {
  /** A file of the project; its ending says which program runs it. */
  file: [1, message("FileAction", { file: [1, string(4096)], args: [2, args] })],
  /** A program and its arguments; no shell looks at them. */
  command: [2, message("CommandAction", { argv: [1, args] })],
  /** A script, because the author asked for a shell: `sh`, if none is named. */
  shell: [
    3,
    message("ShellAction", {
      script: [1, text],
      shell: [2, optional(enumOf("sh", "bash", "python3", "node"))],
    }),
  ],
  /** `module#function` in the worker's warm pool. `input` is JSON text. */
  call: [
    4,
    message("CallAction", {
      target: [1, string(4096)],
      input: [2, bytes(MAX_FRAME_BODY_BYTES / 8)],
    }),
  ],
});
export type Action = Infer<typeof Action>;

export const Retry = message("Retry", {
  maxAttempts: [1, u32()],
  delayMs: [2, u53()],
  backoff: [3, f64()],
  maxDelayMs: [4, u53()],
  jitter: [5, f64()],
});

export const JobSpec = message("JobSpec", {
  id: [1, string(128)],
  action: [2, Action],
  dependsOn: [3, list(u32(), MAX_JOBS_PER_RUN)],
  /** Tags that a worker must have, all of them. */
  requirement: [4, list(string(64), 64)],
  priority: [5, withDefault(i53(), 1)],
  /** Waits this long after its parents are done. */
  delayMs: [6, withDefault(u53(), 0)],
  /** Index of the parent whose worker it wants. */
  affinity: [7, optional(u32())],
  when: [8, withDefault(enumOf("success", "failure", "always"), "success")],
  /** 0: no limit. */
  timeoutMs: [9, withDefault(u53(), 0)],
  retry: [10, optional(Retry)],
  env: [11, Env],
  gate: [12, optional(Gate)],
  /** It is meant to keep running (lesson 14). */
  service: [30, optional(Service)],
  /** Files that it hands on, and files that it is given (lesson 11). */
  files: [60, optional(JobFiles)],
});
export type JobSpec = Infer<typeof JobSpec>;

const head = {
  name: [1, string(128)],
  version: [2, optional(string(128))],
  /** SHA-256 (hex) of the packed project, uploaded before the submission. */
  project: [3, optional(string(64))],
  /** It is an agent run, or part of one (lesson 18). */
  agent: [60, optional(Agent)],
} as const;
export const PipelineSpec = message("PipelineSpec", {
  ...head,
  jobs: [4, list(JobSpec, MAX_JOBS_PER_RUN)],
});
export type PipelineSpec = Infer<typeof PipelineSpec>;

/** DEFINITION answers with a stream of pages: the pipeline without its jobs, and some of them. */
export const DefinitionPage = message("DefinitionPage", {
  head: [1, PipelineSpec], jobs: [2, list(JobSpec, MAX_JOBS_PER_RUN)],
});

/** Jobs that are still bytes. They travel as the list of them does (lesson 02). */
export const SealedJobs = optional(bytes(MAX_SPEC_BYTES));
/** The same pipeline, for a reader who wants to weigh its jobs while they are decoded. */
export const SealedPipeline = message("PipelineSpec", { ...head, jobs: [4, SealedJobs] });
export type SealedPipeline = Infer<typeof SealedPipeline>;
