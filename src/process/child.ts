/**
 * Lesson 11: a child process in a group of its own, and its two output streams, as one thing.
 *
 * Three things end independently: the process, its stdout and its stderr. And the streams may not
 * end at all: a daemon that the child started inherits them. So the exit is reported when the
 * process has exited and either both streams have ended or nothing has come from them for
 * DRAIN_QUIET_MS.
 *
 * Invariants: one `onExit`, after the last byte; when the child has exited, so has its group.
 * Left out: keeping the event loop alive. The owner knows whether anything runs; a handle does not.
 * Test: test/11-worker.processes.test.ts, test/11-worker.pipes.test.ts
 */
import { spawn, type ChildProcess, type StdioOptions } from "node:child_process";
import { closeSync } from "node:fs";
import type { Readable } from "node:stream";
import { openOutputPipes } from "./pipes.ts";

/**
 * If something else still holds a dead child's pipes open, they count as empty after this much
 * silence.
 */
const DRAIN_QUIET_MS = 100;

export type StreamName = "stdout" | "stderr";

/** See the head of this file. Starting it may throw (E2BIG, ENOMEM). */
export class OutputChild {
  readonly process: ChildProcess;
  readonly #streams: Readable[] = [];
  #open = 0;
  #paused = false;
  #reported = false;
  #exited: { code: number | null; signal: string | null; error?: Error } | undefined;
  #quiet: NodeJS.Timeout | undefined;
  readonly #onExit: (code: number | null, signal: string | null, error?: Error) => void;

  constructor(
    command: {
      file: string;
      args: string[];
      env: Record<string, string>;
      cwd?: string;
      stdin: "pipe" | "ignore";
    },
    handlers: {
      onOutput(stream: StreamName, bytes: Buffer): void;
      onExit(code: number | null, signal: string | null, error?: Error): void;
    },
  ) {
    this.#onExit = handlers.onExit;
    const pipes = openOutputPipes();
    const stdio: StdioOptions = pipes
      ? [command.stdin, pipes.stdout.write, pipes.stderr.write]
      : [command.stdin, "pipe", "pipe"];
    try {
      this.process = spawn(command.file, command.args, {
        detached: true,
        env: command.env,
        ...(command.cwd === undefined ? {} : { cwd: command.cwd }),
        stdio,
      });
    } finally {
      if (pipes) {
        closeSync(pipes.stdout.write);
        closeSync(pipes.stderr.write);
      }
    }
    const out = pipes?.stdout.read ?? this.process.stdout;
    const err = pipes?.stderr.read ?? this.process.stderr;
    if (out && err) {
      this.#listen(out, (bytes) => handlers.onOutput("stdout", bytes));
      this.#listen(err, (bytes) => handlers.onOutput("stderr", bytes));
    }
    this.process.on("error", (error) => this.#ended({ code: null, signal: null, error }));
    this.process.on("exit", (code, signal) => this.#ended({ code, signal }));
    this.process.stdin?.on("error", () => {}); // EPIPE: the exit that follows tells more.
    // Only a running job keeps the event loop alive, and the owner knows it; an idle launcher never
    // does.
    this.process.unref();
    (this.process.stdin as unknown as { unref?(): void } | null)?.unref?.();
    for (const stream of this.#streams) (stream as unknown as { unref(): void }).unref();
  }

  get hasExited(): boolean {
    return this.#exited !== undefined;
  }

  pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    clearTimeout(this.#quiet);
    for (const stream of this.#streams) stream.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    for (const stream of this.#streams) stream.resume();
    this.#settle();
  }

  /** Sends a signal to the whole group. */
  kill(signal: string): void {
    if (this.process.pid === undefined) return;
    try {
      process.kill(-this.process.pid, signal as NodeJS.Signals);
    } catch { /* it is gone */ }
  }

  #listen(stream: Readable, onBytes: (bytes: Buffer) => void): void {
    this.#streams.push(stream);
    this.#open++;
    stream.on("data", (bytes: Buffer) => {
      onBytes(bytes);
      this.#settle();
    });
    stream.on("error", () => {});
    stream.once("close", () => {
      this.#open--;
      this.#settle();
    });
  }

  #ended(how: { code: number | null; signal: string | null; error?: Error }): void {
    if (this.#exited) return;
    this.#exited = how;
    // The leader is gone; no other process of its group may stay behind.
    this.kill("SIGKILL");
    this.#settle();
  }

  /** Reports the exit once the pipes are closed, or silent although somebody holds them. */
  #settle(): void {
    const how = this.#exited;
    if (how === undefined || this.#reported) return;
    clearTimeout(this.#quiet);
    if (this.#open > 0) {
      if (!this.#paused) this.#quiet = setTimeout(() => this.#closeStreams(), DRAIN_QUIET_MS);
      return;
    }
    this.#reported = true;
    this.#onExit(how.code, how.signal, how.error);
  }

  #closeStreams(): void {
    for (const stream of this.#streams) stream.destroy();
  }
}
