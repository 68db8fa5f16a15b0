/**
 * Lesson 00: real Titan processes on a temporary folder, for this chapter's programs and its test.
 *
 *     const cluster = await openCluster();
 *     await cluster.master();                      titan master, a process of its own
 *     const amber = await cluster.worker("amber"); titan worker, another one
 *     await amber.kill9();                         what it says
 *     await cluster.close();                       whatever is left ends, the folder goes
 *
 * Invariants: every process here is a child of this one, in its group, and ends with it; only those are ever killed.
 * Left out: machines. A process that is killed closes its connections; a machine that loses its power does not, and its
 * silence takes four seconds to be believed (lesson 12).
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { ensureBuilt, ROOT } from "../../scripts/bootstrap.mjs";
import { removeTreeSync } from "../../scripts/lib/remove-tree.mjs";

const CLI = join(ROOT, "dist", "cli", "main.js");
/** Everything here takes tens of milliseconds; this long only on a machine that is busy with other things. */
const PATIENCE_MS = 20_000;
const POLL_MS = 10;
/** `titan watch` ends with this code when it cannot reach its master to begin with. */
const EXIT_UNREACHABLE = 5;

export interface Role {
  readonly pid: number;
  /** What it printed when it was ready. */
  readonly ready: Readonly<Record<string, unknown>>;
  /** SIGKILL: no handler runs, nothing is flushed, nobody is told. Resolves when it is gone. */
  kill9(): Promise<void>;
}

export interface Output {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A change of a job, as `titan watch --json` prints it. */
export interface JobLine {
  readonly job: string;
  readonly status: string;
  readonly attempt: number;
  readonly worker: string;
  readonly at: number;
}

export async function openCluster(): Promise<Cluster> {
  await ensureBuilt();
  return new Cluster();
}

export class Cluster {
  /** The state folder of the master is `state` in it; jobs may use the rest. */
  readonly folder = realpathSync(mkdtempSync(join(tmpdir(), "titan-tour-")));
  readonly #children = new Set<ChildProcess>();
  readonly #onExit = (): void => this.#killAll();
  readonly #onSignal = (): void => process.exit(130);
  #port = 0;
  /** What a role said that ended without being asked to. */
  #died: string | undefined;

