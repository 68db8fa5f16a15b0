/**
 * Runs and jobs for old clients: submit, ask, read, cancel.
 *
 *     ours                                              theirs
 *     PENDING                                           PENDING
 *     RUNNING, WAITING for a person                     RUNNING
 *     COMPLETED, a service that works                   COMPLETED
 *     FAILED, DEAD                                      DEAD
 *     CANCELLED, SKIPPED, asked to end                  CANCELLED
 *     a run: SERVING as COMPLETED, FAILED as DEAD       NULL: nobody knows this id
 *            PAUSED as RUNNING
 *
 * Test: test/dialect.cluster.test.ts
 */
import { isTerminal } from "#core";
import { packFiles } from "#project";
import { RpcError, type Client, type JobInfo, type RunInfo } from "#sdk";
import {
  bareId, dagId, OldFormatError, parseDag, parseJob, type OldJob, type OldSource,
} from "./jobs.ts";
import type { OldGates } from "./gates.ts";
import { VERSIONS, type Meant } from "./names.ts";
import type { Parts } from "./parts.ts";
import { circleOf, failingJobs, planJobs, runName } from "./plan.ts";
import { readZip, type ZipFile } from "./zip.ts";

/** The original keeps as many in memory. */
const LOG_LINES = 100;
/** Of output, from its end: a hundred lines of ten thousand characters. */
const LOG_BYTES = 1024 * 1024;
/** Attempts that are looked through for a hundred lines. The original makes four. */
const LOG_ATTEMPTS = 10;
/** Of a worker program in Java, which this cluster cannot use. */
const JAR = /\.jar$/i;

export class OldRuns {
  readonly #parts: Parts;
  readonly #gates: OldGates;
  /** The last submission with a zip. */
  #unpacking: Promise<void> = Promise.resolve();

  constructor(parts: Parts, gates: OldGates) {
    this.#parts = parts;
    this.#gates = gates;
  }

  // ── submit ─────────────────────────────────────────────────────────────────────────────────────

  async submitDag(body: string): Promise<string> {
    await this.#submit(parseDag(body), { alone: false });
    return "DAG_ACCEPTED";
  }

  async submitJob(body: string): Promise<string> {
    const job = parseJob(body);
    await this.#submit([{ ...job, id: job.id ?? this.#newId("") }], { alone: true });
    return "JOB_ACCEPTED";
  }

  /** RUN: `file|tag`, of the scripts that were sent before. */
  async runFile(body: string): Promise<string> {
    const [file = "", tag = ""] = body.split("|", 2).map((field) => field.trim());
    if (file === "") return "ERROR: Missing filename";
    const content = await this.#parts.scripts.read(file);
    if (content === undefined) return "ERROR: File not found recursively in perm_files";
    const [id, requirement] = [this.#newId("TSK-"), tag || "GENERAL"];
    await this.#submitFile({ id, requirement, source: { type: "inline", file, content } });
    return `JOB_QUEUED${id} on ${requirement}`;
  }

  /** DEPLOY: `file|port|tag`, as a service. */
  async deployFile(body: string): Promise<string> {
    const [file = "", port = "", tag = ""] = body.split("|", 3).map((field) => field.trim());
    const content = await this.#parts.scripts.read(file);
    if (content === undefined) return "ERROR: File not found in perm_files";
    if (!/^\d{0,5}$/.test(port) || Number(port) > 65_535) return `ERROR: "${port}" is no port`;
    const service = { isService: true, port: Number(port) };
    const source = { type: "inline", file, content } as const;
    const requirement = tag || "GENERAL";
    await this.#submitFile({ id: this.#newId("TSK-"), requirement, source, ...service });
    return "DEPLOY_QUEUED";
  }

  async #submitFile(
    job: Pick<OldJob, "id" | "source" | "requirement"> & Partial<OldJob>,
  ): Promise<void> {
    const usual = { isService: false, args: [], port: 0, priority: 1, delayMs: 0 };
    const alone = { parents: [], affinity: false };
    await this.#submit([{ ...usual, ...alone, ...job }], { alone: true });
  }

  #newId(prefix: string): string {
    const hex = Buffer.from(this.#parts.host.random.bytes(16)).toString("hex");
    return prefix + hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  }

