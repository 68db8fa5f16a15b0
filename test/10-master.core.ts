/**
 * A master made of nothing but functions, for the tests of chapter 10: no socket, no file, no
 * clock.
 */
import assert from "node:assert/strict";
import {
  allArtifacts, apply, artifactMemory, carriedMemory, decide, edgesMemory, Event, groupMemory,
  hashState, isTerminal, jobMemory, leftMemory, nextAdvance, nextStart, readSnapshot, Refusal,
  runMemory, State, stepMemory, writeSnapshot, type ArtifactLimits, type Command, type CommandOf,
  type Context, type DecidedOn, type Job, type MemoryLimits, type Replies, type Run,
} from "#core";
import { requirementKey } from "#routing";
import {
  BUDGET_KINDS, isOpenRun, KNOWLEDGE, RESTART_POLICIES,
  type Agent, type AttemptKey, type JobSpec, type JobStatus, type PipelineSpec, type Report,
  type ServicePhase,
} from "#wire";
import { serviceSpec, spec } from "./spec.support.ts";

export { serviceSpec, spec };

/** No room for what has ended: it is forgotten at once. */
export const NO_ROOM: MemoryLimits = { open: 1e9, finished: 0, total: 0, ceiling: 2e9 };

const keyOf = (job: Job): AttemptKey => ({
  run: job.run.number,
  job: job.index,
  attempt: job.attempt,
});

/** mulberry32: small, seeded, and good enough to shuffle with. */
function seeded(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), seed | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export class Bench {
  state = new State();
  readonly log: Buffer[] = [];
  now = 1_800_000_000_000;
  readonly random: () => number;
  memory: MemoryLimits | undefined;
  artifacts: ArtifactLimits | undefined;
  /** How many are forwarded to an attempt, by RUN/JOB/ATTEMPT in numbers. */
  readonly connections = new Map<string, number>();
  returnsUntil = 0;

  constructor(seed = 1) {
    this.random = seeded(seed);
  }

  get context(): Context {
    const { now, random, memory, returnsUntil, artifacts } = this;
    const connections = ({ run, job, attempt }: AttemptKey): number =>
      this.connections.get(`${run}/${job}/${attempt}`) ?? 0;
    return {
      now, random, connections, returnsUntil, ...(memory && { memory }),
      ...(artifacts && { artifacts }),
    };
  }

  /** What would follow. Nothing changes. */
  decide<T extends Command["type"]>(command: CommandOf<T>): DecidedOn<T> {
    return decide(this.state, command, this.context);
  }

  /** As the engine does it, on a disk that is always ready. */
  execute<T extends Command["type"]>(command: CommandOf<T>): Replies[T] {
    const { events, reply } = this.decide(command);
    this.commit(events);
    return reply;
  }

  commit(events: readonly Event[]): void {
    for (const event of events) {
      this.log.push(Event.encode(event));
      apply(this.state, event);
    }
  }

  submit(
    jobs: JobSpec[],
    options: { key?: string; strict?: boolean; name?: string; agent?: Agent } = {},
  ): string {
    const spec: PipelineSpec = {
      name: options.name ?? "test",
      version: undefined,
      project: undefined,
      agent: options.agent,
      jobs,
    };
    const { key, strict = false } = options;
    return this.execute({ type: "Submit", spec, key, strict }).run;
  }

  join(
    offer: { tags?: string[]; slots?: number; instance?: string; knows?: string[] } = {},
  ): number {
    const { tags = [], slots = 1, instance = "i" } = offer;
    const { knows = [...KNOWLEDGE] } = offer;
    const described = { instance, name: "", tags, slots, version: "", knows };
    return this.execute({ type: "Join", ...described }).worker;
  }

  nextAdvance(): number {
    return nextAdvance(this.state, this.context);
  }

  /** Starts all that can start. */
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
    return started;
  }

  finish(job: Job, outcome: Partial<Report> = {}): boolean {
    const report: Report = {
      run: job.run.number,
      job: job.index,
      attempt: job.attempt,
      failure: undefined,
      result: undefined,
      durationMs: 1,
      ...outcome,
    };
    return this.execute({ type: "Finish", worker: job.worker, report });
  }

  fail(job: Job, kind: "exit" | "not-found" = "exit"): boolean {
    return this.finish(job, {
      failure: { kind, message: "exit 1", exitCode: 1, signal: undefined },
    });
  }

  tick(ms: number): void {
    this.now += ms;
    this.execute({ type: "Tick" });
  }

  job(run: string, id: string): Job {
    const found = this.state.runsById.get(run)!;
    return found.jobs[found.dag.indexOf(id)!]!;
  }

  statuses(run: string): Record<string, string> {
    return Object.fromEntries(
      this.state.runsById.get(run)!.jobs.map((job) => [job.spec.id, job.status]),
    );
  }

  /** Runs everything to its end, in as many rounds as it takes. */
  drain(): string[] {
    const order: string[] = [];
    for (let started = this.schedule(); started.length > 0; started = this.schedule()) {
      for (const job of started) {
        order.push(job.spec.id);
        this.finish(job);
      }
    }
    return order;
  }
}

