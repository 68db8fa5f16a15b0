/**
 * The demo's cluster: roles as processes of their own, by the commands that anybody can type.
 *
 * Invariants: every process is a member of our family (scripts/lib/family.mjs) and ends with us, so
 * none is left when we are killed; once `stop` has been called nothing starts any more.
 * Test: test/demo.test.ts
 */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { text as textOf } from "node:stream/consumers";
import { startMember } from "../lib/family.mjs";

/** A role that has not ended by then after SIGTERM is killed: a worker gives its jobs 5 s. */
const STOP_MS = 8000;
/** So many lines are shown of a role that did not start. */
const KEPT_STDERR = 2000;

export interface Ready {
  readonly port: number;
  readonly pid: number;
  readonly recovered: { readonly events: number };
}

export interface Output {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ClusterOptions {
  /** The built command line. */
  readonly cli: string;
  readonly env: NodeJS.ProcessEnv;
}

export class Cluster {
  readonly #options: ClusterOptions;
  readonly #roles = new Map<string, ChildProcess>();
  readonly #others = new Set<ChildProcess>();
  /** "host:port", once there is one. */
  master: string | undefined;
  #stopped = false;

  constructor(options: ClusterOptions) {
    this.#options = options;
  }

  /** Starts a role under a name of ours; resolves with what it says when it is ready. */
  async start(name: string, args: readonly string[]): Promise<Ready> {
    const child = this.#spawn([...args, "--json"]);
    this.#roles.set(name, child);
    const said = textOf(child.stderr!);
    const [line] = await Promise.race([
      once(createInterface({ input: child.stdout! }), "line") as Promise<[string]>,
      once(child, "exit").then(async ([code, signal]: (number | string | null)[]) => {
        throw new Error(`Cannot start titan ${args[0]}: it ended with ${signal ?? `code ${code}`}\n`
          + (await said).slice(-KEPT_STDERR));
      }),
    ]);
    return JSON.parse(line) as Ready;
  }

  pidOf(name: string): number {
    return this.#roles.get(name)?.pid ?? 0;
  }

  /** `kill -9`, and until it is gone. */
  async kill(name: string): Promise<void> {
    const child = this.#roles.get(name);
    this.#roles.delete(name);
    if (child === undefined || hasEnded(child)) {
      throw new Error(`Cannot kill ${name}: it has ended by itself`);
    }
    child.kill("SIGKILL");
    await once(child, "exit");
  }

  /** Runs a command to its end. */
  async titan(...args: string[]): Promise<Output> {
    const lines: string[] = [];
    const { code, stderr } = await this.follow(args, (line) => lines.push(line));
    return { code, stdout: lines.join("\n"), stderr };
  }

  /** Runs a command and hands on each of its lines as it comes. */
  async follow(
    args: readonly string[], onLine: (line: string) => void,
  ): Promise<Omit<Output, "stdout">> {
    const child = this.#spawn(args);
    this.#others.add(child);
    const lines = createInterface({ input: child.stdout! }).on("line", onLine);
    const [stderr] = await Promise.all([textOf(child.stderr!), once(lines, "close")]);
    if (!hasEnded(child)) await once(child, "exit");
    this.#others.delete(child);
    return { code: child.exitCode, stderr };
  }

  /** The workers first: then nobody misses the master. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const child of this.#others) child.kill("SIGKILL");
    const workers = [...this.#roles].filter(([name]) => name !== "master");
    await Promise.all(workers.map(([, child]) => stop(child)));
    const master = this.#roles.get("master");
    if (master !== undefined) await stop(master);
  }

  #spawn(args: readonly string[]): ChildProcess {
    if (this.#stopped) throw new Error("Cannot start titan: the demo is ending");
    const { TITAN_TOKEN: _token, ...env } = this.#options.env;
    // In a group of its own: Ctrl-C is for us, and we end the rest in order.
    return startMember([this.#options.cli, ...args], {
      detached: true, stdio: ["ignore", "pipe", "pipe"],
      env: { ...env, ...(this.master !== undefined && { TITAN_MASTER: this.master }) },
    });
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

async function stop(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  const force = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
  await ended;
  clearTimeout(force);
}