  constructor() {
    process.on("exit", this.#onExit); // also after an error that nobody caught
    process.once("SIGINT", this.#onSignal);
    process.once("SIGTERM", this.#onSignal);
  }

  /** Starts a master; the second time on the same folder and port, as after a crash. */
  async master(): Promise<Role> {
    const role = await this.#role(["master", "--port", String(this.#port), "--state", join(this.folder, "state")]);
    this.#port = role.ready["port"] as number;
    return role;
  }

  /** One slot, unless told otherwise. Resolves when it has registered. */
  worker(name: string, ...options: string[]): Promise<Role> {
    return this.#role(["worker", "--name", name, "--slots", "1", "--home", join(this.folder, name), ...options]);
  }

  /** Runs `titan ARGS` to its end. */
  titan(...args: string[]): Promise<Output> {
    const child = this.#spawn(args);
    let [stdout, stderr] = ["", ""];
    child.stdout!.on("data", (data) => { stdout += String(data); });
    child.stderr!.on("data", (data) => { stderr += String(data); });
    return new Promise((resolve) => child.once("close", (code) => resolve({ code, stdout, stderr })));
  }

  /** Submits this chapter's book; resolves to the run's id. The ink that it waits for is `touch("ink")`. */
  async submitBook(): Promise<string> {
    const text = readFileSync(join(ROOT, "lessons", "00-tour", "book.yaml"), "utf8").replace("/tmp/titan-ink", this.path("ink"));
    return this.submit("book.yaml", text);
  }

  async submit(name: string, yaml: string): Promise<string> {
    writeFileSync(this.path(name), yaml);
    const { code, stdout, stderr } = await this.titan("run", this.path(name), "--detach");
    if (code !== 0) throw new Error(`Cannot submit ${name}: exit code ${code}\n${stderr}`);
    return stdout.trim();
  }

  /** `titan watch`: resolves to every change that it prints, as it prints it. */
  watch(run: string, onJob: (line: JobLine) => void = () => undefined): Watch {
    const child = this.#spawn(["watch", run, "--json"]);
    let said = "";
    child.stderr!.on("data", (data) => { said = (said + String(data)).slice(-2000); });
    child.once("close", (code) => {
      if (code === EXIT_UNREACHABLE) this.#died = `titan watch ended before its run, exit code ${code}\n${said}`;
    });
    const watch = new Watch(onJob, () => this.#check());
    createInterface({ input: child.stdout! }).on("line", (text) => watch.take(JSON.parse(text) as JobLine & { type: string }));
    return watch;
  }

  /** Resolves when an attempt has printed this, and the master has it. A `titan logs -f` ends at once if it has not begun. */
  printed(job: string, options: { attempt: number; text: string }): Promise<void> {
    const { attempt, text } = options;
    const follow = (): Promise<boolean> => new Promise((resolve) => {
      const child = this.#spawn(["logs", job, "-f", "--attempt", String(attempt)]);
      let said = "";
      child.once("close", () => resolve(said.includes(text)));
      child.stdout!.on("data", (data) => {
        said += String(data);
        if (said.includes(text)) child.kill();
      });
    });
    return until(follow, `"${text}" from attempt ${attempt} of ${job}`);
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** For jobs that wait until somebody makes this file. */
  touch(name: string): void {
    writeFileSync(this.path(name), "");
  }

  /** Ends what is left, and removes the folder. */
  async close(): Promise<void> {
    const gone = [...this.#children].map((child) => new Promise((resolve) => child.once("exit", resolve)));
    this.#killAll();
    await Promise.all(gone);
    process.off("exit", this.#onExit).off("SIGINT", this.#onSignal).off("SIGTERM", this.#onSignal);
    removeTreeSync(this.folder);
  }

  #check(): void {
    if (this.#died !== undefined) throw new Error(this.#died);
  }

  #killAll(): void {
    for (const child of this.#children) child.kill("SIGKILL");
    removeTreeSync(this.folder);
  }

  #spawn(args: readonly string[]): ChildProcess {
    // Killed workers remove nothing. So all that they make is in our folder, what their jobs share included.
    const env: NodeJS.ProcessEnv = {
      ...process.env, TITAN_HOME: join(this.folder, "state"), TMPDIR: this.folder, NO_COLOR: "1", LC_ALL: "C.UTF-8",
    };
    delete env["TITAN_TOKEN"];
    if (this.#port !== 0) env["TITAN_MASTER"] = `127.0.0.1:${this.#port}`;
    const child = spawn(process.execPath, [CLI, ...args], { cwd: this.folder, env, stdio: ["ignore", "pipe", "pipe"] });
    this.#children.add(child);
    child.once("exit", () => this.#children.delete(child));
    return child;
  }

  /** A role prints one line of JSON when it is ready. */
  async #role(args: readonly string[]): Promise<Role> {
    const child = this.#spawn([...args, "--json"]);
    let said = "";
    child.stderr!.on("data", (data) => { said = (said + String(data)).slice(-2000); });
    let wanted = false;
    const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    child.once("close", (code) => {
      if (!wanted && code !== null) this.#died = `titan ${args[0]} ended by itself, exit code ${code}\n${said}`;
    });
    const lines = createInterface({ input: child.stdout! });
    const ready = await Promise.race([
      new Promise<string>((resolve) => lines.once("line", resolve)),
      exited.then(() => { throw new Error(`Cannot start titan ${args[0]}: it ended\n${said}`); }),
    ]);
    return {
      pid: child.pid!,
      ready: JSON.parse(ready) as Record<string, unknown>,
      async kill9() {
        wanted = true;
        child.kill("SIGKILL");
        await exited;
      },
    };
  }
}

/** What a `titan watch` has said so far. */
export class Watch {
  readonly lines: JobLine[] = [];
  readonly #onJob: (line: JobLine) => void;
  readonly #check: () => void;

  constructor(onJob: (line: JobLine) => void, check: () => void) {
    this.#onJob = onJob;
    this.#check = check;
  }

  take(line: JobLine & { type: string }): void {
    if (line.type !== "job") return;
    this.lines.push(line);
    this.#onJob(line);
  }

  /** The first change of this kind, from the beginning on. */
  async seen(job: string, status: string, attempt?: number): Promise<JobLine> {
    const find = () => this.lines.find((line) => line.job === job && line.status === status && line.attempt === (attempt ?? line.attempt));
    const holds = (): boolean => {
      this.#check(); // no use waiting for a cluster that has died
      return find() !== undefined;
    };
    await until(holds, `${job} ${status}${attempt === undefined ? "" : `, attempt ${attempt}`}`);
    return find()!;
  }
}

/** `typeset RUNNING  attempt 1 on amber`. */
export function lineText({ job, status, attempt, worker }: JobLine): string {
  const where = status === "RUNNING" ? ` on ${worker}` : "";
  return `  ${job} ${status}${attempt === 0 ? "" : `, attempt ${attempt}${where}`}`;
}

/** Asks again and again until it holds; an error names what did not come true. */
export async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (const deadline = performance.now() + PATIENCE_MS; !(await holds()); ) {
    if (performance.now() > deadline) throw new Error(`Waiting for ${what}: it did not come within ${PATIENCE_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