export const retry = (maxAttempts: number) => ({
  maxAttempts,
  delayMs: 1000,
  backoff: 2,
  maxDelayMs: 60_000,
  jitter: 0,
});

export function refusal(code: Refusal["code"], message?: RegExp) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof Refusal, String(error));
    assert.equal(error.code, code, error.message);
    if (message !== undefined) assert.match(error.message, message);
    return true;
  };
}

function journalMemory({ journal }: Job): number {
  return [...(journal?.values() ?? [])].reduce((sum, step) => sum + stepMemory(step), 0);
}

/** What a run takes in memory, added up from its parts. */
function memoryOf(run: Run): number {
  const jobs = run.jobs.reduce((sum, job) =>
    sum + jobMemory(job.spec) + leftMemory(job) + journalMemory(job), 0);
  const isLate = run.group !== undefined && run.spec.agent === undefined;
  const group = isLate ? groupMemory(run.group!.id) : 0;
  const files = [...run.artifacts.values()].reduce((sum, each) => sum + artifactMemory(each), 0);
  const carried = [...run.carried].reduce((sum, [place, steps]) =>
    sum + carriedMemory(place, steps), 0);
  const edges = edgesMemory(run.edges.length);
  return runMemory(run.key, run.spec) + jobs + edges + group + files + carried;
}

/** What the artifacts say of their contents, and which ended runs have any. */
function checkArtifacts(state: State): void {
  const contents = new Map<string, { size: number; uses: number }>();
  for (const { sha256, size } of allArtifacts(state)) {
    contents.set(sha256, { size, uses: (contents.get(sha256)?.uses ?? 0) + 1 });
  }
  assert.deepEqual(new Map([...state.contents].sort()), new Map([...contents].sort()), "contents");
  const bytes = [...contents.values()].reduce((sum, { size }) => sum + size, 0);
  assert.equal(state.contentBytes, bytes, "bytes of contents");
  const leaving = [...state.finished].filter((run) => run.artifacts.size > 0);
  assert.deepEqual([...state.leaving].map(({ id }) => id), leaving.map(({ id }) => id), "leaving");
}

