/**
 * Lesson 00: what the wire says, as plain JSON: the output of `titan … --json` (and, in time, of
 * other doors: one encoder, so that all have the same fields). Programs rely on the names.
 *
 *     run.ts       a run, a job, a failure, an answer
 *     gate.ts      a gate that is open; definition.ts a pipeline
 *     agent.ts     agent runs, and what they have used; step.ts a step of a job
 *     artifact.ts  a file that a run hands on, or that lives by its name
 *     cluster.ts   workers, pools, dead letters
 *     service.ts   services, grouped by name and run
 *     reply.ts     a store's answer
 *     shapes.ts    the shapes of all these; schema.ts the words for shapes
 *
 * Times are milliseconds since 1970 UTC; an unknown value is null; a job's result is JSON if it can
 * be read as JSON, else text.
 *
 * Test: test/cli.test.ts
 */
export { artifactJson } from "./artifact.ts";
export {
  allTags, deadJson, launchJson, poolJson, workerJson, workerState, type WorkerFacts,
} from "./cluster.ts";
export { agentJobJson, agentJson, agentReportJson, limitsJson } from "./agent.ts";
export { definitionJson } from "./definition.ts";
export { gateJson, notifyText } from "./gate.ts";
export { replyJson } from "./reply.ts";
export {
  answerJson, changedJson, failureJson, jobJson, runJson, serviceJson, tookMs, waitedMs,
} from "./run.ts";
export {
  current, grouped, groupJson, wordOf, type ServiceGroup, type ServiceWord,
} from "./service.ts";
export {
  any, boolean, integer, list, mapOf, mismatch, object, oneOf, orNull, text, time, type Schema,
} from "./schema.ts";
export * as shapes from "./shapes.ts";
export { stepJson } from "./step.ts";
