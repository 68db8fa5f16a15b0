/**
 * Lesson 11: the launcher, a warm shell that starts one job after another.
 *
 * Forking a 70 MB Node process costs about 0.9 ms; forking an idle `sh` a third of that, on another
 * core. So each running job sits under a launcher: an `sh`, leader of its own process group, which
 * reads one line per job from us and frames the job's output with marks that carry a nonce:
 *
 *     us ──▶ stdin   (…; cd 'DIR' && export A='1' && exec 'prog' 'arg' …) </dev/null; e
 *     us ◀── stdout  RS nonce s LF   bytes of the job …   RS nonce e STATUS LF
 *     us ◀── stderr                  bytes of the job …   RS nonce e LF
 *
 * Invariants: one job at a time; the bytes between the marks are the job's, and none of them is
 * dropped; the job ends when both end marks were read, or when the launcher has died and its pipes
 * are empty.
 * Left out: telling a program that exits with 137 from one that SIGKILL ended; a shell reports both
 * as 137. And a child that ignores the hang-up can still print into the next job, until the sweep
 * finds it.
 * Test: test/11-worker.processes.test.ts
 */
import { randomBytes } from "node:crypto";
import { OutputChild, type StreamName } from "./child.ts";
import { MarkReader, markText } from "./marks.ts";

/** How one job ended, in the launcher's words. */
export interface Ending {
  /** The shell's status, or null when the launcher itself died. */
  readonly status: number | null;
  readonly signal: string | null;
  /** True: the shell could not change folder or execute the program. */
  readonly refused?: boolean;
  /** True: the launcher died before the job began, so that another one may run it. */
  readonly unstarted?: boolean;
  readonly error?: Error & { code?: string };
}

export interface LaunchedJob {
  onOutput(stream: StreamName, bytes: Buffer): void;
  onEnd(ending: Ending): void;
}

/** Quotes a text for a POSIX shell: only a quote needs care inside single quotes. */
export function quote(text: string): string {
  return text.includes("'") ? `'${text.replaceAll("'", "'\\''")}'` : `'${text}'`;
}

export interface LaunchLine {
  readonly program: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

/** One warm shell. */
export class Launcher {
  readonly pid: number | undefined;
  /** When it last became idle, on the caller's clock, which sets it. */
  idleSince!: number;
  /** See `poison`. */
  poisoned = false;
  /** Set once it has died and its pipes are empty. */
  dead = false;

  readonly #child: OutputChild;
  readonly #nonce = randomBytes(16).toString("hex");
  readonly #readers: Record<StreamName, MarkReader>;
  #job: LaunchedJob | undefined;
  #status: number | undefined;
  // `run` sets these anew for each job.
  #started!: boolean;
  #refused!: boolean;
  #stderrEnded!: boolean;
  #killed!: boolean;
  #wantsPause!: boolean;
  #waiting!: string[];
  readonly #onIdle: (launcher: Launcher) => void;
  readonly #onDead: (launcher: Launcher) => void;

