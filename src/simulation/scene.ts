/**
 * Lesson 22: what a plan's clients need of the world that they live in.
 *
 *     plan ──▶ clients.ts, steps.ts, ending.ts ──▶ Scene
 *                                                   ├─ stage.ts           the simulated world
 *                                                   └─ scripts/chaos      real processes
 *
 * So the same plan can be lived twice: where everything is simulated, and where nothing is.
 *
 * Test: test/22-simulation.test.ts, test/22-simulation.chaos.test.ts
 */
import type { Random, Timer, Timers } from "#host";
import type { Client } from "#sdk";
import type { JobSpec } from "#wire";
import type { Invariant, Judge } from "./invariants.ts";
import type { JobPlan, Plan } from "./plan.ts";

/** What broke, and when. */
export interface Broken {
  readonly invariant: Invariant;
  readonly message: string;
  readonly atMs: number;
}

export interface Scene {
  readonly plan: Plan;
  /** Hears what clients are told, in the order in which they are told. */
  readonly judge: Pick<Judge, "acknowledged" | "seen" | "hash"> & Partial<Pick<Judge, "pools">>;
  /** For the pauses of clients. */
  readonly random: Random;
  /** Milliseconds since the world began. */
  readonly now: number;
  /** Faults are over, and what was only wanted while they lasted is given up. */
  readonly healing: boolean;
  /** Something broke: nobody goes on. */
  readonly broken: Broken | undefined;
  /** The master has found its disk full, and shows what it cannot write. */
  readonly diskIsFull: boolean;
  /** A line for people. */
  note(text: string): void;
  /** Asks the judge. */
  ask(question: () => void): void;
  /** Asks the judge about something that a client was shown, and had asked for at `since`. */
  askOfRead(since: number, question: () => void): void;
  breaks(invariant: Invariant, message: string): void;
  after(ms: number, fn: () => void): Timer;
  /** The timers of a client's machine. */
  timersOf(client: string): Timers;
  connect(client: string): Promise<Client>;
  /** A job in the form in which it travels, with a program that can run in this world. */
  jobSpec(job: JobPlan): JobSpec;
}
