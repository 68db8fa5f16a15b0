/**
 * Services as programs and people read them: rows of replicas, grouped by service.
 *
 * Test: test/14-services.cli.test.ts
 */
import type { ServiceInfo, ServiceRow } from "#wire";
import { failureJson } from "./run.ts";

/** A phase, or PENDING: it waits for a worker, and has never started. */
export type ServiceWord = ServiceInfo["phase"] | "PENDING";

/** The first of these that a replica is in is the state of its service. */
const WORST_FIRST: readonly ServiceWord[] = [
  "FAILED", "RESTARTING", "UNHEALTHY", "STARTING", "PENDING", "READY", "STOPPED",
];

export function wordOf({ service, status }: ServiceRow): ServiceWord {
  if (service !== undefined) return service.phase;
  return status === "PENDING" || status === "RUNNING" ? "PENDING" : "STOPPED";
}

/** Rows of one service of one run, as they came. */
export interface ServiceGroup {
  readonly name: string;
  readonly run: string;
  readonly state: ServiceWord;
  /** The name of a deployed service leads to it. */
  readonly current: boolean;
  readonly rows: readonly ServiceRow[];
}

/** By name, and of several versions the current one first. */
export function grouped(rows: readonly ServiceRow[]): ServiceGroup[] {
  const groups = new Map<string, ServiceRow[]>();
  for (const row of rows) {
    const key = `${row.run}/${row.name}`;
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  const found = [...groups.values()].map((members) => {
    const words = new Set(members.map(wordOf));
    const state = WORST_FIRST.find((word) => words.has(word))!;
    const { name, run, current } = members[0]!;
    return { name, run, state, current, rows: members };
  });
  return found.sort((a, b) => a.name === b.name ? Number(b.current) - Number(a.current) : 0);
}

/**
 * What is worth a look: services that go on, and those that failed, unless a newer one has their
 * name.
 */
export function current(groups: readonly ServiceGroup[]): ServiceGroup[] {
  const newest = new Map(groups.flatMap((group) => group.current ? [[group.name, group]] : []));
  const shown = groups.filter((group) => group.state !== "STOPPED" &&
    (group.state !== "FAILED" || newest.get(group.name) === group));
  // Replicas that are gone since somebody scaled it down.
  return shown.map((group) =>
    ({ ...group, rows: group.rows.filter((row) => wordOf(row) !== "STOPPED") }));
}

export function groupJson(group: ServiceGroup, now: number): object {
  const { name, run, state, current, rows } = group;
  const { deployed } = rows[0]!;
  const replicas = rows.map((row) => replicaJson(row, now));
  const version = deployed ? { version: rows[0]!.version } : {};
  return { name, run, job: rows[0]!.job, deployed, ...version, current, state, replicas };
}

function replicaJson(row: ServiceRow, now: number): object {
  const { job, worker, attempt, service, reason, lastFailure, startedAt, status } = row;
  const runs = status === "RUNNING" && startedAt !== undefined;
  return {
    job, worker: worker === "" || !runs ? null : worker,
    host: service?.host || null, port: service?.port || null, pid: service?.pid || null,
    state: wordOf(row), restarts: service?.restarts ?? 0, attempt,
    since: service?.since ?? null, uptimeMs: runs ? Math.max(0, now - startedAt) : null,
    reason: reason || service?.reason || "",
    lastFailure: lastFailure === undefined ? null : failureJson(lastFailure),
  };
}
