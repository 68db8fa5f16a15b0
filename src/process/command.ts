/**
 * Lesson 13: a program that is run for what it says: one that orders a machine, one that ends it,
 * one that tells people something.
 *
 *     stdout: the first line is the answer       stderr: the last line is the reason
 *
 * Nothing of it is trusted. It may not exist, hang, print nothing, or print without end; each of
 * these ends, within a time and with so many bytes of memory, as a sentence.
 *
 * Invariants: resolves once, when the program has exited or was killed with its group; never
 * rejects. What a program that exits with 0 has left running goes on: it may be the very machine.
 * With `ownsAll` it is ended.
 * Left out: processes that have left the group of a program that is killed.
 * Test: test/13-scaling.command.test.ts
 */
import { spawn, type ChildProcess } from "node:child_process";

/** Of its output, for the first line, and of the end of stderr. */
const KEPT_CHARS = 4096;
/** Beyond this it prints without end. */
const MAX_OUTPUT_BYTES = 1024 * 1024;
/** Something that it has started may hold its pipes open. */
const DRAIN_MS = 100;

export interface CommandOptions {
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  /** What it reads. Default: nothing. */
  readonly input?: string;
  /** Its group ends with it. Default false. */
  readonly ownsAll?: boolean;
}

export interface CommandEnd {
  /** The first line of its output that is not blank. */
  readonly line: string;
  /** Undefined: it exited with 0. */
  readonly failure: string | undefined;
  /**
   * It has run, and nobody knows what it has done. An exit code says little: `sbatch` has one when
   * only the answer was lost, and the job is there.
   */
  readonly isUnsure: boolean;
}

export interface RunningCommand {
  readonly ended: Promise<CommandEnd>;
  /** Ends it now, with its group. */
  kill(why: string): void;
}

export function runCommand(options: CommandOptions): RunningCommand {
  let command: Command;
  try {
    command = new Command(options);
  } catch (error) {
    const end = { line: "", failure: whyNot(error as Error, options), isUnsure: false };
    return { ended: Promise.resolve(end), kill: () => undefined };
  }
  return command;
}

class Command implements RunningCommand {
  readonly ended: Promise<CommandEnd>;
  readonly #child: ChildProcess;
  readonly #timer: NodeJS.Timeout;
  #out = "";
  #err = "";
  #bytes = 0;
  #killed: string | undefined;
  readonly #ownsAll: boolean;
  #end: (end: CommandEnd) => void = () => undefined;

  constructor(options: CommandOptions) {
    const { argv: [file, ...args], cwd, env, timeoutMs, input, ownsAll = false } = options;
    this.#ownsAll = ownsAll;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    this.#child = spawn(file!, args, {
      cwd, env: { ...env }, detached: true,
      stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
    });
    // A program need not read it.
    this.#child.stdin?.on("error", () => undefined).end(input);
    const seconds = timeoutMs / 1000;
    this.#timer = setTimeout(() => this.kill(`it had not ended after ${seconds} s`), timeoutMs);
    // Undefined when there was no descriptor left for them: the error comes next.
    const { stdout, stderr } = this.#child;
    stdout?.on("data", (bytes: Buffer) => {
      this.#out = (this.#out + bytes.toString("utf8")).slice(0, KEPT_CHARS);
      this.#count(bytes);
    }).on("error", () => undefined);
    stderr?.on("data", (bytes: Buffer) => {
      this.#err = (this.#err + bytes.toString("utf8")).slice(-KEPT_CHARS);
      this.#count(bytes);
    }).on("error", () => undefined);
    this.#child.once("error", (error) => {
      this.#over({ failure: whyNot(error, options), isUnsure: false });
    });
    this.#child.once("exit", (code, signal) => {
      // At once: a number is given to nobody else while its group has members.
      if (this.#ownsAll) this.#killGroup();
      const timer = setTimeout(() => this.#exited(code, signal), DRAIN_MS);
      this.#child.once("close", () => {
        clearTimeout(timer);
        this.#exited(code, signal);
      });
    });
  }

  kill(why: string): void {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#killed ??= why;
    this.#killGroup();
  }

  #killGroup(): void {
    try {
      process.kill(-this.#child.pid!, "SIGKILL");
    } catch { /* it is gone already */ }
  }

  #count(bytes: Buffer): void {
    this.#bytes += bytes.length;
    if (this.#bytes > MAX_OUTPUT_BYTES) {
      this.kill(`it had printed more than ${MAX_OUTPUT_BYTES} bytes`);
    }
  }

  #exited(code: number | null, signal: string | null): void {
    const failure = this.#failure(code, signal);
    this.#over({ failure, isUnsure: failure !== undefined });
  }

  #failure(code: number | null, signal: string | null): string | undefined {
    if (this.#killed !== undefined) return `${this.#killed}, and was killed`;
    if (code === 0) return undefined;
    const last = this.#err.trim().split("\n").at(-1)!.trim();
    const how = signal === null ? `exit code ${code}` : `ended by ${signal}`;
    return last === "" ? how : `${last} (${how})`;
  }

  #over(end: Omit<CommandEnd, "line">): void {
    clearTimeout(this.#timer);
    this.#child.stdout?.destroy();
    this.#child.stderr?.destroy();
    const line = this.#out.split("\n").find((each) => each.trim() !== "") ?? "";
    this.#end({ ...end, line: line.trim() });
  }
}

function whyNot(
  error: Error & { code?: string }, { argv: [file = ""], cwd }: CommandOptions,
): string {
  if (error.code === "ENOENT") return `there is no program ${file} (looked for from ${cwd})`;
  return error.code === "EACCES" ? `${file} may not be run` : error.message;
}