  async #submit(jobs: readonly OldJob[], { alone }: { alone: boolean }): Promise<void> {
    for (const { id, source } of jobs) checkSource(id, source);
    const client = await this.#parts.client();
    const version = alone ? VERSIONS.alone : VERSIONS.dag;
    const head = { name: runName(jobs), version };
    const circle = circleOf(jobs);
    if (circle !== undefined) {
      await client.submitSpec({ ...head, project: undefined, jobs: failingJobs(jobs, circle) });
      return;
    }
    // The files of zips may take memory, so two such submissions are made one after the other.
    const submit = (): Promise<void> => this.#submitPlan(client, { jobs, alone, head });
    if (!jobs.some(({ source }) => source.type === "zip")) return submit();
    const done = this.#unpacking.then(submit);
    this.#unpacking = done.catch(() => undefined);
    return done;
  }

  async #submitPlan(
    client: Client,
    { jobs, alone, head }: {
      jobs: readonly OldJob[]; alone: boolean; head: { name: string; version: string };
    },
  ): Promise<void> {
    const plan = await planJobs(jobs, {
      listener: this.#parts.listener,
      alone,
      zip: (name) => this.#zip(name),
      hasCompleted: async (id) => (await this.status(dagId(id))) === "COMPLETED",
    });
    const project = plan.files.length === 0 ? undefined
      : await client.shipPacked(await packFiles(this.#parts.host, plan.files));
    await this.#gates.announce(plan.gates);
    await client.submitSpec({ ...head, project, jobs: plan.jobs });
  }

  async #zip(name: string): Promise<ZipFile[]> {
    const bytes = await this.#parts.uploads.read(name);
    if (bytes !== undefined) return readZip(bytes);
    throw new OldFormatError(`Cannot find ${name} among the uploads: upload it first`);
  }

  // ── ask ────────────────────────────────────────────────────────────────────────────────────────

  async status(id: string): Promise<string> {
    const found = await this.find(id);
    if (found === undefined) return "NULL";
    return found.meant.isRun ? RUN_WORDS[found.run.status] : statusWord(found.job);
  }

  /** What an id means, and how it is. Undefined: nobody knows it (any more). */
  async find(id: string): Promise<Found | undefined> {
    const { names, manifest } = this.#parts;
    const meant = names.find(id) ?? namedDag(manifest.jobsOf(id).map((job) => names.find(job)));
    if (meant === undefined) return undefined;
    const client = await this.#parts.client();
    try {
      const { run, jobs } = await client.status(meant.run, meant.job);
      return { meant, run, job: jobs[0]! };
    } catch (error) {
      if (error instanceof RpcError && error.code === "NOT_FOUND") return undefined;
      throw error;
    }
  }

  /** The last lines of a job: of all its attempts, as the original has one log for them. */
  async logs(id: string): Promise<Buffer> {
    const found = await this.find(id);
    if (found === undefined || found.meant.isRun) return Buffer.alloc(0);
    const { meant: { run }, job } = found;
    const client = await this.#parts.client();
    let lines: string[] = [];
    const oldest = Math.max(1, job.attempt - LOG_ATTEMPTS + 1);
    for (let at = job.attempt; at >= oldest && lines.length < LOG_LINES; at--) {
      lines = [...await lastLines(client, { run, job: job.id, attempt: at }), ...lines];
    }
    // A job that has printed nothing may have failed before its program began.
    if (lines.length === 0 && job.failure !== undefined) lines = [job.failure.message];
    // Output of other encodings is shown with replacement characters, as the original shows it.
    return Buffer.from(lines.slice(-LOG_LINES).join("\n"));
  }

  /** The answer is the truth: the original says NOT_FOUND of queued jobs that it has cancelled. */
  async cancel(id: string): Promise<string> {
    const found = await this.find(id.trim());
    if (found === undefined) return "NOT_FOUND";
    const { run, job, isRun } = found.meant;
    const touched = await (await this.#parts.client()).cancel(run, isRun ? undefined : job);
    return touched > 0 ? "CANCELLED" : "NOT_FOUND";
  }

  async stop(id: string): Promise<string> {
    if (id === "") return "ERROR: Missing Service ID";
    const client = await this.#parts.client();
    const live = await this.liveServices(client);
    const service = live.find((row) => row.id === id);
    if (service === undefined) {
      const keys = live.map((row) => row.id).join(", ");
      return `ERROR: Service ${id} not found in liveServiceMap. Current keys: [${keys}]`;
    }
    await client.stop(`${service.run}/${service.job}`, { by: "titan 1" });
    return `STOPPED: ${id}`;
  }

  /** Services that old clients can name, and the workers that run them. */
  async liveServices(
    client: Client,
  ): Promise<{ id: string; run: string; job: string; worker: string }[]> {
    const rows = (await client.services()).filter(({ status, service }) =>
      service !== undefined && !isTerminal(status));
    return rows.flatMap(({ run, job, worker }) => {
      const id = this.#parts.names.idOf(run, job);
      return id === undefined ? [] : [{ id, run, job, worker }];
    });
  }
}

interface Found {
  readonly meant: Meant;
  readonly run: RunInfo;
  readonly job: JobInfo;
}

const RUN_WORDS: Readonly<Record<RunInfo["status"], string>> = {
  RUNNING: "RUNNING", COMPLETED: "COMPLETED", FAILED: "DEAD", CANCELLED: "CANCELLED",
  SERVING: "COMPLETED", PAUSED: "RUNNING",
};

/** How a job is, in the words of old clients. */
export function statusWord({ status, cancelling, service }: {
  readonly status: JobInfo["status"];
  readonly cancelling: boolean;
  readonly service?: { readonly phase: string } | undefined;
}): string {
  if (cancelling || status === "SKIPPED") return "CANCELLED";
  if (status === "WAITING") return "RUNNING";
  if (status === "FAILED") return "DEAD";
  const works = service?.phase === "READY" || service?.phase === "UNHEALTHY";
  return status === "RUNNING" && works ? "COMPLETED" : status;
}

/** The run of these jobs, as far as they are known. */
function namedDag(jobs: readonly (Meant | undefined)[]): Meant | undefined {
  const known = jobs.find((job) => job !== undefined);
  return known && { ...known, isRun: true };
}

function checkSource(id: string, source: OldSource): void {
  if (source.type !== "inline" || !JAR.test(source.file)) return;
  const why = `${source.file} is a program of Java, and workers of this cluster are "titan worker"`;
  throw new OldFormatError(`Cannot run job "${bareId(id)}": ${why}`);
}

async function lastLines(
  client: Client, { run, job, attempt }: { run: string; job: string; attempt: number },
): Promise<string[]> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const { data } of client.logs(run, job, { attempt, lastBytes: LOG_BYTES })) {
      chunks.push(data);
      bytes += data.length;
      while (bytes - chunks[0]!.length > LOG_BYTES) bytes -= chunks.shift()!.length;
    }
  } catch (error) {
    // Output of an attempt that is not kept any more.
    if (!(error instanceof RpcError) || error.code !== "NOT_FOUND") throw error;
  }
  const text = Buffer.concat(chunks).toString("utf8");
  return text === "" ? [] : text.replace(/\n$/, "").split("\n");
}