/** Timers and requirements: what is left of those that wait for nothing any more. */
function checkWaiting(state: State): void {
  const isPaused = ({ agent }: Job): boolean => agent !== undefined && agent.waits.length > 0;
  const isTimed = ({ agent }: Job): boolean =>
    agent!.waits.some(({ type }) => type === "time");
  const waits = (job: Job) => job.status === "WAITING" ? !isPaused(job) || isTimed(job)
    : job.status === "PENDING" && job.dueAt > 0;
  const waiting = [...state.runs.values()].flatMap((run) => run.jobs.filter(waits));
  const timers = [...state.delayed];
  assert.deepEqual(new Set(timers.filter(waits)), new Set(waiting), "each of them has its timer");
  assert.equal(timers.length, waiting.length + state.answered, "and of others only answered gates");
  checkPaused(state, isPaused);
  const wanted = new Map<string, number>();
  for (const run of state.runs.values()) {
    if (!isOpenRun(run.status)) continue;
    for (const key of new Set(run.jobs.map((job) => job.requirement))) {
      wanted.set(key, (wanted.get(key) ?? 0) + 1);
    }
  }
  assert.deepEqual(
    new Map([...state.requirements].sort()),
    new Map([...wanted].sort()),
    "requirements of open runs",
  );
}

/** Who waits for whom, and which questions are open. */
function checkPaused(state: State, isPaused: (job: Job) => boolean): void {
  const jobs = [...state.runs.values()].flatMap((run) => run.jobs);
  const paused = jobs.filter((job) => job.status === "WAITING" && isPaused(job));
  assert.deepEqual(new Set(state.paused.keys()), new Set(paused), "paused jobs");
  const watched = new Map<Job, Set<Job>>();
  for (const job of paused) {
    for (const [index, wait] of job.agent!.waits.entries()) {
      if (wait.type !== "jobs") continue;
      const target = job.run.jobs[wait.jobs[state.paused.get(job)![index]!]!]!;
      assert.ok(!isTerminal(target.status), "one that is watched has not ended");
      const watchers = watched.get(target) ?? new Set();
      watched.set(target, watchers.add(job));
    }
  }
  assert.deepEqual(new Set(state.watched.keys()), new Set(watched.keys()), "watched jobs");
  for (const [job, watchers] of watched) assert.deepEqual(state.watched.get(job), watchers);
  const asks = jobs.flatMap((job) => (job.agent?.asks ?? [])
    .filter(({ decision }) => decision === undefined)
    .map(({ key }) => `${job.run.number}/${job.index}/${key}`));
  assert.deepEqual(new Set([...state.asks.keys()]), new Set(asks), "open questions");
  assert.equal([...state.closing].length, asks.length + state.closed);
  for (const job of jobs) {
    if (isTerminal(job.status)) assert.ok(!isPaused(job), "what has ended waits for nothing");
    for (const { from, count } of job.agent?.spawns ?? []) {
      for (const child of job.run.jobs.slice(from, from + count)) {
        assert.equal(child.spawner, job.index, "who has added a job");
      }
    }
  }
}

/** What a run and the state know of services, computed again. */
function checkServing(state: State, run: Run): void {
  const open = run.jobs.filter(({ spec: { service }, status }) => service && !isTerminal(status));
  assert.deepEqual(new Set(run.services), new Set(open), "its services that go on");
  const serving = open.filter(({ service }) => service?.settled).length;
  assert.equal(run.serving, serving, "services that have been ready");
  assert.equal(run.status === "SERVING", run.open > 0 && serving === run.open);
  for (const job of run.jobs) {
    const { name, deployed } = job.spec.service ?? {};
    const listed = state.deployed.get(name ?? "")?.has(job) ?? false;
    assert.equal(listed, deployed === true && open.includes(job), "deployed names");
    const isOpen = state.services.get(name ?? "")?.has(job) ?? false;
    assert.equal(isOpen, open.includes(job), "services by name");
    if (name === undefined) continue;
    const same = run.jobs.filter(({ spec }) => spec.service?.name === name);
    assert.deepEqual(run.replicasOf(name), same, "replicas of a service, over or not");
    assert.ok([...run.serviceNames].includes(name));
    if (job.service === undefined) continue;
    const phases = PHASES[job.status];
    assert.ok(phases.includes(job.service.phase), `${job.status} and ${job.service.phase}`);
  }
  for (const list of [state.deployed, state.services]) {
    for (const named of list.values()) assert.ok(named.size > 0);
  }
}

