/**
 * Lesson 18: the job that this program runs as.
 *
 *     import { job } from "titan-orchestrator/job";
 *
 *     const plan = await job.step("plan", "the moon", () => ask("the moon"));
 *     await job.output(plan);
 *
 * The program may be started again at any time: its worker may die, or it waits and gives its slot
 * away. Then it runs from its top, and what its steps have done is there.
 *
 * Invariant: nothing is asked of the master before a program uses `job` for something that needs
 * it; a program that is no job may import this, and is told so when it does.
 * Test: test/18-agents.steps.test.ts
 */
import { nodeWorkFolders, type Host } from "#host";
import { MAX_INPUTS_BYTES, MAX_RESULT_BYTES } from "#wire";
import type { Client } from "./client.ts";
import type { JobInput } from "./input.ts";
import { type JobContext, type StepCall, type StepOptions } from "./job-context.ts";
import { jobArtifacts, type ArtifactDoor, type JobArtifacts } from "./job-artifacts.ts";
import { JobSession, jobSettings, type JobSettings } from "./job-session.ts";
import { JobSteps, type AmbiguousAnswer } from "./job-steps.ts";
import {
  JobWaits, type Answer, type HoldOptions, type JobDoor, type Question, type SettledJob,
  type SpawnedJobs, type SpawnOptions,
} from "./job-waits.ts";

export {
  StepError, type JobContext, type StepCall, type StepCost, type StepErrorCode, type StepOptions,
} from "./job-context.ts";
export { type JobArtifacts, type KeepOption } from "./job-artifacts.ts";
export { jobSettings, type JobSettings } from "./job-session.ts";
export {
  JobFailed, type Answer, type HoldOptions, type Question, type SettledJob, type SpawnedJobs,
  type SpawnOptions,
} from "./job-waits.ts";

/** The inputs as JSON: escapes of control characters and quotes at most double most texts. */
const MAX_INPUTS_FILE_BYTES = 8 * MAX_INPUTS_BYTES;

export interface ProgramOptions {
  readonly host?: Host | undefined;
  /** Waits keep the slot, whatever they say themselves: the process is only a part of the job. */
  readonly hold?: boolean;
  /** Ends the process, which is to wait. Default: with exit code 0. */
  readonly end?: () => void;
}

/** All that was written before is out when this is. */
function endProcess(): void {
  process.stdout.write("", () => process.exit(0));
}

/** Makes the context of a job from the settings of its environment. Programs import `job`. */
export class JobProgram implements JobContext {
  readonly #settings: JobSettings;
  readonly #session: JobSession;
  readonly #steps: JobSteps;
  readonly #waits: JobWaits;
  #store: JobContext["store"] | undefined;
  #cancelled: AbortSignal | undefined;

