/**
 * A plan from a file that somebody may have edited.
 *
 * A plan is checked before it is lived, and its names most of all: a fault on a machine that does
 * not exist would do nothing, and "nothing broke" would be said about another plan than the one
 * that was meant.
 */
import { readFileSync } from "node:fs";
import {
  END_FATES,
  FAULT_KINDS,
  ORDER_FATES,
  type Fault,
  type FaultKind,
  type JobPlan,
  type Plan,
  type Step,
} from "#simulation";
import { UsageError } from "./options.ts";

type Kind = "number" | "string" | "boolean" | "array" | "range";
type Fields = Readonly<Record<string, Kind>>;

const PLAN: Fields = {
  seed: "number",
  enabled: "array",
  safetyMs: "number",
  latencyMs: "range",
  syncMs: "range",
  splitChunks: "boolean",
  restartMs: "range",
  workers: "array",
  clients: "number",
  pipelines: "array",
  steps: "array",
  faults: "array",
  finale: "string",
};
const POOL: Fields = {
  name: "string", slots: "number", tags: "array", min: "number", max: "number",
  upAfterMs: "number", idleMs: "number", cooldownMs: "number", startTimeoutMs: "number",
  orders: "array", ends: "array",
};
const ORDER: Fields = {
  fate: "string", takeMs: "number", outlives: "boolean", answerMs: "number", bootMs: "number",
  livesMs: "number",
};
const FINALES: Record<Plan["finale"], true> = { none: true, stop: true, kill: true, crash: true };
const STEPS: Record<Step["do"], Fields> = {
  submit: { run: "string" },
  cancel: { run: "string" },
  retry: { run: "string" },
  gate: { run: "string", job: "string", approve: "boolean" },
  add: { run: "string", jobs: "array" },
  fork: { run: "string", which: "number" },
  status: { run: "string" },
  watch: { run: "string" },
  stop: { run: "string" },
  restart: { run: "string" },
  deploy: { run: "string", updateMs: "number" },
  scale: { service: "string", replicas: "number" },
  rollback: { service: "string", updateMs: "number" },
  "stop-name": { service: "string" },
  logs: { run: "string", job: "string" },
  runs: {},
  workers: {},
  gates: {},
  hash: {},
  snapshot: {},
  dead: {},
  drain: { worker: "string", undo: "boolean" },
  launch: { pool: "string" },
  retire: { worker: "string" },
  pools: {},
  raise: { group: "string", what: "string", amount: "number" },
};
const FAULTS: Record<Fault["kind"], Fields> = {
  kill: { downMs: "number" },
  crash: { downMs: "number", torn: "boolean", garbage: "boolean", silent: "boolean" },
  stop: { downMs: "number" },
  pause: { forMs: "number" },
  cut: { peer: "string" },
  reset: { peer: "string" },
  partition: { peer: "string", way: "string", forMs: "number" },
  stall: { peer: "string", chance: "number", ms: "range", forMs: "number" },
  "one-byte": { peer: "string", forMs: "number" },
  "slow-link": { peer: "string", ms: "range", forMs: "number" },
  "slow-disk": { ms: "range", forMs: "number" },
  "disk-error": { op: "string", code: "string", path: "string" },
  "disk-full": { bytes: "number", forMs: "number" },
  drift: { rate: "number", forMs: "number" },
  jump: { ms: "number" },
  "second-master": {},
};

/**
 * The smallest plan of the file, as `--json` printed it, or a plan by itself. @throws {UsageError}
 */
export function readPlan(file: string): Plan {
  try {
    const value: unknown = JSON.parse(readFileSync(file, "utf8"));
    const { small, plan } = fieldsOf("the file", value, {});
    return checked(small ?? plan ?? value);
  } catch (error) {
    throw new UsageError(`Cannot read plan ${file}: ${(error as Error).message}`);
  }
}