/** What the names of deployed services mean and keep, computed again. */
function checkVersions(state: State): void {
  const runs = [...state.runs.values()];
  const waits = runs.filter(({ update }) => update?.outcome === "WAITING");
  assert.deepEqual(new Set(state.updates), new Set(waits), "updates under way");
  const drains = runs.flatMap(({ jobs }) =>
    jobs.filter(({ status, service }) => status === "RUNNING" && service?.asked === "drain"));
  assert.deepEqual(new Set(state.draining), new Set(drains), "attempts that drain");
  const named = (run: Run, name: string): Job[] =>
    run.jobs.filter(({ spec }) => spec.service?.deployed && spec.service.name === name);
  const kept = new Set<Run>();
  for (const { name, current, previous, next } of state.names.values()) {
    for (const run of [current, previous, next]) {
      assert.ok(run === undefined || state.runs.get(run.number) === run, "no name of what is gone");
    }
    assert.ok(next === undefined || next.update?.outcome === "WAITING");
    const isWanted = named(current, name).some(({ status }) =>
      !isTerminal(status) ||
      (previous !== undefined && (status === "FAILED" || status === "DEAD")));
    if (isWanted) for (const run of [current, previous]) if (run) kept.add(run);
  }
  for (const name of state.deployed.keys()) assert.ok(state.names.has(name), name);
  for (const run of runs) {
    const isWaiting = run.update?.outcome === "WAITING";
    const mayGo = !isOpenRun(run.status) && !kept.has(run) && !isWaiting;
    assert.equal(state.finished.has(run), mayGo, `${run.id} may be forgotten`);
  }
}

/** Agent runs, computed again from the runs. */
function checkGroups(state: State): void {
  const runs = [...state.runs.values()];
  const named = (run: Run): string => run.spec.agent?.id ?? run.id;
  let next = Infinity;
  for (const group of state.groups.values()) {
    const own = runs.filter((run) => named(run) === group.id);
    assert.deepEqual(new Set(group.runs), new Set(own), `the runs of ${group.id}`);
    assert.ok(own.length > 0, "a group without runs is gone");
    assert.ok(group.used.jobs >= own.reduce((sum, { jobs }) => sum + jobs.length, 0), "its jobs");
    const { deadlineAt } = group.limits;
    if (deadlineAt === undefined || !own.some(({ status }) => isOpenRun(status))) continue;
    const reached = group.reached[BUDGET_KINDS.indexOf("deadline")]!;
    const warnAt = group.startedAt + Math.ceil((deadlineAt - group.startedAt) * 0.8);
    next = Math.min(next, reached === 0 ? warnAt : reached === 80 ? deadlineAt : Infinity);
  }
  assert.equal(state.nextDeadline, next, "the next deadline");
  for (const group of state.groups.values()) {
    const jobs = [...group.runs].flatMap((run) => run.jobs);
    const waiting = jobs.filter(({ status, agent }) => status === "WAITING" &&
      agent?.waits.some(({ type }) => type === "budget"));
    assert.deepEqual(new Set(group.waiting), new Set(waiting), "jobs that wait for the budget");
  }
  for (const run of runs) {
    const waits = run.jobs.some((job) => run.group?.waiting.has(job));
    const isIdle = run.jobs.every(({ status, order, dueAt, agent }) =>
      status !== "RUNNING" && order === 0 && dueAt === 0 && (status !== "WAITING" ||
        agent?.waits.some(({ type }) => type === "budget" || type === "jobs")) &&
      !agent?.waits.some(({ type }) => type === "ask" || type === "time"));
    assert.equal(run.status === "PAUSED", waits && isIdle, `${run.id} is ${run.status}`);
    assert.equal(run.group, state.groups.get(named(run)), `the group of ${run.id}`);
    if (run.spec.agent !== undefined) assert.ok(run.group, "an agent run has a group");
  }
}

