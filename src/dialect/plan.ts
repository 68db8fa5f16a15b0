/**
 * From jobs of version 1 to a run: their actions, and the files that they bring.
 *
 *     scripts/a.py           a script that came with its job; scripts-2/a.py another one called so
 *     project.zip/src/b.py   a file of an uploaded zip, under the path by which jobs name it
 *
 * A job of a DAG starts in TITAN_SHARED, as the original's jobs share one folder; a job
 * alone starts in its own folder; a job of a zip and a service start in the folder of their file.
 *
 *     hitl_gate.py       a gate: a job that does nothing and then waits for a person. That of the
 *                        original holds a slot for as long as nobody answers.
 *
 * Invariants: arguments never pass through a shell; every job of the DAG is in the run.
 * Left out: parents in other DAGs, unless they have completed.
 * Test: test/dialect.jobs.test.ts
 */
import { dirname } from "node:path";
import { Dag, DagError } from "#dag";
import { MAX_PROJECT_BYTES } from "#project";
import type { Action, JobSpec, Service } from "#wire";
import { OldFormatError, type OldJob } from "./jobs.ts";
import type { ZipFile } from "./zip.ts";

/** Attempts of the original: one, and three more without a pause. */
const RETRY = { maxAttempts: 4, delayMs: 0, backoff: 1, maxDelayMs: 0, jitter: 0 };
/** The original starts a service again after 3 s, for ever. */
const RESTART = {
  policy: "always", delayMs: 3000, backoff: 1, maxDelayMs: 3000, attempts: 0, windowMs: 0,
} as const;
/** The original dials the port of a new service every 2 s, ten times. */
const CHECK = {
  intervalMs: 2000, timeoutMs: 2000, healthyAfter: 1, unhealthyAfter: 3, startPeriodMs: 20_000,
  stopGraceMs: 5000,
};
const GENERAL = "GENERAL";
/** The original's script that waits for a person, and its time if none is given. */
const GATE_FILE = "hitl_gate.py";
const GATE_WAIT_S = 48 * 3600;

/** Where jobs reach this dialect: at the port of the master, or at one beside it. */
export interface Listener {
  readonly host: string;
  readonly port: number;
  readonly isMasters: boolean;
}

export interface PlanOptions {
  readonly listener: Listener;
  /** The job is alone, and not one of a DAG. */
  readonly alone: boolean;
  /** The files of an uploaded zip. Rejects with words if there is none. */
  zip(name: string): Promise<readonly ZipFile[]>;
  /** A job that is in no DAG of this submission has completed. */
  hasCompleted(id: string): Promise<boolean>;
}

export interface Plan {
  readonly jobs: JobSpec[];
  readonly files: readonly ZipFile[];
  /** The jobs that are gates, and their questions. */
  readonly gates: ReadonlyMap<string, string>;
}

/** @throws {OldFormatError} */
export async function planJobs(jobs: readonly OldJob[], options: PlanOptions): Promise<Plan> {
  const files = new Files();
  const gates = new Map<string, string>();
  const index = new Map(jobs.map(({ id }, at) => [id, at]));
  if (index.size < jobs.length) {
    const twice = jobs.find(({ id }, at) => index.get(id) !== at)!;
    throw new OldFormatError(`Cannot run the DAG: the id "${twice.id}" is there twice`);
  }
  const specs: JobSpec[] = [];
  for (const job of jobs) {
    const dependsOn: number[] = [];
    for (const parent of job.parents) {
      const at = index.get(parent);
      if (at !== undefined) dependsOn.push(at);
      else if (!(await options.hasCompleted(parent))) throw noParent(job.id, parent);
    }
    const gate = gateOf(job);
    if (gate !== undefined) gates.set(job.id, gate.message);
    const path = gate === undefined ? await files.place(job, options) : "";
    const port = String(options.listener.port);
    specs.push({
      id: job.id,
      action: gate === undefined ? actionOf(job, path, options) : NOTHING,
      dependsOn,
      requirement: job.requirement === GENERAL ? [] : [job.requirement],
      priority: job.priority,
      delayMs: job.delayMs,
      affinity: job.affinity ? dependsOn[0] : undefined,
      when: "success",
      timeoutMs: 0,
      retry: job.isService || gate !== undefined ? undefined : RETRY,
      env: { TITAN_HOST: options.listener.host, TITAN_PORT: port },
      gate,
      service: job.isService ? serviceOf(job) : undefined,
    });
  }
  return { jobs: specs, files: files.all, gates };
}

function noParent(id: string, parent: string): OldFormatError {
  const why = `it waits for "${parent}", which is not in this DAG and has not completed`;
  return new OldFormatError(`Cannot run job "${id}": ${why}`);
}

/** The circle among these jobs, in words; undefined: there is none. */
export function circleOf(jobs: readonly OldJob[]): string | undefined {
  const known = new Set(jobs.map(({ id }) => id));
  try {
    Dag.build(jobs.map(({ id, parents }) => {
      return { id, parents: parents.filter((parent) => known.has(parent)) };
    }));
    return undefined;
  } catch (error) {
    if (error instanceof DagError && error.code === "CYCLE") return error.message;
    throw error;
  }
}

/**
 * Jobs in place of those of a circle: each fails at once and says why. The original says that it
 * has accepted a DAG with a circle, and forgets it; a client that asks would wait for ever.
 */
