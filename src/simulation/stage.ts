/**
 * Lesson 22: what the parts of one simulated life share: the world, the judge, chance, and a log that people can read.
 *
 * Test: test/22-simulation.test.ts
 */
import { seededRandom, type Random, type Timer } from "#host";
import { SimWorld, type SimProgram } from "#sim";
import { Names } from "#core";
import { Judge, Violation, type Invariant } from "./invariants.ts";
import type { Plan, Range } from "./plan.ts";

export const MASTER = { host: "m", port: 9090 } as const;
export const STATE_DIR = "/state";
export const LOG_DIR = `${STATE_DIR}/log`;
export const TOKEN = "simulated";

/** Lines of the readable trace that are kept: the last minute or so before something broke. */
const TRACE_LINES = 2000;

/** What broke, and when. */
export interface Broken {
  readonly invariant: Invariant;
  readonly message: string;
  readonly atMs: number;
}

export class Stage {
  readonly plan: Plan;
  readonly world: SimWorld;
  readonly judge: Judge;
  /** What the numbers in messages mean. */
  readonly names = new Names();
  /** For what the harness itself draws while the world runs. */
  readonly random: Random;
  /** Faults are over: whatever died is started at once, and nobody gives up. */
  healing = false;
  broken: Broken | undefined;
  readonly faults: Record<string, number> = {};
  readonly #lines: string[] = [];
  #fullUntil = -Infinity;

  constructor(plan: Plan, program: (stage: Stage) => SimProgram) {
    this.plan = plan;
    this.random = seededRandom(plan.seed ^ 0x5eed);
    this.judge = new Judge();
    this.world = new SimWorld({
      seed: plan.seed, latencyMs: plan.latencyMs, syncMs: plan.syncMs, splitChunks: plan.splitChunks, program: program(this), trace: "hash", freshChance: true,
    });
  }

  /** The master has found its disk full; or there is room again, or the master has died of something. */
  diskIsFull(full: boolean): void {
    if (full) this.#fullUntil = Infinity;
    else if (this.#fullUntil === Infinity) this.#fullUntil = this.world.now;
  }

  /** Whether it was at some moment since then: what reads were told in that time need not be durable (lesson 10). */
  wasFullSince(at: number): boolean {
    return this.#fullUntil >= at;
  }

  /** A line for people, which is part of what must repeat itself. */
  note(text: string): void {
    this.world.note(text);
    if (this.#lines.length >= 2 * TRACE_LINES) this.#lines.splice(0, TRACE_LINES);
    this.#lines.push(`${this.world.now.toFixed(1).padStart(9)}  ${text}`);
  }

  get lines(): readonly string[] {
    return this.#lines.slice(-TRACE_LINES);
  }

  /** Asks the judge. What it finds is kept, not thrown: the code that we were called from is the code under test. */
  ask(question: () => void): void {
    if (this.broken !== undefined) return;
    try {
      question();
    } catch (error) {
      if (error instanceof Violation) this.breaks(error.invariant, error.what);
      else this.breaks("no-crash", `The judge itself failed: ${(error as Error).stack}`);
    }
  }

  breaks(invariant: Invariant, message: string): void {
    if (this.broken !== undefined) return;
    this.note(`BROKEN ${invariant}: ${message}`);
    this.broken = { invariant, message, atMs: Math.round(this.world.now) };
  }

  /** On a machine on which nothing ever goes wrong. */
  after(ms: number, fn: () => void): Timer {
    return this.world.host("driver").timers.after(ms, fn);
  }

  draw([least, most]: Range): number {
    return least + this.random.unit() * (most - least);
  }
}
