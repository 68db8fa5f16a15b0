/**
 * Lesson 19: what the master measures, in the text format of Prometheus.
 *
 *     # HELP titan_jobs Jobs of the runs that are known, by their state.
 *     # TYPE titan_jobs gauge
 *     titan_jobs{state="RUNNING"} 3
 *
 * Test: test/http.metrics.test.ts
 */
import { JOB_STATUSES, RUN_STATUSES, type Histogram, type Metrics, type WorkerInfo } from "#wire";

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [labels: Labels, value: number];

/** Beside what the master says. */
export interface Seen {
  readonly workers: readonly WorkerInfo[];
  /** Event streams that are open. */
  readonly streams: number;
  /** The longest that this process has not listened since somebody asked last. */
  readonly lagMs: number;
}

const US_PER_S = 1_000_000;

export function metricsText(measured: Metrics, seen: Seen): string {
  return [
    ...ofJobs(measured), ...ofWorkers(seen), ...ofLog(measured), ...ofProcess(measured, seen), "",
  ].join("\n");
}

function ofJobs({ runs, jobs, waited, took, succeeded, failed, lost, gates }: Metrics): string[] {
  return [
    ...gauge("titan_runs", "Runs that are known, by their state.", byState(RUN_STATUSES, runs)),
    ...gauge("titan_jobs", "Jobs of the runs that are known, by their state.",
      byState(JOB_STATUSES, jobs)),
    ...gauge("titan_gates_open", "Gates and questions that wait for a person.", gates),
    ...counter("titan_attempts_total", "Attempts that have ended since the master's start.", [
      [{ outcome: "succeeded" }, succeeded], [{ outcome: "failed" }, failed],
      [{ outcome: "lost" }, lost],
    ]),
    ...histogram("titan_queue_wait_seconds",
      "From when a job could start to its first start.", waited),
    ...histogram("titan_attempt_duration_seconds", "From the start of an attempt to its end.",
      took),
  ];
}

function ofWorkers({ workers }: Seen): string[] {
  const count = (is: (worker: WorkerInfo) => boolean): number => workers.filter(is).length;
  const here = workers.filter(({ connected }) => connected);
  const slots = here.reduce((sum, worker) => sum + worker.slots, 0);
  const busy = workers.reduce((sum, worker) => sum + worker.running, 0);
  return [
    ...gauge("titan_workers", "Registered workers.", [
      [{ state: "connected" }, count((each) => each.connected && !each.draining)],
      [{ state: "draining" }, count((each) => each.connected && each.draining)],
      [{ state: "away" }, count((each) => !each.connected)],
    ]),
    ...gauge("titan_slots", "Jobs that the connected workers can run at once.", slots),
    ...gauge("titan_slots_busy", "Attempts that run now.", busy),
  ];
}

function ofLog(measured: Metrics): string[] {
  const { synced, logBytes, logRecords, logSegments, lastSeq, backlogBytes } = measured;
  return [
    ...histogram("titan_log_sync_seconds", "One write of the log, with its fsync.", synced),
    ...counter("titan_log_written_bytes_total", "Bytes written to the log.", logBytes),
    ...counter("titan_log_records_total", "Records appended to the log.", logRecords),
    ...gauge("titan_log_segments", "Files that make up the log.", logSegments),
    ...gauge("titan_log_last_seq", "The number of the last durable record.", lastSeq),
    ...gauge("titan_log_backlog_bytes", "Bytes that wait for the disk.", backlogBytes),
  ];
}

function ofProcess(measured: Metrics, { streams, lagMs }: Seen): string[] {
  const { stateBytes, connections, requests, startedAt, version } = measured;
  return [
    ...gauge("titan_state_bytes", "Memory of the state, as the master counts it.", stateBytes),
    ...gauge("titan_connections", "Connections to the master.", connections),
    ...gauge("titan_requests_open", "Requests that have no answer yet.", requests),
    ...gauge("titan_event_streams", "Open streams of server-sent events.", streams),
    ...gauge("titan_event_loop_lag_seconds",
      "The longest that the event loop was busy since the last look.", lagMs / 1000),
    ...gauge("titan_start_time_seconds", "When the master started, since 1970.", startedAt / 1000),
    ...gauge("titan_info", "The version, as a label.", [[{ version }, 1]]),
  ];
}

function byState(names: readonly string[], counts: readonly number[]): Sample[] {
  return names.map((state, at) => [{ state }, counts[at] ?? 0]);
}

function gauge(name: string, help: string, values: number | readonly Sample[]): string[] {
  return [...head(name, help, "gauge"), ...samples(name, values)];
}

function counter(name: string, help: string, values: number | readonly Sample[]): string[] {
  return [...head(name, help, "counter"), ...samples(name, values)];
}

/** Each bucket counts all that took at most so long. */
function histogram(
  name: string, help: string, { boundsUs, counts, sumUs }: Histogram,
): string[] {
  let sum = 0;
  const buckets = counts.map((count, at): Sample => {
    sum += count;
    const le = at < boundsUs.length ? String(boundsUs[at]! / US_PER_S) : "+Inf";
    return [{ le }, sum];
  });
  return [
    ...head(name, help, "histogram"), ...samples(`${name}_bucket`, buckets),
    ...samples(`${name}_sum`, sumUs / US_PER_S), ...samples(`${name}_count`, sum),
  ];
}

function head(name: string, help: string, type: string): string[] {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`];
}

function samples(name: string, values: number | readonly Sample[]): string[] {
  const all: readonly Sample[] = typeof values === "number" ? [[{}, values]] : values;
  return all.map(([labels, value]) => `${name}${labelsText(labels)} ${value}`);
}

function labelsText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escaped(value: string): string {
  return value.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n");
}
