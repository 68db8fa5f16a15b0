/**
 * Workers as child processes of this one: they start at once, are restarted when they die, and end
 * when we end.
 *
 *     this process ──stdin pipe──▶ worker        the pipe carries nothing; its end is the message
 *                  ◀─stdout: "ready"─            one line of JSON once it is registered
 *                  ◀─stderr: notes───
 *
 * A pipe closes however its owner dies, `kill -9` included: no heartbeat, no pid file, no orphan.
 *
 * Invariants: one process per worker at a time; a worker that dies is started again after a wait
 * that doubles, and that is the shortest again once the worker has lived for a while.
 * Test: test/cli.cluster.test.ts
 */
import { spawn, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { EXIT } from "#wire";
import { durationText } from "#base";
import { selfCommand } from "./self.ts";

const RESTART_MIN_MS = 250;
const RESTART_MAX_MS = 30_000;
/** A worker that has lived this long was well: the next wait is the shortest again. */
export const HEALTHY_MS = 30_000;
/** Its jobs have 5 s from SIGTERM to SIGKILL, and the worker 2 more to clean up and say goodbye. */
const STOP_MS = 7000;
/** Ends for which another start would change nothing: a wrong flag, a wrong token. */
const HOPELESS: ReadonlySet<number | null> = new Set([EXIT.USAGE, EXIT.UNAUTHORIZED]);

/** The wait after so many deaths in a row, 1 … */
export function restartDelayMs(deaths: number): number {
  return Math.min(RESTART_MAX_MS, RESTART_MIN_MS * 2 ** (deaths - 1));
}

export interface SupervisorOptions {
  /** Arguments of `titan worker`, one list per worker. */
  readonly workers: readonly (readonly string[])[];
  readonly env: NodeJS.ProcessEnv;
  /** Something worth a line: a worker died, a worker says something. */
  readonly onNote: (text: string) => void;
}

export class Supervisor {
  /** Resolves when every worker has registered; rejects when one of them never will. */
  readonly ready: Promise<void>;
  readonly #options: SupervisorOptions;
  readonly #keepers: Set<WorkerKeeper>;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    const keepers = options.workers.map(
      (args, index) => new WorkerKeeper({ ...options, args, label: `worker ${index + 1}` }),
    );
    this.#keepers = new Set(keepers);
    this.ready = Promise.all(keepers.map((keeper) => keeper.ready)).then(() => undefined);
    this.ready.catch(() => undefined); // often nobody waits for it
  }

  get pids(): number[] {
    return [...this.#keepers].map((keeper) => keeper.pid).filter((pid) => pid !== undefined);
  }

  /** One worker more, which is not replaced when it ends: `onEnd` hears how it did. */
  start(label: string, args: readonly string[], onEnd: (how: string) => void): WorkerKeeper {
    const ended = (how: string): void => {
      this.#keepers.delete(keeper);
      onEnd(how);
    };
    const keeper = new WorkerKeeper({ ...this.#options, args, label, onEnd: ended });
    this.#keepers.add(keeper);
    return keeper;
  }

  /** Asks all to end, waits, and then kills the rest. */
  async stop(): Promise<void> {
    await Promise.all([...this.#keepers].map((keeper) => keeper.stop()));
  }

  /** Kills all at once. Their jobs end with them: the reapers see to that. */
  kill(): void {
    for (const keeper of this.#keepers) keeper.kill();
  }
}

interface KeeperOptions extends Omit<SupervisorOptions, "workers"> {
  /** Of `titan worker`. */
  readonly args: readonly string[];
  /** What people call it. */
  readonly label: string;
  /** If somebody wants to hear of its end, then its end is final. */
  readonly onEnd?: (how: string) => void;
}

/** Keeps one worker running: when its process dies, another one takes its place. */
class WorkerKeeper {
  readonly ready: Promise<void>;
  readonly #options: KeeperOptions;
  #child: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();
  #restart: NodeJS.Timeout | undefined;
  #deaths = 0;
  #stopping = false;
  #isReady: () => void = () => undefined;
  #isHopeless: (error: Error) => void = () => undefined;

  constructor(options: KeeperOptions) {
    this.#options = options;
    this.ready = new Promise((resolve, reject) => {
      this.#isReady = resolve;
      this.#isHopeless = reject;
    });
    this.ready.catch(() => undefined); // often nobody waits for it
    this.#start();
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  #start(): void {
    const words = ["worker", ...this.#options.args, "--parent-pipe", "--json"];
    const { file, args } = selfCommand(words);
    const child = spawn(file, args, { stdio: ["pipe", "pipe", "pipe"], env: this.#options.env });
    const startedAt = performance.now();
    this.#child = child;
    child.stdin.on("error", () => undefined); // it died: its exit says more
    createInterface({ input: child.stdout }).on("line", () => this.#isReady());
    createInterface({ input: child.stderr }).on("line", (line) => {
      // We have given it this name, so the line says nothing.
      if (line === `titan: registered as ${this.#options.label}`) return;
      this.#options.onNote(`${this.#options.label}: ${line.replace(/^titan: /, "")}`);
    });
    this.#exited = new Promise((gone) => {
      child.once("error", (error) => {
        this.#died(error.message, { code: null, aliveMs: 0 });
        gone();
      });
      child.once("exit", (code, signal) => {
        const how = signal === null ? `exit code ${code}` : signal;
        this.#died(how, { code, aliveMs: performance.now() - startedAt });
        gone();
      });
    });
  }

  #died(how: string, { code, aliveMs }: { code: number | null; aliveMs: number }): void {
    const { pid } = this;
    const { label, onEnd } = this.#options;
    this.#child = undefined;
    if (onEnd !== undefined) return onEnd(`process ${pid ?? "never started"}, ${how}`);
    if (this.#stopping) return;
    const ended = `${label} (process ${pid ?? "never started"}) ended: ${how}`;
    if (HOPELESS.has(code)) {
      this.#isHopeless(new Error(ended));
      const why = "not restarted, since the reason would be the same again";
      return this.#options.onNote(`${ended}; ${why}`);
    }
    this.#deaths = aliveMs > HEALTHY_MS ? 1 : this.#deaths + 1;
    const delayMs = restartDelayMs(this.#deaths);
    this.#options.onNote(`${ended}; another one starts in ${durationText(delayMs)}`);
    this.#restart = setTimeout(() => this.#start(), delayMs);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#restart);
    this.#child?.stdin?.end();
    const timer = setTimeout(() => this.kill(), STOP_MS);
    await this.#exited;
    clearTimeout(timer);
  }

  kill(): void {
    this.#stopping = true;
    clearTimeout(this.#restart);
    this.#child?.kill("SIGKILL");
  }
}
