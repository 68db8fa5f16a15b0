/**
 * `titan deploy`: a service of its own, by a name that the whole cluster knows.
 *
 * Test: test/14-services.cli.test.ts
 */
import { basename, dirname, isAbsolute, relative, resolve } from "node:path";
import type { Client, PipelineDefinition } from "#sdk";
import { MAX_REPLICAS, type JobInfo, type ServiceInfo } from "#wire";
import { openMaster } from "../address.ts";
import type { Call, Command } from "../command.ts";
import { EXIT, UsageError } from "../exit.ts";
import { addressOf } from "../service-view.ts";
import { lastLines } from "../summary.ts";
import { durationText, oneLine, printable } from "../text.ts";

/** Most services are ready within seconds; one that is not by then deserves a look. */
const DEFAULT_WAIT_MS = 120_000;

export const deploy: Command = {
  name: "deploy",
  summary: "start a service that stays, and wait until it is ready",
  usage: "FILE|-- PROGRAM [ARGS]",
  args: [1, 10_000],
  dashArgs: true,
  flags: {
    name: { type: "string", value: "NAME", summary: "what it is called (default: as the program)" },
    port: {
      type: "string", value: "P",
      summary: "its port (default: a free one of the worker's range, in TITAN_PORT)",
    },
    replicas: { type: "string", value: "R", summary: "how many of it (default 1)" },
    tags: { type: "string", value: "TAG,TAG", summary: "what its workers must have, such as GPU" },
    http: {
      type: "string", value: "PATH",
      summary: "it is ready when GET of this path answers 2xx (default: when its port is open)",
    },
    detach: { type: "boolean", short: "d", summary: "do not wait until it is ready" },
    timeout: {
      type: "string", value: "TIME",
      summary: "wait no longer than this (default 2m): exit 124, and it goes on",
    },
  },
  notes: [
    "FILE is shipped with the folder around it, as for titan run. A program behind -- is seen by " +
      "no shell: write sh -c '…' for variables.",
    "The service is restarted when it ends, moves when its worker dies, and outlives this " +
      "command. titan stop NAME ends it. For health checks of other kinds, restart policies and " +
      "services beside jobs, write a pipeline with type: service.",
    "Exit codes: 0 ready · 3 it failed · 124 not ready in time (it goes on).",
  ],
  examples: [
    "titan deploy server.py --port 8080",
    "titan deploy --name docs -- sh -c 'exec python3 -m http.server $TITAN_PORT'",
    "titan deploy api.js --replicas 3 --http /health",
  ],
  run,
};

async function run(call: Call): Promise<number> {
  const { context } = call;
  const timeoutMs = (await call.durationMs("timeout")) ?? DEFAULT_WAIT_MS;
  const { definition, folder } = await serviceOf(call);
  const client = await openMaster(call);
  const submitted = await client.submit(definition, {
    projectDir: folder, deploy: true, by: context.person,
  });
  for (const warning of submitted.warnings) context.note(`titan: warning: ${warning}`);
  const { run: id } = submitted;
  if (call.on("detach")) {
    if (call.json) context.json({ name: definition.name, run: id, services: [] });
    else context.out(id);
    return EXIT.OK;
  }
  return untilReady(call, { client, run: id, name: definition.name, timeoutMs });
}

// ── the service ──────────────────────────────────────────────────────────────────────────────────

async function serviceOf(
  call: Call,
): Promise<{ definition: PipelineDefinition; folder: string }> {
  const [first = "", ...rest] = call.args;
  const port = call.count("port", { min: 1, max: 65_535 });
  const replicas = call.count("replicas", { min: 1, max: MAX_REPLICAS });
  const tags = call.tags() ?? [];
  const http = call.text("http");
  const { definePipeline } = await import("#pipeline");
  const { folder, action } = call.literal ? programOf(call.args) : fileOf(first, rest);
  const name = call.text("name") ?? nameFrom(first);
  const job = {
    id: name,
    type: "service",
    ...action,
    ...(port !== undefined && { port }),
    ...(replicas !== undefined && { replicas }),
    ...(tags.length > 0 && { requirement: tags }),
    ...(http !== undefined && { healthcheck: { http } }),
  };
  return { definition: definePipeline({ name, jobs: [job] }, { file: "titan deploy" }), folder };
}

interface Shipped {
  readonly folder: string;
  readonly action: object;
}

function programOf(argv: readonly string[]): Shipped {
  return { folder: process.cwd(), action: { command: [...argv] } };
}

/** A file of the current folder is shipped with all of it; another one with the folder it is in. */
function fileOf(file: string, args: readonly string[]): Shipped {
  if (/\.ya?ml$/.test(file)) {
    throw new UsageError(
      `Cannot deploy ${file}: it is a pipeline`, `titan run ${file} starts its services, too`,
    );
  }
  const path = resolve(file);
  const inside = relative(process.cwd(), path);
  const isOurs = inside !== "" && !inside.startsWith("..") && !isAbsolute(inside);
  const folder = isOurs ? process.cwd() : dirname(path);
  return { folder, action: { file: isOurs ? inside : basename(path), args: [...args] } };
}

