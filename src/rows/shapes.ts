/**
 * Lesson 19: what a row of each kind has, as JSON schemas: its fields, and the values of each. The
 * functions that make rows stand in the other files of this folder. The HTTP interface describes
 * its answers with these schemas (OpenAPI), and tests hold the answers against them.
 *
 * Test: test/http.test.ts
 */
import {
  FAILURE_KINDS, FIELD_TYPES, JOB_STATUSES, RUN_STATUSES, SERVICE_PHASES, STEP_EFFECTS,
  STEP_STATUSES, WAIT_KINDS,
} from "#wire";
import {
  any, boolean, integer, list, mapOf, object, oneOf, orNull, text, time, type Schema,
} from "./schema.ts";

const failure = object({
  kind: oneOf(...FAILURE_KINDS), message: text, "exitCode?": integer, "signal?": text,
});

const decision = {
  approved: boolean, by: text, comment: text, at: time, fields: mapOf(text), "skipped?": boolean,
};

const service = object({
  name: text, state: oneOf(...SERVICE_PHASES), host: orNull(text), port: orNull(integer),
  pid: orNull(integer), restarts: integer, since: time,
});

const counts = object(Object.fromEntries(JOB_STATUSES.map((status) => [status, integer])));

export const run = object({
  id: text, name: text, status: oneOf(...RUN_STATUSES), submittedAt: time, endedAt: orNull(time),
  cancelling: boolean,
  jobs: counts, "reason?": text,
});

export const job = object({
  id: text, status: oneOf(...JOB_STATUSES), attempt: integer, worker: orNull(text),
  startedAt: orNull(time), endedAt: orNull(time), tookMs: orNull(integer),
  waitedMs: orNull(integer), retryAt: orNull(time), reason: text, cancelling: boolean,
  dependsOn: list({ anyOf: [text, integer] }), decision: orNull(object(decision)),
  failure: orNull(failure), result: any, outputLost: integer, outputProblem: orNull(text),
  "service?": service, "paused?": oneOf(...WAIT_KINDS),
});

export const worker = object({
  id: integer, name: text, tags: list(text), slots: integer, running: integer, draining: boolean,
  connected: boolean, remote: text, joinedAt: time, version: text, beatLateMs: orNull(integer),
  beatLateMaxMs: orNull(integer), pool: orNull(text), heardMs: orNull(integer),
  state: oneOf("ready", "busy", "away", "draining", "drained"), away: boolean,
  jobs: list(object({
    run: text, job: text, attempt: integer, startedAt: time,
    service: orNull(object({ name: text, state: oneOf(...SERVICE_PHASES) })),
  })),
});

const launch = object({
  name: text, state: text, orderedAt: time, handle: orNull(text), reason: text,
});

export const pool = object({
  name: text, tags: list(text), slots: integer, min: integer, max: integer, wanted: integer,
  running: integer, starting: integer, leaving: integer, why: text, driver: text,
  failures: integer, lastFailure: orNull(text), workers: list(launch),
});

const replica = object({
  job: text, worker: orNull(text), host: orNull(text), port: orNull(integer),
  pid: orNull(integer), state: text, restarts: integer, attempt: integer, since: orNull(time),
  uptimeMs: orNull(integer), reason: text, lastFailure: orNull(failure),
});

export const serviceGroup = object({
  name: text, run: text, job: text, deployed: boolean, "version?": integer, current: boolean,
  state: text, replicas: list(replica),
});

const field: Schema = object({
  name: text, type: oneOf(...FIELD_TYPES), label: text, choices: list(text), "default?": text,
  required: boolean,
});

/** What became of the message to people that a gate is open. */
const notice = object({
  to: text, state: oneOf("sent", "waits", "failed"), tries: integer, sentAt: orNull(time),
  nextAt: orNull(time), why: text,
});

export const gate = object({
  id: text, message: text, openedAt: time, deadline: time, submitter: text, form: list(field),
  approvers: list(text), required: integer, onTimeout: oneOf("reject", "approve", "skip"),
  selfApproval: boolean, result: any, notice: orNull(notice),
  approvals: list(object({ by: text, comment: text, fields: mapOf(text), at: time })),
});

export const dead = object({
  run: text, job: text, attempts: integer, failures: integer, losses: integer,
  failure: orNull(failure), endedAt: time, forgotten: boolean,
});

export const answer = object({ gate: text, ...decision, already: boolean, missing: integer });

const number: Schema = { type: "number" };

export const limits = object({
  jobs: orNull(integer), depth: orNull(integer), fanOut: orNull(integer), steps: orNull(integer),
  tokens: orNull(integer), usd: orNull(number), deadlineAt: orNull(time),
});

const agentFields = {
  id: text, status: oneOf(...RUN_STATUSES), startedAt: time, endedAt: orNull(time), limits,
  used: { type: "object" }, reserved: object({ tokens: integer, usd: number }), jobs: counts,
  questions: integer, reason: text,
} as const;

export const agent = object({ ...agentFields, runs: integer });

const agentJob = object({
  run: text, id: text, status: oneOf(...JOB_STATUSES), attempt: integer, stage: text,
  spawner: orNull(text), startedAt: orNull(time), endedAt: orNull(time), reason: text,
  steps: integer, tokens: integer, usd: number,
});

export const agentReport = object({ ...agentFields, runs: list(run), tasks: list(agentJob) });

export const step = object({
  step: text, job: text, status: oneOf(...STEP_STATUSES), effect: oneOf(...STEP_EFFECTS),
  attempt: integer, startedAt: time, endedAt: orNull(time), inputHash: text, result: any,
  blob: orNull(object({ sha256: text, size: integer })), failure: text,
  usage: orNull(object({
    model: text, tokensIn: integer, tokensOut: integer, usd: number, ms: integer,
  })),
});

export const artifact = object({
  name: text, run: orNull(text), size: integer, sha256: text, at: time, by: orNull(text),
  from: orNull(object({ run: text, job: orNull(text), attempt: orNull(integer) })),
});

/** Of the past: jobs with one requirement (tags, as in GPU+HIGH_MEM), of runs that went on then. */
export const queueRow = object({
  need: text, ready: integer, waiting: integer, running: integer,
});

/** How one fact came about, and what it changed. */
export const pastStep = object({
  seq: integer, text, fact: any,
  decide: object({ commands: list(text), text }),
  append: object({ seq: integer, bytes: integer, type: text }),
  apply: list(object({ what: text, before: orNull(text), after: orNull(text) })), more: integer,
  effects: list(object({ type: text, text })),
});

export const error = object({ error: object({ code: text, message: text }) });
