/**
 * A master made of nothing but its core, and a random life around it that is told to a judge, for
 * the tests of the invariants.
 */
import {
  apply, decide, Event, hashState, isTerminal, nextStart, Refusal, State, writeSnapshot,
  type Command, type CommandOf, type Context, type Job, type Replies, type Worker,
} from "#core";
import { randomFrom } from "#retry";
import { KNOWLEDGE, PipelineSpec, type JobSpec, type Report } from "#wire";
import { Judge } from "#simulation";
import { spec } from "./spec.support.ts";

export { spec };

export const retry = (maxAttempts: number, jitter = 0) => ({
  maxAttempts,
  delayMs: 1000,
  backoff: 2,
  maxDelayMs: 60_000,
  jitter,
});

/** Whatever happens to it is told to its judge at once, as if every commit were an fsync. */
export class Life {
  state = new State();
  now = 1_800_000_000_000;
  seq = 0;
  readonly bodies: Buffer[] = [];
  readonly random: () => number;
  readonly judge: Judge;
  /** Attempts whose program has begun and not ended: name → what the judge was told. */
  readonly programs = new Map<
    string,
    { worker: string; run: string; job: string; attempt: number }
  >();

  constructor(seed: string, judge = new Judge()) {
    this.random = randomFrom(seed);
    this.judge = judge;
  }

  get context(): Context {
    return { now: this.now, random: this.random };
  }

  execute<T extends Command["type"]>(command: CommandOf<T>): Replies[T] {
    const { events, reply } = decide(this.state, command, this.context);
    this.commit(events);
    return reply;
  }

  commit(events: readonly Event[]): void {
    for (const event of events) {
      const body = Event.encode(event);
      this.bodies.push(body);
      apply(this.state, event);
      this.seq += 1;
      this.judge.event(this.seq, body);
    }
  }

  submit(jobs: JobSpec[], key?: string): string {
    const pipeline: PipelineSpec = { name: "test", version: undefined, project: undefined, jobs };
    const { run, existing } = this.execute({ type: "Submit", spec: pipeline, key, strict: false });
    this.judge.acknowledged({ what: "submit", run, key, jobs: jobs.length, existing });
    return run;
  }

  join(
    offer: { tags?: string[]; slots?: number; instance?: string; knows?: string[] } = {},
  ): number {
    const { tags = [], slots = 1, instance = `i${this.state.nextWorker}` } = offer;
    const { knows = [...KNOWLEDGE] } = offer;
    const described = { instance, name: "", tags, slots, version: "", knows };
    return this.execute({ type: "Join", ...described }).worker;
  }

  /** Starts all that can start; each start is dispatched, and most dispatches arrive. */
  schedule(): Job[] {
    const started: Job[] = [];
    for (
      let event = nextStart(this.state, this.now);
      event !== undefined;
      event = nextStart(this.state, this.now)
    ) {
      this.commit([event]);
      started.push(this.state.runs.get(event.run)!.jobs[event.job]!);
    }
    for (const job of started) if (this.random() < 0.9) this.begin(job);
    return started;
  }

  begin(job: Job): void {
    const worker = this.state.workers.get(job.worker)!.name;
    const at = { worker, run: job.run.id, job: job.spec.id, attempt: job.attempt };
    if (this.programs.has(nameOf(job))) return;
    this.judge.executing("began", at);
    this.programs.set(nameOf(job), at);
  }

  end(job: Job): void {
    const at = this.programs.get(nameOf(job));
    if (at === undefined) return;
    this.judge.executing("ended", at);
    this.programs.delete(nameOf(job));
  }

  finish(job: Job, outcome: Partial<Report> = {}): void {
    if (!job.cancelling) this.begin(job);
    this.end(job);
    const key = { run: job.run.number, job: job.index, attempt: job.attempt };
    const report: Report = {
      ...key,
      failure: undefined,
      result: undefined,
      durationMs: 1,
      ...outcome,
    };
    this.execute({ type: "Finish", worker: job.worker, report });
    this.judge.confirmed(key);
  }