export function failingJobs(jobs: readonly OldJob[], why: string): JobSpec[] {
  const input = Buffer.from(JSON.stringify(why));
  return jobs.map(({ id }): JobSpec => ({
    id, action: { type: "call", target: "titan:fail", input }, dependsOn: [], requirement: [],
    priority: 1, delayMs: 0, when: "success", timeoutMs: 0, env: {},
    affinity: undefined, retry: undefined, gate: undefined, service: undefined,
  }));
}

/** What a run of these jobs is called: the beginning that all ids share, else the first id. */
export function runName(jobs: readonly { readonly id: string }[]): string {
  let name = jobs[0]!.id;
  for (const { id } of jobs) while (!id.startsWith(name)) name = name.slice(0, -1);
  return jobs.length === 1 ? name : name.replace(/[^\p{L}\p{N}]+$/u, "") || jobs[0]!.id;
}

// ── gates ────────────────────────────────────────────────────────────────────────────────────────

const NOTHING: Action = { type: "call", target: "titan:noop", input: Buffer.alloc(0) };

/**
 * The gate that a job stands for: `hitl_gate.py ID [seconds] [message]`, where ID is the job's own.
 * With another one it runs as a script, and asks through the keys, as it did.
 */
function gateOf(job: OldJob): { message: string; maxWaitMs: number } | undefined {
  const { source, args: [id, ...rest] } = job;
  if (source.type !== "inline" || source.file !== GATE_FILE || id !== job.id) return undefined;
  const seconds = /^\d{1,9}$/.test(rest[0] ?? "") ? Number(rest.shift()) : GATE_WAIT_S;
  return { message: rest.join(" ") || "Awaiting human approval", maxWaitMs: seconds * 1000 };
}

// ── actions ──────────────────────────────────────────────────────────────────────────────────────

const PROGRAMS: Readonly<Record<string, string>> = { py: "python3 -u", sh: "bash" };

/** The program of a job. A shell sees only a script that is written here, and its arguments. */
function actionOf(job: OldJob, path: string, { listener, alone }: PlanOptions): Action {
  const program = PROGRAMS[path.slice(path.lastIndexOf(".") + 1)];
  const args = [...job.args];
  if (program === undefined) return { type: "file", file: path, args };
  const inFolder = job.isService || job.source.type === "zip";
  const [place, file] = inFolder ? [`cd "$1"`, dirname(path)]
    : [alone ? "true" : `cd "$TITAN_SHARED"`, ""];
  const script = `${addressFor(job, listener)}${place} && script="$TITAN_WORKDIR/$2" && shift 2 && `
    + `exec ${program} "$script" "$@"`;
  return { type: "command", argv: ["sh", "-c", script, "titan", file, path, ...args] };
}

/**
 * What a script exports before it begins. On the master's port the address is the one by which the
 * worker itself has found the master. In a service TITAN_PORT is its own port, and the original's
 * SDK reads no other variable.
 */
function addressFor(job: OldJob, { port, isMasters }: Listener): string {
  if (isMasters) {
    return 'export TITAN_HOST="${TITAN_MASTER%:*}" TITAN_PORT="${TITAN_MASTER##*:}" && ';
  }
  return job.isService ? `export TITAN_PORT=${port} && ` : "";
}

function serviceOf({ id, port, source }: OldJob): Service {
  // The original looks at the port of a script only. That of a zip may be any number.
  const check = port > 0 && source.type === "inline"
    ? { type: "tcp" as const }
    : { type: "command" as const, argv: ["true"] };
  return {
    name: id.replace(/[^A-Za-z0-9_.-]/g, "-").replace(/^[^A-Za-z0-9]/, "x"),
    deployed: false,
    port: port > 0 ? port : undefined,
    check,
    ...CHECK,
    restart: RESTART,
  };
}

// ── files ────────────────────────────────────────────────────────────────────────────────────────

/** The files of a run, each once. */
class Files {
  readonly #byPath = new Map<string, ZipFile>();
  readonly #zips = new Set<string>();
  #zipBytes = 0;
  /** By name, and then by content. */
  readonly #scripts = new Map<string, Map<string, string>>();

  get all(): readonly ZipFile[] {
    return [...this.#byPath.values()];
  }

  /** Where the file of this job is in the run's project. */
  async place({ id, source }: OldJob, { zip }: PlanOptions): Promise<string> {
    if (source.type === "inline") return this.#placeScript(source.file, source.content);
    const path = `${source.zip}/${source.entry}`;
    if (!this.#zips.has(source.zip)) {
      this.#zips.add(source.zip);
      for (const file of await zip(source.zip)) {
        const inside = `${source.zip}/${file.path}`;
        this.#byPath.set(inside, { ...file, path: inside });
        this.#zipBytes += file.content.length;
      }
      // Before the next one is read: a DAG may name any number of them.
      if (this.#zipBytes > MAX_PROJECT_BYTES) {
        const found = `${this.#zipBytes} bytes, more than ${MAX_PROJECT_BYTES}`;
        throw new OldFormatError(`Cannot run job "${id}": its DAG's zips have ${found}`);
      }
    }
    if (this.#byPath.has(path)) return path;
    throw new OldFormatError(`Cannot run job "${id}": ${source.zip} has no file ${source.entry}`);
  }

  /** Two scripts of one name are two files, unless they are the same. */
  #placeScript(file: string, content: Buffer): string {
    const same = this.#scripts.get(file) ?? new Map<string, string>();
    this.#scripts.set(file, same);
    const key = content.toString("latin1");
    const known = same.get(key);
    if (known !== undefined) return known;
    const path = `scripts${same.size === 0 ? "" : `-${same.size + 1}`}/${file}`;
    same.set(key, path);
    this.#byPath.set(path, { path, content, executable: true });
    return path;
  }
}
