/**
 * Lesson 10: the master's end of its workers' connections. The book of leases (lesson 12) knows
 * which workers are here, away or given up. The core decides what that means for attempts. This
 * file carries both out.
 *
 * Invariants: a worker's attempts belong to its registration number, and a report from any other is
 * refused; what was dispatched and never arrived is found when the worker comes back and does not
 * know of it; nothing is sent to a worker that is away.
 * Test: test/10-master.test.ts, test/12-membership.test.ts
 */
import { isToEnd, Refusal, staleAttempts, type EventOf, type Job, type PlacedAttempt } from "#core";
import type { Host, Timer } from "#host";
import { Leases, type GivenUp, type LeaseTimes } from "#membership";
import type { RpcConnection } from "#rpc";
import {
  HEARTBEAT_MS, Dispatch, Finished, Kill, LEASE_MS, MAX_BATCH_BYTES, MAX_BATCH_ITEMS, MAX_GRACE_MS,
  Op, type Assignment, type AttemptKey, type Hello, type Report,
} from "#wire";
import { assignmentOf } from "./assignment.ts";
import type { Engine } from "./engine.ts";

/** As a beat says it: the worst of late, and since the worker began. */
export interface Lateness {
  readonly beatLateMs: number | undefined;
  readonly beatLateMaxMs: number | undefined;
}

export interface WorkerLink {
  readonly id: number;
  readonly connection: RpcConnection;
  readonly outbox: { assignment: Assignment; bytes: number }[];
  sending: boolean;
  /** It is stopping: its jobs are asked to end, and it gets nothing new. */
  leaving?: boolean;
  /** Where others reach its services, if it is not where we see it. */
  readonly advertise?: string | undefined;
  /** When it was heard of last, by the monotonic clock. */
  heardAt: number;
  /** What its last beat said of how late beats leave there. Known to this process only. */
  lateness?: Lateness;
  /** When its last report of a finished attempt came, by the monotonic clock. */
  reportedAt?: number;
}

export interface Joined {
  readonly id: number;
  readonly name: string;
  readonly isNew: boolean;
  /** Attempts that it runs and that belong to somebody else by now. */
  readonly stale: AttemptKey[];
}

/** How often a worker is heard of, and after what silence it is given up (lesson 12). */
export type LeaseTerms = Pick<LeaseTimes, "beatMs" | "leaseMs">;

export interface WorkersOptions {
  readonly host: Host;
  readonly graceMs: number;
  readonly lease?: LeaseTerms | undefined;
  engine(): Engine;
  /** An attempt is about to end: what is known of it besides becomes a fact first. */
  beforeEnd(key: AttemptKey): void;
}

export class Workers {
  /** The workers that are here. */
  readonly links = new Map<number, WorkerLink>();
  readonly lease: LeaseTerms;
  readonly #host: Host;
  readonly #engine: () => Engine;
  readonly #beforeEnd: (key: AttemptKey) => void;
  readonly #leases: Leases<number>;
  readonly #afterRestartMs: number;
  /** Workers that the log knows and that this process has not met yet. */
  readonly #expected = new Set<number>();
  /** The newest connection of each worker, as the worker counts them. */
  readonly #dials = new Map<number, number>();
  readonly #dirty = new Set<WorkerLink>();
  #timer: Timer | undefined;
  #armedFor = Infinity;
  /**
   * When those have had their time (ms since 1970), and a beat more, in which the last of them can
   * say how its services are.
   */
  returnsUntil = 0;
  /** Reports that were refused because their attempt had been given to somebody else. */
  stale = 0;

  constructor({ host, graceMs, lease, engine, beforeEnd }: WorkersOptions) {
    this.lease = lease ?? { beatMs: HEARTBEAT_MS, leaseMs: LEASE_MS };
    this.#beforeEnd = beforeEnd;
    this.#host = host;
    this.#engine = engine;
    this.#leases = new Leases({ ...this.lease, graceMs });
    // They may be in the middle of a wait between two dials: the grace begins when everybody could
    // have dialled.
    this.#afterRestartMs = Math.max(this.lease.leaseMs, graceMs);
  }

