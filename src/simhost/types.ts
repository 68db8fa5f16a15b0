/**
 * Types that the files of the simulated machine room share.
 *
 * The order of the files is: a machine with its clock and its disk; these types; what happens in
 * the room (disk operations, connections, programs); the room itself.
 *
 * Test: test/22-simulation.world.test.ts
 */
import type { Random, Timer, VirtualTime } from "#host";
import type { Leftover } from "./disk-image.ts";
import type { Boot, LiveProgram } from "./machine.ts";

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
  /** Set it to survive SIGTERM and SIGINT; SIGKILL cannot be survived. */
  onSignal?: (name: string) => void;
}

/** Called when a host spawns something; the program lives until it calls `exit` or is killed. */
export type SimProgram = (process: SimProcess) => void;

export interface SimOptions {
  /** An integer. Print it when a test fails: with it, the failure can be repeated. */
  readonly seed: number;
  /**
   * Shortest and longest time that a chunk takes between two hosts, drawn anew for each. Default
   * 0.1 to 2 ms.
   */
  readonly latencyMs?: readonly [least: number, most: number];
  /** Cuts every write at random places, as a network may. Default false. */
  readonly splitChunks?: boolean;
  /** Shortest and longest sync of a disk. Default 0.2 to 1 ms. */
  readonly syncMs?: readonly [least: number, most: number];
  /** The program that `processes.spawn` runs. Default: a program that exits 0 after 1 ms. */
  readonly program?: SimProgram;
  /**
   * Each life of a host draws from a stream of its own, not from the one of the life before.
   * Default false.
   */
  readonly freshChance?: boolean;
  /** "hash" keeps the last lines of the trace and the hash of all. Default "full". */
  readonly trace?: "full" | "hash";
}

export interface CrashOptions {
  /** Draws what is left of names and bytes that no sync had covered. Default false: nothing. */
  readonly torn?: boolean;
  /** The same, and damages those bytes. */
  readonly garbage?: boolean;
  /** Chooses what is left, if nothing is drawn. */
  readonly leftover?: Leftover;
  /** The peers hear nothing of it. */
  readonly silent?: boolean;
}

/** The world as its parts see it. */
export interface World {
  readonly time: VirtualTime;
  /** For everything that needs chance and is no fault: delays, syncs, cuts of writes. */
  readonly random: Random;
  /** For faults, so that a fault more or less leaves the rest of the world as it was. */
  readonly chance: Random;
  readonly options: Required<Omit<SimOptions, "program" | "trace" | "freshChance">> & {
    readonly program: SimProgram | undefined;
  };
  note(text: string): void;
  /** Calls `fn` in so many of the world's milliseconds, whoever lives then. */
  at(ms: number, fn: () => void): Timer;
  /** The same for one life: never if the life is over by then, and later if it is stopped. */
  after(boot: Boot, ms: number, fn: () => void): Timer;
  /** A timer of that life, by the clock of its machine. */
  timer(boot: Boot, ms: number, fn: () => void): Timer;
  /** A number in a range, drawn from the world's chance if no other is given. */
  between(range: readonly [number, number], random?: Random): number;
  isSilent(host: string): boolean;
  program(what: "start" | "end", program: LiveProgram): void;
}
