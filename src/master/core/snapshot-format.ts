/**
 * Lesson 10: the parts of a snapshot, and how each is written down.
 *
 * Invariants: those of messages (lesson 02): a part has a tag for ever, and a field a number.
 * Test: test/10-master.test.ts
 */
import {
  bool, bytes, list, message, optional, string, u32, u53, union, withDefault, type Infer,
} from "#codec";
import { MAX_DEAD_LETTERS } from "#retry";
import {
  artifactFacts, DeadLetter, Decision, Failure, GateVote, JobSpec, JobStatus, LostOutput,
  MAX_RESULT_BYTES, MAX_VOTES, Notice, PipelineSpec, RunStatus, UpdateInfo,
} from "#wire";
import { AgentPart } from "./snapshot-agents.ts";
import { BLOCK_JOBS } from "./snapshot-blocks.ts";
import { GroupBlock } from "./snapshot-groups.ts";
import { LaunchPart, PoolPart } from "./snapshot-pools.ts";
import { NameBlock, ServiceRecord } from "./snapshot-services.ts";
import { CarriedBlock, StepBlock } from "./snapshot-steps.ts";

const JobRecord = message("JobRecord", {
  status: [1, JobStatus],
  attempt: [2, withDefault(u32(), 0)],
  failures: [3, withDefault(u32(), 0)],
  losses: [4, withDefault(u32(), 0)],
  worker: [5, withDefault(u32(), 0)],
  order: [6, withDefault(u53(), 0)],
  dueAt: [7, withDefault(u53(), 0)],
  pinned: [8, withDefault(u32(), 0)],
  startedAt: [9, withDefault(u53(), 0)],
  endedAt: [10, withDefault(u53(), 0)],
  deadline: [11, withDefault(u53(), 0)],
  cancelling: [12, withDefault(bool(), false)],
  failure: [13, optional(Failure)],
  result: [14, optional(bytes(MAX_RESULT_BYTES))],
  decision: [15, optional(Decision)],
  stoppedAt: [16, withDefault(u53(), 0)],
  lostOutput: [17, optional(LostOutput)],
  votes: [18, list(GateVote, MAX_VOTES)],
  service: [30, optional(ServiceRecord)],
  notice: [52, optional(Notice)],
  agent: [75, optional(AgentPart)],
});

export const Part = union("SnapshotPart", {
  Counters: [1, message("Counters", {
    nextRun: [1, u32()], nextWorker: [2, u32()], nextOrder: [3, u53()], at: [4, u53()],
  })],
  Worker: [2, message("WorkerRecord", {
    id: [1, u32()], instance: [2, string(256)], name: [3, string(256)],
    tags: [4, list(string(64), 64)], slots: [5, u32()], joinedAt: [6, u53()],
    version: [7, withDefault(string(256), "")], draining: [8, withDefault(bool(), false)],
    knows: [9, list(string(32), 32)], permanent: [10, optional(bool())],
  })],
  Run: [3, message("RunRecord", {
    number: [1, u32()], id: [2, string(256)], key: [3, optional(string(256))],
    submittedAt: [4, u53()], endedAt: [5, u53()], status: [6, RunStatus], cancelling: [7, bool()],
    budget: [8, string(4096)], spec: [9, PipelineSpec],
    /** All of them. Those that were added later come in blocks of their own… */
    jobs: [10, u32()],
    /**
     * …and so do those of the submission, if they are many: then this is their number, and `spec`
     * has none.
     */
    first: [11, optional(u32())],
    by: [12, optional(string(256))],
    version: [40, optional(u32())],
    update: [41, optional(UpdateInfo)],
    steps: [70, optional(u53())],
  })],
  /** What the names of deployed services mean; no part if there are none. */
  Names: [40, NameBlock],
  /** Agent runs; no part if there are none (lesson 18). */
  Groups: [85, GroupBlock],
  /** Artifacts, those that are kept by name last; no part if there are none. */
  Artifacts: [60, message("ArtifactBlock", {
    artifacts: [1, list(message("ArtifactRecord", {
      ...artifactFacts, run: [20, optional(u32())],
    }), BLOCK_JOBS)],
  })],
  /** Edges of such jobs to older ones, in the order in which they came. */
  Edges: [10, message("EdgeBlock", {
    edges: [1, list(message("AddedEdge", {
      parent: [1, u32()], child: [2, u32()], jobs: [3, u32()],
    }), BLOCK_JOBS)],
  })],
  Added: [4, message("AddedBlock", { jobs: [1, list(JobSpec, BLOCK_JOBS)] })],
  /** Keys of runs that were forgotten, oldest first; no part if there are none. */
  Keys: [8, message("KeyBlock", {
    keys: [1, list(message("KeyRecord", {
      key: [1, string(256)], request: [2, string(64)], run: [3, string(256)], at: [4, u53()],
    }), BLOCK_JOBS)],
  })],
  /** Dead letters of such runs, and how many made way for them. */
  Letters: [9, message("LetterBlock", {
    dropped: [1, u53()], letters: [2, list(DeadLetter, MAX_DEAD_LETTERS)],
  })],
  Jobs: [5, message("JobBlock", { from: [1, u32()], jobs: [2, list(JobRecord, BLOCK_JOBS)] })],
  /** The journals of the jobs in the block before; no part if they have none. */
  Steps: [70, StepBlock],
  /** Of a fork (lesson 18); no part if it carries none. */
  Carried: [71, CarriedBlock],
  Specs: [7, message("SpecBlock", { jobs: [1, list(JobSpec, BLOCK_JOBS)] })],
  /** Pools that ever had a worker, and those of their workers that are not gone (lesson 13). */
  Pool: [30, PoolPart],
  Launch: [31, LaunchPart],
  /** Runs that have ended, oldest first. */
  Finished: [6, message("FinishedOrder", { runs: [1, list(u32(), 10_000_000)] })],
});
export type Part = Infer<typeof Part>;
export type RunPart = Extract<Part, { type: "Run" }>;
