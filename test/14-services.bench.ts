/**
 * Chapter 14, in the core: a bench with a deployed service "web" and its versions.
 */
import type { Job, Run } from "#core";
import type { JobSpec, Service, ServicePhase } from "#wire";
import { Bench, serviceSpec, spec } from "./10-master.core.ts";

export const service = (
  id: string, fields: Partial<Service> = {}, job: Partial<JobSpec> = {},
): JobSpec =>
  spec(id, { service: serviceSpec(id.split(".")[0]!, { deployed: true, ...fields }), ...job });

export function tell(bench: Bench, job: Job, phase: ServicePhase = "READY"): void {
  const key = { run: job.run.number, job: job.index, attempt: job.attempt };
  const report = { ...key, phase, port: 20_000 + job.run.number, pid: 4711, reason: "" };
  bench.execute({ type: "Health", worker: job.worker, host: "10.0.0.1", report });
}

interface Options {
  readonly replicas?: number;
  readonly updateMs?: number;
  readonly project?: string;
  readonly fields?: Partial<Service>;
}

/** A version of "web", started and not READY. */
export function deploy(bench: Bench, name: string, options: Options = {}): Run {
  const { replicas = 1, updateMs, project, fields } = options;
  const ids = Array.from({ length: replicas }, (_, at) => (at === 0 ? "web" : `web.${at + 1}`));
  const jobs = ids.map((id) => service(id, fields));
  const pipeline = { name, version: undefined, project, jobs };
  const { run } = bench.execute({ type: "Submit", spec: pipeline, strict: false, updateMs });
  bench.schedule();
  return bench.state.runsById.get(run)!;
}

export const ready = (bench: Bench, run: Run): void => {
  for (const job of run.jobs) tell(bench, job);
};

export const advance = (bench: Bench): void => void bench.execute({ type: "Advance" });

/** Its process is gone, as its worker was told to end it. */
export const gone = (bench: Bench, job: Job): boolean =>
  bench.finish(job, { failure: { kind: "cancelled", message: "cancelled" } });

/** A bench with a version that is READY. */
export function serving(options: Options = {}): { bench: Bench; old: Run } {
  const bench = new Bench();
  bench.join({ slots: 20 });
  const old = deploy(bench, "one", options);
  ready(bench, old);
  return { bench, old };
}

export const current = (bench: Bench): Run => bench.state.names.get("web")!.current;
