/**
 * Lesson 14: a service as it travels, and what a worker and a client say about one.
 *
 * A service is a job that is meant to keep running. Its scheduler status stays that of any job; the
 * phase refines it: a job that is RUNNING may be STARTING, READY or UNHEALTHY.
 *
 * Test: test/14-services.test.ts
 */
import {
  bool, enumOf, f64, list, message, optional, string, u32, u53, union, withDefault, type Infer,
} from "#codec";
import { name } from "./fields.ts";

/** Services of one run, and deployed services of one cluster: each job may be told of all. */
export const MAX_SERVICES = 1000;
/** Replicas of one service. */
export const MAX_REPLICAS = 100;
/** Restarts that a window may count: their times are kept. */
export const MAX_RESTART_ATTEMPTS = 100;
/** A path that a health check asks for. */
export const MAX_CHECK_PATH_BYTES = 2048;
/** A reason in words, as an event and the state keep it. */
export const MAX_REASON_BYTES = 1024;
/** What a failed check command is told to be in: argv is as short as a line that a person types. */
const checkArgs = list(string(16 * 1024), 64);

/** How a service shows that it works. */
export const HealthCheck = union("HealthCheck", {
  /** Its port takes a connection. */
  tcp: [1, message("TcpCheck", {})],
  /** GET of this path answers 2xx. */
  http: [2, message("HttpCheck", { path: [1, string(MAX_CHECK_PATH_BYTES)] })],
  /** A program, in the service's folder and with its environment, exits 0. */
  command: [3, message("CommandCheck", { argv: [1, checkArgs] })],
});
export type HealthCheck = Infer<typeof HealthCheck>;

export const RESTART_POLICIES = ["always", "on-failure", "never"] as const;

export const RestartPolicy = message("RestartPolicy", {
  policy: [1, enumOf(...RESTART_POLICIES)],
  delayMs: [2, u53()],
  backoff: [3, f64()],
  maxDelayMs: [4, u53()],
  /** Restarts within the window; one more ends the service. 0: no limit. */
  attempts: [5, u32()],
  windowMs: [6, u53()],
});
export type RestartPolicy = Infer<typeof RestartPolicy>;

export const Service = message("Service", {
  /** What all its replicas are called. */
  name: [1, string(128)],
  /** Its name is one of the cluster's, and not only of its run. */
  deployed: [2, withDefault(bool(), false)],
  /** Absent: the worker chooses one of its range. */
  port: [3, optional(u32())],
  check: [4, HealthCheck],
  intervalMs: [5, u53()],
  timeoutMs: [6, u53()],
  /** Checks in a row that change its health. */
  healthyAfter: [7, u32()],
  unhealthyAfter: [8, u32()],
  /** Failed checks do not count so long after a start. */
  startPeriodMs: [9, u53()],
  restart: [10, RestartPolicy],
  /** From SIGTERM to SIGKILL. */
  stopGraceMs: [11, u53()],
});
export type Service = Infer<typeof Service>;

export const SERVICE_PHASES = [
  "STARTING", "READY", "UNHEALTHY", "RESTARTING", "STOPPED", "FAILED",
] as const;
export type ServicePhase = (typeof SERVICE_PHASES)[number];
export const ServicePhase = enumOf(...SERVICE_PHASES);

const host = string(256);
const reason = string(MAX_REASON_BYTES);

/** A worker says how one of its attempts is. The phase is STARTING, READY or UNHEALTHY. */
export const HealthReport = message("HealthReport", {
  run: [1, u32()], job: [2, u32()], attempt: [3, u32()],
  phase: [4, ServicePhase],
  port: [5, u32()],
  pid: [6, withDefault(u32(), 0)],
  reason: [7, withDefault(reason, "")],
});
export type HealthReport = Infer<typeof HealthReport>;

/** A service beside its job's status, for people. */
export const ServiceInfo = message("ServiceInfo", {
  name: [1, string(128)],
  phase: [2, ServicePhase],
  /** Since when, and why. */
  since: [3, u53()],
  reason: [4, withDefault(reason, "")],
  /** Empty and 0: not known yet, or not any more. */
  host: [5, withDefault(host, "")],
  port: [6, withDefault(u32(), 0)],
  pid: [7, withDefault(u32(), 0)],
  restarts: [8, withDefault(u32(), 0)],
});
export type ServiceInfo = Infer<typeof ServiceInfo>;

// ── other numbers, and the version before ────────────────────────────────────────────────────────

/** `name`: a service, RUN if that has one service only, or RUN/JOB. */
export const ScaleService = message("ScaleService", {
  name: [1, string(512)], replicas: [2, u32()], by: [3, withDefault(name, "")],
});
const replicaIds = list(string(128), MAX_SERVICES);
/** `before`: how many there were; the jobs that come or go, if that is another number. */
export const Scaled = message("Scaled", {
  run: [1, name], service: [2, string(128)], before: [3, u32()], replicas: [4, u32()],
  added: [5, replicaIds], stopped: [6, replicaIds],
});
export type Scaled = Infer<typeof Scaled>;

export const RollbackService = message("RollbackService", {
  name: [1, string(128)], updateMs: [2, optional(u53())], by: [3, withDefault(name, "")],
  /** Two rollbacks with one key are one. */
  key: [4, optional(name)],
});
/**
 * The new run, the run whose place it takes, and the one that it is the same as. The last is empty
 * if the key's rollback is over.
 */
export const RolledBack = message("RolledBack", {
  run: [1, name], replaces: [2, withDefault(name, "")], like: [3, name],
});
export type RolledBack = Infer<typeof RolledBack>;
