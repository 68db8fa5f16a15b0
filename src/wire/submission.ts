/**
 * Lesson 10: what people change: a pipeline that is submitted, jobs that are added, a worker that
 * is drained, a gate that is answered, a run that is tried again.
 *
 * Test: test/10-master.test.ts
 */
import {
  bool, bytes, list, message, optional, string, u32, u53, withDefault, type Infer,
} from "#codec";
import { name, sentence } from "./fields.ts";
import { FormValues } from "./gate.ts";
import { MAX_INLINE_SPEC_BYTES, MAX_JOBS_PER_RUN } from "./limits.ts";
import { JobSpec, PipelineSpec, SealedJobs, SealedPipeline } from "./pipeline.ts";

const submission = {
  /** Instead of `spec`, for a large one: the SHA-256 of an uploaded blob that holds it, encoded. */
  specBlob: [2, optional(string(64))],
  /** Two submissions with one key are one run. */
  key: [3, optional(name)],
  /** Refuse what no registered worker could ever run, instead of warning. */
  strict: [4, withDefault(bool(), false)],
  /** The person who submits it, as far as the client knows: gates may ask for somebody else. */
  by: [5, optional(name)],
  /** An update: how long the new version of a service may take to be READY. */
  updateMs: [40, optional(u53())],
} as const;
export const Submit = message("Submit", { spec: [1, optional(PipelineSpec)], ...submission });
/** As a client writes it, which has encoded the pipeline already to know how long it is. */
export const EncodedSubmit = message("Submit", {
  spec: [1, optional(bytes(MAX_INLINE_SPEC_BYTES))],
  ...submission,
});
/** As the master reads it: jobs are weighed while they are decoded. */
export const SealedSubmit = message("Submit", {
  spec: [1, optional(SealedPipeline)],
  ...submission,
});
export type SealedSubmit = Infer<typeof SealedSubmit>;

export const Submitted = message("Submitted", {
  run: [1, name],
  /** True: the key was known, and this is the run it named. */
  existing: [2, withDefault(bool(), false)],
  warnings: [3, list(sentence, 1000)],
  /** True: it has ended and is forgotten, and nothing but its id is known. */
  forgotten: [4, withDefault(bool(), false)],
  /** The run whose place it takes once its services are READY; empty: none. */
  replaces: [40, withDefault(name, "")],
});
export type Submitted = Infer<typeof Submitted>;

/** A new job, by its place in the list of them, before one that the run has already. */
const Before = message("Before", { job: [1, u32()], child: [2, u32()] });
export type Before = Infer<typeof Before>;
const before = list(Before, MAX_JOBS_PER_RUN);
export const AddJobs = message("AddJobs", {
  run: [1, name],
  jobs: [2, list(JobSpec, MAX_JOBS_PER_RUN)],
  before: [3, before],
});
export const SealedAddJobs = message("AddJobs", {
  run: [1, name], jobs: [2, SealedJobs], before: [3, before],
});

/** `worker`: a name, or the number of a registration. `undo`: it may get work again. */
export const DrainWorker = message("DrainWorker", {
  worker: [1, name],
  undo: [2, withDefault(bool(), false)],
});
/** The worker that was meant, and the number of attempts that run there. */
export const Drained = message("Drained", { id: [1, u32()], name: [2, name], running: [3, u32()] });
export type Drained = Infer<typeof Drained>;

export const DecideGate = message("DecideGate", {
  gate: [1, string(512)],
  approve: [2, bool()],
  by: [3, withDefault(name, "")],
  comment: [4, withDefault(sentence, "")],
  /** The form as a person filled it in. */
  values: [5, FormValues],
});
export const RetryRun = message("RetryRun", {
  run: [1, name],
  from: [2, optional(string(128))],
  /** Its steps stand as they are done, although the program asks for others (lesson 18). */
  acceptChanged: [60, optional(bool())],
});
/** The number of jobs that a cancel or a retry touched. */
export const Affected = message("Affected", { jobs: [1, u32()] });
