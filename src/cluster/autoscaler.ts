/**
 * Lesson 13: the loop around `plan()`: it looks at the fleet, plans, and starts and ends workers of
 * one pool, which are processes of this machine.
 *
 *     master.fleet ──look──▶ observation ──plan──▶ start: a child process
 *                                  ▲               drain: the master gives it nothing new
 *                                  │               stop, cancel: its process is asked to end
 *                     members: since when is each idle, starting, on its way out
 *
 * A job that waits is seen, and not announced: the loop looks ten times a second, and sooner when
 * time alone changes the plan. So a class has waited since the look that found nobody free for it.
 *
 * Invariants: only workers that this loop has started are ended by it; a name is used once; once it
 * is stopped it does nothing more; while the disk is full it does nothing, because nobody could
 * register.
 * Left out: launches as facts in the log. These workers end with the process that holds the master,
 * so there is nothing that a restart could forget.
 * Test: test/13-scaling.autoscaler.test.ts, test/13-scaling.up.test.ts
 */
import { plural } from "#base";
import type { Host, Timer } from "#host";
import type { SeenFleet, SeenWorker } from "#master";
import {
  NEW_POOL,
  nextHistory,
  plan,
  type Pool,
  type PoolNews,
  type ScalingAction,
  type StartFacts,
  type WaitingClass,
  type WorkerFacts,
} from "#scaling";

/** A tenth of the second that jobs wait at least. A look takes microseconds. */
const LOOK_MS = 100;

export interface AutoscalerOptions {
  readonly host: Pick<Host, "clock" | "timers">;
  /** The master's side, as far as it is needed here. */
  readonly fleet: {
    look(): SeenFleet;
    drain(name: string): boolean;
    explain(prospects: ReadonlyMap<string, string>): void;
  };
  readonly pool: Pool;
  /** Starts a worker that registers with this name. `onEnd` is called once its process is gone. */
  readonly start: (name: string, onEnd: (how: string) => void) => { stop(): Promise<void> };
  readonly onNote: (text: string) => void;
}

/** A worker of the pool, from the order to the end of its process. */
interface Member {
  readonly name: string;
  readonly process: { stop(): Promise<void> };
  phase: "starting" | "running" | "retiring" | "stopping";
  /** When it was ordered, or when the master lost it: since then it is to register. */
  at: number;
  /** As the master knows it. Undefined: it is not registered. */
  id: number | undefined;
  idleSince: number;
}

export class Autoscaler {
  readonly #options: AutoscalerOptions;
  readonly #members = new Map<string, Member>();
  /** Since when each class has been seen with nobody free for it. */
  #stuckSince: ReadonlyMap<string, number> = new Map();
  #neededAt: ReadonlyMap<string, number> = new Map();
  #history = NEW_POOL;
  #started = 0;
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(options: AutoscalerOptions) {
    this.#options = options;
    this.#look();
  }