  fail(job: Job, kind: "exit" | "not-found" = "exit"): void {
    this.finish(job, { failure: { kind, message: "exit 1", exitCode: 1, signal: undefined } });
  }

  lose(id: number, options: { blamed: boolean }): void {
    const worker = this.state.workers.get(id)!;
    this.execute({ type: "Lose", worker: id, reason: "gone", ...options });
    // A zombie goes on for a while.
    if (this.random() < 0.5) return;
    this.judge.workerProcessDied(worker.name);
    for (const [name, at] of this.programs) {
      if (at.worker === worker.name) this.programs.delete(name);
    }
  }

  tick(ms: number): void {
    this.now += ms;
    this.execute({ type: "Tick" });
    this.execute({ type: "Forget" });
  }

  cancel(run: string, job?: string): void {
    this.execute({ type: "Cancel", run, job });
    this.judge.acknowledged({ what: "cancel", run, job });
  }

  retry(run: string, from?: string): void {
    const { events } = decide(this.state, { type: "Retry", run, from }, this.context);
    this.commit(events);
    for (const event of events) {
      if (event.type === "RunRetried") {
        this.judge.acknowledged({ what: "retry", run, jobs: event.jobs.length });
      }
    }
  }

  add(run: string, jobs: JobSpec[], before: readonly number[] = []): void {
    this.execute({
      type: "AddJobs", run, jobs, before: before.map((child) => ({ job: 0, child })),
    });
    this.judge.acknowledged({ what: "add", run, jobs: jobs.length });
  }

  decide(gate: string, approve: boolean): void {
    const decision = this.execute({ type: "DecideGate", gate, approve, by: "ann", comment: "" });
    this.judge.acknowledged({ what: "gate", gate, decision });
  }

  look(job: Job): void {
    this.judge.seen({
      run: job.run.id,
      job: job.spec.id,
      status: job.status,
      attempt: job.attempt,
    });
  }

  hash(): void {
    this.judge.hash({ seq: this.seq, hash: hashState(this.state) });
  }

  get running(): Job[] {
    return [...this.state.workers.values()].flatMap((worker) => [...worker.jobs]);
  }

  /**
   * Faults have stopped: everything runs to its end, and the judge is asked whether all is well.
   */
  settle(): void {
    this.join({ tags: ["GPU"], slots: 4 });
    for (const { id, draining } of this.state.workers.values()) {
      if (draining) this.execute({ type: "Drain", worker: `${id}`, undo: true });
    }
    for (
      let round = 0;
      [...this.state.runs.values()].some((run) => run.status === "RUNNING");
      round++
    ) {
      if (round > 10_000) throw new Error("it does not end");
      this.schedule();
      for (const job of this.running) this.finish(job);
      for (const job of [...this.state.gates]) this.decide(`${job.run.id}/${job.spec.id}`, true);
      this.tick(1000);
    }
    for (const at of this.programs.values()) this.judge.executing("ended", at);
    this.hash();
    this.judge.quiet({ programs: 0 });
  }
}

function nameOf(job: Job): string {
  return `${job.run.id}/${job.spec.id}#${job.attempt}`;
}

/**
 * A random life: submissions, workers that come and go, failures, cancels, retries, gates, drains,
 * time.
 */
