/**
 * Lesson 22: which version of a deployed service has its name, and when it may change (lesson 14).
 *
 *     RunSubmitted, the name is free ─▶ current
 *     UpdateSubmitted ─▶ next ── UpdateDone ─▶ current        UpdateFailed ─▶ cancelled
 *
 * Once more in other words: no index of names that are in use, and no run is taken out of a list to
 * be kept. Each rule looks at the jobs.
 *
 * Invariant: what is not allowed changes nothing.
 * Test: test/22-simulation.services.test.ts
 */
import type { EventOf } from "#core";
import type { Hands } from "./model-services.ts";
import type { ModelJob, ModelRun } from "./model-state.ts";

interface Version {
  current: ModelRun;
  /** The last one that was READY before it. */
  previous: ModelRun | undefined;
  next: { readonly run: ModelRun; readonly deadline: number } | undefined;
}

/** A port that somebody else has is tried so often. */
const PORT_TRIES = 3;

export class Versions {
  readonly #names = new Map<string, Version>();
  readonly #hands: Hands;

  constructor(hands: Hands) {
    this.#hands = hands;
  }

  /** A run has been submitted, and its jobs are there. `update`: to take another one's place. */
  submitted(run: ModelRun, update?: EventOf<"UpdateSubmitted">): void {
    let inUse = 0;
    for (const name of namesOf(run)) {
      const known = this.#names.get(name);
      const isInUse = known !== undefined && (goesOn(known.current, name) || known.next);
      if (isInUse) {
        inUse += 1;
        if (update === undefined || known.next !== undefined) this.#clash(run, name, known);
        if (known.current.number !== update.replaces) this.#clash(run, name, known);
        known.next = { run, deadline: update.deadline };
      } else {
        const previous = known && (wasReady(known.current, name) ? known.current : known.previous);
        this.#names.set(name, { current: run, previous, next: undefined });
      }
    }
    if (update === undefined || inUse > 0) return;
    this.#hands.fail("one-current-version", `${run.id} takes the place of a run that is over`);
  }