  constructor(settings: JobSettings = jobSettings(), options: ProgramOptions = {}) {
    const { host, hold = false, end = endProcess } = options;
    this.#settings = settings;
    this.#session = new JobSession(settings, host);
    this.#waits = new JobWaits({ ...this.#door(), hold, end });
    const ask = <T>(request: (client: Client) => Promise<T>): Promise<T> =>
      this.#waits.track(() => this.#session.ask(request));
    this.#steps = new JobSteps({
      name: `${settings.run}/${settings.job}`,
      host: this.#session.host,
      ask,
      begin: (need, request) =>
        this.#waits.withBudget(need, () => this.#session.ask(request)),
      track: (work) => this.#waits.track(work),
      askPerson: (key, message) => this.#askAboutStep(key, message),
      emit: (text) => void process.stdout.write(text),
    });
  }

  #door(): Omit<JobDoor, "hold" | "end"> {
    const session = this.#session;
    // Through the session, which makes a request again when the master was away.
    const client: JobDoor["client"] = {
      spawn: (wish) => session.ask((open) => open.spawn(wish)),
      ask: (key, gate) => session.ask((open) => open.ask(key, gate)),
      pause: (waits) => session.ask((open) => open.pause(waits)),
      status: (run, job, only) => session.ask((open) => open.status(run, job, only)),
    };
    return {
      run: this.#settings.run ?? "",
      host: session.host,
      client,
      step: (name, input, fn) => this.step(name, input, fn),
      checkOutside: (doing) => this.#steps.checkOutside(doing),
    };
  }

  /** A step that may have happened, and that must not happen twice. */
  async #askAboutStep(key: string, message: string): Promise<AmbiguousAnswer> {
    const { approved, fields } = await this.ask(key, {
      message,
      choices: ["run it again", "it happened", "give up"],
      form: [{ name: "result", label: "if it happened: its result, as JSON" }],
    });
    const { choice = "give up", result = "" } = approved ? fields : {};
    return { choice: choice as AmbiguousAnswer["choice"], result: String(result) };
  }

  spawn(key: string, jobs: readonly JobInput[], options?: SpawnOptions): Promise<SpawnedJobs> {
    return this.#waits.spawn(key, jobs, options);
  }

  results<T = unknown>(
    jobs: SpawnedJobs | readonly string[], options?: HoldOptions,
  ): Promise<T[]> {
    return this.#waits.results<T>(jobs, options);
  }

  settled<T = unknown>(
    jobs: SpawnedJobs | readonly string[], options?: HoldOptions,
  ): Promise<SettledJob<T>[]> {
    return this.#waits.settled<T>(jobs, options);
  }

  ask(key: string, question: Question, options?: HoldOptions): Promise<Answer> {
    return this.#waits.ask(key, question, options);
  }

  sleep(key: string, ms: number, options?: HoldOptions): Promise<void> {
    return this.#waits.sleep(key, ms, options);
  }

  get run(): string {
    return this.#setting("run", "TITAN_RUN");
  }

  get id(): string {
    return this.#setting("job", "TITAN_JOB");
  }

  get attempt(): number {
    return Number(this.#setting("attempt", "TITAN_ATTEMPT"));
  }

  #setting(name: "run" | "job" | "attempt", variable: string): string {
    const value = this.#settings[name];
    if (value !== undefined) return value;
    throw new TypeError(`Cannot use job.${name}: ${variable} is not set: this is no job of Titan`);
  }

  input<T = unknown>(parent?: string): T {
    const path = this.#settings.inputs;
    const bytes = path === undefined
      ? undefined
      : nodeWorkFolders("").read(path, MAX_INPUTS_FILE_BYTES);
    const all = Buffer.isBuffer(bytes) ? JSON.parse(bytes.toString("utf8")) : {};
    return (parent === undefined ? all : all[parent]) as T;
  }

  async output(value: unknown): Promise<void> {
    const path = this.#settings.output;
    const doing = "hand over the output";
    if (path === undefined) {
      throw new TypeError(`Cannot ${doing}: TITAN_OUTPUT is not set: this is no job of Titan`);
    }
    const text = JSON.stringify(value);
    if (text === undefined) throw new TypeError(`Cannot ${doing}: a ${typeof value} is no JSON`);
    const bytes = Buffer.from(text);
    if (bytes.length > MAX_RESULT_BYTES) {
      const found = `${bytes.length} bytes are more than ${MAX_RESULT_BYTES}`;
      throw new RangeError(`Cannot ${doing}: ${found}; write a file, and hand over its name`);
    }
    await this.#session.host.storage.writeFile(path, bytes);
  }

  log(text: string): void {
    console.log(text);
  }

  step<T>(
    name: string, input: unknown, fn: (call: StepCall) => Promise<T> | T,
    options?: StepOptions & { ordinal?: number },
  ): Promise<T> {
    return this.#steps.step(name, input, fn, options);
  }

  readonly artifact: JobArtifacts = jobArtifacts(() => this.#artifactDoor());

  #artifactDoor(): ArtifactDoor {
    const { run, id: job, attempt } = this;
    const [session, waits] = [this.#session, this.#waits];
    return {
      run, job, attempt,
      ask: (request) => waits.track(() => session.ask(request)),
      hold: (work) => waits.track(() => session.hold(work)),
    };
  }

  get store(): JobContext["store"] {
    const { store: url } = this.#settings;
    // Seventy modules, which every program of the SDK would load for the few that have a store.
    return (this.#store ??= import("./store.ts")
      .then(({ connectStore }) => connectStore(url === undefined ? {} : { url })));
  }

  /** From the first look at it on, a program decides for itself how it ends. */
  get cancelled(): AbortSignal {
    if (this.#cancelled === undefined) {
      const controller = new AbortController();
      const why = new Error("The job is to end");
      process.once("SIGTERM", () => controller.abort(why));
      this.#cancelled = controller.signal;
    }
    return this.#cancelled;
  }

  /** Ends the session with the master. An idle one keeps no process from ending. */
  close(): void {
    this.#session.close();
  }
}

export const job: JobContext = new JobProgram();