  constructor(on: { idle(launcher: Launcher): void; dead(launcher: Launcher): void }) {
    this.#onIdle = on.idle;
    this.#onDead = on.dead;
    const reader = (stream: StreamName) => new MarkReader(this.#nonce, {
      onBytes: (bytes) => this.#pass(stream, bytes),
      onMark: (mark, rest) => this.#onMark(stream, mark, rest),
    });
    this.#readers = { stdout: reader("stdout"), stderr: reader("stderr") };
    this.#child = new OutputChild(
      { file: "/bin/sh", args: [], env: {}, cwd: "/", stdin: "pipe" },
      {
        onOutput: (stream, bytes) => this.#readers[stream].push(bytes),
        onExit: (...how) => this.#died(...how),
      },
    );
    this.pid = this.#child.process.pid;
    this.#write(this.#prologue());
  }

  get busy(): boolean {
    return this.#job !== undefined;
  }

  /**
   * Ready for another job. False from the moment its death is known, although its last output may
   * be unread.
   */
  get fit(): boolean {
    return !this.poisoned && !this.dead && !this.#child.hasExited;
  }

  // #region prologue
  /** The first lines for every launcher. POSIX words only: /bin/sh is dash, bash, ash or zsh. */
  #prologue(): string {
    return (
      // A signal with a trap gets its default back in the job: TERM ends the job, and the launcher
      // lives on.
      "trap : TERM INT HUP\n" +
      // The shell's own remarks ("Killed") are not the job's output.
      "exec 3>&2 2>/dev/null\n" +
      // After each job: hang up on the children it left in the group, then say how it ended.
      `e() { s=$?; kill -s HUP 0; echo '${this.#mark("e")}'$s; echo '${this.#mark("e")}' >&3; }\n`
    );
  }
  // #endregion

  // #region line
  /**
   * One job as one command. The trap runs only if `exec` did not: then the program never started.
   */
  line(launch: LaunchLine): string {
    const { program, args, cwd, env } = launch;
    const names = Object.keys(env);
    const exports =
      names.length === 0
        ? ""
        : `export ${names.map((n) => `${n}=${quote(env[n] as string)}`).join(" ")} && `;
    return (
      `(trap "echo '${this.#mark("f")}'" 0; echo '${this.#mark("s")}'; ` +
      `cd -P -- ${quote(cwd)} && unset PWD OLDPWD SHLVL && ${exports}` +
      `exec ${[program, ...args].map(quote).join(" ")} 2>&3 3>&-) </dev/null; e\n`
    );
  }
  // #endregion

  /** Starts a job. The launcher must be idle. */
  run(line: string, job: LaunchedJob): void {
    this.#job = job;
    this.#started = this.#refused = this.#stderrEnded = this.#killed = this.#wantsPause = false;
    this.#status = undefined;
    this.#waiting = [];
    this.#write(line);
  }

  signal(name: string): void {
    if (this.#job === undefined) return;
    if (name === "SIGKILL") {
      this.#killed = true;
      this.#child.kill(name);
    } else if (this.#started) {
      this.#child.kill(name);
    } else {
      // A signal that is sent now would reach the launcher only. The launcher ignores it, and the
      // job would begin in spite of it.
      this.#waiting.push(name);
    }
  }

  pause(): void {
    this.#wantsPause = true;
    // If it were paused earlier, the start mark would never be read.
    if (this.#started) this.#child.pause();
  }

  resume(): void {
    this.#wantsPause = false;
    this.#child.resume();
  }

  /** Ends an idle launcher: it reads the end of its input and exits. */
  retire(): void {
    this.#child.process.stdin?.end();
  }

  /** A leftover process is in the group: no further job may share these pipes with it. */
  poison(): void {
    this.poisoned = true;
    if (this.#job === undefined) this.destroy(); // The leftover dies with it.
  }

  /** Ends the launcher and everything in its group now. */
  destroy(): void {
    this.#child.kill("SIGKILL");
  }

  #write(text: string): void {
    this.#child.process.stdin?.write(text);
  }

  #mark(letter: string): string {
    return markText(this.#nonce, letter);
  }

  #pass(stream: StreamName, bytes: Buffer): void {
    const over = stream === "stdout" ? this.#status !== undefined : this.#stderrEnded;
    if (this.#job !== undefined && !over && (stream === "stderr" || this.#started)) {
      return this.#job.onOutput(stream, bytes);
    }
    // Bytes outside the marks come from a process that an earlier job left behind.
    this.poison();
  }

  /** True when this mark ended the job. `rest` bytes follow it in the same chunk. */
  #onMark(stream: StreamName, mark: string, rest: number): boolean {
    if (this.#job === undefined) return false;
    if (mark === "s") {
      this.#started = true;
      for (const name of this.#waiting) this.#child.kill(name);
      if (this.#wantsPause) this.#child.pause();
    } else if (mark === "f") {
      this.#refused = true;
    } else if (stream === "stderr") {
      this.#stderrEnded = true;
    } else {
      this.#status = Number(mark.slice(1));
    }
    if (this.#status === undefined || !this.#stderrEnded) return false;
    if (rest > 0) this.poisoned = true;
    this.#finish({ status: this.#status, signal: null, refused: this.#refused });
    return true;
  }

  #finish(ending: Ending): void {
    const job = this.#job;
    this.#job = undefined;
    this.#child.resume();
    // The launcher becomes idle first: the listener may start the next job at once.
    if (!this.dead) this.#onIdle(this);
    job?.onEnd(ending);
  }

  #died(_code: number | null, signal: string | null, error?: Error): void {
    this.dead = true;
    this.#onDead(this);
    this.#readers.stdout.end();
    this.#readers.stderr.end();
    const unstarted = !this.#started && !this.#killed;
    this.#finish({
      status: null,
      signal: signal ?? "SIGKILL",
      unstarted,
      ...(error ? { error } : {}),
    });
  }
}
