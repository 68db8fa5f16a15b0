/**
 * The world around a command: terminal, environment, signals, and the clean-up that must run
 * however the command ends.
 *
 * Invariants: data goes to stdout, everything else to stderr; clean-up runs once, in the reverse
 * order of its registration, also when the reader of our output has gone away.
 * Test: test/cli.test.ts
 */
import { readFileSync } from "node:fs";
import { hostname, userInfo } from "node:os";
import { resolve } from "node:path";
import { WriteStream } from "node:tty";
import { styleText } from "node:util";
import { nodeHost, type Host } from "#host";

/**
 * The operating system is left to end what takes longer: a worker's job has 5 s to end, and the
 * worker 2 s more.
 */
const CLEANUP_MS = 9000;

/**
 * `timeout 60 titan up` sends SIGTERM to titan, and at once to the group that titan is in: that is
 * one wish, and nobody is in a hurry. A person who is needs longer for a second one.
 */
const TERM_COPY_MS = 100;

export type Color = "red" | "green" | "yellow" | "blue" | "magenta" | "cyan" | "dim" | "bold";

export type InterruptHandler = (signal: "SIGINT" | "SIGTERM" | "SIGHUP", times: number) => void;

/** A terminal that nobody has told its size (in a container, in a build) says 0: it is unknown. */
export function terminalSize(
  { columns, rows }: { readonly columns?: number; readonly rows?: number },
): { columns: number | undefined; rows: number | undefined } {
  return { columns: columns || undefined, rows: rows || undefined };
}

export class Context {
  readonly host: Host = nodeHost();
  readonly env: NodeJS.ProcessEnv;
  /** Redraw in place: the terminal can do it, and neither CI nor TERM=dumb forbids it. */
  readonly live: boolean;
  readonly #colorOut: boolean;
  readonly #colorErr: boolean;
  readonly #cleanups: (() => Promise<void> | void)[] = [];
  #signals = 0;
  #termAt = -Infinity;
  #muted = false;
  #cleaning: Promise<void> | undefined;

  constructor(env = process.env) {
    this.env = env;
    this.live = process.stderr.isTTY === true && !isCalm(env);
    this.#colorOut = hasColors(process.stdout.isTTY === true, env);
    this.#colorErr = hasColors(process.stderr.isTTY === true, env);
  }

  get debug(): boolean {
    return this.env["TITAN_DEBUG"] === "1";
  }

  /** The environment of a terminal that shows more than ASCII. */
  get unicode(): boolean {
    const { LC_ALL, LC_CTYPE, LANG } = this.env;
    return /utf-?8/i.test(LC_ALL || LC_CTYPE || LANG || "");
  }

  // ── output ─────────────────────────────────────────────────────────────────────────────────────

  /** A line of data. */
  out(line: string): void {
    process.stdout.write(`${line}\n`);
  }

  /** Cells in a line of the terminal that data goes to; undefined: it goes elsewhere. */
  get columns(): number | undefined {
    return process.stdout.isTTY ? terminalSize(process.stdout).columns : undefined;
  }

  /** One JSON value on one line. */
  json(value: unknown): void {
    this.out(JSON.stringify(value, jsonValue));
  }

