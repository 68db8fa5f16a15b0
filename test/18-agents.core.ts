/**
 * Jobs that add jobs, ask people and wait, without a program: for the tests of chapter 18.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { Refusal, type Job } from "#core";
import {
  PLAIN_RULES, type Asked, type Gate, type JobScope, type JobSpec, type Spawned, type StepEnd,
  type StepStart, type WaitWish,
} from "#wire";
import { type Bench, spec } from "./10-master.core.ts";

/** The attempt that has the job now. */
export const by = ({ run, index, attempt, worker }: Job): JobScope => {
  return { run: run.number, job: index, attempt, worker };
};

export function stepStart(name: string, fields: Partial<StepStart> = {}): StepStart {
  return {
    name, ordinal: 1, inputHash: createHash("sha256").update(name).digest(), effect: "read",
    onAmbiguous: "retry", call: 1, reserve: undefined, again: false, ...fields,
  };
}

export function stepEnd(name: string, fields: Partial<StepEnd> = {}): StepEnd {
  return {
    name, ordinal: 1, result: undefined, blob: undefined, failure: undefined, usage: undefined,
    told: false, ...fields,
  };
}

interface SpawnOptions {
  readonly parents?: string[];
  readonly before?: { job: number; child: string }[];
  readonly stage?: string;
}

export function spawn(
  bench: Bench, job: Job, key: string, jobs: JobSpec[], options: SpawnOptions = {},
): Spawned {
  const { parents = [], before = [], stage = "" } = options;
  return bench.execute({ type: "Spawn", by: by(job), key, jobs, parents, before, stage });
}

/** Which of the waits are met already; none: the attempt is to end. */
export function wait(bench: Bench, job: Job, ...waits: WaitWish[]): number[] {
  return bench.execute({ type: "Wait", by: by(job), waits }).met;
}

export const forJobs = (...jobs: string[]): WaitWish => ({ type: "jobs", jobs });
export const forAnswer = (key: string): WaitWish => ({ type: "ask", key });

/** It asks to wait, and ends. */
export function pause(bench: Bench, job: Job, ...waits: WaitWish[]): void {
  assert.deepEqual(wait(bench, job, ...waits), []);
  bench.finish(job);
}

export function question(message = "Go on?", more: Partial<Gate> = {}): Gate {
  return { message, maxWaitMs: 60_000, rules: undefined, ...more };
}

export function ask(bench: Bench, job: Job, key: string, gate = question()): Asked {
  return bench.execute({ type: "Ask", by: by(job), key, gate });
}

/** The words of a refusal, with its code in front. */
export function why(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return `${error.code}: ${error.message}`;
  }
  return assert.fail("nothing was refused");
}

/** Moves of a random life: what a running job may ask for, and answers of people. */
export function agentMoves(bench: Bench): (() => void)[] {
  const { random } = bench;
  const pick = <T>(items: readonly T[]): T | undefined =>
    items[Math.floor(random() * items.length)];
  const running = () => [...bench.state.workers.values()].flatMap((worker) => [...worker.jobs]);
  const tried = (act: () => void): void => {
    try { act(); } catch (error) { if (!(error instanceof Refusal)) throw error; }
  };
  const withJob = (act: (job: Job) => void) => (): void => {
    const job = pick(running());
    if (job !== undefined && job.spec.service === undefined) tried(() => act(job));
  };
  const idOf = (job: Job): string => pick(job.run.jobs)!.spec.id;
  const adds = withJob((job) => {
    const key = `k${Math.floor(random() * 3)}`;
    const name = `${job.spec.id}-${key}`;
    const jobs = [0, 1, 2].slice(0, 1 + Math.floor(random() * 3)).map((n) =>
      spec(`${name}-${n}`, { dependsOn: n > 0 && random() < 0.3 ? [n - 1] : [] }));
    const before = random() < 0.3 ? [{ job: 0, child: idOf(job) }] : [];
    spawn(bench, job, key, jobs, { before });
  });
  const wish = (job: Job): WaitWish => {
    if (random() < 0.2) return { type: "time", at: bench.now + Math.floor(random() * 3000) };
    if (random() < 0.3) return forAnswer(`q${Math.floor(random() * 2)}`);
    return forJobs(...[0, 1, 2].filter(() => random() < 0.6).map(() => idOf(job)));
  };
  const waits = withJob((job) => {
    const wishes = [0, 1].filter((n) => n === 0 || random() < 0.4).map(() => wish(job));
    const met = wait(bench, job, ...wishes);
    if (met.length === 0 && random() < 0.8) bench.finish(job);
  });
  const asks = withJob((job) => {
    const maxWaitMs = 1000 + Math.floor(random() * 5000);
    const rules = { ...PLAIN_RULES, required: random() < 0.3 ? 2 : 1 };
    ask(bench, job, `q${Math.floor(random() * 2)}`, question("?", { maxWaitMs, rules }));
  });
  const answers = (): void => {
    const open = pick([...bench.state.asks.values()]);
    if (open === undefined) return;
    const gate = `${open.job.run.id}/${open.job.spec.id}:${open.ask.key}`;
    const approve = random() < 0.7;
    const who = pick(["ann", "bob"])!;
    tried(() => bench.execute({ type: "DecideGate", gate, approve, by: who, comment: "" }));
  };
  return [adds, adds, waits, waits, waits, asks, answers];
}
