/**
 * Lesson 11: the built-in calls, which share one thread of our own process.
 *
 *     us ──▶ Batch      one message for all calls of one turn of the event loop
 *     us ◀── Answer
 *
 * Both are columns, because copying an object into another thread costs more than such a call.
 *
 * They contain no code of users, so they cannot hang. `titan:sleep` is a timer of ours.
 *
 * Invariant: a message has MAX_BATCH_BYTES of input and one call more at most, so the thread's
 * memory is bounded.
 * Test: test/11-worker.exec.test.ts
 */
import { Worker } from "node:worker_threads";
import type * as Threads from "node:worker_threads";
import { FreshMap } from "#base";
import type { Host } from "#host";
import type { CallAttempt, CallEnd } from "./call-attempt.ts";
import { describe, encodeResult, type Done } from "./call-encode.ts";
import { HELPERS } from "./call-thread.ts";
import { MAX_RESULT_BYTES, tooLarge } from "./types.ts";

const NAMES = ["noop", "echo", "fail", "sleep"];
/** An input may have 1 MiB, and take thirty times that as JavaScript values. */
const MAX_BATCH_BYTES = 1024 * 1024;

/** Calls, as columns. */
interface Batch {
  readonly ids: number[];
  readonly names: string[];
  readonly inputs: string[];
}

/** Calls that ended without a result, by their ids, and all others. */
interface Answer {
  readonly quiet: number[];
  readonly dones: Done[];
}

interface ThreadData {
  readonly maxBytes: number;
  readonly tooLarge: string;
}

function builtinThread({ parentPort, workerData }: typeof Threads): void {
  const limits = workerData as ThreadData;
  /** Returns nothing for a call that succeeded without a result. */
  const call = (id: number, name: string, input: string): Done | undefined => {
    try {
      const value: unknown = input === "" ? undefined : JSON.parse(input);
      if (name === "echo") return encodeResult(id, value, limits);
      if (name !== "fail") return undefined;
      const text = typeof value === "string" ? value : "titan:fail was asked to fail";
      return { id, kind: "exit", text };
    } catch (error) {
      const why = `its input is not JSON (${describe(error)})`;
      return { id, kind: "bad-input", text: `Cannot call titan:${name}: ${why}` };
    }
  };
  parentPort?.on("message", ({ ids, names, inputs }: Batch) => {
    const answer: Answer = { quiet: [], dones: [] };
    ids.forEach((id, index) => {
      const done = call(id, names[index]!, inputs[index]!);
      if (done === undefined) answer.quiet.push(id);
      else answer.dones.push(done);
    });
    parentPort.postMessage(answer);
  });
}

const PROGRAM = `${HELPERS} (${builtinThread})(require("node:worker_threads"));`;

export class Builtins {
  readonly #host: Host;
  #thread: Worker | undefined;
  readonly #open = new FreshMap<number, CallAttempt>();
  #batch: Batch = { ids: [], names: [], inputs: [] };
  #batchBytes = 0;

  constructor(host: Host) {
    this.#host = host;
  }

  start(attempt: CallAttempt, call: { name: string; input: Buffer }): void {
    const { name } = call;
    const input = call.input.toString("utf8");
    if (name === "sleep") this.#sleep(attempt, input);
    else if (NAMES.includes(name)) this.#send(attempt, { name, input });
    else {
      const all = NAMES.map((known) => `titan:${known}`).join(", ");
      const message = `Cannot call titan:${name}: there are ${all}`;
      attempt.end({ kind: "not-found", message });
    }
  }

  #send(attempt: CallAttempt, { name, input }: { name: string; input: string }): void {
    // The answer to a stopped call still comes, and is ignored.
    this.#open.set(attempt.id, attempt);
    this.#thread ??= this.#newThread();
    if (this.#open.size === 1) this.#thread.ref();
    const { ids, names, inputs } = this.#batch;
    names.push(name);
    inputs.push(input);
    if (ids.push(attempt.id) === 1) this.#host.timers.soon(() => this.#flush());
    this.#batchBytes += input.length;
    if (this.#batchBytes > MAX_BATCH_BYTES) this.#flush();
  }

  async close(): Promise<void> {
    await this.#thread?.terminate();
  }

  #flush(): void {
    if (this.#batch.ids.length > 0) this.#thread?.postMessage(this.#batch);
    this.#batch = { ids: [], names: [], inputs: [] };
    this.#batchBytes = 0;
  }

  /** A timer of ours: a sleeping thread would be wasted. */
  #sleep(attempt: CallAttempt, input: string): void {
    const ms = Number(input);
    if (ms >= 0) {
      const timer = this.#host.timers.after(ms, () => attempt.end({}));
      attempt.onStop = () => timer.cancel();
    } else {
      const message = "Cannot call titan:sleep: its input is not a number of milliseconds";
      attempt.end({ kind: "bad-input", message });
    }
  }

  #newThread(): Worker {
    const workerData: ThreadData = { maxBytes: MAX_RESULT_BYTES, tooLarge: tooLarge() };
    const thread = new Worker(PROGRAM, {
      // our loaders and conditions must not load there
      eval: true, workerData, env: {}, execArgv: [],
    });
    thread.on("message", (answer: Answer) => this.#done(answer));
    let crash: Error | undefined;
    thread.on("error", (error) => (crash = error));
    thread.on("exit", () => {
      const message = `The thread of the built-in calls ended: ${crash?.message ?? "by itself"}`;
      this.#lost(thread, { kind: "internal", message });
    });
    return thread;
  }

  #done({ quiet, dones }: Answer): void {
    for (const id of quiet) this.#take(id)?.end({});
    for (const done of dones) this.#take(done.id)?.end(endOf(done));
    if (this.#open.size === 0) this.#thread?.unref();
  }

  #take(id: number): CallAttempt | undefined {
    const attempt = this.#open.get(id);
    this.#open.delete(id);
    return attempt;
  }

  #lost(thread: Worker, end: CallEnd): void {
    if (this.#thread === thread) this.#thread = undefined;
    const open = [...this.#open.values()];
    this.#open.clear();
    for (const attempt of open) attempt.end(end);
  }
}

/** The end that a Done describes. */
export function endOf(done: Done): CallEnd {
  if (done.kind !== undefined) return { kind: done.kind, message: done.text };
  return done.text === "" ? {} : { result: Buffer.from(done.text) };
}