/** @throws {Error} with the place and what is wrong there */
export function checked(value: unknown): Plan {
  const plan = fieldsOf("plan", value, PLAN) as unknown as Plan;
  if (!Number.isInteger(plan.seed) || plan.seed < 0) {
    throw new Error(`seed is ${plan.seed}, must be a whole number from 0 on`);
  }
  if (!Number.isInteger(plan.clients) || plan.clients < 1) {
    throw new Error(`clients is ${plan.clients}, must be a whole number from 1 on`);
  }
  if (plan.workers.length === 0) throw new Error("workers is empty: nothing could ever end");
  known("finale", plan.finale, Object.keys(FINALES));
  plan.enabled.forEach((kind, at) => known(`enabled[${at}]`, kind, FAULT_KINDS));
  plan.workers.forEach((worker, at) =>
    fieldsOf(`workers[${at}]`, worker, { name: "string", slots: "number", tags: "array" }),
  );
  checkPools(plan.pools ?? []);
  plan.pipelines.forEach((pipeline, at) => {
    fieldsOf(`pipelines[${at}]`, pipeline, { key: "string", jobs: "array" });
    checkJobs(`pipelines[${at}].jobs`, pipeline.jobs);
  });
  const keys = plan.pipelines.map(({ key }) => key);
  const workers = plan.workers.map(({ name }) => name);
  plan.steps.forEach((step, index) => {
    const place = `steps[${index}]`;
    fieldsOf(place, step, { at: "number", client: "number", do: "string" });
    known(`${place}.do`, step.do, Object.keys(STEPS));
    fieldsOf(place, step, STEPS[step.do]);
    if (!Number.isInteger(step.client) || step.client < 1 || step.client > plan.clients) {
      throw new Error(
        `${place}.client is ${step.client}, must be a whole number from 1 to ${plan.clients}`,
      );
    }
    if ("run" in step) known(`${place}.run`, step.run, keys);
    if (step.do === "drain") known(`${place}.worker`, step.worker, workers);
    if (step.do === "add") checkJobs(`${place}.jobs`, step.jobs);
  });
  plan.faults.forEach((fault, index) => {
    const place = `faults[${index}]`;
    fieldsOf(place, fault, { at: "number", target: "string", kind: "string" });
    known(`${place}.kind`, fault.kind, Object.keys(FAULTS) as FaultKind[]);
    fieldsOf(place, fault, FAULTS[fault.kind]);
    for (const name of "peer" in fault ? [fault.target, fault.peer] : [fault.target]) {
      // A shrunk plan may have lost the client that a fault is about; of workers it takes the
      // faults, too.
      // The workers of pools have names that nobody knows beforehand.
      if (/^c\d+$|^p\d+-\d+$/.test(name)) continue;
      known(`the machine of ${place}`, name, ["m", ...workers, "c1"]);
    }
  });
  return plan;
}

function checkPools(pools: NonNullable<Plan["pools"]>): void {
  fieldsOf("plan", { pools }, { pools: "array" });
  pools.forEach((pool, index) => {
    const place = `pools[${index}]`;
    fieldsOf(place, pool, POOL);
    pool.orders.forEach((order, at) => {
      fieldsOf(`${place}.orders[${at}]`, order, ORDER);
      known(`${place}.orders[${at}].fate`, order.fate, ORDER_FATES);
    });
    pool.ends.forEach((end, at) => {
      fieldsOf(`${place}.ends[${at}]`, end, { fate: "string", ms: "number" });
      known(`${place}.ends[${at}].fate`, end.fate, END_FATES);
    });
    for (const list of ["orders", "ends"] as const) {
      if (pool[list].length === 0) throw new Error(`${place}.${list} is empty`);
    }
  });
}

function checkJobs(place: string, jobs: readonly JobPlan[]): void {
  jobs.forEach((job, at) => fieldsOf(`${place}[${at}]`, job, { id: "string", does: "string" }));
}

function fieldsOf(place: string, value: unknown, fields: Fields): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Error(`${place} is ${shown(value)}, must be an object`);
  }
  const object = value as Record<string, unknown>;
  for (const [name, kind] of Object.entries(fields)) {
    if (!isA(kind, object[name])) {
      throw new Error(`${place}.${name} is ${shown(object[name])}, must be ${WORDS[kind]}`);
    }
  }
  return object;
}

const WORDS: Record<Kind, string> = {
  number: "a number",
  string: "a text",
  boolean: "true or false",
  array: "a list",
  range: "two numbers, least and most",
};

function isA(kind: Kind, value: unknown): boolean {
  if (kind === "range") {
    const [least, most, ...more] = Array.isArray(value) ? value as unknown[] : [];
    return (
      typeof least === "number" && typeof most === "number" && least <= most && more.length === 0
    );
  }
  return kind === "array" ? Array.isArray(value) : typeof value === kind;
}

function known(place: string, value: string, names: readonly string[]): void {
  if (!names.includes(value)) {
    throw new Error(`${place} is ${shown(value)}, must be one of ${names.join(", ")}`);
  }
}

/** Enough of it to find it again. */
function shown(value: unknown): string {
  return (JSON.stringify(value) ?? "missing").slice(0, 60);
}