/** The phases that a service may be in beside the status of its job. */
const PHASES: Readonly<Record<JobStatus, readonly ServicePhase[]>> = {
  PENDING: ["RESTARTING"],
  RUNNING: ["STARTING", "READY", "UNHEALTHY"],
  WAITING: [],
  COMPLETED: ["STOPPED"],
  CANCELLED: ["STOPPED"],
  SKIPPED: ["STOPPED"],
  FAILED: ["FAILED"],
  DEAD: ["FAILED"],
};

/** The indexes, computed again from the jobs alone. */
export function checkIndexes(state: State): void {
  const queued = [...state.ready].flatMap(([key, queue]) =>
    [...queue].map((job) => ({ key, job })),
  );
  const ready = [...state.runs.values()].flatMap((run) => run.jobs.filter((job) => job.order > 0));
  assert.deepEqual(
    new Set(queued.map(({ job }) => job)),
    new Set(ready),
    "the ready queues hold the ready jobs",
  );
  assert.equal(queued.length, ready.length, "each of them once");
  for (const { key, job } of queued) {
    assert.equal(
      key,
      requirementKey(
        [...job.spec.requirement, ...(job.spec.service === undefined ? [] : ["~services"])],
        job.pinned === 0 ? undefined : job.pinned,
      ),
    );
  }
  for (const run of state.runs.values()) {
    const counts: Record<string, number> = {};
    let open = 0;
    for (const job of run.jobs) {
      counts[job.status] = (counts[job.status] ?? 0) + 1;
      if (!isTerminal(job.status)) open += 1;
      assert.equal(
        run.dag.isSettled(job.index),
        isTerminal(job.status) || job.service?.settled === true,
        `${job.spec.id}: settled if and only if terminal, or a service that was ready`,
      );
      // A service that somebody has stopped before its turn had come has not waited for anybody.
      const isEarly = job.spec.service !== undefined && job.attempt === 0;
      if (job.status === "RUNNING" || (job.status === "COMPLETED" && !isEarly)) {
        for (const parent of run.dag.parents(job.index)) {
          const { status, service } = run.jobs[parent]!;
          assert.ok(isTerminal(status) || service?.settled, "parents before children");
        }
        if (job.spec.when === "success") {
          for (const parent of run.dag.parents(job.index)) {
            const { status, service, spec: { service: isService } } = run.jobs[parent]!;
            assert.ok(isService ? service?.settled || service?.surplus : status === "COMPLETED");
          }
        }
      }
    }
    assert.equal(run.open, open);
    assert.equal(
      run.resultBytes,
      run.jobs.reduce((sum, job) => sum + (job.result?.length ?? 0), 0),
      "bytes of results",
    );
    const steps = run.jobs.flatMap(({ journal }) => [...(journal?.values() ?? [])])
      .concat(...run.carried.values());
    assert.equal(
      run.stepBytes, steps.reduce((sum, step) => sum + (step.result?.length ?? 0), 0),
      "bytes of the results of steps",
    );
    for (const { order } of steps) assert.ok(order < run.steps, "each step has its place");
    assert.equal(isOpenRun(run.status), open > 0, "a run goes on while a job is open");
    checkServing(state, run);
    assert.deepEqual(run.counts.filter((n) => n > 0).sort(), Object.values(counts).sort());
  }
  const finished = [...state.finished];
  for (const run of state.runs.values()) assert.equal(run.bytes, memoryOf(run), "bytes of memory");
  const memory = (runs: Iterable<Run>) => [...runs].reduce((sum, run) => sum + memoryOf(run), 0);
  assert.equal(state.bytes, memory(state.runs.values()));
  assert.equal(state.finishedBytes, memory(finished));
  assert.equal(state.jobs, [...state.runs.values()].reduce((sum, run) => sum + run.jobs.length, 0));
  checkWaiting(state);
  checkVersions(state);
  checkGroups(state);
  checkArtifacts(state);
  for (const worker of state.workers.values()) {
    assert.ok(worker.jobs.size <= worker.slots, "slots are never oversubscribed");
    assert.equal(state.router.running(worker.id), worker.jobs.size);
    for (const job of worker.jobs) assert.ok(job.status === "RUNNING" && job.worker === worker.id);
    assert.equal(state.workersByInstance.get(worker.instance), worker);
    assert.equal(state.router.canEver(requirementKey([], worker.id)), !worker.draining);
  }
  for (const { job } of queued) {
    assert.notEqual(
      state.workers.get(job.pinned)?.draining,
      true,
      "nobody waits for a worker that takes nothing",
    );
  }
  assert.equal(state.workersByInstance.size, state.workers.size);
}

