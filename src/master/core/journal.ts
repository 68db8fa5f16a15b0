/**
 * Lesson 18: the journal of a job: each of its steps by name and ordinal, in the order in which
 * they were begun. A program that is started again asks here before it does anything twice.
 *
 *     step ──start──▶ STARTED ──end──▶ DONE     the result stands for ever
 *             ▲          │  └──error─▶ FAILED   no doubt about it: the next attempt runs it again
 *             └──again───┴──────────────┘
 *
 * A job keeps its journal over its attempts, and when a person retries it: what was paid for is not
 * paid for again. It costs one look-up to ask for a step, however many there are, since nothing is
 * replayed.
 *
 * Invariants: a step is replaced as a whole and never changed, so two journals (of a run and of its
 * fork, of now and of a picture) may share it; a step that is DONE is never replaced by one that
 * is not.
 * Test: test/18-agents.core.test.ts
 */
import { createHash } from "node:crypto";
import type { StepBlob, StepEffect, StepReserve, StepStatus, StepUsage } from "#wire";

export interface Step {
  readonly name: string;
  /** From 1: which of the steps of this name it is. */
  readonly ordinal: number;
  /** Its place among the steps of its run, from 0. */
  readonly order: number;
  readonly status: StepStatus;
  /** SHA-256 of its input, in hex. */
  readonly inputHash: string;
  readonly effect: StepEffect;
  /** The attempt that began it last, and the call of that attempt. */
  readonly attempt: number;
  readonly call: number;
  readonly startedAt: number;
  /** 0: nobody has ended it. */
  readonly endedAt: number;
  readonly result: Buffer | undefined;
  readonly blob: StepBlob | undefined;
  /** Of a failure. */
  readonly message: string;
  readonly reserve: StepReserve | undefined;
  readonly usage: StepUsage | undefined;
  /** How often this run has begun it, and what all these tries have cost. */
  readonly starts: number;
  readonly spentTokens: number;
  readonly spentMicros: number;
  /** It stands whatever its input is by now: a person has said so, or it comes from another run. */
  readonly accepted: boolean;
}

/** The name that people see. */
export function stepName({ name, ordinal }: Pick<Step, "name" | "ordinal">): string {
  return `${name}#${ordinal}`;
}

export class Journal {
  #steps: Map<string, Step>;
  /** A copy has the same map, until one of the two changes. */
  #isShared = false;

  constructor(steps = new Map<string, Step>()) {
    this.#steps = steps;
  }

  get size(): number {
    return this.#steps.size;
  }

  get(name: string, ordinal: number): Step | undefined {
    return this.#steps.get(stepName({ name, ordinal }));
  }

  put(step: Step): void {
    if (this.#isShared) this.#steps = new Map(this.#steps);
    this.#isShared = false;
    this.#steps.set(stepName(step), step);
  }

  values(): IterableIterator<Step> {
    return this.#steps.values();
  }

  copy(): Journal {
    const copy = new Journal(this.#steps);
    this.#isShared = copy.#isShared = true;
    return copy;
  }
}

/** What it has set aside of its run's budget, and nobody has settled. */
export function heldBy(step: Step | undefined): StepReserve {
  return (step?.status === "STARTED" ? step.reserve : undefined) ?? { tokens: 0, usdMicros: 0 };
}

/** What their results take that are in memory. */
export function resultBytes(steps: Iterable<Step>): number {
  let bytes = 0;
  for (const { result } of steps) bytes += result?.length ?? 0;
  return bytes;
}

/** Steps of another run, for jobs that are not there yet, by their places (prefix.ts). */
export type Carried = Map<string, readonly Step[]>;

/** The results of a run that are blobs: each as often as it is a result. */
export function stepBlobs(
  { jobs, carried }: {
    readonly jobs: readonly { journal: Journal | undefined }[]; readonly carried: Carried;
  },
): string[] {
  const journals = jobs.map(({ journal }) => [...(journal?.values() ?? [])]);
  return [...journals, ...carried.values()].flat().flatMap(({ blob }) => blob?.sha256 ?? []);
}

/**
 * What a service may know a call by: the same over all attempts, and another one for another run,
 * job or step.
 */
export function idempotencyKey(
  run: string, job: string, step: Pick<Step, "name" | "ordinal">,
): string {
  const parts = JSON.stringify([run, job, step.name, step.ordinal]);
  return createHash("sha256").update(parts).digest("hex").slice(0, 32);
}
