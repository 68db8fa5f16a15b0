/**
 * The master and the workers of a chaos run: `titan master` and `titan worker`, started, killed,
 * frozen and started again.
 *
 * Invariants: only processes that were started here are ever signalled; after `end()` none of them
 * lives.
 */
import { spawn, type ChildProcess } from "node:child_process";
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
abstract class Role {
  readonly name: string;
  readonly lives: Life[] = [];
  protected readonly cli: string;
  protected readonly dir: string;
  #child: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();
  #ready: Promise<void> = Promise.resolve();
  #frozen = false;
  #ending = false;
  /** Somebody here wants it to end. */
  #asked = false;
  /** Ends that nobody here wanted. */
  readonly crashes: string[] = [];

  constructor(name: string, options: { cli: string; dir: string }) {
    this.name = name;
    this.cli = options.cli;
    this.dir = options.dir;
  }

  protected abstract args(): string[];
  protected abstract firstLine(line: string): void;
  protected abstract gone(): void;

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get alive(): boolean {
    return this.#child !== undefined;
  }

  get frozen(): boolean {
    return this.#frozen;
  }

  /** Resolves when the process is ready, or was ended from here; rejects when it ends by itself. */
  get ready(): Promise<void> {
    return this.#ready;
  }

  start(): void {
    if (this.#child !== undefined || this.#ending) return;
    const notes = openSync(join(this.dir, `${this.name}.notes`), "a");
    const child = spawn(process.execPath, [this.cli, ...this.args()], {
      cwd: "/",
      env: roleEnv(),
      stdio: ["pipe", "pipe", notes],
    });
    closeSync(notes);
    const life: Life = { startedAt: Date.now() };
    this.lives.push(life);
    this.#child = child;
    this.#asked = false;
    child.stdin!.on("error", () => undefined);
    this.#exited = new Promise((resolve) => {
      child.once("exit", (code, signal) => {
        if (!this.#asked) {
          this.crashes.push(
            `${this.name} ended by itself with ${signal ?? `exit code ${code}`}; see ` +
              `${this.name}.notes`,
          );
        }
        life.endedAt = Date.now();
        this.#child = undefined;
        this.#frozen = false;
        this.gone();
        resolve();
      });
    });
    this.#ready = new Promise((resolve, reject) => {
      const late = setTimeout(
        () => reject(new Error(`${this.name} has said nothing for ${START_MS} ms`)),
        START_MS,
      );
      createInterface({ input: child.stdout! }).once("line", (line) => {
        clearTimeout(late);
        life.readyAt = Date.now();
        this.firstLine(line);
        resolve();
      });
      child.once("exit", (code, signal) => {
        clearTimeout(late);
        if (this.#asked) return resolve();
        const ending = `${this.name} ended with ${signal ?? code}`;
        reject(new Error(`${ending} before it was ready; see ${this.name}.notes`));
      });
    });
    this.#ready.catch(() => undefined); // often nobody waits for it
  }

  /** With SIGKILL. Resolves when it is gone. */
  async kill(options: { withReaper?: boolean } = {}): Promise<void> {
    const pid = this.#child?.pid;
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

export class MasterRole extends Role {
  readonly #onPort: (port: number | undefined) => void;

  constructor(options: { cli: string; dir: string; onPort: (port: number | undefined) => void }) {
    super("master", options);
    this.#onPort = options.onPort;
  }

  get state(): string {
    return join(this.dir, "state");
  }

  protected args(): string[] {
    // Another port every time: workers that come back find it through the proxy.
    return ["master", "--port", "0", "--state", this.state, "--json"];
  }

  protected firstLine(line: string): void {
    this.#onPort((JSON.parse(line) as { port: number }).port);
  }

  protected gone(): void {
    this.#onPort(undefined);
  }
}

export class WorkerRole extends Role {
  readonly #proxy: number;
  readonly #slots: number;
  readonly #tags: readonly string[];

  constructor(
    name: string,
    options: { cli: string; dir: string; proxy: number; slots: number; tags: readonly string[] },
  ) {
    super(name, options);
    this.#proxy = options.proxy;
    this.#slots = options.slots;
    this.#tags = options.tags;
  }

  protected args(): string[] {
    const tags = this.#tags.length === 0 ? [] : ["--tags", this.#tags.join(",")];
    // A home of its own, as on a machine of its own. The pipe ends it should this process be
    // killed.
    return [
      "worker",
      "--master",
      `127.0.0.1:${this.#proxy}`,
      "--name",
      this.name,
      "--slots",
      String(this.#slots),
      "--home",
      join(this.dir, this.name),
      "--parent-pipe",
      "--json",
      ...tags,
    ];
  }

  protected firstLine(): void {}
  protected gone(): void {}
}

/** Nothing of the caller's own setup. */
function roleEnv(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^(TITAN_|NODE_OPTIONS$|NODE_TEST_CONTEXT$|PWD$|OLDPWD$)/.test(name),
    ),
  );
}
