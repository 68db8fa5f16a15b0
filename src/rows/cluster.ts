/**
 * Lesson 00: workers, pools and dead letters as plain JSON: the rows that `titan … --json` and the
 * HTTP interface give to programs.
 *
 * Test: test/cli.cluster.test.ts, test/13-scaling.pools.test.ts
 */
import type { DeadLetter, LaunchInfo, PoolInfo, WorkerInfo, WorkerJob } from "#wire";
import { failureJson } from "./run.ts";

export function workerJson(worker: WorkerInfo): object {
  const { pool = null, beatLateMs = null, beatLateMaxMs = null, heardMs = null } = worker;
  return {
    ...worker,
    pool, beatLateMs, beatLateMaxMs, heardMs,
    tags: allTags(worker.tags),
    state: workerState(worker),
    away: !worker.connected,
    jobs: worker.jobs.map(placedJson),
  };
}

function placedJson({ run, job, attempt, startedAt, service: name, phase }: WorkerJob): object {
  const service = name === undefined ? null : { name, state: phase ?? "STARTING" };
  return { run, job, attempt, startedAt, service };
}

/** Every worker has GENERAL, so GENERAL is not on the wire. */
export function allTags(tags: readonly string[]): string[] {
  return ["GENERAL", ...tags.filter((tag) => tag !== "GENERAL")];
}

export type WorkerFacts = Pick<WorkerInfo, "connected" | "draining" | "running" | "slots">;

/** The state in one word. Away comes first: the other facts about the worker may be out of date. */
export function workerState({
  connected,
  draining,
  running,
  slots,
}: WorkerFacts): "ready" | "busy" | "away" | "draining" | "drained" {
  if (!connected) return "away";
  if (draining) return running > 0 ? "draining" : "drained";
  return running < slots ? "ready" : "busy";
}

export function poolJson(pool: PoolInfo, launches: readonly LaunchInfo[]): object {
  const workers = launches.filter((launch) => launch.pool === pool.name).map(launchJson);
  return { ...pool, lastFailure: pool.lastFailure || null, workers };
}

export function launchJson({ name, state, orderedAt, handle, reason }: LaunchInfo): object {
  return { name, state, orderedAt, handle: handle || null, reason };
}

export function deadJson({ failure, ...letter }: DeadLetter): object {
  return { ...letter, failure: failure === undefined ? null : failureJson(failure) };
}
