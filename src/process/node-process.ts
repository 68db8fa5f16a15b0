/**
 * Lesson 11: a Node process of our own that runs calls (src/exec/call-pool.ts), and its pipes.
 *
 *     0  nothing: its end tells the process that we are gone       ──▶
 *     1  2  what the process prints by itself                      ◀──
 *     3  requests      ──▶       4  replies      ◀──
 *     5  its last word: why it ends                                ◀──
 *
 * Replies have a pipe of their own, and we stop reading it while nobody takes the replies: then the
 * process waits in `write`, as any program does.
 *
 * Invariants: the process leads a group, which ends with it, and with us (reaper.ts).
 * `onEnd` comes once, after the last byte of all its pipes.
 * Left out: a child that left the group, and wiped its environment. It can hold the pipes 1 and 2
 * open, so these are given up a moment after the process itself has ended.
 * Test: test/11-worker.calls.test.ts, test/11-worker.pipes.test.ts
 */
import { spawn, type ChildProcess } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { reap, release } from "./reaper.ts";

/** Output of a process that has ended may still arrive for so long. */
const LAST_OUTPUT_MS = 200;
/** The longest last word, which is one sentence. */
const MAX_WORD_CHARS = 16 * 1024;
const REQUESTS = 3;
const REPLIES = 4;
const WORD = 5;

/** How such a process ended. */
export interface NodeEnd {
  readonly code: number | null;
  readonly signal: string | null;
  /** Its last word, or an empty text. */
  readonly word: string;
  /** Set if the process could not be started. */
  readonly error?: Error;
}

export interface NodeProcessOptions {
  /** JavaScript, CommonJS. */
  readonly program: string;
  readonly env: Readonly<Record<string, string>>;
  onReply(chunk: Buffer): void;
  /** Bytes that the process printed by other ways than replies. */
  onPrinted(stream: "stdout" | "stderr", bytes: Buffer): void;
  onEnd(end: NodeEnd): void;
}

export interface NodeProcess {
  readonly pid: number | undefined;
  send(bytes: Uint8Array): void;
  /** Stops and restarts `onReply` and `onPrinted`. */
  pause(): void;
  resume(): void;
  /** Ends the process and its group now. */
  kill(): void;
  /** Keeps our own process alive until this one has ended. */
  hold(): void;
  letGo(): void;
}

/**
 * Starts the program, with the executable that runs us. Never throws: a failure comes to `onEnd`.
 */
export function startNodeProcess(options: NodeProcessOptions): NodeProcess {
  return new OwnProcess(options);
}

type Pipe = Readable & Writable & { ref?(): void; unref?(): void };

class OwnProcess implements NodeProcess {
  readonly pid: number | undefined;
  readonly #child: ChildProcess;
  readonly #pipes: (Pipe | null | undefined)[];
  #word = "";
  #ended = false;

  constructor(options: NodeProcessOptions) {
    const stdio = ["pipe", "pipe", "pipe", "pipe", "pipe", "pipe"] as const;
    // The process leads a group of its own: Ctrl-C in our terminal is for us, and we give calls
    // time to end.
    const child = spawn(process.execPath, ["-e", options.program], {
      detached: true, env: { ...options.env }, stdio: [...stdio],
    });
    this.#child = child;
    this.pid = child.pid;
    // None when there is no descriptor left: the error comes later.
    this.#pipes = (child.stdio as (Pipe | null)[] | undefined) ?? [];
    if (this.pid !== undefined) reap(this.pid);
    for (const pipe of this.#pipes) pipe?.on("error", () => undefined); // only its end matters
    this.#pipes[REPLIES]?.on("data", (chunk: Buffer) => options.onReply(chunk));
    this.#pipes[1]?.on("data", (bytes: Buffer) => options.onPrinted("stdout", bytes));
    this.#pipes[2]?.on("data", (bytes: Buffer) => options.onPrinted("stderr", bytes));
    this.#pipes[WORD]?.on("data", (bytes: Buffer) => {
      this.#word = (this.#word + bytes.toString("utf8")).slice(0, MAX_WORD_CHARS);
    });
    child.once("exit", () => this.#exited());
    child.once("close", (code, signal) => this.#end(options, { code, signal }));
    child.once("error", (error) => this.#end(options, { code: null, signal: null, error }));
  }

  send(bytes: Uint8Array): void {
    this.#pipes[REQUESTS]?.write(bytes);
  }

  pause(): void {
    for (const at of [1, 2, REPLIES]) this.#pipes[at]?.pause();
  }

  resume(): void {
    for (const at of [1, 2, REPLIES]) this.#pipes[at]?.resume();
  }

  kill(): void {
    this.hold(); // A caller may wait for its end, which comes soon.
    const { exitCode, signalCode } = this.#child;
    // Once it is gone, another process may have its number.
    if (exitCode === null && signalCode === null) this.#killGroup();
  }

  #killGroup(): void {
    if (this.pid === undefined) return;
    try {
      process.kill(-this.pid, "SIGKILL");
    } catch { /* it is gone already */ }
  }

  hold(): void {
    this.#child.ref();
    for (const pipe of this.#pipes) pipe?.ref?.();
  }

  letGo(): void {
    this.#child.unref();
    for (const pipe of this.#pipes) pipe?.unref?.();
  }

  #exited(): void {
    this.#killGroup(); // ends processes that a call has started and left in the group
    const timer = setTimeout(() => {
      for (const at of [1, 2]) if (!this.#pipes[at]?.isPaused()) this.#pipes[at]?.destroy();
    }, LAST_OUTPUT_MS);
    this.#child.once("close", () => clearTimeout(timer));
  }

  #end(options: NodeProcessOptions, how: Omit<NodeEnd, "word">): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.pid !== undefined) release(this.pid);
    options.onEnd({ ...how, word: this.#word });
  }
}
