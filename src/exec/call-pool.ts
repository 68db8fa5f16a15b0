/**
 * Lesson 11: calls, the jobs for which no program is started.
 *
 * A Node program costs 40 ms to start; calling a function in a warm process costs a message each
 * way. A process carries one module call at a time, so a call can harm only itself. It may never
 * return, ask V8 for more memory than there is (V8 then calls abort()), fill Buffers without end,
 * or crash in native code. Then its process ends, and is replaced when the next call needs one.
 *
 *     CallPool ──┬── Builtins          titan:noop and the like: one thread of ours
 *                ├── Carrier ── process, call thread (call-thread.ts)
 *                └── Carrier ── …
 *
 * Invariants: a call settles once; a process that ends takes at most one call with it. Cost: 60 MB
 * and 80 ms of a processor for each process; idle processes are ended.
 * Left out: ending a call gently.
 * Test: test/11-worker.calls.test.ts, test/11-worker.exec.test.ts
 */
import { isAbsolute, join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import type { Host, Timer } from "#host";
import { startNodeProcess, type NodeEnd, type NodeProcess } from "#process";
import type { FailureKind } from "#wire";
import { CallAttempt, type CallEnd } from "./call-attempt.ts";
import { Builtins, endOf } from "./call-builtins.ts";
import type { Done } from "./call-encode.ts";
import { callProgram, type CallLimits, type LastWord } from "./call-thread.ts";
import { encodeCall, ReplyReader, type Call } from "./call-wire.ts";
import { clusterEnv, inputsJson, noTypeScript, runsTypeScript } from "./process-job.ts";
import {
  MAX_RESULT_BYTES, tooLarge, type ExecRequest, type OnOutput, type Running,
} from "./types.ts";

/** A loaded module stays in memory: a process that has loaded this many is replaced. */
const MAX_MODULES = 32;
/** Endings to try when the target has none. */
const ENDINGS = ["", ".js", ".mjs", ".cjs", ".ts", ".mts"];
/** The JavaScript heap of a call. */
const HEAP_MB = 256;
/**
 * All memory of a call's process: the heap, 60 MB of Node's own, and the rest for Buffers and young
 * objects.
 */
const PROCESS_MB = 2 * HEAP_MB;
/**
 * A process that holds more than this after a call is not used again: the next call would begin
 * with less room than it may have.
 */
const HEAVY_MB = 160;
/** Memory is filled at some 2 GB/s: between two looks a call gets at most 200 MB further. */
const WATCH_MS = 100;
/** A process that has had nothing to do for so long is let go. */
const IDLE_MS = 30_000;
const LIMITS: CallLimits = {
  maxResultBytes: MAX_RESULT_BYTES,
  tooLarge: tooLarge(),
  heapMb: HEAP_MB,
  processMb: PROCESS_MB,
  heavyMb: HEAVY_MB,
  watchMs: WATCH_MS,
};

export interface CallRequest {
  readonly request: ExecRequest;
  readonly action: Extract<ExecRequest["action"], { type: "call" }>;
  readonly baseEnv: Readonly<Record<string, string>>;
}

interface Waiting {
  readonly attempt: CallAttempt;
  readonly call: Call;
  /** The key of its module: project and name. */
  readonly key: string;
}

interface FoundModule {
  readonly kind?: undefined;
  readonly key: string;
  readonly url: string;
  readonly name: string;
}

/**
 * The file and function that a target names; or, if there are none, the end of the call, with a
 * kind.
 */
type Found = FoundModule | (CallEnd & { readonly kind: FailureKind });

/** A process, and the call that it carries. */
interface Carrier {
  readonly process: NodeProcess;
  /** The URLs of the modules that it has seen, by project and name. */
  readonly loaded: Map<string, string>;
  call: CallAttempt | undefined;
  idle: Timer | undefined;
}

export interface CallPoolOptions {
  readonly host: Host;
  /** The number of calls at once. */
  readonly processes: number;
  /** The environment of the processes; a call's own variables come with the call. */
  readonly env: Readonly<Record<string, string>>;
  /** Default: LIMITS. */
  readonly limits?: Partial<CallLimits>;
}

export class CallPool {
  readonly #host: Host;
  readonly #most: number;
  readonly #env: Readonly<Record<string, string>>;
  readonly #program: string;
  readonly #builtins: Builtins;
  readonly #carriers = new Set<Carrier>();
  readonly #waiting: Waiting[] = [];
  /** Processes that have not ended yet, and who waits for the end of the last. */
  #living = 0;
  readonly #closing: (() => void)[] = [];
  #lastId = 0;

  constructor(options: CallPoolOptions) {
    const { host, processes, env, limits } = options;
    this.#host = host;
    this.#most = processes;
    this.#env = env;
    this.#program = callProgram({ ...LIMITS, ...limits });
    this.#builtins = new Builtins(options.host);
  }

  start(job: CallRequest, onOutput: OnOutput): Running {
    const id = ++this.#lastId;
    const attempt = new CallAttempt(this.#host, { id, timeoutMs: job.request.timeoutMs, onOutput });
    const { target, input } = job.action;
    if (target.startsWith("titan:")) {
      this.#builtins.start(attempt, { name: target.slice(6), input });
    } else void this.#startModule(attempt, job);
    return attempt;
  }

  /** The caller has already cancelled the calls that are under way. */
  async close(): Promise<void> {
    for (const carrier of this.#carriers) this.#discard(carrier);
    await this.#builtins.close();
    if (this.#living > 0) await new Promise<void>((ended) => this.#closing.push(ended));
  }

  async #startModule(attempt: CallAttempt, job: CallRequest): Promise<void> {
    const found = await this.#findModule(job);
    if (attempt.isOver) return; // Cancelled in the meantime.
    if (found.kind !== undefined) return attempt.end(found);
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
    this.#waiting.push({ attempt, call, key: found.key });
    attempt.onStop = () => {
      this.#waiting.splice(this.#waiting.findIndex((other) => other.attempt === attempt), 1);
    };
    this.#dispatch();
  }

  /** The file and function that a target names, inside the project. */
  async #findModule({ request, action }: CallRequest): Promise<Found> {
    const { target } = action;
    const hash = target.lastIndexOf("#");
    const module = hash < 0 ? target : target.slice(0, hash);
    const name = hash < 0 ? "default" : target.slice(hash + 1);
    const { project } = request;
    const missing = (why: string): Found =>
      ({ kind: "not-found", message: `Cannot call ${target}: ${why}` });
    if (project === undefined) return missing("no project was sent");
    const key = `${project}\0${module}`;
    for (const { loaded } of this.#carriers) {
      const url = loaded.get(key);
      // finding the file takes a third of the time of a call
      if (url !== undefined) return { key, url, name };
    }
    const path = join(project, module);
    const inside = relative(project, path);
    if (inside === "" || inside.startsWith("..") || isAbsolute(inside)) {
      return missing("the module is outside the project");
    }
    for (const ending of ENDINGS) {
      const info = await this.#host.storage.stat(path + ending).catch(() => undefined);
      if (info?.kind !== "file") continue;
      if (/\.[mc]?ts$/.test(path + ending) && !runsTypeScript(process.version)) {
        return { kind: "unsupported", message: noTypeScript(inside + ending, process.version) };
      }
      return { key, url: pathToFileURL(path + ending).href, name };
    }
    return missing("no such module in the project");
  }

  /**
   * Gives waiting calls to processes: to one that has loaded the module, else to any idle one, else
   * to a new one.
   */
  #dispatch(): void {
    for (;;) {
      const next = this.#waiting[0];
      if (next === undefined) return;
      const idle = [...this.#carriers].filter((carrier) => carrier.call === undefined);
      let carrier = idle.find(({ loaded }) => loaded.has(next.key)) ?? idle.at(-1);
      if (carrier === undefined) {
        if (this.#carriers.size >= this.#most) return;
        carrier = this.#newCarrier();
      }
      this.#waiting.shift();
      this.#begin(carrier, next);
    }
  }

  #begin(carrier: Carrier, { attempt, call, key }: Waiting): void {
    carrier.idle?.cancel();
    carrier.call = attempt;
    carrier.loaded.set(key, call.url);
    // The end of the process lets the next call begin.
    attempt.onStop = () => this.#discard(carrier);
    attempt.onPause = (paused) => (paused ? carrier.process.pause() : carrier.process.resume());
    if (attempt.isPaused) carrier.process.pause();
    carrier.process.hold();
    carrier.process.send(encodeCall(call));
  }

  /** Ends a process together with the call that runs in it; its end frees the carrier. */
  #discard(carrier: Carrier): void {
    this.#carriers.delete(carrier);
    carrier.process.kill();
  }

  /** From here on the carrier and its call know nothing of each other. */
  #free(carrier: Carrier): CallAttempt | undefined {
    const { call } = carrier;
    carrier.call = undefined;
    carrier.idle?.cancel();
    if (call !== undefined) call.onStop = call.onPause = () => {};
    carrier.process.resume(); // the rest of its output is read and dropped
    return call;
  }

  #done(carrier: Carrier, done: Done): void {
    if (carrier.call?.id !== done.id) return;
    const call = this.#free(carrier);
    carrier.process.letGo();
    if (done.heavy === true || carrier.loaded.size >= MAX_MODULES) this.#discard(carrier);
    else carrier.idle = this.#host.timers.after(IDLE_MS, () => this.#discard(carrier));
    call?.end(endOf(done));
    this.#dispatch();
  }

  #newCarrier(): Carrier {
    const replies = new ReplyReader({
      onOutput: (stream, bytes) => carrier.call?.output(stream, bytes),
      onDone: (done) => this.#done(carrier, done),
      onBroken: () => carrier.process.kill(),
    });
    this.#living++;
    const process = startNodeProcess({
      program: this.#program,
      env: this.#env,
      onReply: (chunk) => replies.push(chunk),
      onPrinted: (stream, bytes) => carrier.call?.output(stream, bytes),
      onEnd: (how) => {
        this.#living--;
        this.#lost(carrier, how);
        if (this.#living === 0) for (const ended of this.#closing) ended();
      },
    });
    const carrier: Carrier = { process, loaded: new Map(), call: undefined, idle: undefined };
    this.#carriers.add(carrier);
    return carrier;
  }

  #lost(carrier: Carrier, how: NodeEnd): void {
    this.#carriers.delete(carrier);
    this.#free(carrier)?.end(lostEnd(how));
    this.#dispatch();
  }
}

/** The end of a call whose process is gone. */
export function lostEnd({ word, code, signal, error }: NodeEnd): CallEnd {
  if (error !== undefined) {
    return { kind: "internal", message: `Cannot start a process for calls: ${error.message}` };
  }
  const last = parseWord(word);
  if (last !== undefined) return last;
  const memory = "V8 ends a process that cannot get the memory it asks for";
  const how = signal === null ? `exited with code ${code}` : `ended by ${signal}`;
  const why = signal === "SIGABRT" || signal === "SIGTRAP" ? ` (${memory})` : "";
  const message = `crashed its process: ${how}${why}`;
  if (signal !== null) return { kind: "signal", message, signal };
  return { kind: "exit", message, ...(code === null ? {} : { exitCode: code }) };
}

/**
 * The call's own code can write there, too, so the word decides nothing but the end of this call.
 */
function parseWord(word: string): CallEnd | undefined {
  try {
    const { message, exitCode } = JSON.parse(word) as LastWord;
    const code = typeof exitCode === "number" ? { exitCode } : {};
    return { kind: "exit", message: String(message), ...code };
  } catch {
    return undefined;
  }
}
