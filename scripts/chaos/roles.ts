/**
 * The master and the workers of a chaos run: `titan master` and `titan worker`, started, killed,
 * frozen and started again.
 *
 * Invariants: only processes that were started here are ever signalled; after `end()` none of them
 * lives.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { openSync, closeSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { reapersOf } from "./processes.ts";

/** Its jobs have 5 s to end once they are asked to, and the worker a little more. */
const STOP_MS = 8000;
/** A loaded machine starts a Node in a second or two. */
const START_MS = 20_000;

export interface Life {
  readonly startedAt: number;
  /** It answers: for a master when it listens, for a worker when it was started. */
  readyAt?: number;
  endedAt?: number;
}

/**
 * A place for one process, which changes. Times are of the wall clock, so that they compare with
 * those in the log.
 */
export class Role {
  readonly name: string;
  readonly lives: Life[] = [];
  /** Ends that nobody here wanted. */
  readonly crashes: string[] = [];
  /** Resolves when the process is ready, or was ended from here; rejects when it ends by itself. */
  ready: Promise<void> = Promise.resolve();
  readonly #options: RoleOptions;
  #child: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();
  #frozen = false;
  #ending = false;
  /** Somebody here wants it to end. */
  #asked = false;

  constructor(name: string, options: RoleOptions) {
    this.name = name;
    this.#options = options;
  }

  /** Undefined: it is not there. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get frozen(): boolean {
    return this.#frozen;
  }

  start(): void {
    if (this.#child !== undefined || this.#ending) return;
    const { cli, dir, args, onReady, onGone } = this.#options;
    const notes = openSync(join(dir, `${this.name}.notes`), "a");
    const child = spawn(process.execPath, [cli, ...args, "--json"], {
      cwd: "/", env: roleEnv(), stdio: ["pipe", "pipe", notes],
    });
    closeSync(notes);
    const life: Life = { startedAt: Date.now() };
    this.lives.push(life);
    this.#child = child;
    this.#asked = false;
    child.stdin!.on("error", () => undefined);
    this.ready = new Promise((resolve, reject) => {
      const late = setTimeout(
        () => reject(new Error(`${this.name} has said nothing for ${START_MS} ms`)), START_MS,
      );
      createInterface({ input: child.stdout! }).once("line", (line) => {
        clearTimeout(late);
        life.readyAt = Date.now();
        onReady?.(JSON.parse(line) as { port: number });
        resolve();
      });
      this.#exited = once(child, "exit").then(([code, signal]) => {
        clearTimeout(late);
        life.endedAt = Date.now();
        this.#child = undefined;
        this.#frozen = false;
        onGone?.();
        if (this.#asked) return resolve();
        const how = `with ${signal ?? `exit code ${code}`}; see ${this.name}.notes`;
        this.crashes.push(`${this.name} ended by itself ${how}`);
        reject(new Error(`${this.name} ended before it was ready, ${how}`));
      });
    });
    this.ready.catch(() => undefined); // often nobody waits for it
  }

  /** With SIGKILL. Resolves when it is gone. */
  async kill(options: { withReaper?: boolean } = {}): Promise<void> {
    const { pid } = this;
    if (pid === undefined) return;
    this.#asked = true;
    if (options.withReaper) {
      // Stopped first: a worker that sees its reaper die starts another one.
      process.kill(pid, "SIGSTOP");
      for (const reaper of reapersOf(pid)) process.kill(reaper, "SIGKILL");
    }
    process.kill(pid, "SIGKILL");
    await this.#exited;
  }

  freeze(): void {
    this.#frozen = this.#child?.kill("SIGSTOP") ?? false;
  }

  thaw(): void {
    if (this.#frozen) this.#child?.kill("SIGCONT");
    this.#frozen = false;
  }

  /** In order, and after a while without asking. Nothing starts here any more. */
  async end(): Promise<void> {
    this.#ending = this.#asked = true;
    this.thaw();
    this.#child?.kill("SIGTERM");
    const late = setTimeout(() => this.#child?.kill("SIGKILL"), STOP_MS);
    await this.#exited;
    clearTimeout(late);
  }

  /** Now, for an interrupt: no time to wait. */
  endNow(): void {
    this.#ending = this.#asked = true;
    this.#child?.kill("SIGKILL");
  }
}

interface RoleOptions {
  /** The built command line, and the folder of everything. */
  readonly cli: string;
  readonly dir: string;
  readonly args: readonly string[];
  /** With the first line that it prints. */
  readonly onReady?: (said: { port: number }) => void;
  readonly onGone?: () => void;
}

interface Place {
  readonly cli: string;
  readonly dir: string;
}

export function masterRole(
  { cli, dir }: Place, onPort: (port: number | undefined) => void,
): Role {
  return new Role("master", {
    cli, dir, onReady: ({ port }) => onPort(port), onGone: () => onPort(undefined),
    // Another port every time: workers that come back find it through the proxy.
    args: ["master", "--port", "0", "--state", join(dir, "state")],
  });
}

export function workerRole(
  { cli, dir }: Place,
  { name, proxy, slots, tags }: {
    name: string; proxy: number; slots: number; tags: readonly string[];
  },
): Role {
  const what = ["--name", name, "--slots", String(slots)];
  // A home of its own, as on a machine of its own. The pipe ends it should this process be killed.
  const where = ["--master", `127.0.0.1:${proxy}`, "--home", join(dir, name), "--parent-pipe"];
  const tagged = tags.length === 0 ? [] : ["--tags", tags.join(",")];
  return new Role(name, { cli, dir, args: ["worker", ...what, ...where, ...tagged] });
}

/** Nothing of the caller's own setup. */
function roleEnv(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) =>
    !/^(TITAN_|NODE_OPTIONS$|NODE_TEST_CONTEXT$|PWD$|OLDPWD$)/.test(name)));
}