  /**
   * Workers that the log knows have as long to come back as a silent one has: then their attempts
   * are given away. That time begins when they can be let in: not while the store, whose URL they
   * are told, is still replaying (lesson 15).
   */
  expectReturns(storeUrl?: string | Promise<string>): void {
    const wait = storeUrl instanceof Promise;
    for (const id of this.#engine().state.workers.keys()) this.#expected.add(id);
    const begin = (): void => this.#expect(this.#afterRestartMs);
    if (wait) this.#expect(MAX_GRACE_MS);
    else begin();
    if (wait) storeUrl.then(begin, begin);
  }

  /** Those that have not come yet have this long from now on. */
  #expect(forMs: number): void {
    for (const id of this.#expected) this.#away(id, forMs);
    this.returnsUntil = this.#engine().context.now + forMs + this.lease.beatMs;
    this.#engine().look();
  }

  /** Workers that are here, and those that may still come back. */
  get members(): number {
    return this.#leases.size;
  }

  /** Entries of all that is kept by a worker's number. */
  get remembered(): number {
    return this.links.size + this.#dials.size + this.#expected.size + this.#dirty.size;
  }

  // #region join
  /** Registers a worker, or finds the registration that it had before its connection broke. */
  join(hello: Hello, connection: RpcConnection): Joined {
    const engine = this.#engine();
    const before = engine.state.workersByInstance.get(hello.instance);
    let id = before?.id;
    if (id === undefined) {
      engine.checkRoom("register worker");
      const { instance, name, tags, slots, version, knows, permanent } = hello;
      const offer = { instance, name, tags, slots, version, knows, permanent };
      id = engine.commit({ type: "Join", ...offer }).worker;
    } else {
      this.#replace(id, hello);
      this.#rejoin(id, hello);
    }
    const { advertise } = hello;
    const heardAt = this.#now;
    this.links.set(id, { id, connection, outbox: [], sending: false, advertise, heardAt });
    if (hello.dial !== undefined) this.#dials.set(id, hello.dial);
    this.#leases.grant(id, this.#now);
    this.#arm();
    // In this turn, before the next one gives it something.
    if (hello.leaving === true) this.leaving(this.links.get(id)!);
    return {
      id,
      name: engine.state.workers.get(id)!.name,
      isNew: before === undefined,
      stale: staleAttempts(engine.state, { worker: id, running: hello.running }),
    };
  }
  // #endregion

  /** The master and the worker compare what they know. With a full disk this waits for room. */
  #rejoin(worker: number, { running, knows }: Hello): void {
    const engine = this.#engine();
    engine.whenRoom(worker, () => engine.commit({ type: "Rejoin", worker, running, knows }));
  }