/**
 * A random life: submissions, workers that come and go, failures, cancels, retries, gates, time.
 */
export function randomLife(
  seed: number, steps: number, check: (bench: Bench) => void,
  options: {
    services?: boolean; journals?: boolean; forgets?: boolean;
    more?: (bench: Bench) => (() => void)[];
  } = {},
): Bench {
  const bench = new Bench(seed);
  const { random } = bench;
  const pick = <T>(items: readonly T[]): T | undefined =>
    items[Math.floor(random() * items.length)];
  const running = () => [...bench.state.workers.values()].flatMap((worker) => [...worker.jobs]);
  const attempt = (fn: () => void): void => {
    try { fn(); } catch (error) { if (!(error instanceof Refusal)) throw error; }
  };
  const moves: (() => void)[] = [
    () => {
      const count = 1 + Math.floor(random() * 8);
      attempt(() => bench.submit(Array.from({ length: count }, (_, i) => {
        const dependsOn = Array.from({ length: i }, (_, p) => p).filter(() => random() < 0.3);
        return spec(`j${i}`, {
          dependsOn,
          requirement: random() < 0.2 ? ["GPU"] : [],
          priority: Math.floor(random() * 3),
          delayMs: random() < 0.2 ? Math.floor(random() * 3) * 1000 : 0,
          affinity: dependsOn.length > 0 && random() < 0.3 ? dependsOn[0] : undefined,
          when: pick(["success", "success", "failure", "always"] as const)!,
          retry: random() < 0.5 ? retry(2) : undefined,
          gate: random() < 0.15 ? { message: "?", maxWaitMs: 5000 } : undefined,
          ...(options.services === true && random() < 0.4 && randomService(random)),
        });
      }), random() < 0.2 ? { key: `k${Math.floor(random() * 3)}` } : {}));
    },
    () => {
      if (bench.state.workers.size >= 4) return;
      const tags = random() < 0.5 ? ["GPU"] : [];
      const slots = 1 + Math.floor(random() * 3);
      bench.join({ tags, slots, instance: `i${bench.state.nextWorker}` });
    },
    () => { bench.schedule(); },
    () => { bench.schedule(); },
    () => {
      const job = pick(running());
      if (job === undefined) return;
      if (random() < 0.7) bench.finish(job, { result: Buffer.from([seed & 255]) });
      else bench.fail(job, random() < 0.8 ? "exit" : "not-found");
    },
    () => { const job = pick(running()); if (job) bench.finish(job); },
    () => bench.tick(Math.floor(random() * 2500)),
    () => {
      if (random() < 0.3) {
        const id = pick([...bench.state.workers.keys()]);
        if (id) {
          bench.execute({ type: "Lose", worker: id, reason: "x", blamed: random() < 0.5 });
        }
      }
    },
    () => {
      const id = pick([...bench.state.workers.keys()]);
      if (id) {
        const known = running().filter(() => random() < 0.8).map(keyOf);
        bench.execute({ type: "Rejoin", worker: id, running: known });
      }
    },
    () => {
      const id = pick([...bench.state.workers.keys()]);
      if (id) {
        bench.execute({ type: "Drain", worker: String(id), undo: random() < 0.6 });
      }
    },
    // no fact: a replay does not know
    () => {
      const id = pick([...bench.state.workers.keys()]);
      if (id) bench.state.router.setAway(id, random() < 0.3);
    },
    () => {
      const run = pick([...bench.state.runs.values()]);
      if (run && random() < 0.3) {
        const job = random() < 0.5 ? pick(run.jobs)!.spec.id : undefined;
        attempt(() => bench.execute({ type: "Cancel", run: run.id, job }));
      }
    },
    () => {
      const run = pick([...bench.state.runs.values()]);
      if (run) {
        const from = random() < 0.5 ? pick(run.jobs)!.spec.id : undefined;
        attempt(() => {
          const { events } = bench.decide({ type: "Retry", run: run.id, from });
          bench.commit(events);
          const opened = events.flatMap((event) => event.type === "RunRetried" ? event.jobs : []);
          const ended = opened.filter((index) => isTerminal(run.jobs[index]!.status));
          assert.deepEqual(ended, [], "a retry opens no job that ends at once");
        });
      }
    },
    () => {
      const job = pick([...bench.state.gates]);
      if (job) {
        const gate = `${job.run.id}/${job.spec.id}`;
        const approve = random() < 0.6;
        bench.execute({ type: "DecideGate", gate, approve, by: "x", comment: "" });
      }
    },
    () => {
      const run = pick([...bench.state.runs.values()]);
      if (run && random() < 0.3) {
        const jobs = [spec(`added${run.jobs.length}`, { dependsOn: [0] })];
        const before = run.jobs.filter(() => random() < 0.2).map(({ index: child }) => {
          return { job: 0, child };
        });
        attempt(() => bench.execute({ type: "AddJobs", run: run.id, jobs, before }));
      }
    },
    () => {
      if (random() < 0.7 || options.forgets === false) return;
      bench.memory = NO_ROOM;
      bench.execute({ type: "Forget" });
      bench.memory = undefined;
    },
  ];
  if (options.services === true) moves.push(...serviceMoves(bench));
  if (options.journals === true) moves.push(...journalMoves(bench));
  if (options.more !== undefined) moves.push(...options.more(bench));
  for (let step = 0; step < steps; step++) {
    pick(moves)!();
    check(bench);
  }
  return bench;
}

