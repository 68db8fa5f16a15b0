/**
 * Lesson 11: calls, the jobs that cost no process.
 *
 * Starting a program costs 0.4 ms, and a Node program 40 ms; calling a function in a warm thread costs a message
 * each way. A thread runs one module call at a time, because the only way to stop code that does not
 * want to stop is to end its thread, and nobody else's call may be in it. The built-in functions cannot hang, so
 * they share one thread and travel in batches: all calls of one turn of the event loop in one message.
 *
 * Invariants: a call settles once; a cancelled or crashed thread is replaced, and takes one call with it.
 * Left out: letting idle threads go (about 5 MB each), and ending a call gently.
 * Test: test/11-worker.exec.test.ts
 */
import { isAbsolute, join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import type { Host } from "#host";
import { CALL_THREAD, type Builtin, type Call, type Done, type Output, type ThreadData } from "./call-thread.ts";
import { CallAttempt, type CallEnd } from "./call-attempt.ts";
import { clusterEnv, inputsJson, noTypeScript, runsTypeScript } from "./process-job.ts";
import { MAX_RESULT_BYTES, type ExecRequest, type OnOutput, type Running } from "./types.ts";

/** Output under way from a thread before it must wait: enough to keep both sides busy. */
const WINDOW_BYTES = 256 * 1024;
/** A module once loaded stays: a thread that has seen this many is replaced before it eats the memory. */
const MAX_MODULES_PER_THREAD = 32;
/** JavaScript heap of a thread. A call that needs more is a job for a process. */
const MAX_HEAP_MB = 256;
/** Endings to try when the target has none. */
const ENDINGS = ["", ".js", ".mjs", ".cjs", ".ts", ".mts"];
const BUILTINS = ["noop", "echo", "fail", "sleep"];

export interface CallRequest {
  readonly request: ExecRequest;
  readonly action: Extract<ExecRequest["action"], { kind: "call" }>;
  readonly baseEnv: Readonly<Record<string, string>>;
}

interface Thread {
  readonly worker: Worker;
  readonly underWay: Int32Array;
  readonly loaded: Set<string>;
  /** The module call it runs. */
  call: CallAttempt | undefined;
}

interface Waiting {
  readonly attempt: CallAttempt;
  readonly call: Call;
}

export class CallPool {
  private readonly host: Host;
  private readonly maxThreads: number;
  private readonly threads = new Set<Thread>();
  private readonly waiting: Waiting[] = [];
  private builtins: Thread | undefined;
  private readonly inBuiltins = new Map<number, CallAttempt>();
  private readonly terminating = new Set<Promise<void>>();
  private batch: Builtin[] = [];
  private lastId = 0;

  constructor(options: { host: Host; threads: number }) {
    this.host = options.host;
    this.maxThreads = options.threads;
  }

  start(job: CallRequest, onOutput: OnOutput): Running {
    const id = ++this.lastId;
    const attempt = new CallAttempt(this.host, { id, timeoutMs: job.request.timeoutMs, onOutput });
    const { target } = job.action;
    if (target.startsWith("titan:")) this.startBuiltin(attempt, { name: target.slice(6), input: job.action.input });
    else void this.startModule(attempt, job);
    return attempt;
  }

  async close(): Promise<void> {
    const open = [...this.threads, ...(this.builtins ? [this.builtins] : [])];
    this.threads.clear();
    this.builtins = undefined;
    await Promise.all([...open.map((thread) => thread.worker.terminate()), ...this.terminating]);
  }

  private startBuiltin(attempt: CallAttempt, call: { name: string; input: Buffer }): void {
    const { name } = call;
    if (!BUILTINS.includes(name)) {
      return attempt.end({ kind: "not-found", message: `Cannot call titan:${name}: there are ${BUILTINS.map((b) => `titan:${b}`).join(", ")}` });
    }
    const input = call.input.toString("utf8");
    if (name === "sleep") return this.sleep(attempt, input);
    this.inBuiltins.set(attempt.id, attempt);
    attempt.onStop = () => {}; // Its answer will come, and find nobody.
    this.builtins ??= this.newThread((thread, end) => this.builtinsLost(thread, end));
    if (this.inBuiltins.size === 1) this.builtins.worker.ref();
    if (this.batch.push({ id: attempt.id, name, input }) > 1) return;
    this.host.timers.soon(() => {
      const batch = this.batch;
      this.batch = [];
      this.builtins?.worker.postMessage(batch);
    });
  }

  /** A timer of ours: a thread that sleeps would be a waste of a thread. */
  private sleep(attempt: CallAttempt, input: string): void {
    const ms = Number(input);
    if (!(ms >= 0)) return attempt.end({ kind: "bad-input", message: "Cannot call titan:sleep: its input is not a number of milliseconds" });
    const timer = this.host.timers.after(ms, () => attempt.end({}));
    attempt.onStop = () => timer.cancel();
  }

  private builtinsDone(dones: readonly Done[]): void {
    for (const done of dones) {
      const attempt = this.inBuiltins.get(done.id);
      this.inBuiltins.delete(done.id);
      attempt?.end(endOf(done));
    }
    if (this.inBuiltins.size === 0) this.builtins?.worker.unref();
  }

  private builtinsLost(thread: Thread, end: CallEnd): void {
    if (this.builtins === thread) this.builtins = undefined;
    const open = [...this.inBuiltins.values()];
    this.inBuiltins.clear();
    for (const attempt of open) attempt.end(end);
  }

  private async startModule(attempt: CallAttempt, job: CallRequest): Promise<void> {
    const found = await this.findModule(job);
    if (attempt.isOver) return; // Cancelled in the meantime.
    if ("kind" in found) return attempt.end(found);
    const { request, action } = job;
    const { run, job: name, attempt: number } = request;
    const env = {
      ...job.baseEnv,
      ...request.env,
      TITAN_RUN: run,
      TITAN_JOB: name,
      TITAN_ATTEMPT: String(number),
      TITAN_WORKER: request.worker,
      ...clusterEnv(request),
    };
    const call: Call = {
      id: attempt.id,
      url: found.url,
      name: found.name,
      target: action.target,
      input: action.input.toString("utf8"),
      inputs: inputsJson(request.inputs),
      context: { run, job: name, attempt: number },
      env,
    };
    this.waiting.push({ attempt, call });
    attempt.onStop = () => void this.waiting.splice(this.waiting.findIndex((w) => w.attempt === attempt), 1);
    this.dispatch();
  }

  /** The file and function that a target names, inside the project. */
  private async findModule({ request, action }: CallRequest): Promise<{ url: string; name: string } | (CallEnd & { kind: "not-found" | "unsupported" })> {
    const { target } = action;
    const hash = target.lastIndexOf("#");
    const module = hash < 0 ? target : target.slice(0, hash);
    const name = hash < 0 ? "default" : target.slice(hash + 1);
    const { project } = request;
    const missing = (why: string) => ({ kind: "not-found" as const, message: `Cannot call ${target}: ${why}` });
    if (project === undefined) return missing("no project was sent");
    const path = join(project, module);
    const inside = relative(project, path);
    if (inside === "" || inside.startsWith("..") || isAbsolute(inside)) return missing("the module is outside the project");
    for (const ending of ENDINGS) {
      const info = await this.host.storage.stat(path + ending).catch(() => undefined);
      if (info?.kind !== "file") continue;
      if (/\.[mc]?ts$/.test(path + ending) && !runsTypeScript(process.version)) {
        return { kind: "unsupported", message: noTypeScript(inside + ending, process.version) };
      }
      return { url: pathToFileURL(path + ending).href, name };
    }
    return missing("no such module in the project");
  }

  /** Gives waiting calls to threads: one that has the module loaded, else any idle one, else a new one. */
  private dispatch(): void {
    for (;;) {
      const next = this.waiting[0];
      if (next === undefined) return;
      const idle = [...this.threads].filter((thread) => thread.call === undefined);
      let thread = idle.find((t) => t.loaded.has(next.call.url)) ?? idle.at(-1);
      if (thread === undefined) {
        if (this.threads.size >= this.maxThreads) return;
        thread = this.newThread((lost, end) => this.threadLost(lost, end));
        this.threads.add(thread);
      }
      this.waiting.shift();
      this.begin(thread, next);
    }
  }

  private begin(thread: Thread, { attempt, call }: Waiting): void {
    thread.call = attempt;
    thread.loaded.add(call.url);
    attempt.onStop = () => this.discard(thread);
    attempt.onTaken = (bytes) => {
      Atomics.sub(thread.underWay, 0, bytes);
      Atomics.notify(thread.underWay, 0);
    };
    thread.worker.ref();
    thread.worker.postMessage(call);
  }

  /** Ends a thread, with whatever runs in it. */
  private discard(thread: Thread): void {
    this.threads.delete(thread);
    thread.call = undefined;
    const gone = thread.worker.terminate().then(() => void this.terminating.delete(gone));
    this.terminating.add(gone);
    this.dispatch();
  }

  private threadLost(thread: Thread, end: CallEnd): void {
    this.threads.delete(thread);
    const { call } = thread;
    thread.call = undefined;
    call?.end(end);
    this.dispatch();
  }

  private moduleDone(thread: Thread, done: Done): void {
    const { call } = thread;
    if (call?.id !== done.id) return;
    thread.call = undefined;
    thread.worker.unref();
    call.end(endOf(done));
    if (thread.loaded.size >= MAX_MODULES_PER_THREAD) this.discard(thread);
    else this.dispatch();
  }

  private newThread(onLost: (thread: Thread, end: CallEnd) => void): Thread {
    const underWay = new Int32Array(new SharedArrayBuffer(4));
    const data: ThreadData = { underWay, window: WINDOW_BYTES, maxResultBytes: MAX_RESULT_BYTES };
    const worker = new Worker(CALL_THREAD, {
      eval: true,
      workerData: data,
      env: {},
      execArgv: [], // Our loaders and conditions are not the job's.
      stdout: true, // Nothing of a call may reach our own output.
      stderr: true,
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
    });
    const thread: Thread = { worker, underWay, loaded: new Set(), call: undefined };
    let crash: Error | undefined;
    worker.on("message", (message: Done | Output | readonly Done[]) => {
      if (Array.isArray(message)) this.builtinsDone(message);
      else if ("stream" in message) this.onOutput(thread, message);
      else this.moduleDone(thread, message as Done);
    });
    worker.on("error", (error) => (crash = error));
    worker.on("exit", (code) => onLost(thread, lostEnd(code, crash)));
    worker.unref();
    return thread;
  }

  private onOutput(thread: Thread, { id, stream, bytes }: Output): void {
    if (thread.call?.id === id) return thread.call.output(stream, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
    Atomics.sub(thread.underWay, 0, bytes.length);
    Atomics.notify(thread.underWay, 0);
  }
}

function endOf(done: Done): CallEnd {
  if (done.kind !== undefined) return { kind: done.kind, message: done.text };
  return done.text === "" ? {} : { result: Buffer.from(done.text) };
}

/** What a call is told whose thread is gone. */
function lostEnd(code: number, crash: Error | undefined): CallEnd {
  if (crash === undefined) return { kind: "exit", message: `ended its thread with process.exit(${code})`, exitCode: code };
  if ((crash as { code?: string }).code === "ERR_WORKER_OUT_OF_MEMORY") {
    return { kind: "exit", message: `used more than the ${MAX_HEAP_MB} MB of memory that a call may have` };
  }
  return { kind: "exit", message: `crashed its thread: ${crash.name}: ${crash.message}` };
}
