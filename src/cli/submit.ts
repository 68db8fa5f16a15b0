/**
 * From a file to a run: reading the pipeline, finding a cluster for it, and submitting it exactly once.
 *
 *     --master, TITAN_MASTER ──▶ that master, or exit 5
 *     neither ──▶ the default port answers ──▶ that master
 *             └─▶ nobody there ──▶ a cluster for this run, and we say so
 *
 * Invariants: a master that was named is the only one that is ever asked; a submission that may or may not have arrived is
 * repeated with the same key, so that there is one run.
 * Test: test/cli.test.ts
 */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { PipelineDefinition } from "#pipeline";
import type { Client } from "#sdk";
import type { Submitted } from "#wire";
import { addressText, DEFAULT_MASTER, dial, dialer, namedMaster } from "./address.ts";
import type { EmbeddedCluster } from "./cluster.ts";
import type { Call } from "./command.ts";
import { CliError, EXIT, exitCodeOf, isConnectionError } from "./exit.ts";
import { reconnect } from "./follow.ts";

export interface PipelineFile {
  readonly definition: PipelineDefinition;
  /** Relative paths in it start here. */
  readonly folder: string;
}

/** @throws {PipelineError} with a caret under every problem */
export async function readPipelineFile(file: string): Promise<PipelineFile> {
  const { parsePipeline } = await import("#pipeline");
  const text = readText(file);
  const folder = file === "-" ? process.cwd() : dirname(resolve(file));
  return { definition: parsePipeline(text, { file: file === "-" ? "<stdin>" : file }), folder };
}

function readText(file: string): string {
  try {
    return readFileSync(file === "-" ? 0 : file, "utf8");
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    const why = code === "ENOENT" ? "there is no such file" : code === "EISDIR" ? "it is a folder" : code === "EACCES" ? "permission denied" : message;
    throw new CliError(EXIT.USAGE, `Cannot read pipeline ${file === "-" ? "from stdin" : file}: ${why}`, { cause: error });
  }
}

/** Where a run goes. */
export interface Target {
  readonly client: Client;
  redial(): Promise<Client>;
  /** Set when it exists for this run only. */
  readonly cluster: EmbeddedCluster | undefined;
  /** Flags with which other commands reach the same master. */
  readonly where: string;
}

export async function findTarget(call: Call): Promise<Target> {
  const named = namedMaster(call);
  if (named !== undefined) {
    const flag = call.text("master");
    return { client: await dial(call, named), redial: dialer(call, named), cluster: undefined, where: flag === undefined ? "" : ` --master ${flag}` };
  }
  try {
    const client = await dial(call, DEFAULT_MASTER);
    const idle = ["workers", "slots", "tags", "state"].filter((flag) => call.on(flag)).map((flag) => `--${flag}`);
    if (idle.length > 0) call.context.note(`titan: uses the master at ${addressText(DEFAULT_MASTER)}, so ${idle.join(" and ")} ${idle.length > 1 ? "have" : "has"} no effect`);
    return { client, redial: dialer(call, DEFAULT_MASTER), cluster: undefined, where: "" };
  } catch (error) {
    if (exitCodeOf(error) !== EXIT.UNREACHABLE) throw error;
    return embed(call, error as Error);
  }
}

async function embed(call: Call, nobody: Error): Promise<Target> {
  const { context } = call;
  const stateDir = call.text("state");
  const workers = call.count("workers", { min: 1, max: 256 }) ?? 2;
  const why = /not a Titan master/.test(nobody.message) ? "what answers" : "no master";
  context.note(`titan: ${why} at ${addressText(DEFAULT_MASTER)}${why === "no master" ? "" : " is no Titan master"}; starting a cluster for this run (${workers} workers${stateDir === undefined ? "" : `, state in ${stateDir}`})`);
  const { startEmbeddedCluster } = await import("./cluster.ts");
  // Anybody on this machine can reach a loopback port; only we know this.
  const token = randomBytes(24).toString("hex");
  const cluster = await startEmbeddedCluster({
    workers, slots: call.count("slots", { min: 1, max: 4096 }), tags: call.tags(), stateDir, token,
    durability: stateDir === undefined ? "no" : "always", // what is thrown away need not survive a power cut
    onNote: (text) => {
      if (/ended:|restarted/.test(text) || context.debug) context.note(`titan: ${text}`);
    },
  });
  context.onExit(() => cluster.stop());
  const client = await dial(call, cluster.master, token);
  return { client, redial: dialer(call, cluster.master, token), cluster, where: ` --master ${addressText(cluster.master)}` };
}

export interface SubmitResult extends Submitted {
  readonly client: Client;
}

/** Submits, and when the connection breaks before the answer, submits again: the key makes the two one run. */
export async function submitOnce(call: Call, target: Target, file: PipelineFile): Promise<SubmitResult> {
  const { cluster } = target;
  const key = call.text("key") ?? `cli-${randomBytes(12).toString("hex")}`;
  const strict = cluster !== undefined || call.on("strict");
  // On our own cluster nobody else will join: what its workers cannot run can never run. But first they must be there.
  if (cluster !== undefined && file.definition.jobs.some((job) => job.requirement.length > 0)) await cluster.ready;
  let { client } = target;
  for (;;) {
    try {
      return { ...(await client.submit(file.definition, { key, strict, projectDir: file.folder })), client };
    } catch (error) {
      if (!isConnectionError(error)) throw error;
      call.context.note(`titan: the connection broke before the master had answered (${(error as Error).message}); submitting again with the same key`);
      client.close();
      client = await reconnect(target);
    }
  }
}
