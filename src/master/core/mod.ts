/**
 * Lesson 10: the master's core, without a socket, a file or a clock in sight.
 *
 *     command ──decide──▶ events ──apply──▶ state
 *                    └──▶ effects             (held back until the events are durable)
 *
 *     command.ts · effect.ts    all that can be asked, and all that can follow beside events
 *     state.ts · events.ts      what there is, and the facts that change it;
 *         run.ts                runs and jobs; job-records.ts what single jobs keep besides
 *     decide.ts                 the door: a table with a row for each command, which are decided in
 *         decide-runs.ts        what people want of runs; retry.ts another chance
 *         decide-attempts.ts    how an attempt ends, and which one starts next
 *         decide-workers.ts     workers that come, come back and go
 *         decide-spawn.ts       a job that adds jobs to its own run (lesson 18);
 *         decide-waits.ts       one that ends, to go on when it need not wait any longer;
 *         decide-asks.ts        one that asks people something while it runs
 *         decide-gates.ts       what becomes of an answer to a gate, and of silence (lesson 16)
 *         decide-notices.ts     what becomes of the message that a gate is open
 *         decide-launches.ts    workers of pools, which are ordered and end (lesson 13)
 *         decide-steps.ts       whether a step of a job runs (lesson 18)
 *         decide-fork.ts        a run that begins with the steps of another one, which
 *         prefix.ts             says whose they are
 *         decide-services.ts    how services are, and what people want of them (lesson 14)
 *         decide-budget.ts      what agent runs may use, and who raises it (lesson 18)
 *         decide-artifacts.ts   files that runs hand on, or that live by name (lesson 11)
 *         decide-versions.ts    another version or number of a service, and how updates go on
 *     growth.ts                 what jobs must be that are added to a run
 *     check.ts · limits.ts      what a job must be first, and how much of it there may be;
 *         check-service.ts      the same for a service; check-files.ts for inputs and outputs
 *     knowledge.ts              what a worker has to understand for a job
 *     find.ts                   runs, jobs and workers by their names
 *     fence.ts                  whether an attempt may still change something (lesson 18)
 *     refusal.ts                how a decider says no, and what it is given beside the state
 *     apply.ts · jobs.ts        from an event to the next state: the only writers;
 *         apply-workers.ts      how workers come and go; reopen.ts another chance for jobs
 *         service-state.ts      what they keep of services
 *         agent-state.ts        what they keep of jobs that ask, wait, or have added others;
 *         apply-agents.ts       how these change
 *         launch-state.ts       what they keep of launches
 *         notice-state.ts       what they keep of the messages about gates
 *         apply-steps.ts        what they keep of steps; journal.ts the journal of a job
 *         artifact-state.ts     what they keep of artifacts
 *         apply-versions.ts     how a version takes the place of another one
 *         apply-groups.ts       how agent runs come, change and go (lesson 18)
 *     groups.ts · budget.ts     agent runs, and the arithmetic of what they may use
 *     versions.ts               what the name of a service means, and what it keeps
 *     memory.ts · room.ts       what the state costs in bytes, and what makes way for more
 *     forecast.ts               what a log will cost, before it is replayed
 *     snapshot.ts               the whole state as bytes, a slice at a time;
 *         snapshot-format.ts    its parts; snapshot-reader.ts a state made of them
 *         snapshot-services.ts  of services, and of their names; snapshot-steps.ts of journals
 *         snapshot-parts.ts     what its parts say by themselves; snapshot-blocks.ts their size
 *         snapshot-pools.ts     of pools; snapshot-groups.ts of agent runs
 *         copy.ts · run-copy.ts copies in memory, for somebody who comes back; columns.ts
 *         copy-tables.ts        which runs there are in a state made of one; late.ts and
 *                               late-ready.ts what is made when somebody looks
 *         snapshot-agents.ts    of jobs that ask, wait, or have added others;
 *         snapshot-indexes.ts   and how the indexes are rebuilt
 *     ready-jobs.ts             the jobs that could start, by what they ask for
 *     explain.ts                the state as people ask for it: why a job waits; work.ts how much;
 *         explain-agents.ts     how an agent run is, and what it has used
 *     event-text.ts             events as lines of text; event-json.ts as JSON
 *
 * Everything the master can do is here and can be tested as arithmetic. The code around it
 * (`src/master`) moves bytes: it writes the events to the log and lets their effects out once they
 * are durable.
 *
 * Test: test/10-master.test.ts
 */
