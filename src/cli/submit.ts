/**
 * From a file to a run: reads the pipeline, finds a cluster for it, and submits it exactly once.
 *
 *     --master, TITAN_MASTER ──▶ that master, or exit 5
 *     neither ──▶ the default port answers ──▶ that master
 *             ├─▶ nobody listens ──▶ a cluster for this run, and we say so
 *             └─▶ anything else (no answer, an odd one, "I am full") ──▶ exit 5
 *
 * Invariants: a master that was named is the only one that is ever asked; a run goes elsewhere only
 * when it is certain that there is no master, since a frozen or full master may have what the run
 * needs, and somebody will look for the run there; a submission that may or may not have arrived is
 * repeated with the same key, so that there is one run.
 * Test: test/cli.test.ts
 */
import { randomBytes } from "node:crypto";
import { isUtf8 } from "node:buffer";
import { createReadStream } from "node:fs";
import { dirname, resolve } from "node:path";
import { hostPort } from "#base";
import type { Address } from "#host";
import type { PipelineDefinition } from "#pipeline";
import type { Client } from "#sdk";
import { MAX_SLOTS, type Submitted } from "#wire";
import type { EmbeddedCluster } from "#cluster";
import { DEFAULT_MASTER, dial, dialer, namedMaster } from "./address.ts";
import type { Call } from "./command.ts";
import { CliError, EXIT, exitCodeOf, isConnectionError, isRpcError, UsageError } from "./exit.ts";
import { reconnect } from "./follow.ts";
import { outsideStore, preloaded } from "./store-url.ts";
import { plural } from "./text.ts";

/**
 * The YAML reader takes 8 Mi characters, and none has more than 3 bytes in UTF-8. A device or a
 * pipe may have no end at all.
 */
const MAX_FILE_BYTES = 3 * 8 * 1024 * 1024;

const FILE_PROBLEMS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EISDIR: "it is a folder",
  EACCES: "permission denied",
};

export interface PipelineFile {
  readonly definition: PipelineDefinition;
  /** Relative paths in the file start here. */
  readonly folder: string;
}

/** @throws {PipelineError} with a caret under every problem */
export async function readPipelineFile(file: string): Promise<PipelineFile> {
  const { parsePipeline } = await import("#pipeline");
  const { projectFiles } = await import("./project-files.ts");
  const text = await readText(file, "pipeline");
  const folder = file === "-" ? process.cwd() : dirname(resolve(file));
  const options = { file: file === "-" ? "<stdin>" : file, project: await projectFiles(folder) };
  return { definition: parsePipeline(text, options), folder };
}

/** A file that a person wrote, or what comes from stdin. */
export async function readText(
  file: string, what: "pipeline" | "pools" | "jobs",
): Promise<string> {
  const doing = `Cannot read ${what} ${nameOf(file)}`;
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of file === "-" ? process.stdin : createReadStream(file)) {
      bytes += (chunk as Buffer).length;
      if (bytes > MAX_FILE_BYTES) break;
      chunks.push(chunk as Buffer);
    }
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    const why = FILE_PROBLEMS[code ?? ""] ?? message;
    throw new CliError(EXIT.USAGE, `${doing}: ${why}`, { cause: error });
  }
  if (bytes > MAX_FILE_BYTES) {
    throw new CliError(EXIT.USAGE, `${doing}: it is longer than ${MAX_FILE_BYTES} bytes`);
  }
  const content = Buffer.concat(chunks);
  // The lenient decoding would put a � in the place of a wrong byte, and we would submit that.
  if (!isUtf8(content)) {
    throw new CliError(EXIT.USAGE, `${doing}: it is not UTF-8 text`);
  }
  return content.toString("utf8");
}

function nameOf(file: string): string {
  if (file === "-") return "from stdin";
  return file === "" ? '""' : file;
}

/** The place where a run goes. */
export interface Target {
  readonly client: Client;
  redial(): Promise<Client>;
  /** Set when the cluster exists for this run only. */
  readonly cluster: EmbeddedCluster | undefined;
  /** Flags with which other commands reach the same master. */
  readonly where: string;
}

export async function findTarget(call: Call): Promise<Target> {
  if (call.on("embedded") && call.on("master")) {
    throw new UsageError(
      "Cannot run with --master and --embedded: " +
        "the one names a master, the other wants a new one",
    );
  }
  if (call.on("embedded")) return embed(call, "asked");
  const named = namedMaster(call);
  if (named !== undefined) {
    const flag = call.text("master");
    noteIdleFlags(call, named);
    const client = await dial(call, named);
    // A person who typed the address knows it; a variable may have been set long ago.
    if (flag === undefined) await noteMaster(call, client, named);
    const where = flag === undefined ? "" : ` --master ${flag}`;
    return { client, redial: dialer(call, named), cluster: undefined, where };
  }
  try {
    const client = await dial(call, DEFAULT_MASTER);
    noteIdleFlags(call, DEFAULT_MASTER);
    await noteMaster(call, client, DEFAULT_MASTER);
    return { client, redial: dialer(call, DEFAULT_MASTER), cluster: undefined, where: "" };
  } catch (error) {
    if (isRefused(error)) return embed(call, "nobody");
    if (exitCodeOf(error) !== EXIT.UNREACHABLE) throw error;
    const advice =
      "--embedded runs it on a cluster of its own; --master HOST:PORT or TITAN_MASTER names " +
        "another master";
    throw new CliError(EXIT.UNREACHABLE, (error as Error).message, { advice, cause: error });
  }
}