export function randomLife(life: Life, steps: number): Life {
  const { random } = life;
  const pick = <T>(items: readonly T[]): T | undefined =>
    items[Math.floor(random() * items.length)];
  const { state } = life;
  const attempt = (fn: () => void): void => {
    try { fn(); } catch (error) { if (!(error instanceof Refusal)) throw error; }
  };
  const someRun = () => pick([...state.runs.values()]);
  const someWorker = (): Worker | undefined => pick([...state.workers.values()]);
  const job = (i: number): JobSpec => {
    const dependsOn = Array.from({ length: i }, (_, p) => p).filter(() => random() < 0.3);
    return spec(`j${i}`, {
      dependsOn,
      requirement: random() < 0.2 ? ["GPU"] : [],
      priority: Math.floor(random() * 3),
      delayMs: random() < 0.2 ? Math.floor(random() * 3) * 1000 : 0,
      affinity: dependsOn.length > 0 && random() < 0.3 ? dependsOn[0] : undefined,
      when: pick(["success", "success", "failure", "always"] as const)!,
      retry:
        random() < 0.5
          ? retry(1 + Math.floor(random() * 3), random() < 0.5 ? random() : 0)
          : undefined,
      gate: random() < 0.15 ? { message: "?", maxWaitMs: 5000 } : undefined,
    });
  };
  const moves: (() => void)[] = [
    () =>
      attempt(() =>
        life.submit(
          Array.from({ length: 1 + Math.floor(random() * 8) }, (_, i) => job(i)),
          random() < 0.2 ? `k${Math.floor(random() * 3)}` : undefined,
        ),
      ),
    () =>
      attempt(() => {
        const run = [...state.runs.values()].find(({ key }) => key !== undefined);
        if (run) life.submit([...run.spec.jobs], run.key);
      }),
    () => {
      if (state.workers.size < 4) {
        life.join({ tags: random() < 0.5 ? ["GPU"] : [], slots: 1 + Math.floor(random() * 3) });
      }
    },
    () => {
      life.schedule();
    },
    () => {
      life.schedule();
    },
    () => {
      const job = pick(life.running);
      if (job) {
        random() < 0.7
          ? life.finish(job, { result: Buffer.from([7]) })
          : life.fail(job, random() < 0.8 ? "exit" : "not-found");
      }
    },
    () => {
      const job = pick(life.running);
      if (job) life.finish(job);
    },
    () => life.tick(Math.floor(random() * 2500)),
    () => {
      const worker = someWorker();
      if (worker && random() < 0.3) life.lose(worker.id, { blamed: random() < 0.7 });
    },
    () => {
      const worker = someWorker();
      const lost = [...(worker?.jobs ?? [])].filter(
        (job) => !life.programs.has(nameOf(job)) && random() < 0.5,
      );
      const running = [...(worker?.jobs ?? [])]
        .filter((job) => !lost.includes(job))
        .map((job) => ({ run: job.run.number, job: job.index, attempt: job.attempt }));
      if (worker) life.execute({ type: "Rejoin", worker: worker.id, running });
    },
    () => {
      const worker = someWorker();
      if (worker && random() < 0.3) {
        life.execute({ type: "Drain", worker: worker.name, undo: random() < 0.5 });
      }
    },
    () => {
      const run = someRun();
      if (run && random() < 0.3) {
        attempt(() => life.cancel(run.id, random() < 0.5 ? pick(run.jobs)!.spec.id : undefined));
      }
    },
    () => {
      const run = someRun();
      if (run) {
        attempt(() => life.retry(run.id, random() < 0.5 ? pick(run.jobs)!.spec.id : undefined));
      }
    },
    () => {
      const job = pick([...state.gates]);
      if (job) life.decide(`${job.run.id}/${job.spec.id}`, random() < 0.6);
    },
    () => {
      const job = pick((someRun()?.jobs ?? []).filter(({ decision }) => decision !== undefined));
      if (job) life.decide(`${job.run.id}/${job.spec.id}`, random() < 0.5);
    },
    () => {
      const run = someRun();
      if (run && random() < 0.3) {
        const last = run.jobs.length - 1;
        const job = spec(`added${run.jobs.length}`, { dependsOn: [0] });
        attempt(() => life.add(run.id, [job], life.random() < 0.5 ? [last] : []));
      }
    },
    () => {
      for (const job of someRun()?.jobs ?? []) life.look(job);
    },
  ];
  for (let step = 0; step < steps; step++) pick(moves)!();
  return life;
}

export { hashState, isTerminal, writeSnapshot };
