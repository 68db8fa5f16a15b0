/**
 * Programs that are functions: what `processes.spawn` starts in a simulated host.
 *
 * Programs run on the machine, not in the process that started them: when that process is stopped,
 * they go on, and when it dies, the reaper ends them. Their output and their exit reach the process
 * only while it lives.
 *
 * Test: test/22-simulation.world.test.ts
 */
import type { Child, Exit, Processes, SpawnOptions } from "#host";
import type { Boot, LiveProgram, Machine, MachineProgram } from "./machine.ts";
import type { SimProcess, SimProgram, World } from "./types.ts";

const DEADLY = new Set(["SIGTERM", "SIGKILL", "SIGINT"]);

/** The shortest and the longest time in which the reaper ends the programs of a dead process. */
const REAPER_MS = [1, 20] as const;

export function processesOf(world: World, boot: Boot): Processes {
  const program: SimProgram =
    world.options.program ?? ((self) => self.after(1, () => self.exit(0)));
  return {
    spawn: (options) => {
      const running = new RunningProgram(world, {
        boot,
        pid: ++boot.machine.lastPid,
        spawn: options,
      });
      world.after(boot, 0, () => running.start(program));
      return running;
    },
  };
}

/** Ends the programs of a dead process, each at its own time. */
export function reap(world: World, machine: Machine): void {
  for (const program of machine.programs) {
    world.at(world.between(REAPER_MS, world.chance), () =>
      program.end({ code: null, signal: "SIGKILL" }),
    );
  }
}

class RunningProgram implements Child, MachineProgram {
  readonly pid: number;
  readonly #world: World;
  readonly #boot: Boot;
  readonly #spawn: SpawnOptions;
  #self: SimProcess | undefined;
  #ended = false;
  #paused = false;
  #seen: LiveProgram | undefined;
  /** What the program wrote, and its exit, while nobody read its pipe. */
  #waiting: Array<() => void> = [];

  constructor(world: World, options: { boot: Boot; pid: number; spawn: SpawnOptions }) {
    this.#world = world;
    this.#boot = options.boot;
    this.pid = options.pid;
    this.#spawn = options.spawn;
  }

  /** Undefined before it has started. */
  get seen(): LiveProgram | undefined {
    return this.#seen;
  }

  start(program: SimProgram): void {
    if (this.#ended) return;
    const { argv, env } = this.#spawn;
    const { name: host, machine } = this.#boot;
    this.#world.note(`${host} starts ${this.pid} ${argv.join(" ")}`);
    this.#self = {
      host,
      pid: this.pid,
      argv,
      env,
      after: (ms, fn) => void machine.clock.timer(ms, () => { if (!this.#ended) fn(); }),
      output: (stream, text) => {
        if (!this.#ended) this.#deliver(() => this.#spawn.onOutput(stream, Buffer.from(text)));
      },
      exit: (code) => this.end({ code, signal: null }),
    };
    this.#seen = { host, pid: this.pid, argv, env, startedAt: this.#world.time.now };
    machine.programs.add(this);
    this.#world.program("start", this.#seen);
    if (!this.#ended) program(this.#self);
  }

  signal(name: "SIGTERM" | "SIGKILL" | "SIGINT" | "SIGSTOP" | "SIGCONT"): void {
    this.#world.after(this.#boot, 0, () => {
      if (this.#ended) return;
      const { onSignal } = this.#self ?? {};
      if (name !== "SIGKILL" && onSignal !== undefined) onSignal(name);
      else if (DEADLY.has(name)) this.end({ code: null, signal: name });
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

  end(exit: Exit): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#boot.machine.programs.delete(this);
    this.#world.note(`${this.#boot.name} ends ${this.pid} ${exit.signal ?? exit.code}`);
    if (this.#seen !== undefined) this.#world.program("end", this.#seen);
    this.#deliver(() => this.#spawn.onExit(exit));
  }

  /** The power went, and the program with it. Nobody is left to be told. */
  vanish(): void {
    this.#ended = true;
    this.#boot.machine.programs.delete(this);
    if (this.#seen !== undefined) this.#world.program("end", this.#seen);
  }

  /** As an event of its own, behind everything that waits for a reader. */
  #deliver(fn: () => void): void {
    this.#world.after(this.#boot, 0, () => {
      if (this.#paused || this.#waiting.length > 0) this.#waiting.push(fn);
      else fn();
    });
  }
}
