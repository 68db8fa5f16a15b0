/**
 * A machine and the process on it. The machine has the disk, the clock and the programs; a process
 * has one life, its `Boot`.
 *
 *     on the machine (`at`)       bytes arrive, programs run, a disk turns
 *     in the process (`enter`)    timers, promises, sockets' handlers: dropped when the process is
 *                                 dead, kept while it is stopped
 *
 * Test: test/22-simulation.world.test.ts
 */
import type { Exit, Timer, WorkerHost } from "#host";
import type { MachineClock } from "./clock.ts";
import type { DiskImage } from "./disk-image.ts";

/** One life of a host's process, from its start to its end. Everything it arms dies with it. */
export interface Boot {
  readonly name: string;
  readonly machine: Machine;
  /**
   * Things that it has opened and not given back yet. The network knows its connections and ports.
   */
  readonly held: Set<Held>;
  /** Called when it ends. */
  readonly onEnd: Array<() => void>;
  dead: boolean;
}

/** A thing that a process opens and has to give back. */
export interface Held {
  readonly kind: "file" | "lock" | "timer";
  /** A path, or the moment when a timer is due, in the machine's milliseconds. */
  readonly what: string | number;
}

/** A program, from the outside. */
export interface LiveProgram {
  readonly host: string;
  readonly pid: number;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Milliseconds since the world began. */
  readonly startedAt: number;
}

/** A program that runs on the machine, as the machine sees it. */
export interface MachineProgram {
  /** Undefined before it has started. */
  readonly seen: LiveProgram | undefined;
  end(exit: Exit): void;
  /** The power went, and the program with it. */
  vanish(): void;
}

export class Machine {
  readonly name: string;
  readonly disk: DiskImage;
  readonly clock: MachineClock;
  /** The life that runs now, if one does. */
  boot: Boot | undefined;
  host: WorkerHost | undefined;
  /** How many lives there were so far. */
  lives = 0;
  lastPid = FIRST_PID;
  /** Power is off, and nothing answers for the machine: not even a refusal. */
  silent = false;
  paused = false;
  readonly programs = new Set<MachineProgram>();
  #backlog: Array<() => void> = [];

  constructor(name: string, parts: { disk: DiskImage; clock: MachineClock }) {
    this.name = name;
    this.disk = parts.disk;
    this.clock = parts.clock;
  }

  /** Runs `fn` in that life: now, or when the process is resumed, or never. */
  enter(boot: Boot, fn: () => void): void {
    if (boot.dead) return;
    if (this.paused) this.#backlog.push(fn);
    else fn();
  }

  /** The process ends, and all that waited for it is dropped. */
  end(): Boot | undefined {
    const { boot } = this;
    this.boot = undefined;
    this.host = undefined;
    this.paused = false;
    this.#backlog = [];
    if (boot === undefined) return undefined;
    boot.dead = true;
    for (const listener of boot.onEnd) listener();
    return boot;
  }

  /**
   * The process goes on: all that came due meanwhile happens now, in that order, each as an event
   * of its own.
   */
  resume(soon: (fn: () => void) => Timer): void {
    this.paused = false;
    const backlog = this.#backlog;
    this.#backlog = [];
    for (const fn of backlog) soon(fn);
  }
}

/** Numbers below it look like the system's own processes. */
export const FIRST_PID = 100;