/** A job with these is a service, of any kind. */
function randomService(random: () => number): Partial<JobSpec> {
  const policy = RESTART_POLICIES[Math.floor(random() * RESTART_POLICIES.length)]!;
  const attempts = random() < 0.3 ? 2 : 0;
  const { restart, ...rest } = serviceSpec(`s${Math.floor(random() * 4)}`);
  const deployed = random() < 0.3;
  const service = { ...rest, deployed, restart: { ...restart, policy, attempts } };
  return { service, gate: undefined, retry: undefined };
}

/** News of services, and what people want of them. */
function serviceMoves(bench: Bench): (() => void)[] {
  const { random } = bench;
  const health = (): void => {
    const jobs = [...bench.state.workers.values()].flatMap((worker) => [...worker.jobs]);
    const job = jobs[Math.floor(random() * jobs.length)];
    if (job === undefined) return;
    const phase = (["STARTING", "READY", "READY", "UNHEALTHY"] as const)[Math.floor(random() * 4)]!;
    const port = 20_000 + Math.floor(random() * 2);
    const report = { ...keyOf(job), phase, port, pid: 7, reason: phase };
    const worker = random() < 0.9 ? job.worker : job.worker + 1;
    bench.execute({ type: "Health", worker, host: "10.0.0.1", report });
  };
  const wish = (): void => {
    const runs = [...bench.state.runs.values()];
    const run = runs[Math.floor(random() * runs.length)];
    const name = random() < 0.5 ? `s${Math.floor(random() * 4)}` : (run?.id ?? "");
    try {
      bench.execute({ type: random() < 0.6 ? "Restart" : "Stop", name, by: "x" });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
    }
  };
  const change = (): void => {
    const name = `s${Math.floor(random() * 4)}`;
    if (random() < 0.5) return;
    try {
      if (random() < 0.3) bench.execute({ type: "Rollback", name, updateMs: 4000, by: "x" });
      else {
        const replicas = 1 + Math.floor(random() * 3);
        bench.execute({ type: "Scale", name, replicas, by: "x" });
      }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
    }
  };
  const advance = (): void => {
    bench.connections.clear();
    for (const job of bench.state.draining) {
      const { run, index, attempt } = job;
      if (random() < 0.5) bench.connections.set(`${run.number}/${index}/${attempt}`, 1);
    }
    bench.execute({ type: "Advance" });
  };
  return [health, health, health, health, health, wish, change, advance];
}