  /** It starts and ends nobody any more. The processes that live are their supervisor's. */
  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  get #now(): number {
    return this.#options.host.clock.monotonic();
  }

  // #region look
  #look(): void {
    const { fleet, pool } = this.#options;
    const seen = fleet.look();
    const now = this.#now;
    let waitMs = LOOK_MS;
    if (seen.isFrozen) this.#stuckSince = new Map(); // nobody waits for a worker now
    else {
      const waiting = this.#waiting(seen.classes, now);
      const workers = this.#workers(seen.workers, now);
      const starts = this.#starts();
      const history = new Map([[pool.name, this.#history]]);
      const neededAt = this.#neededAt;
      const made = plan({ waiting, workers, starts, history, neededAt }, [pool], now);
      this.#neededAt = made.neededAt;
      const served = made.classes.filter(({ pools }) => pools.length > 0);
      fleet.explain(new Map(served.map(({ key, why }) => [key, why])));
      const taken = new Set(seen.workers.map(({ name }) => name));
      for (const action of made.actions) this.#act(action, taken);
      if (made.nextAt !== undefined) waitMs = Math.min(LOOK_MS, made.nextAt - now);
    }
    this.#arm(waitMs);
  }
  // #endregion

  #arm(ms: number): void {
    this.#timer?.cancel();
    this.#timer = this.#options.host.timers.after(ms, () => this.#look());
  }

  #waiting(classes: SeenFleet["classes"], now: number): WaitingClass[] {
    const before = this.#stuckSince;
    const stuck = classes.filter(({ isStuck }) => isStuck);
    this.#stuckSince = new Map(stuck.map(({ key }) => [key, before.get(key) ?? now]));
    return classes.map(({ key, jobs }) => {
      return { key, jobs, since: this.#stuckSince.get(key) ?? now };
    });
  }

  #workers(seen: readonly SeenWorker[], now: number): WorkerFacts[] {
    const ids = new Set(seen.map(({ id }) => id));
    for (const member of this.#members.values()) {
      if (member.id === undefined || ids.has(member.id)) continue;
      // The master has given it up, and its process lives: it registers again, or is late.
      member.id = undefined;
      member.at = now;
      if (member.phase !== "stopping") member.phase = "starting";
    }
    const facts: WorkerFacts[] = [];
    for (const worker of seen) {
      const member = this.#memberFor(worker);
      if (member !== undefined) facts.push(this.#factsOf(member, worker, now));
      else if (!this.#isLeftover(worker)) facts.push(stranger(worker, now));
    }
    return facts;
  }

  #memberFor(worker: SeenWorker): Member | undefined {
    const member = this.#members.get(worker.name);
    // The name was free when the member was ordered. If another one has it later, the number tells.
    const isOurs = member?.id === undefined || member.id === worker.id;
    return isOurs ? member : undefined;
  }

  /**
   * A worker of the pool whose process is gone. The master still waits for it to come back, above
   * all after a restart. As a stranger it would count as slots that are free in a moment.
   */
  #isLeftover({ name, state }: SeenWorker): boolean {
    const { pool } = this.#options;
    return state === "away" && name.startsWith(`${pool.name}-`) && /-\d+$/.test(name);
  }

  #factsOf(member: Member, worker: SeenWorker, now: number): WorkerFacts {
    if (member.id === undefined) {
      member.id = worker.id;
      member.idleSince = now;
      if (member.phase === "starting") {
        member.phase = "running";
        this.#learn({ type: "arrived", at: now });
      }
    }
    // A person has told its process to end. It will say goodbye, which is no failure.
    if (worker.state === "leaving" && member.phase !== "stopping") {
      member.phase = "stopping";
      this.#options.onNote(`${member.name} leaves`);
    }
    // A person has given it work again.
    if (member.phase === "retiring" && !worker.draining) member.phase = "running";
    const lastEnd = worker.busy > 0 ? now : (worker.reportedAt ?? 0);
    member.idleSince = Math.max(member.idleSince, lastEnd);
    const facts = { ...stranger(worker, now), pool: this.#options.pool.name };
    const { idleSince, phase } = member;
    if (phase === "stopping") return { ...facts, idleSince, state: "stopping" };
    return phase === "retiring" && facts.state === "draining"
      ? { ...facts, idleSince, state: "retiring" }
      : { ...facts, idleSince };
  }

  #starts(): StartFacts[] {
    const absent = [...this.#members.values()].filter(({ id }) => id === undefined);
    return absent.map(({ name, at, phase }) => {
      const state = phase === "stopping" ? "cancelled" : "starting";
      return { name, pool: this.#options.pool.name, at, state };
    });
  }

  // #region act
  #act(action: ScalingAction, taken: ReadonlySet<string>): void {
    const { fleet, onNote } = this.#options;
    const { reason } = action;
    switch (action.type) {
      case "start":
        onNote(`starts ${plural(action.count, "worker")}: ${reason}`);
        for (let n = 0; n < action.count; n++) this.#start(taken);
        return;
      case "drain": {
        const member = this.#members.get(action.name);
        if (member === undefined || !fleet.drain(action.name)) return;
        member.phase = "retiring";
        return onNote(`retires ${action.name}: ${reason}`);
      }
      case "stop":
        return this.#end(action.name);
      case "cancel": {
        const { at = this.#now } = this.#members.get(action.start) ?? {};
        if (action.failed) this.#learn({ type: "failed", at: this.#now, startedAt: at });
        onNote(`ends ${action.start}: ${reason}`);
        return this.#end(action.start);
      }
    }
  }
  // #endregion

  #start(taken: ReadonlySet<string>): void {
    const { pool, start, onNote } = this.#options;
    let name: string;
    // The log may still know some from the life before.
    do name = `${pool.name}-${++this.#started}`;
    while (taken.has(name));
    const at = this.#now;
    this.#learn({ type: "started", at });
    try {
      const process = start(name, (how) => this.#ended(name, how));
      const member: Member = {
        name, process, phase: "starting", at, id: undefined, idleSince: at,
      };
      this.#members.set(name, member);
    } catch (error) {
      this.#learn({ type: "failed", at, startedAt: at });
      onNote(`Cannot start ${name}: ${(error as Error).message}`);
    }
  }

  #end(name: string): void {
    const member = this.#members.get(name);
    if (member === undefined) return;
    member.phase = "stopping";
    void member.process.stop();
  }

  /** The process is gone, as it was told to or not. If it is missed, the plan says so. */
  #ended(name: string, how: string): void {
    const member = this.#members.get(name);
    if (member === undefined || this.#isStopped) return;
    const now = this.#now;
    this.#workers(this.#options.fleet.look().workers, now); // it may have come since the last look
    this.#members.delete(name);
    if (member.phase === "starting") {
      this.#learn({ type: "failed", at: now, startedAt: member.at });
      this.#options.onNote(`${name} ended before it registered: ${how}`);
    } else if (member.phase !== "stopping") this.#options.onNote(`${name} ended: ${how}`);
    this.#arm(0);
  }

  #learn(news: PoolNews): void {
    this.#history = nextHistory(this.#history, news);
  }
}

/** A worker as the plan sees one that is nobody's business here. */
function stranger(worker: SeenWorker, now: number): WorkerFacts {
  const { id, name, tags, slots, busy, draining } = worker;
  const here = draining ? "draining" : "ready";
  const connected = worker.state === "leaving" ? "stopping" : here;
  return {
    id, name, tags, slots, busy, pool: undefined, services: 0, permanent: false, idleSince: now,
    state: worker.state === "away" && !draining ? "away" : connected,
  };
}
