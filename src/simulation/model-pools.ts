/**
 * Lesson 22: what may happen to the workers of pools (lesson 13), as the log tells it, and what
 * their cloud sees of it.
 *
 *     LaunchOrdered ─▶ may there be one more, and does anybody wait for it?
 *     up            ─▶ is it in the log, and is it the first time?
 *     LaunchStopped ─▶ does nothing live there?
 *     down          ─▶ is it in the log, and does nothing live there?
 *
 * Invariants: a launch is open until its end is in the log; the judge knows nothing of `plan()`.
 * Left out: whether a pool starts somebody in time. If it never does, its jobs never end.
 * Test: test/22-simulation.invariants.test.ts
 */
import type { EventOf } from "#core";
import type { Invariant } from "./invariants-list.ts";
import type { ModelJob, ModelRun, ModelWorker } from "./model-state.ts";

/** A pool, as far as it is promised that its limits hold. */
export interface PoolLimits {
  readonly name: string;
  readonly tags: readonly string[];
  readonly slots: number;
  readonly min: number;
  readonly max: number;
  /** Nobody has to wait longer for a worker that was launched, or that was lost. */
  readonly startTimeoutMs: number;
}

type LaunchEvent = EventOf<
  "LaunchOrdered" | "LaunchAnswered" | "LaunchRetired" | "LaunchStopped" | "LaunchEnded"
>;

interface Launch {
  readonly name: string;
  readonly pool: string;
  phase: "starting" | "running" | "retiring" | "stopping";
  /** Since when it is to come. */
  since: number;
  worker: ModelWorker | undefined;
}

/** What is known of the rest of the log. */
interface Sight {
  readonly at: number;
  readonly runs: ReadonlyMap<number, ModelRun>;
  fail(invariant: Invariant, what: string): never;
}

export class ModelPools {
  readonly #sight: Sight;
  readonly #limits: ReadonlyMap<string, PoolLimits>;
  readonly #open = new Map<string, Launch>();
  /** Names that were ever given to a launch. */
  readonly #names = new Set<string>();
  /** Launches that a cloud was asked for. */
  readonly #asked = new Set<string>();
  launches = 0;
  /** What people want: workers that nobody waits for, by pool, and workers that are to go. */
  readonly #wished = new Map<string, number>();
  readonly #unwanted = new Set<string>();

  constructor(sight: Sight, limits: readonly PoolLimits[]) {
    this.#sight = sight;
    this.#limits = new Map(limits.map((limit) => [limit.name, limit]));
  }

  // ── the log ────────────────────────────────────────────────────────────────────────────────────

  apply(event: LaunchEvent): void {
    switch (event.type) {
      case "LaunchOrdered": return this.#launched(event);
      case "LaunchAnswered": return void this.#launch(event.name, "is answered");
      case "LaunchRetired": return this.#retired(event);
      case "LaunchStopped": return this.#stopped(event);
      case "LaunchEnded": return this.#ended(event);
    }
  }

