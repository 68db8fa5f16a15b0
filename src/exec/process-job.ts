/**
 * Lesson 11: from a job's description to a program, its arguments, its environment and its folder.
 *
 *     <sharedRoot>/<cluster>/<run>      TITAN_SHARED, for all jobs of the run on this machine
 *     <workDir>/<run>/<job>.<attempt>   TITAN_WORKDIR, where the program starts
 *         .titan-output                 TITAN_OUTPUT: what the job writes here is its result
 *         .titan-inputs.json            TITAN_INPUTS: {"parent": result}, only if there are any
 *         .titan-script.*               a script that no argument can carry
 *         <every entry of the project, as a copy: all that is here is the job's own>
 *
 * TITAN_RUN, TITAN_JOB, TITAN_ATTEMPT and TITAN_WORKER name the attempt; TITAN_MASTER (host:port)
 * and TITAN_STORE (redis://…, if the cluster has a store) are the addresses of the cluster;
 * TITAN_TOKEN is the job's own credential, which is good for its run alone (lesson 18).
 *
 * Test: test/11-worker.exec.test.ts
 */
import { join } from "node:path";
import { scriptRunner, type Runtime } from "./runtime.ts";
import { safeName } from "./safe-name.ts";
import { sharedFolder } from "./shared-runs.ts";
import type { ExecRequest } from "./types.ts";

const OUTPUT_FILE = ".titan-output";
const INPUTS_FILE = ".titan-inputs.json";
const SCRIPT_FILE = ".titan-script";
/** Half of what Linux passes in one argument (MAX_ARG_STRLEN): a longer script is a file. */
const MAX_ARGUMENT_BYTES = 64 * 1024;
/** The first release lines of Node that run TypeScript without a flag. */
const TYPESCRIPT_SINCE = [
  [22, 18],
  [23, 6],
] as const;
/** Where the files of an attempt are. */
export interface JobPaths {
  readonly folder: string;
  readonly shared: string;
  readonly output: string;
  readonly inputs: string;
}

/**
 * `sharedRoot`: a folder that all executors of this machine use. Without it, or without a cluster's
 * id, a run shares its folder within one executor only.
 */
export function jobPaths(workDir: string, request: ExecRequest, sharedRoot?: string): JobPaths {
  const run = join(workDir, safeName(request.run));
  const folder = join(run, `${safeName(request.job)}.${request.attempt}`);
  const id = request.cluster?.id;
  const shared = sharedRoot === undefined || id === undefined
    ? join(run, "shared")
    : sharedFolder(sharedRoot, id, request.run);
  return { folder, shared, output: join(folder, OUTPUT_FILE), inputs: join(folder, INPUTS_FILE) };
}

/** The program of an action, or the reason why this worker cannot run it. */
export function commandOf(
  action: ExecRequest["action"], node: Runtime,
): readonly string[] | { unsupported: string } {
  if (action.type === "command") return action.argv;
  if (action.type === "shell") return shellCommand(action, node);
  if (action.type === "call") return { unsupported: "a call is not a program" };
  const { file, args } = action;
  // A leading dash would be read as an option, and a bare name be looked for in PATH.
  const path = file.startsWith("/") ? file : `./${file}`;
  const ending = /\.[^./]+$/.exec(file)?.[0];
  switch (ending) {
    case ".py":
      return ["python3", path, ...args];
    case ".sh":
      return ["sh", path, ...args];
    case ".js":
    case ".mjs":
    case ".cjs":
      return [...scriptRunner(node), path, ...args];
    case ".ts":
    case ".mts":
    case ".cts":
      if (!runsTypeScript(node.version)) return { unsupported: noTypeScript(file, node.version) };
      return [...scriptRunner(node), path, ...args];
    default:
      return [path, ...args];
  }
}

type ShellAction = Extract<ExecRequest["action"], { type: "shell" }>;

// #region shellCommand
/** The program that runs a script, and ends at the first line that fails. */
function shellCommand(action: ShellAction, node: Runtime): ReturnType<typeof commandOf> {
  const { shell = "sh", script } = action;
  const file = scriptFile(action)?.name;
  if (file !== undefined && (shell === "python3" || shell === "node")) {
    return commandOf({ type: "file", file, args: [] }, node);
  }
  // Without -e, a script goes on after a failed command, and only its last command decides.
  const strict = shell === "bash" ? ["bash", "-e", "-o", "pipefail"] : ["sh", "-e"];
  if (file !== undefined) return [...strict, `./${file}`];
  // The script follows -c. A blank before it keeps a leading dash from looking like an option.
  return [...strict, "-c", /^[-+]/.test(script) ? ` ${script}` : script];
}
// #endregion

/**
 * The file that a script is written to before it runs; undefined for one that travels as an
 * argument. A traceback of Python or Node names the file and shows the line; for an argument it
 * could only say "<string>".
 */
export function scriptFile(
  action: ExecRequest["action"],
): { name: string; text: string } | undefined {
  if (action.type !== "shell") return undefined;
  const { shell = "sh", script } = action;
  if (shell === "python3") return { name: `${SCRIPT_FILE}.py`, text: script };
  // It is a module, so it may import and await, whatever the project's package.json says.
  if (shell === "node") return { name: `${SCRIPT_FILE}.mjs`, text: script };
  if (Buffer.byteLength(script) <= MAX_ARGUMENT_BYTES) return undefined;
  return { name: `${SCRIPT_FILE}.sh`, text: script };
}

/**
 * Whether this version of Node (as in `process.version`) runs TypeScript without being asked to.
 */
export function runsTypeScript(version: string): boolean {
  const [major, minor] = version.replace(/^v/, "").split(".").map(Number) as [number, number];
  if (major > 23) return true;
  return TYPESCRIPT_SINCE.some(([m, since]) => major === m && minor >= since);
}

export function noTypeScript(file: string, version: string): string {
  const [major, minor] = version.replace(/^v/, "").split(".");
  return (
    `Cannot run ${file}: this worker's Node v${major}.${minor} cannot run TypeScript (22.18 ` +
    "or newer can)"
  );
}

/** The `TITAN_*` variables of an attempt. They override the job's own. */
export function titanEnv(request: ExecRequest, paths: JobPaths): Record<string, string> {
  const env: Record<string, string> = {
    TITAN_RUN: request.run,
    TITAN_JOB: request.job,
    TITAN_ATTEMPT: String(request.attempt),
    TITAN_WORKER: request.worker,
    TITAN_WORKDIR: paths.folder,
    TITAN_SHARED: paths.shared,
    TITAN_OUTPUT: paths.output,
    ...clusterEnv(request),
  };
  if (request.token !== undefined) env["TITAN_TOKEN"] = request.token;
  if (request.port !== undefined) env["TITAN_PORT"] = String(request.port);
  if (request.inputs.length > 0) env["TITAN_INPUTS"] = paths.inputs;
  return env;
}

/** TITAN_MASTER, and TITAN_STORE where there is a store. Programs and calls get these. */
export function clusterEnv({ cluster }: ExecRequest): Record<string, string> {
  if (cluster === undefined) return {};
  return {
    TITAN_MASTER: cluster.master,
    ...(cluster.store !== undefined && { TITAN_STORE: cluster.store }),
  };
}

/** `{"parent": value}`: results that are JSON as values, others as strings. */
export function inputsJson(inputs: ExecRequest["inputs"]): string {
  const members = inputs.map(({ job, result }) => {
    const text = result.toString("utf8");
    return `${JSON.stringify(job)}:${isJson(text) ? text : JSON.stringify(text)}`;
  });
  return `{${members.join(",")}}`;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