  #clash(run: ModelRun, name: string, { current, next }: Version): never {
    const found = next === undefined ? `${current.id} has` : `${next.run.id} is about to take`;
    return this.#hands.fail("one-current-version", `${run.id} takes "${name}", which ${found}`);
  }

  #waiting(run: ModelRun, what: string): (readonly [string, Version])[] {
    const found = [...this.#names].filter(([, { next }]) => next?.run === run);
    if (found.length > 0) return found;
    return this.#hands.fail("one-current-version", `the update to ${run.id} ${what}, and is over`);
  }

  // #region done
  done(run: ModelRun, at: number): void {
    for (const [name, known] of this.#waiting(run, "is done")) {
      const bad = replicas(run, name).find((job) => !isReady(job));
      if (bad !== undefined) {
        this.#hands.fail("update-without-gap", `${bad} takes over, and is ${stateOf(bad)}`);
      }
      const old = known.current;
      if (wasReady(old, name)) known.previous = old;
      known.current = run;
      known.next = undefined;
      this.#retire(replicas(old, name).filter(({ over }) => !over), at);
    }
  }
  // #endregion

  /** An update is given up for a reason, and not before its time. */
  failed(run: ModelRun, at: number): void {
    for (const [name, known] of this.#waiting(run, "has failed")) {
      const hopeless = run.cancelled || replicas(run, name).some(isHopeless);
      if (!hopeless && at < known.next!.deadline) {
        const early = known.next!.deadline - at;
        this.#hands.fail("update-without-gap", `${run.id} is given up ${early} ms too early`);
      }
      known.next = undefined;
    }
  }

  scaled(run: ModelRun, event: EventOf<"ServiceScaled">, jobs: readonly ModelJob[]): void {
    const drained = event.drained.map((index) => run.jobs[index]!);
    this.#mayScale(run, { drained, jobs });
    this.#retire(drained, event.at);
  }

  /** Replicas are to go because somebody wants fewer, or because the master has replaced them. */
  retired(run: ModelRun, jobs: readonly ModelJob[], event: EventOf<"ReplicasRetired">): void {
    if (event.how === "drain") this.#mayScale(run, { drained: jobs, jobs: [] });
    else if (event.by === "titan") this.stoppedByMaster(jobs);
  }

  #mayScale(
    run: ModelRun, change: { drained: readonly ModelJob[]; jobs: readonly ModelJob[] },
  ): void {
    const { drained, jobs } = change;
    const [{ spec }] = [...jobs, ...drained] as [ModelJob];
    const { name, deployed } = spec.service!;
    const known = deployed ? this.#names.get(name) : undefined;
    const wrong = (what: string): never =>
      this.#hands.fail("one-current-version", `${run.id}/${name} is scaled, ${what}`);
    if (known?.next !== undefined) wrong("and another version is about to take its place");
    if (known !== undefined && known.current !== run) wrong("and has been replaced");
    const staying = replicas(run, name).filter((job) => !job.over && !isGoing(job));
    if (staying.every((job) => drained.includes(job))) wrong("and nothing of it is left");
    if (drained.some((job) => !staying.includes(job))) wrong("and what is over is to go");
  }

  #retire(jobs: readonly ModelJob[], at: number): void {
    for (const job of jobs) {
      const { service, status } = job;
      if (status !== "RUNNING") {
        this.#hands.end(job, service!.phase === undefined ? "CANCELLED" : "COMPLETED");
      } else if (service!.asked !== "stop") {
        service!.asked = "drain";
        service!.drainUntil = at + job.spec.service!.stopGraceMs;
      }
    }
  }

  /**
   * The master itself stops replicas that drain, and those that have never started and are about
   * to be replaced.
   */
  stoppedByMaster(jobs: readonly ModelJob[]): void {
    const bad = jobs.find((job) => job.service?.asked !== "drain" && !this.#isReplaced(job));
    if (bad === undefined) return;
    this.#hands.fail("update-without-gap", `the master stops ${bad}, which nobody has replaced`);
  }

  #isReplaced({ run, attempt, spec }: ModelJob): boolean {
    const { name } = spec.service!;
    const known = this.#names.get(name);
    if (attempt > 0 || known?.current !== run || known.next === undefined) return false;
    return replicas(known.next.run, name).every(isReady);
  }

  /** The service has failed, and nobody wants the version before. */
  letGo(name: string): void {
    const known = this.#names.get(name);
    if (known === undefined || !replicas(known.current, name).some(hasFailed)) {
      this.#hands.fail("one-current-version", `"${name}" is let go, and has not failed`);
    }
    known.previous = undefined;
  }

  retried(run: ModelRun): void {
    for (const name of namesOf(run)) {
      const known = this.#names.get(name);
      if (known === undefined || known.current === run) continue;
      const found = `"${name}" is ${known.current.id} by now`;
      this.#hands.fail("one-current-version", `${run.id} is tried again, and ${found}`);
    }
  }

  forgotten(run: ModelRun): void {
    for (const name of namesOf(run)) {
      const known = this.#names.get(name);
      if (known === undefined) continue;
      const { current, previous } = known;
      const isWanted = replicas(current, name).some((job) =>
        !job.over || (previous !== undefined && hasFailed(job)));
      if (isWanted && (current === run || previous === run)) {
        const found = `a rollback of "${name}" needs it`;
        this.#hands.fail("one-current-version", `${run.id} is forgotten, and ${found}`);
      }
      if (previous === run) known.previous = undefined;
      if (current === run) this.#names.delete(name);
    }
  }
}

function namesOf({ jobs }: ModelRun): Set<string> {
  return new Set(jobs.flatMap(({ spec: { service } }) => service?.deployed ? service.name : []));
}

function replicas({ jobs }: ModelRun, name: string): ModelJob[] {
  return jobs.filter(({ spec }) => spec.service?.name === name);
}

function goesOn(run: ModelRun, name: string): boolean {
  return replicas(run, name).some(({ over }) => !over);
}

function wasReady(run: ModelRun, name: string): boolean {
  return replicas(run, name).some(({ service }) => service!.settled);
}

function isReady({ over, service }: ModelJob): boolean {
  return !over && service!.phase === "READY" && service!.asked === "nothing";
}

function hasFailed({ status }: ModelJob): boolean {
  return status === "FAILED" || status === "DEAD";
}

function isGoing({ cancelled, service }: ModelJob): boolean {
  return cancelled || service!.asked === "stop" || service!.asked === "drain";
}

function isHopeless(job: ModelJob): boolean {
  const blocked = job.service!.blocked && job.failures >= PORT_TRIES;
  return job.over || job.cancelled || job.service!.asked === "stop" || blocked;
}

function stateOf({ status, service }: ModelJob): string {
  return `${status}, ${service!.phase ?? "not started"}, asked for ${service!.asked}`;
}
