/** Running the built command line in temporary folders, for the tests of the cli. */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { nodeHost, type Host, type Network } from "#host";
import { ensureBuilt, ROOT } from "../scripts/bootstrap.mjs";
import { removeTreeSync } from "../scripts/lib/remove-tree.mjs";
import { Context } from "../src/cli/context.ts";
import { runProgram } from "../src/cli/program.ts";
import "./leaks.support.ts";

export { eventually, isAlive, ownPort } from "./processes.support.ts";

await ensureBuilt();

export const MAIN = join(ROOT, "dist", "cli", "main.js");
/** Nothing here takes long; on a busy machine everything does. */
const PATIENCE_MS = 40_000;

const started = new Set<ChildProcess>();
const folders: string[] = [];

/** For the hooks of the tests themselves, which come later and stop their clusters in order. */
const ORDER_MS = 15_000;

const killAll = (): void => started.forEach((child) => void child.kill("SIGKILL"));

process.on("exit", () => {
  killAll();
  for (const folder of folders) removeTreeSync(folder);
});
// What a failed test has left running would keep this process from ending.
after(() => void setTimeout(killAll, ORDER_MS).unref());

export function tempFolder(files: Record<string, string> = {}): string {
  const folder = mkdtempSync(join(tmpdir(), "titan-cli-test-"));
  folders.push(folder);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

export interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Started {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly ended: Promise<Ended>;
  readonly stdout: string;
  readonly stderr: string;
  /** Resolves once the output matches; rejects when the process ends or time is up. */
  until(stream: "stdout" | "stderr", pattern: RegExp): Promise<RegExpMatchArray>;
  kill(signal: NodeJS.Signals): Promise<Ended>;
}

export interface TitanOptions {
  readonly cwd: string;
  readonly env?: Record<string, string>;
  readonly input?: string;
  /** Default: the checkout's. */
  readonly main?: string;
  /** Default: this Node. */
  readonly runtime?: readonly [string, ...string[]];
}

/**
 * Where all that is started here puts what it does not keep, and what the jobs of unfinished runs
 * share.
 */
let temporary: string | undefined;

/** An environment in which nothing of the developer's own setup shines through. */
function cleanEnv(extra: Record<string, string> = {}): NodeJS.ProcessEnv {
  temporary ??= tempFolder();
  const env = Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^(TITAN_|CI$|NO_COLOR$|NODE_OPTIONS$|NODE_TEST_CONTEXT$)/.test(name),
    ),
  );
  return { ...env, TMPDIR: temporary, ...extra };
}

export function start(args: readonly string[], options: TitanOptions): Started {
  const [program, ...own] = options.runtime ?? [process.execPath];
  const child = spawn(program, [...own, options.main ?? MAIN, ...args], {
    cwd: options.cwd, env: cleanEnv(options.env), stdio: ["pipe", "pipe", "pipe"],
  });
  started.add(child);
  child.stdin.on("error", () => undefined);
  if (options.input === undefined) child.stdin.end();
  else child.stdin.end(options.input);
  const text = { stdout: "", stderr: "" };
  let changed: () => void = () => undefined;
  let over = false;
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream].setEncoding("utf8").on("data", (chunk: string) => {
      text[stream] += chunk;
      changed();
    });
  }
  const ended = new Promise<Ended>((resolve) => {
    child.once("close", (code, signal) => {
      started.delete(child);
      over = true;
      changed();
      resolve({ code, signal, ...text });
    });
  });
  return {
    child, pid: child.pid!, ended,
    get stdout() { return text.stdout; },
    get stderr() { return text.stderr; },
    until: (stream, pattern) => new Promise((resolve, reject) => {
      const fail = (why: string) =>
        reject(
          new Error(
            `titan ${args.join(" ")}: ${why} before ${stream} matched ${pattern}\nstdout: ` +
              `${text.stdout}\nstderr: ${text.stderr}`,
          ),
        );
      const timer = setTimeout(() => fail("time is up"), PATIENCE_MS);
      const before = changed;
      const look = () => {
        before();
        const match = pattern.exec(text[stream]);
        if (match === null && !over) return;
        clearTimeout(timer);
        changed = before;
        if (match === null) fail("it ended");
        else resolve(match);
      };
      changed = look;
      look();
    }),
    kill: (signal) => {
      child.kill(signal);
      return ended;
    },
  };
}

export async function titan(args: readonly string[], options: TitanOptions): Promise<Ended> {
  return start(args, options).ended;
}

/**
 * A command inside this process, from the sources: for the many cases in which only its words and
 * its exit code matter.
 */
export async function inProcess(
  args: readonly string[],
  env: Record<string, string> = {},
  network?: Network,
): Promise<Ended> {
  const context = new CapturedContext(cleanEnv(env), network);
  const code = await runProgram(context, args);
  return { code, signal: null, stdout: context.stdout, stderr: context.stderr };
}

class CapturedContext extends Context {
  override readonly host: Host;
  stdout = "";
  stderr = "";
  constructor(env: NodeJS.ProcessEnv, network?: Network) {
    super(env);
    this.host = network === undefined ? nodeHost() : { ...nodeHost(), network };
  }
  override out(line: string): void {
    this.stdout += `${line}\n`;
  }
  override note(line: string): void {
    this.stderr += `${line}\n`;
  }
  override async pour(stream: "stdout" | "stderr", bytes: Uint8Array): Promise<void> {
    this[stream] += Buffer.from(bytes).toString("utf8");
  }
}

export interface Up extends Started {
  readonly ready: {
    readonly master: string;
    readonly store: string;
    readonly port: number;
    readonly workers: number;
    readonly workerPids: number[];
    readonly scale?: { readonly min: number; readonly max: number };
    readonly pid: number;
    readonly recovered: { readonly events: number };
  };
  readonly env: Record<string, string>;
}

/**
 * A cluster of its own on a free port. Those whose store nobody asks are started with --no-store,
 * which saves a thread; those of cli.store.test.ts, the tour and the SDK have one.
 */
export async function up(args: readonly string[], options: TitanOptions): Promise<Up> {
  const process = start(["up", "--port", "0", "--json", ...args], options);
  const [line] = await process.until("stdout", /^\{.*\}\n/);
  const ready = JSON.parse(line) as Up["ready"];
  return Object.assign(process, { ready, env: { ...options.env, TITAN_MASTER: ready.master } });
}

/** The lines of an NDJSON stream. */
export function lines(text: string): Record<string, unknown>[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