  /** A line for the person at the terminal. */
  note(line: string): void {
    if (this.#muted) return;
    process.stderr.write(`${line}\n`);
  }

  /** From now on nothing is noted: our reader has gone, and failures that follow are no news. */
  mute(): void {
    this.#muted = true;
  }

  /**
   * Bytes as they are. Resolves when they are out, so that a slow reader slows us and not our
   * memory.
   */
  pour(stream: "stdout" | "stderr", bytes: Uint8Array): Promise<void> {
    return new Promise((out) => void process[stream].write(bytes, () => out()));
  }

  /**
   * Colours a text for stdout (`out`) or stderr (`note`), if that is a terminal that wants colours.
   */
  paint(color: Color, text: string, on: "out" | "note" = "out"): string {
    const wanted = on === "out" ? this.#colorOut : this.#colorErr;
    // We have looked at the stream ourselves. Newer Nodes would look at stdout, also for a text
    // that goes to stderr.
    return wanted ? styleText(color, text, { validateStream: false }) : text;
  }

  // ── environment ────────────────────────────────────────────────────────────────────────────────

  /** An environment variable that is not empty. */
  setting(name: string): string | undefined {
    const value = this.env[name];
    return isSet(value) ? value : undefined;
  }

  /** Where state lives: TITAN_HOME, else `.titan` in the current folder. Absolute. */
  get home(): string {
    return resolve(this.setting("TITAN_HOME") ?? ".titan");
  }

  /** The person who decides: `ada@workstation`. */
  get person(): string {
    return `${this.setting("USER") ?? this.setting("LOGNAME") ?? userName()}@${hostname()}`;
  }

  // ── ending ─────────────────────────────────────────────────────────────────────────────────────

  onExit(cleanup: () => Promise<void> | void): void {
    this.#cleanups.push(cleanup);
  }

  /** Runs what `onExit` collected. A second call waits for the same work. */
  cleanUp(): Promise<void> {
    this.#cleaning ??= this.#cleanUp();
    return this.#cleaning;
  }

  async #cleanUp(): Promise<void> {
    const limit = new Promise<void>((over) => setTimeout(over, CLEANUP_MS).unref());
    for (let next = this.#cleanups.pop(); next !== undefined; next = this.#cleanups.pop()) {
      await Promise.race([Promise.resolve(next()).catch(() => undefined), limit]);
    }
  }

  /** From now on signals are the handler's business; without one they end the process as usual. */
  onInterrupt(handler: InterruptHandler): void {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      process.removeAllListeners(signal);
      process.on(signal, () => {
        if (signal === "SIGTERM" && this.#isTermCopy()) return;
        handler(signal, ++this.#signals);
      });
    }
  }

  #isTermCopy(): boolean {
    const before = this.#termAt;
    this.#termAt = performance.now();
    return this.#termAt - before < TERM_COPY_MS;
  }
}

/** Redrawing in place would fill the log file of a CI build with frames. */
function isCalm({ CI, TERM }: NodeJS.ProcessEnv): boolean {
  return (isSet(CI) && CI !== "false" && CI !== "0") || TERM === "dumb";
}

/**
 * Follows Node's rules: FORCE_COLOR, NO_COLOR, TERM, and the CI services that are known to show
 * colours. Node does not look whether the stream is a terminal, so we look here, unless
 * FORCE_COLOR is set.
 */
export function hasColors(isTerminal: boolean, env: NodeJS.ProcessEnv): boolean {
  if (!isTerminal && env["FORCE_COLOR"] === undefined) return false;
  const { CI, ...rest } = env;
  // Node takes CI=false for a CI, too.
  const asked = CI === undefined || CI === "" || CI === "false" || CI === "0" ? rest : env;
  return WriteStream.prototype.hasColors.call(WriteStream.prototype, 16, asked);
}

function isSet(value: string | undefined): value is string {
  return value !== undefined && value !== "";
}

/**
 * The user of a container may have no name. Bun reads the name from $USER alone, and says "unknown"
 * without it. Then the system's list is asked.
 */
function userName(): string {
  let name = "";
  try {
    name = userInfo().username;
  } catch {
    // no entry for this user
  }
  if (name !== "" && name !== "unknown") return name;
  const uid = process.getuid?.();
  return uid === undefined ? "unknown" : (nameInList(uid) ?? `uid${uid}`);
}

/** The name of a user in /etc/passwd: `name:password:uid:…` */
export function nameInList(uid: number, file = "/etc/passwd"): string | undefined {
  try {
    const lines = readFileSync(file, "utf8").split("\n").map((line) => line.split(":"));
    return lines.find(([name, , id]) => name !== "" && id === String(uid))?.[0];
  } catch {
    return undefined;
  }
}

/** `undefined` would make a field vanish; a reader of JSON wants every field, every time. */
function jsonValue(_key: string, value: unknown): unknown {
  return value === undefined ? null : value;
}
