/**
 * Lesson 22: what the parts of one simulated life share: the world, the judge, chance, and a log
 * that people can read.
 *
 * Test: test/22-simulation.test.ts
 */
import { seededRandom, type Random, type Timer, type Timers } from "#host";
import { connect, type Client } from "#sdk";
import { SimWorld, type SimProgram } from "#simhost";
import { Names } from "#core";
import type { JobSpec } from "#wire";
import { Judge, Violation, type Invariant } from "./invariants.ts";
import { jobSpecOf, type JobPlan, type Plan, type Range } from "./plan.ts";
import type { Broken, Scene } from "./scene.ts";

export const MASTER = { host: "m", port: 9090 } as const;
export const STATE_DIR = "/state";
export const LOG_DIR = `${STATE_DIR}/log`;
export const TOKEN = "simulated";

/** So many lines of the readable trace are kept: the last minute or so before something broke. */
const TRACE_LINES = 2000;

export class Stage implements Scene {
  readonly plan: Plan;
  readonly world: SimWorld;
  readonly judge: Judge;
  /** Names for the numbers in messages. */
  readonly names = new Names();
  /** For the choices of the harness itself while the world runs. */
  readonly random: Random;
  /** Faults are over: a role that died is started at once, and nobody gives up. */
  healing = false;
  broken: Broken | undefined;
  readonly faults: Record<string, number> = {};
  readonly #lines: string[] = [];
  #isFull = false;
  /**
   * Questions about what clients were shown while the disk was full, to be asked when there is
   * room.
   */
  #hearsay: (() => void)[] = [];
  /** The last time at which a master began after another one had died with a full disk. */
  #neverWas = -Infinity;

  constructor(plan: Plan, program: (stage: Stage) => SimProgram) {
    this.plan = plan;
    this.random = seededRandom(plan.seed ^ 0x5eed);
    this.judge = new Judge({ pools: plan.pools ?? [] });
    this.world = new SimWorld({
      seed: plan.seed,
      latencyMs: plan.latencyMs,
      syncMs: plan.syncMs,
      splitChunks: plan.splitChunks,
      program: program(this),
      trace: "hash",
      freshChance: true,
    });
  }

  get now(): number {
    return this.world.now;
  }

  get diskIsFull(): boolean {
    return this.#isFull;
  }

  /** The master has found its disk full. */
  noRoom(): void {
    this.#isFull = true;
  }

  /**
   * There is room again, and all waiting events are written: whatever clients were shown meanwhile
   * has become true.
   */
  roomAgain(): void {
    this.#isFull = false;
    for (const question of this.#hearsay.splice(0)) this.ask(question);
  }

  /** A master begins. Events that its predecessor had no room for never happened. */
  masterBegins(): void {
    if (this.#isFull) this.#neverWas = this.world.now;
    this.#isFull = false;
    this.#hearsay = [];
  }

  /**
   * Asks the judge about something that a client was shown, and had asked for at `since`: now, or
   * when there is room.
   */
  askOfRead(since: number, question: () => void): void {
    if (this.#isFull) this.#hearsay.push(question);
    else if (since > this.#neverWas) this.ask(question);
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

  /** Asks the judge. A violation is kept, not thrown: the caller is the code under test. */
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
    // The stack behind a message is told once, at the top of the report.
    this.note(`BROKEN ${invariant}: ${message.split("\n", 1)[0]}`);
    this.broken = { invariant, message, atMs: Math.round(this.world.now) };
  }

  /** On a machine on which nothing ever goes wrong. */
  after(ms: number, fn: () => void): Timer {
    return this.world.host("driver").timers.after(ms, fn);
  }

  timersOf(client: string): Timers {
    return this.world.host(client).timers;
  }

  connect(client: string): Promise<Client> {
    return connect({ host: this.world.host(client), master: MASTER, token: TOKEN });
  }

  jobSpec(job: JobPlan): JobSpec {
    return jobSpecOf(job);
  }

  between([least, most]: Range): number {
    return least + this.random.unit() * (most - least);
  }
}