export { type Edge, Event, type EventOf } from "./events.ts";
export {
  isTerminal, isToEnd, MAX_REQUIREMENTS, State, type Job, type Launch, type Observer, type Run,
  type Worker,
} from "./state.ts";
export { apply } from "./apply.ts";
export { eventDetail, eventText, Names } from "./event-text.ts";
export { eventJson, runOf, type EventNames } from "./event-json.ts";
export type { ArtifactWish, Command, CommandOf, RemovedArtifacts, Replies } from "./command.ts";
export { allArtifacts, artifactInfo } from "./artifact-state.ts";
export { checkArtifact, findArtifact } from "./decide-artifacts.ts";
export { launchOf, poolRecord } from "./launch-state.ts";
export type { NoticeRef } from "./state.ts";
export type { DecidedOn, Effect, PlacedAttempt } from "./effect.ts";
export { decide } from "./decide.ts";
export { answerOf, gateId } from "./decide-gates.ts";
export { dueNotice, dueNotices } from "./notice-state.ts";
export { decideFinish, isPausing, nextStart } from "./decide-attempts.ts";
export { nextTime } from "./decide-runs.ts";
export { findServices, reachable } from "./decide-services.ts";
export { staleAttempts } from "./decide-workers.ts";
export { fenced } from "./fence.ts";
export { findJob, findRun, runsAfter } from "./find.ts";
export { specBytes } from "./check.ts";
export { Refusal, type Context } from "./refusal.ts";
export { routedTags } from "./knowledge.ts";
export {
  BUDGET_KEYS, limitsFrom, NOTHING_RESERVED, NOTHING_SPENT, obstacle, plus, setAside,
  type Pool,
} from "./budget.ts";
export { checkArrival, roomForJobs } from "./room.ts";
export {
  DEFAULT_ARTIFACT_LIMITS, type ArtifactLimits, MAX_FINISHED_RUNS, MAX_JOB_BYTES, MAX_KEPT_KEYS,
  MAX_OPEN_RUNS, MAX_RUN_RESULT_BYTES, MAX_RUN_STEP_BYTES,
} from "./limits.ts";
export {
  artifactMemory,
  DEFAULT_HEAP_BYTES,
  edgesMemory,
  groupMemory,
  heapFor,
  jobMemory,
  jobsMemory,
  leftMemory,
  memoryLimits,
  runMemory,
  STEP_BYTES,
  stepMemory,
  carriedMemory,
  type MemoryLimits,
} from "./memory.ts";
export {
  askInfo, deadLetters, gateInfo, jobChange, jobInfo, listedJobs, neverScheduled, openGates,
  reasonOf, runInfo, servicesOf, serviceRow, stepInfo, waitKind, workerInfo, type Whys,
} from "./explain.ts";
export { stepBlobs, stepName, type Step } from "./journal.ts";
export { agentInfo, agentRows, questionsOf, type AgentRow } from "./explain-agents.ts";
export { serviceEnv } from "./service-state.ts";
export { nextAdvance } from "./decide-versions.ts";
export { Forecast } from "./forecast.ts";
export { hashState, Picture, writeSnapshot } from "./snapshot.ts";
export { readSnapshot, SnapshotReader } from "./snapshot-reader.ts";
export { Copier, ownRuns, stateOf, type StateCopy } from "./copy.ts";
export { sleepingToo } from "./copy-tables.ts";
export { workOf } from "./work.ts";
export { learnPart, weighPart } from "./snapshot-parts.ts";
