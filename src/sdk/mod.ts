/**
 * Lesson 10: the client: everything that the command line does, for programs, which import it as
 * "titan-orchestrator".
 *
 *     const titan = await connect();
 *     const hello = pipeline("hello").job("a", { run: "echo 42 > $TITAN_OUTPUT" });
 *     const { id, status } = await titan.run(hello);
 *     const answer = await titan.result(id, "a");
 *     titan.close();
 *
 *     calls/           a session with a master, and requests that are a question: `#calls`
 *     connect.ts       a client: such a session, and all that is below
 *     client.ts        one method per request that needs more than a question;
 *                      ask-store.ts those to the store
 *     artifacts.ts     files that runs hand on, or that live by name
 *     follow.ts        a watch that outlives its connection
 *     forward.ts       a local port whose connections end at a service
 *     watch.ts         the pages of a watch as events; facts.ts the log of a cluster
 *     past.ts          what was true at a moment, and what led there
 *     run-output.ts    the output of many jobs by time; output-lines.ts chunks as lines;
 *                      chosen-lines.ts those that somebody wants
 *     input.ts         a pipeline as a program writes it
 *     builder.ts       …and job by job
 *     job.ts           the job that a program runs as: "titan-orchestrator/job" (lesson 18);
 *                      job-context.ts what it offers, job-session.ts its session,
 *                      job-requests.ts what it asks there, job-steps.ts its durable steps,
 *                      job-artifacts.ts its files
 *     project-need.ts  does it need its folder?
 *     spec.ts          a pipeline as it travels
 *     job-waits.ts     jobs that add jobs, ask and wait: part of "titan-orchestrator/job";
 *                      spawn-wish.ts those jobs as they travel
 *     store.ts         the store, for jobs: "titan-orchestrator/store"
 *     python/          the same for Python: titan.py, titan_job.py, and titan_wire.py below them
 *
 * One connection, many requests at once (lesson 04). Methods reject with `RpcError`, whose `code`
 * says what a program can do about it; `kv` also with `StoreError`, when the store said no.
 * docs/sdk.md has a page for users.
 *
 * Left out: jobs as functions of the calling program. A job runs on a worker, which has other files
 * and other memory.
 * Test: test/sdk.test.ts, test/10-master.test.ts
 */
export { connect } from "./connect.ts";
export { ConnectError, type ConnectOptions } from "#calls";
export type { Client, FollowOptions, SubmitOptions, WaitOptions } from "./client.ts";
export type { AddedJob, AgentReport, ArtifactName, RunStatusReport } from "#calls";
export type { ArtifactPlace, ArtifactSource } from "./artifacts.ts";
export { followRun, reconnect } from "./follow.ts";
export { JobProgram, jobSettings, StepError } from "./job.ts";
export type { JobContext, StepCall, StepCost, StepOptions } from "./job-context.ts";
export type { Forwarding, ForwardOptions } from "./forward.ts";
export { type AnyPipeline, pipeline, PipelineBuilder, type PipelineKeys } from "./builder.ts";
export { type JobInput, type PipelineInput } from "./input.ts";
export {
  JobFailed, JobWaits, type Answer, type HoldOptions, type JobDoor, type Question,
  type SettledJob, type SpawnedJobs, type SpawnOptions,
} from "./job-waits.ts";
export { plainJobs, spawnWish } from "./spawn-wish.ts";
export { toSpec } from "./spec.ts";
export { type ClusterEvent } from "./facts.ts";
export { pastFacts, pastSpan, pastStep, readMoment, type PastSource } from "./past.ts";
export { type RunEvent } from "./watch.ts";
export {
  isSelected, LineReader, Pieces, Tail, type Line, type Piece, type Selection,
} from "./output-lines.ts";
export { history, Reading, readingsOf, type JobLine } from "./run-output.ts";
export { printChosen } from "./chosen-lines.ts";
export { nodeHost, type Address, type Host } from "#host";
export {
  definePipeline,
  parsePipeline,
  PipelineError,
  toYaml,
  type PipelineDefinition,
  type PipelineProblem,
} from "#pipeline";
export { RpcError, type RpcErrorCode } from "#rpc";
export { jobCounts } from "#wire";
export type {
  AgentInfo,
  AgentJob,
  BudgetChange,
  ArtifactInfo,
  ArtifactsRemoved,
  DeadLetter,
  Decision,
  Drained,
  Failure,
  GateInfo,
  Info,
  JobChange,
  JobInfo,
  JobStatus,
  LaunchInfo,
  OutputChunk,
  PoolInfo,
  Retired,
  RunInfo,
  RunStatus,
  ServiceInfo,
  ServiceRow,
  ServicesMeant,
  Submitted,
  WorkerInfo,
  WorkerJob,
} from "#wire";