/** `app/server.py` is "server". */
function nameFrom(program: string): string {
  const name = basename(program).replace(/\.[^.]+$/, "").replace(/[^A-Za-z0-9_.-]+/g, "-");
  const clean = name.replace(/^[^A-Za-z0-9]+|-$/g, "");
  if (clean !== "") return clean;
  throw new UsageError(`Cannot deploy ${program}: it needs a name (--name NAME)`);
}

// ── until it is ready ────────────────────────────────────────────────────────────────────────────

interface Waiting {
  readonly client: Client;
  readonly run: string;
  readonly name: string;
  readonly timeoutMs: number;
}

/** Follows the replicas of the one service of a run. */
async function untilReady(call: Call, waiting: Waiting): Promise<number> {
  const { context } = call;
  const { client, run: id, name, timeoutMs } = waiting;
  const leaving = new AbortController();
  let why: "time" | "interrupted" | undefined;
  const leave = (reason: typeof why): void => {
    why = reason;
    leaving.abort();
  };
  context.onInterrupt((_signal, times) => {
    if (times > 1) process.exit(EXIT.INTERRUPTED);
    leave("interrupted");
  });
  const timer = setTimeout(() => leave("time"), timeoutMs);
  const replicas = new Replicas(call);
  try {
    for await (const event of client.watch(id, { signal: leaving.signal })) {
      if (event.type === "snapshot") {
        for (const job of event.jobs) replicas.take(job.id, job);
      }
      if (event.type === "job") replicas.take(event.job, event.change);
      if (event.type !== "job") {
        if (event.run.status === "SERVING") return await ready(call, waiting);
        if (event.run.status !== "RUNNING") return await failed(call, waiting);
      }
    }
  } catch (error) {
    if (why === undefined) throw error;
  } finally {
    clearTimeout(timer);
  }
  const reason = why === "time" ? `not ready after ${durationText(timeoutMs)}` : "interrupted";
  const next = `titan services shows it, titan stop ${name} ends it`;
  context.note(`titan: ${reason}; ${name} goes on (${next})`);
  if (why === "time") await showOutput(call, waiting, replicas.last ?? name);
  return why === "time" ? EXIT.TIMED_OUT : EXIT.INTERRUPTED;
}

/** Says what happens to each replica, once. */
class Replicas {
  readonly #call: Call;
  readonly #said = new Map<string, string>();
  /** The replica of which something was said last. */
  last: string | undefined;

  constructor(call: Call) {
    this.#call = call;
  }

  take(job: string, row: Pick<JobInfo, "service" | "worker">): void {
    const { service, worker } = row;
    if (service === undefined) return;
    const text = textOf(service, worker);
    if (this.#said.get(job) === text) return;
    this.#said.set(job, text);
    this.last = job;
    if (!this.#call.json) this.#call.context.note(`titan: ${job} ${text}`);
  }
}

function textOf(service: ServiceInfo, worker: string): string {
  const { phase, reason } = service;
  const why = reason === "" ? "" : `: ${oneLine(reason)}`;
  if (phase === "READY") return `is ready at ${addressOf(service)}`;
  if (phase === "STARTING") return `is starting on ${worker}`;
  return `is ${phase.toLowerCase()}${why}`;
}

async function ready(call: Call, { client, run: id, name }: Waiting): Promise<number> {
  const { context } = call;
  const { jobs } = await client.status(id);
  if (call.json) {
    const rows = jobs.map(({ id: job, worker, service }) => ({
      job, worker, host: service?.host ?? null, port: service?.port ?? null,
      pid: service?.pid ?? null, state: service?.phase ?? null,
    }));
    context.json({ name, run: id, services: rows });
    return EXIT.OK;
  }
  for (const job of jobs) {
    context.out(`${job.id} ${addressOf(job.service)} on ${job.worker}, pid ${job.service?.pid}`);
  }
  return EXIT.OK;
}

async function failed(call: Call, waiting: Waiting): Promise<number> {
  const { client, run: id, name } = waiting;
  const { run: info, jobs } = await client.status(id);
  const bad = jobs.find(({ failure }) => failure !== undefined) ?? jobs[0]!;
  const why = bad.failure === undefined ? info.status : printable(bad.failure.message);
  call.context.note(`titan: ${name} failed: ${why}`);
  await showOutput(call, waiting, bad.id);
  if (call.json) call.context.json({ name, run: id, status: info.status, services: [] });
  return EXIT.RUN_FAILED;
}

/** The last words of a service say most. */
async function showOutput(call: Call, { client, run: id }: Waiting, job: string): Promise<void> {
  const lines = await lastLines(client, { run: id, job });
  for (const line of lines ?? []) call.context.note(`  | ${printable(line)}`);
  call.context.note(`  all of it: titan logs ${id}/${job}`);
}