  #launched({ name, pool, at }: EventOf<"LaunchOrdered">): void {
    if (this.#names.has(name)) this.#fail("launched-once", `${name} is launched, and was before`);
    this.#names.add(name);
    this.#open.set(name, { name, pool, phase: "starting", since: at, worker: undefined });
    this.launches += 1;
    const limits = this.#limits.get(pool);
    if (limits === undefined) return;
    const launches = this.#of(pool);
    if (launches.length > limits.max) {
      const found = `${name} is the ${launches.length}th of ${pool}, whose max is ${limits.max}`;
      this.#fail("pool-within-max", found);
    }
    const starting = launches.filter(({ phase, since }) => {
      return phase === "starting" && at - since < limits.startTimeoutMs;
    });
    const running = launches.filter(({ phase }) => phase === "running");
    const jobs = this.#waitingFor(limits);
    const needed = Math.ceil(jobs.length / limits.slots);
    if (starting.length + running.length <= limits.min || starting.length <= needed) return;
    const wished = this.#wished.get(pool) ?? 0;
    this.#wished.set(pool, wished - 1);
    if (wished > 0) return;
    this.#fail(
      "launches-follow-the-backlog",
      `${name} is launched, and ${jobs.length} jobs wait for ${pool}, which has ` +
        `${starting.length - 1} under way already, with ${limits.slots} slots each`,
    );
  }

  #retired({ name }: EventOf<"LaunchRetired">): void {
    const launch = this.#launch(name, "is retired");
    if (!this.#unwanted.has(name)) this.#checkIdle(launch, "is retired");
    launch.phase = "retiring";
  }

  #stopped({ name }: EventOf<"LaunchStopped">): void {
    const launch = this.#launch(name, "is to end");
    if (launch.phase === "stopping") this.#fail("launched-once", `${name} is to end twice`);
    this.#checkIdle(launch, "is to end");
    launch.phase = "stopping";
  }

  #ended({ name }: EventOf<"LaunchEnded">): void {
    this.#launch(name, "has ended");
    this.#open.delete(name);
  }

  /** A worker has registered. Returns whether it gets nothing to do. */
  came(worker: ModelWorker): boolean {
    const launch = this.#open.get(worker.name);
    if (launch === undefined || launch.worker !== undefined) return false;
    launch.worker = worker;
    if (launch.phase === "starting") launch.phase = "running";
    return launch.phase === "stopping";
  }

  lost(worker: ModelWorker): void {
    const launch = this.#open.get(worker.name);
    if (launch?.worker !== worker) return;
    launch.worker = undefined;
    launch.since = this.#sight.at;
    if (launch.phase === "running") launch.phase = "starting";
  }

  /** A person has given it work again. */
  undrained(worker: ModelWorker): void {
    const launch = this.#open.get(worker.name);
    if (launch?.worker === worker && launch.phase === "retiring") launch.phase = "running";
  }

  // ── people ─────────────────────────────────────────────────────────────────────────────────────

  /** Somebody asks for one more worker. Whether it is launched, only the log knows. */
  wished(pool: string): void {
    this.#wished.set(pool, (this.#wished.get(pool) ?? 0) + 1);
  }

  /** Somebody wants this worker to go, whatever it does: it ends what it has begun. */
  unwanted(worker: string): void {
    this.#unwanted.add(worker);
  }

  // ── the cloud ──────────────────────────────────────────────────────────────────────────────────

  /** The master has asked for a machine. */
  ordered({ name }: { name: string }): void {
    const launch = this.#open.get(name);
    if (launch === undefined || launch.phase === "stopping") {
      const found = launch === undefined ? "has no such launch" : "says that it is to end";
      this.#fail("dispatched-is-durable", `${name} is ordered, and the log ${found}`);
    }
    if (this.#asked.has(name)) this.#fail("launched-once", `${name} is ordered a second time`);
    this.#asked.add(name);
  }

  /** So many machines of a pool are paid for that nobody has told to end. */
  rented(pool: string, count: number): void {
    const max = this.#limits.get(pool)?.max ?? Infinity;
    if (count <= max) return;
    this.#fail("pool-within-max", `${count} machines of ${pool} are rented, and its max is ${max}`);
  }

  /** The master has told a machine to end. */
  ending({ name }: { name: string }): void {
    const launch = this.#open.get(name);
    if (launch === undefined) return; // It is told again: that it has ended is in the log.
    if (launch.phase !== "stopping") {
      this.#fail(
        "dispatched-is-durable", `${name} is told to end, and in the log it is ${launch.phase}`,
      );
    }
    this.#checkIdle(launch, "is told to end");
  }

  /** There was time for everything to end. `rented`: the machines of each pool. */
  quiet(rented: ReadonlyMap<string, number>): void {
    for (const { name, min } of this.#limits.values()) {
      const open = this.#of(name);
      const machines = rented.get(name) ?? 0;
      if (open.length === min && machines === min) continue;
      const launches = open.map((launch) => `${launch.name} ${launch.phase}`).join(", ");
      this.#fail(
        "fleet-returns-to-min",
        `${machines} machines of ${name} are rented, and the log has ${open.length} ` +
          `(${launches || "nobody"}); its min is ${min}`,
      );
    }
  }

  /** Whether every pool has shrunk. */
  isQuiet(rented: ReadonlyMap<string, number>): boolean {
    return [...this.#limits.values()].every(({ name, min }) => {
      return this.#of(name).length === min && rented.get(name) === min;
    });
  }

  // ── helpers ────────────────────────────────────────────────────────────────────────────────────

  #of(pool: string): Launch[] {
    return [...this.#open.values()].filter((launch) => launch.pool === pool);
  }

  #launch(name: string, what: string): Launch {
    return this.#open.get(name) ??
      this.#fail("launched-once", `${name} ${what}, and nobody has launched it`);
  }

  #checkIdle({ name, worker }: Launch, what: string): void {
    if (worker === undefined || worker.running.size === 0) return;
    const jobs = [...worker.running].map((job) => `${job}#${job.attempt}`).join(", ");
    this.#fail("nobody-busy-is-ended", `${name} ${what} while ${jobs} runs there`);
  }

  /** Jobs that a worker of the pool could run at this moment. */
  #waitingFor({ tags }: PoolLimits): ModelJob[] {
    const has = new Set(["GENERAL", ...tags]);
    const isMeant = (job: ModelJob): boolean =>
      job.status === "PENDING" && job.ready && job.notBefore <= this.#sight.at &&
      job.spec.requirement.every((tag) => has.has(tag));
    return [...this.#sight.runs.values()].flatMap((run) =>
      run.ended || run.forgotten ? [] : run.jobs.filter(isMeant),
    );
  }

  #fail(invariant: Invariant, what: string): never {
    return this.#sight.fail(invariant, what);
  }
}