/** Steps of jobs that run, of jobs that run no more, and forks of their runs. */
function journalMoves(bench: Bench): (() => void)[] {
  const { random } = bench;
  const draw = (count: number): number => Math.floor(random() * count);
  const attempt = (move: (job: Job) => void): void => {
    const jobs = [...bench.state.runs.values()].flatMap((run) => run.jobs);
    const running = jobs.filter(({ status }) => status === "RUNNING");
    const among = random() < 0.8 && running.length > 0 ? running : jobs;
    const job = among[draw(among.length)];
    if (job === undefined) return;
    try { move(job); } catch (error) { if (!(error instanceof Refusal)) throw error; }
  };
  const scope = (job: Job) => ({
    ...keyOf(job), worker: random() < 0.9 ? job.worker : job.worker + 1,
  });
  const name = () => ({ name: `s${draw(3)}`, ordinal: 1 + draw(2) });
  const start = (): void => attempt((job) => {
    const effect = (["read", "idempotent", "once"] as const)[draw(3)]!;
    const onAmbiguous = (["retry", "fail", "ask"] as const)[draw(3)]!;
    const inputHash = Buffer.alloc(32, draw(10) === 0 ? 1 : 0);
    const again = random() < 0.1;
    const step = { ...name(), inputHash, effect, onAmbiguous, again, call: draw(3) };
    bench.execute({ type: "StartStep", by: scope(job), step: { ...step, reserve: undefined } });
  });
  const end = (): void => attempt((job) => {
    const kind = draw(3);
    const step = {
      ...name(), told: random() < 0.2, usage: undefined,
      result: kind === 0 ? Buffer.from([draw(256)]) : undefined,
      blob: kind === 1 ? { sha256: "ab".repeat(32), size: 9 } : undefined,
      failure: kind === 2 ? "no" : undefined,
    };
    bench.execute({ type: "EndStep", by: scope(job), step });
  });
  const fork = (): void => attempt(({ run }) => {
    if (random() < 0.4) return;
    const set = random() < 0.5 ? [] : [{ step: "s0#1", result: Buffer.from("7") }];
    bench.execute({ type: "Fork", run: run.id, from: `s${draw(3)}#1`, set, by: "x" });
  });
  const accept = (): void => attempt(({ run }) => {
    bench.execute({ type: "Retry", run: run.id, acceptChanged: true });
  });
  return [start, start, start, start, end, end, end, fork, accept];
}

/**
 * The state as it is, as the log has it, and as a snapshot has it. All of them throw when something
 * cannot be encoded.
 */
export function assertRecoverable(bench: Bench): void {
  const replay = new State();
  for (const body of bench.log) apply(replay, Event.decode(body));
  assert.equal(hashState(replay), hashState(bench.state), "replayed");
  assert.equal(
    hashState(readSnapshot(writeSnapshot(bench.state))),
    hashState(bench.state),
    "restored",
  );
}
