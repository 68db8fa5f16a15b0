/** Programs that are functions: what `processes.spawn` starts in a simulated host. */
import type { Child, Exit, Processes, SpawnOptions } from "#host";
import type { Boot, World } from "./world.ts";

/** A running program, from the inside. */
export interface SimProcess {
  readonly host: string;
  readonly pid: number;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Calls `fn` in `ms`, unless the program has ended by then. */
  after(ms: number, fn: () => void): void;
  output(stream: "stdout" | "stderr", text: string): void;
  exit(code: number): void;
  /** Set it to live through SIGTERM and SIGINT; SIGKILL is not asked. */
  onSignal?: (name: string) => void;
}

/** Called when a host spawns something; the program lives until it calls `exit` or is killed. */
export type SimProgram = (process: SimProcess) => void;

const DEADLY = new Set(["SIGTERM", "SIGKILL", "SIGINT"]);

export function processesOf(world: World, boot: Boot): Processes {
  const program: SimProgram = world.options.program ?? ((self) => self.after(1, () => self.exit(0)));
  let lastPid = 100;
  return {
    spawn: (options) => {
      const running = new RunningProgram(world, { boot, pid: ++lastPid, spawn: options });
      world.after(boot, 0, () => running.start(program));
      return running;
    },
  };
}

class RunningProgram implements Child {
  readonly pid: number;
  readonly #world: World;
  readonly #boot: Boot;
  readonly #spawn: SpawnOptions;
  #self: SimProcess | undefined;
  #ended = false;
  #paused = false;
  /** What the program did while nobody read its pipe. */
  #waiting: Array<() => void> = [];

  constructor(world: World, options: { boot: Boot; pid: number; spawn: SpawnOptions }) {
    this.#world = world;
    this.#boot = options.boot;
    this.pid = options.pid;
    this.#spawn = options.spawn;
  }

  start(program: SimProgram): void {
    if (this.#ended) return;
    const { argv, env } = this.#spawn;
    this.#world.note(`${this.#boot.name} starts ${this.pid} ${argv.join(" ")}`);
    this.#self = {
      host: this.#boot.name,
      pid: this.pid,
      argv,
      env,
      after: (ms, fn) => void this.#world.after(this.#boot, ms, () => { if (!this.#ended) fn(); }),
      output: (stream, text) => this.#deliver(() => this.#spawn.onOutput(stream, Buffer.from(text))),
      exit: (code) => this.#end({ code, signal: null }),
    };
    program(this.#self);
  }

  signal(name: "SIGTERM" | "SIGKILL" | "SIGINT" | "SIGSTOP" | "SIGCONT"): void {
    this.#world.after(this.#boot, 0, () => {
      if (this.#ended) return;
      const { onSignal } = this.#self ?? {};
      if (name !== "SIGKILL" && onSignal !== undefined) onSignal(name);
      else if (DEADLY.has(name)) this.#end({ code: null, signal: name });
    });
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#world.after(this.#boot, 0, () => {
      while (!this.#paused && this.#waiting.length > 0) this.#waiting.shift()!();
    });
  }

  #end(exit: Exit): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#world.note(`${this.#boot.name} ends ${this.pid} ${exit.signal ?? exit.code}`);
    this.#deliver(() => this.#spawn.onExit(exit));
  }

  /** On an event of its own, behind everything that waits for a reader. */
  #deliver(fn: () => void): void {
    this.#world.after(this.#boot, 0, () => {
      if (this.#paused || this.#waiting.length > 0) this.#waiting.push(fn);
      else fn();
    });
  }
}
