/**
 * Lesson 10: long answers in pages.
 *
 * A run has up to a million jobs, and a job's row up to 64 KiB of result: what a peer asks for must
 * neither outgrow a frame nor be held in memory twice.
 *
 * Invariants: every page but one with a single row stays below PAGE_BYTES; a single row always fits
 * into a frame, because what is in it was limited when it came in; there is at least one page, so
 * that even "nothing" is an answer.
 * Test: test/10-master.server.test.ts
 */
import { jobInfo, type AgentRow, type Job, type Run, type Whys } from "#core";
import {
  DefinitionPage, JobSpec, type AgentInfo, type ArtifactInfo, type DeadLetter, type GateInfo,
  type JobChange, type JobInfo, type LaunchInfo, type PoolInfo, type RunInfo, type ServiceInfo,
  type ServiceRow, type StepInfo,
} from "#wire";
import type { Engine } from "./engine.ts";

const PAGE_BYTES = 256 * 1024;
const PAGE_ROWS = 500;

/** `bytesOf`: an upper bound of a row's encoded bytes. */
export function* pages<T>(
  rows: Iterable<T>, bytesOf: (row: T) => number,
): Generator<{ rows: T[]; first: boolean; last: boolean }> {
  let page: T[] = [];
  let bytes = 0;
  let first = true;
  for (const row of rows) {
    const more = bytesOf(row);
    if (page.length === PAGE_ROWS || (page.length > 0 && bytes + more > PAGE_BYTES)) {
      yield { rows: page, first, last: false };
      first = false;
      page = [];
      bytes = 0;
    }
    page.push(row);
    bytes += more;
  }
  yield { rows: page, first, last: true };
}

/** Jobs as rows, made as they are asked for: a page of them exists at a time. */
export function* jobRows(engine: Engine, jobs: readonly Job[], from = 0): Generator<JobInfo> {
  const whys: Whys = new Map();
  // By index: jobs may be added to the run while its pages travel.
  for (let index = from; index < jobs.length; index++) {
    // Pages lie apart in time. So a reason is at most a page old.
    if ((index - from) % PAGE_ROWS === 0) whys.clear();
    yield jobInfo(engine.state, jobs[index]!, engine.context.now, whys);
  }
}

/** Numbers and short names of a row: fourteen of at most nine bytes, and a worker's name. */
const FIXED_BYTES = 400;
/** A character is at most three bytes of UTF-8. */
const text = (value: string | undefined): number => 3 * (value?.length ?? 0);

export function jobBytes(info: JobInfo): number {
  const { id, failure, reason, dependsOn, result, decision, service } = info;
  const decided = text(decision?.by) + text(decision?.comment);
  const texts = text(id) + text(failure?.message) + text(reason) + decided;
  return FIXED_BYTES + texts + 4 * dependsOn.length + (result?.length ?? 0) + infoBytes(service);
}

export function changeBytes({ id, failure, reason, service }: JobChange): number {
  return FIXED_BYTES + text(id) + text(failure?.message) + text(reason) + infoBytes(service);
}

function infoBytes(service: ServiceInfo | undefined): number {
  if (service === undefined) return 0;
  return FIXED_BYTES + text(service.name) + text(service.host) + text(service.reason);
}

export function serviceBytes(row: ServiceRow): number {
  const texts = text(row.name) + text(row.run) + text(row.job) + text(row.reason);
  return FIXED_BYTES + texts + text(row.lastFailure?.message) + infoBytes(row.service);
}

/** A pool, or one of its workers. */
export function poolBytes(row: PoolInfo | LaunchInfo): number {
  if ("orderedAt" in row) {
    return FIXED_BYTES + text(row.name) + text(row.pool) + text(row.handle) + text(row.reason);
  }
  const texts = row.tags.reduce((sum, tag) => sum + text(tag), 0);
  return FIXED_BYTES + texts + text(row.name) + text(row.why) + text(row.lastFailure);
}

/** The pipeline of a run in pages. Its head is in each of them. */
export function definitionPages({ spec }: Run) {
  const head = { ...spec, jobs: [] };
  return {
    rows: spec.jobs,
    // A job may be larger than a page; it then has one of its own.
    bytesOf: (job: JobSpec): number => JobSpec.encode(job).length,
    encode: (jobs: JobSpec[]): Buffer => DefinitionPage.encode({ head, jobs }),
  };
}

export function agentBytes({ id, reason }: AgentInfo): number {
  return FIXED_BYTES + text(id) + text(reason);
}

/** An agent run, one of its runs, or one of their jobs. */
export function agentRowBytes(row: AgentRow): number {
  if ("agent" in row) return agentBytes(row.agent);
  if ("run" in row) return runBytes(row.run);
  const { run, id, stage, reason } = row.job;
  return FIXED_BYTES + text(run) + text(id) + text(stage) + text(reason);
}

export function runBytes({ id, name }: RunInfo): number {
  return FIXED_BYTES + text(id) + text(name);
}

export function gateBytes({ id, message, rules, votes, result }: GateInfo): number {
  let bytes = FIXED_BYTES + text(id) + text(message) + (result?.length ?? 0);
  for (const { name, label, choices, default: preset } of rules?.form ?? []) {
    bytes += FIXED_BYTES + text(name) + text(label) + text(preset) + textsBytes(choices);
  }
  for (const { by, comment, values } of votes) {
    bytes += FIXED_BYTES + text(by) + text(comment) + textsBytes(Object.values(values));
  }
  return bytes + textsBytes(rules?.approvers ?? []);
}

function textsBytes(texts: readonly string[]): number {
  let bytes = 0;
  for (const each of texts) bytes += FIXED_BYTES + text(each);
  return bytes;
}

export function stepBytes({ name, job, inputHash, result, failure, usage }: StepInfo): number {
  const texts = text(name) + text(job) + text(inputHash) + text(failure) + text(usage?.model);
  return 2 * FIXED_BYTES + texts + (result?.length ?? 0);
}

export function artifactBytes({ name, run, byRun, byJob, by }: ArtifactInfo): number {
  return FIXED_BYTES + text(name) + text(run) + text(byRun) + text(byJob) + text(by);
}

export function letterBytes({ run, job, failure }: DeadLetter): number {
  return FIXED_BYTES + text(run) + text(job) + text(failure?.message);
}
