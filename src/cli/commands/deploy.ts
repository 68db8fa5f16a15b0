/**
 * `titan deploy`: a service of its own, by a name that the whole cluster knows.
 *
 * Test: test/14-services.cli.test.ts
 */
import { basename, dirname, isAbsolute, relative, resolve } from "node:path";
import type { Client, PipelineDefinition } from "#sdk";
import { isTerminal, MAX_REPLICAS } from "#wire";
import { openClient } from "../address.ts";
import type { Call, Command } from "../command.ts";
import { EXIT, UsageError } from "../exit.ts";
import { shellWord } from "../text.ts";
import { untilReady } from "../until-ready.ts";

/** Most services are ready within seconds; one that is not by then deserves a look. */
export const DEFAULT_WAIT_MS = 120_000;

export const deploy: Command = {
  name: "deploy",
  summary: "start a service that stays, or a new version of it, and wait until it is ready",
  usage: "FILE|-- PROGRAM [ARGS]",
  args: [1, 10_000],
  dashArgs: true,
  flags: {
    name: { type: "string", value: "NAME", summary: "what it is called (default: as the program)" },
    port: {
      type: "string", value: "P",
      summary: "its port (default: a free one of the worker's range, in TITAN_PORT)",
    },
    replicas: {
      type: "string", value: "R",
      summary: "how many of it (default 1, or as many as there are)",
    },
    tags: { type: "string", value: "TAG,TAG", summary: "what its workers must have, such as GPU" },
    http: {
      type: "string", value: "PATH",
      summary: "it is ready when GET of this path answers 2xx (default: when its port is open)",
    },
    detach: { type: "boolean", short: "d", summary: "do not wait until it is ready" },
    timeout: {
      type: "string", value: "TIME",
      summary: "wait no longer than this (default 2m): exit 124, and it goes on; " +
        "a new version is given up: exit 3",
    },
  },
  notes: [
    "FILE is shipped with the folder around it, as for titan run. A program behind -- is seen by " +
      "no shell: write sh -c '…' for variables.",
    "The service is restarted when it ends, moves when its worker dies, and outlives this " +
      "command. titan stop NAME ends it. For health checks of other kinds, restart policies and " +
      "services beside jobs, write a pipeline with type: service.",
    "If the name is in use, this is an update: the new version starts beside the old one, takes " +
      "over when all its replicas are ready, and then the old one is stopped. If it is not ready " +
      "in time the old one goes on, and titan rollback NAME goes back later. The master does " +
      "this, whatever becomes of this command.",
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
  const client = await openClient(call);
  const { definition, folder } = await serviceOf(call, client);
  const { name } = definition;
  const submitted = await client.submit(definition, {
    projectDir: folder, deploy: true, by: context.person, updateMs: timeoutMs,
  });
  for (const warning of submitted.warnings) context.note(`titan: warning: ${warning}`);
  const { run: id, replaces } = submitted;
  if (replaces !== "" && !call.json) {
    context.note(`titan: ${id} is to take the place of ${replaces}, when it is ready`);
  }
  if (call.on("detach")) {
    if (call.json) context.json({ name, run: id, ...(replaces && { replaces }), services: [] });
    else context.out(id);
    return EXIT.OK;
  }
  const until = replaces === "" ? { timeoutMs } : { replaces };
  return untilReady(call, { client, run: id, name, ...until });
}

// ── the service ──────────────────────────────────────────────────────────────────────────────────

async function serviceOf(
  call: Call, client: Client,
): Promise<{ definition: PipelineDefinition; folder: string }> {
  const [first = "", ...rest] = call.args;
  const port = call.count("port", { min: 1, max: 65_535 });
  const asked = call.count("replicas", { min: 1, max: MAX_REPLICAS });
  const tags = call.tags() ?? [];
  const http = call.text("http");
  const { definePipeline } = await import("#pipeline");
  const { folder, action } = call.literal ? programOf(call.args) : fileOf(first, rest);
  const name = call.text("name") ?? nameFrom(first);
  const replicas = asked ?? (await replicasNow(client, name));
  const job = {
    id: name,
    type: "service",
    ...action,
    ...(port !== undefined && { port }),
    ...(replicas !== undefined && { replicas }),
    ...(tags.length > 0 && { requirement: tags }),
    ...(http !== undefined && { healthcheck: { http } }),
  };
  const { projectFiles } = await import("../project-files.ts");
  const options = { file: "titan deploy", project: await projectFiles(folder) };
  return { definition: definePipeline({ name, jobs: [job] }, options), folder };
}

/** As many as the version has whose place it takes: somebody may have scaled that one. */
async function replicasNow(client: Client, name: string): Promise<number | undefined> {
  const rows = (await client.services()).filter((row) =>
    row.deployed && row.current && row.name === name && !isTerminal(row.status) && !row.leaving);
  return rows.length > 1 ? rows.length : undefined;
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
  if (file === "") {
    throw new UsageError('Cannot deploy "": expected a file (a variable that is not set?)');
  }
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
  throw new UsageError(`Cannot deploy ${shellWord(program)}: it needs a name (--name NAME)`);
}