/** The system itself says that nobody listens at the port. */
function isRefused(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ((cause as { code?: unknown }).code === "ECONNREFUSED") return true;
  }
  return false;
}

/**
 * The master of another checkout may listen there: its state folder tells. Nothing depends on the
 * answer.
 */
async function noteMaster(call: Call, client: Client, master: Address): Promise<void> {
  const info = await client.info().catch(() => undefined);
  const state = info === undefined ? "" : ` (state in ${info.state})`;
  call.context.note(`titan: uses the master at ${hostPort(master)}${state}`);
}

function noteIdleFlags(call: Call, master: Address): void {
  const idle = ["workers", "slots", "tags", "state"]
    .filter((flag) => call.on(flag))
    .map((flag) => `--${flag}`);
  if (idle.length === 0) return;
  const have = idle.length > 1 ? "have" : "has";
  call.context.note(
    `titan: uses the master at ${hostPort(master)}, ` +
      `so ${idle.join(" and ")} ${have} no effect`,
  );
}

const AT = hostPort(DEFAULT_MASTER);
/** Why a cluster is started: nobody at the default port, or because it was asked for. */
const REASONS = { nobody: `no master at ${AT}; `, asked: "" } as const;

/** All jobs of a cluster for one run belong to the person who starts it, and so do these. */
const PROVIDER_ENV = ["OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL", "OPENAI_PRICE"];

async function embed(call: Call, why: keyof typeof REASONS): Promise<Target> {
  const { context } = call;
  if (call.on("detach")) {
    throw new CliError(
      EXIT.UNREACHABLE,
      "Cannot run with --detach: no master is running, " +
        "and a cluster for this run would end with this command",
      { advice: "titan up starts one that stays" },
    );
  }
  const stateDir = call.text("state");
  const workers = call.count("workers", { min: 1, max: 256 }) ?? 2;
  const kept = stateDir === undefined ? "" : `, state in ${stateDir}`;
  context.note(
    `titan: ${REASONS[why]}starting a cluster for this run (${plural(workers, "worker")}${kept})`,
  );
  // Until the watch takes over: leave nothing behind.
  let interrupted = false;
  context.onInterrupt((_signal, times) => {
    interrupted = true;
    if (times > 1) process.exit(EXIT.INTERRUPTED);
    void context.cleanUp().then(() => process.exit(EXIT.INTERRUPTED));
  });
  const url = await outsideStore(call);
  const store = await preloaded(url === undefined ? { memory: true } : { url });
  const { startEmbeddedCluster } = await import("#cluster");
  // Anybody on this machine can reach a loopback port; only we know this token.
  const token = randomBytes(24).toString("hex");
  const starting = startEmbeddedCluster({
    workers,
    slots: call.count("slots", { min: 1, max: MAX_SLOTS }),
    tags: call.tags(),
    stateDir,
    token,
    store,
    jobEnv: PROVIDER_ENV,
    // A state that is thrown away afterwards need not survive a power cut.
    durability: stateDir === undefined ? "no" : "always",
    onNote: (text) => {
      if (/ended:|restarted/.test(text) || context.debug) context.note(`titan: ${text}`);
    },
  });
  // Before the cluster has started, not after: a Ctrl-C in between would leave its folder behind.
  context.onExit(() => starting.then((cluster) => cluster.stop()));
  const cluster = await starting;
  if (interrupted) throw new CliError(EXIT.INTERRUPTED, "Cannot run: interrupted");
  const client = await dial(call, cluster.master, token);
  const where = ` --master ${hostPort(cluster.master)}`;
  return { client, redial: dialer(call, cluster.master, token), cluster, where };
}

export interface SubmitResult extends Submitted {
  readonly client: Client;
}

/**
 * Submits, and when the connection breaks before the answer, submits again: the key makes the two
 * submissions one run.
 */
export async function submitOnce(
  call: Call,
  target: Target,
  file: PipelineFile,
): Promise<SubmitResult> {
  const { cluster } = target;
  const key = call.text("key") ?? `cli-${randomBytes(12).toString("hex")}`;
  const strict = cluster !== undefined || call.on("strict");
  const needsTags = file.definition.jobs.some((job) => job.requirement.length > 0);
  // No other worker will join our own cluster: what its workers cannot run can never run. So the
  // workers must be there before the master is asked.
  if (cluster !== undefined && needsTags) await cluster.ready;
  let { client } = target;
  for (let tries = 1; ; tries++) {
    try {
      const options = { key, strict, projectDir: file.folder, by: call.context.person };
      return { ...(await client.submit(file.definition, options)), client };
    } catch (error) {
      if (cluster !== undefined && isRpcError(error, "UNSCHEDULABLE")) {
        throw new CliError(EXIT.UNSCHEDULABLE, (error as Error).message, {
          advice: "on a cluster for this run, --tags TAG,TAG gives its workers capabilities",
        });
      }
      if (!isConnectionError(error)) throw tries === 1 ? error : unsure(error, key);
      const what = isRpcError(error, "DEADLINE")
        ? "the master has not answered yet"
        : "the connection broke before the master had answered";
      const why = (error as Error).message;
      call.context.note(`titan: ${what} (${why}); submitting again with the same key`);
      client.close();
      client = await reconnect(target).catch((gone: unknown) => {
        throw unsure(gone, key);
      });
    }
  }
}

/** An earlier try may have made a run, or may make one yet: only its key tells. */
function unsure(error: unknown, key: string): CliError {
  const advice =
    "whether an earlier try was accepted is not known: " +
    `the same command with --key ${key} finds out`;
  return new CliError(exitCodeOf(error), (error as Error).message, { advice, cause: error });
}