  /**
   * It is back: its older connection, if that still seems to be there, is not worth anything any
   * more.
   */
  #replace(id: number, hello: Hello): void {
    // Connections overtake each other, above all when a frozen process wakes up. An attempt that an
    // old HELLO does not list may well run by now.
    const newest = this.#dials.get(id) ?? 0;
    if ((hello.dial ?? Infinity) <= newest) {
      const found = `its connection ${hello.dial} comes after its connection ${newest}`;
      throw new Refusal("CONFLICT", `Cannot register worker: ${found}`);
    }
    const older = this.links.get(id);
    this.links.delete(id); // first, so that its end is nobody's absence
    older?.connection.destroy();
    this.#expected.delete(id);
    this.#engine().state.router.setAway(id, false);
    this.#engine().look();
  }

  get #now(): number {
    return this.#host.clock.monotonic();
  }

  /** Each word of a worker says also that it is alive. */
  heard(link: WorkerLink): void {
    link.heardAt = this.#now;
    this.#leases.renew(link.id, link.heardAt);
  }

  // #region closed
  /**
   * The connection is gone. The worker may be, too, or only the cable between us: it has a moment
   * to come back.
   */
  closed(link: WorkerLink): void {
    if (this.links.get(link.id) !== link) return;
    this.links.delete(link.id);
    this.#away(link.id);
  }

  /**
   * A worker's absence is no event. It is only a reason to give the worker nothing new until it is
   * back. Attempts that start elsewhere because of it are events.
   */
  #away(id: number, forMs?: number): void {
    this.#engine().state.router.setAway(id, true);
    this.#leases.away(id, this.#now, forMs);
    this.#arm();
  }

  /**
   * The worker gives its jobs a moment to end before it goes. Its reports still count, and it is
   * sent nothing new.
   */
  leaving(link: WorkerLink): void {
    if (this.links.get(link.id) !== link) return;
    link.leaving = true;
    this.#engine().state.router.setAway(link.id, true);
  }

  /** It has said goodbye, and there is nothing to wait for. */
  left(link: WorkerLink): void {
    if (this.links.get(link.id) !== link) return;
    this.links.delete(link.id);
    this.#engine().state.router.setAway(link.id, true);
    this.#engine().whenRoom(link.id, () =>
      this.#lose(link.id, { reason: "said goodbye", blamed: false }),
    );
  }
  // #endregion

  #lose(id: number, why: { reason: string; blamed: boolean }): void {
    const engine = this.#engine();
    this.#leases.end(id);
    this.links.delete(id);
    this.#dials.delete(id);
    this.#expected.delete(id);
    if (this.#leases.nextAt === undefined) {
      this.#timer?.cancel();
      this.#armedFor = Infinity;
    }
    engine.commit({ type: "Lose", worker: id, ...why });
  }

  // #region leases
  /** One timer for all workers, and none while there are none. */
  #arm(): void {
    const at = this.#leases.nextAt;
    if (at === undefined || at >= this.#armedFor) return;
    this.#timer?.cancel();
    this.#armedFor = at;
    this.#timer = this.#host.timers.after(Math.max(0, at - this.#now), () => {
      this.#armedFor = Infinity;
      // To give a worker up is a decision. With a full disk the book is not looked at, which it
      // takes for a sleep of its keeper's: afterwards all leases begin anew.
      if (this.#engine().full !== undefined) return;
      for (const gone of this.#leases.check(this.#now)) this.#giveUp(gone);
      this.#arm();
    });
  }

  /** The disk was full, and is not any more. */
  roomAgain(): void {
    this.#arm();
  }

  #giveUp({ id, why, forMs }: GivenUp<number>): void {
    // A frozen worker must find out by itself: its connection is closed, and what it says later is
    // refused.
    this.links.get(id)?.connection.destroy();
    const ms = Math.round(forMs);
    const closed = this.#expected.has(id)
      ? "did not come back after the master's restart"
      : `its connection closed, and ${ms} ms later there was no other`;
    this.#lose(id, { reason: why === "silent" ? `silent for ${ms} ms` : closed, blamed: true });
  }
  // #endregion

  /**
   * Reports of finished attempts. The answer to the worker, once durable, is what lets it forget
   * them.
   */
  finished(link: WorkerLink, body: Buffer): void {
    link.reportedAt = this.#now;
    for (const report of Finished.decode(body).items) this.#report(link.id, report);
  }

  #report(worker: number, report: Report): void {
    this.#beforeEnd(report);
    const counts = this.#engine().commit({ type: "Finish", worker, report });
    if (!counts) this.stale += 1;
  }

  // ── towards the workers ────────────────────────────────────────────────────────────────────────

  /** An attempt is durable: put it on its way. */
  dispatch(start: EventOf<"JobStarted">): void {
    const link = this.links.get(start.worker);
    const job = this.#engine().state.runs.get(start.run)?.jobs[start.job];
    // Gone meanwhile, or cancelled and over: then the end of the attempt is in the log.
    if (link === undefined || job?.attempt !== start.attempt || job.status !== "RUNNING") return;
    const { assignment, bytes, why } = assignmentOf(this.#engine().state, job);
    if (why !== undefined) return this.#report(link.id, cannotStart(assignment, why));
    link.outbox.push({ assignment, bytes });
    this.#dirty.add(link);
  }

  /** After a group of effects: one frame per worker, however many jobs it got. */
  flush(): void {
    for (const link of this.#dirty) void this.#send(link);
    this.#dirty.clear();
  }

  async #send(link: WorkerLink): Promise<void> {
    if (link.sending) return;
    link.sending = true;
    while (link.outbox.length > 0 && !link.connection.closed) {
      const items: Assignment[] = [];
      let bytes = 0;
      for (const next of link.outbox) {
        if (items.length >= MAX_BATCH_ITEMS || bytes >= MAX_BATCH_BYTES) break;
        items.push(next.assignment);
        bytes += next.bytes;
      }
      link.outbox.splice(0, items.length);
      // Closed meanwhile: then its attempts are being given to others.
      const { connection } = link;
      if (!connection.notify(Op.DISPATCH, Dispatch.encode({ items }))) {
        await connection.drained().catch(() => undefined);
      }
      // Cancelled while it waited here: that kill went ahead of it, to a worker that did not know
      // the attempt yet.
      this.kill(this.#cancelled(items, link.id));
    }
    link.sending = false;
  }

  /** Those of the assignments that were cancelled, and whose attempt is still the job's. */
  #cancelled(items: readonly Assignment[], worker: number): PlacedAttempt[] {
    const found: PlacedAttempt[] = [];
    for (const item of items) {
      const { run, job, attempt } = item;
      const running = this.#running(item);
      if (running !== undefined && isToEnd(running)) found.push({ run, job, attempt, worker });
    }
    return found;
  }

  #running(key: AttemptKey): Job | undefined {
    const job = this.#engine().state.runs.get(key.run)?.jobs[key.job];
    return job?.status === "RUNNING" && job.attempt === key.attempt ? job : undefined;
  }

  /** Asks workers to stop those of these attempts that still run. */
  kill(attempts: readonly PlacedAttempt[]): void {
    const byWorker = new Map<number, AttemptKey[]>();
    for (const attempt of attempts) {
      if (this.#running(attempt) === undefined) continue;
      const items = byWorker.get(attempt.worker) ?? [];
      items.push(attempt);
      byWorker.set(attempt.worker, items);
    }
    for (const [worker, items] of byWorker) {
      this.links.get(worker)?.connection.notify(Op.KILL, Kill.encode({ items }));
    }
  }

  stop(): void {
    this.#timer?.cancel();
    this.#expected.clear();
    this.links.clear();
  }
}

function cannotStart({ run, job, attempt, jobId }: Assignment, why: string): Report {
  const message = `Cannot start job "${jobId}": ${why}`;
  const failure = { kind: "bad-input" as const, message, exitCode: undefined, signal: undefined };
  return { run, job, attempt, failure, result: undefined, durationMs: 0 };
}
