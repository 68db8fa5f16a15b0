/**
 * Lesson 10: the master's end of its workers' connections. Lesson 12 will say more about how a worker is given up.
 *
 * Invariants: a worker's attempts belong to its registration number, and a report from any other is refused; what was
 * dispatched and never arrived is found when the worker comes back and does not know of it.
 * Test: test/10-master.test.ts
 */
import {
  decideFinish, decideForgotten, decideJoin, decideLose, specBytes, staleAttempts, type EventOf, type Job,
} from "#core";
import type { Host, Timer } from "#host";
import type { RpcConnection } from "#rpc";
import {
  BEAT_MS, Dispatch, Finished, Kill, LEASE_MS, MAX_BATCH_BYTES, MAX_BATCH_ITEMS, MAX_INPUTS_BYTES, Op,
  type Assignment, type AttemptKey, type Hello, type Report,
} from "#wire";
import type { Engine } from "./engine.ts";

export interface WorkerLink {
  readonly id: number;
  readonly instance: string;
  readonly connection: RpcConnection;
  lastBeat: number;
  readonly outbox: { assignment: Assignment; bytes: number }[];
  sending: boolean;
}

export class Workers {
  readonly links = new Map<number, WorkerLink>();
  readonly #host: Host;
  readonly #engine: () => Engine;
  readonly #dirty = new Set<WorkerLink>();
  #leases: Timer | undefined;
  #returns: Timer | undefined;
  #checkedAt = 0;
  /** Reports that were refused because their attempt had been given to somebody else. */
  stale = 0;

  constructor(host: Host, engine: () => Engine) {
    this.#host = host;
    this.#engine = engine;
  }

  /** Workers that the log knows have as long to come back as a silent one has: then their attempts are given away. */
  expectReturns(): void {
    const { state } = this.#engine();
    if (state.workers.size === 0) return;
    // Who is connected is no fact of the log, and what is decided by it is: nothing new for a worker until it is back.
    for (const id of state.workers.keys()) state.router.setDraining(id, true);
    this.#returns = this.#host.timers.after(LEASE_MS, () => {
      for (const worker of [...state.workers.values()]) {
        if (!this.links.has(worker.id)) this.#lose(worker.id, "did not come back after the master's restart");
      }
    });
  }

  // #region join
  /** Registers a worker, or finds the registration that it had before its connection broke. */
  join(hello: Hello, connection: RpcConnection): { id: number; name: string; stale: AttemptKey[] } {
    const engine = this.#engine();
    const before = [...engine.state.workers.values()].find((worker) => worker.instance === hello.instance);
    let id = before?.id;
    if (id === undefined) {
      const joined = decideJoin(engine.state, hello, engine.context);
      id = joined.worker;
      engine.commit([joined.event]);
    } else {
      this.links.get(id)?.connection.destroy();
      engine.state.router.setDraining(id, false); // it is back, and may get new work
      engine.commit(decideForgotten(engine.state, { worker: id, running: hello.running }, engine.context));
    }
    const link: WorkerLink = { id, instance: hello.instance, connection, lastBeat: this.#host.clock.monotonic(), outbox: [], sending: false };
    this.links.set(id, link);
    this.#watchLeases();
    const worker = engine.state.workers.get(id)!;
    engine.afterwards(() => this.kill([...worker.jobs].filter((job) => job.cancelling)));
    return { id, name: worker.name, stale: staleAttempts(engine.state, { worker: id, running: hello.running }) };
  }
  // #endregion

  /** The connection is gone: nothing more will come from this worker, so there is nothing to wait for. */
  closed(link: WorkerLink, reason: string): void {
    if (this.links.get(link.id) !== link) return;
    this.#lose(link.id, reason);
  }

  #lose(id: number, reason: string): void {
    const engine = this.#engine();
    this.links.delete(id);
    engine.commit(decideLose(engine.state, { worker: id, reason }, engine.context));
  }

  /** One timer for all workers, and none while there are none. */
  #watchLeases(): void {
    if (this.#leases !== undefined) return;
    this.#checkedAt = this.#host.clock.monotonic();
    this.#leases = this.#host.timers.after(BEAT_MS, () => {
      this.#leases = undefined;
      this.#checkLeases();
      if (this.links.size > 0) this.#watchLeases();
    });
  }

  #checkLeases(): void {
    const now = this.#host.clock.monotonic();
    // It was this process that slept, and the beats are waiting in its sockets: nobody is to blame.
    const slept = now - this.#checkedAt > 2 * BEAT_MS;
    for (const link of [...this.links.values()]) {
      if (slept) link.lastBeat = now;
      else if (now - link.lastBeat > LEASE_MS) {
        link.connection.destroy();
        this.closed(link, `silent for ${Math.round(now - link.lastBeat)} ms`);
      }
    }
  }

  /** Reports of finished attempts. The answer to the worker, once durable, is what lets it forget them. */
  finished(link: WorkerLink, body: Buffer): void {
    for (const report of Finished.decode(body).items) this.#report(link.id, report);
  }

  #report(worker: number, report: Report): void {
    const engine = this.#engine();
    const event = decideFinish(engine.state, report, { worker, ...engine.context });
    if (event === undefined) this.stale += 1;
    else engine.commit([event]);
  }

  // ── towards the workers ────────────────────────────────────────────────────────────────────────

  /** An attempt is durable: put it on its way. */
  started(event: EventOf<"JobStarted">): void {
    const link = this.links.get(event.worker);
    const job = this.#engine().state.runs.get(event.run)?.jobs[event.job];
    // Gone meanwhile, or cancelled and over: whoever ended the attempt has said so in the log.
    if (link === undefined || job === undefined || job.attempt !== event.attempt || job.status !== "RUNNING") return;
    const { assignment, bytes, inputBytes } = assignmentOf(job);
    if (inputBytes > MAX_INPUTS_BYTES) return this.#report(link.id, tooLarge(assignment, inputBytes));
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
      for (let bytes = 0; items.length < MAX_BATCH_ITEMS && bytes < MAX_BATCH_BYTES && link.outbox.length > items.length;) {
        const next = link.outbox[items.length]!;
        items.push(next.assignment);
        bytes += next.bytes;
      }
      link.outbox.splice(0, items.length);
      // Closed meanwhile: then its attempts are being given to others.
      if (!link.connection.notify(Op.DISPATCH, Dispatch.encode({ items }))) await link.connection.drained().catch(() => undefined);
      // Cancelled while it waited here: that kill went ahead of it, to a worker that did not know the attempt yet.
      this.kill(this.#jobsOf(items).filter((job) => job.cancelling));
    }
    link.sending = false;
  }

  /** The jobs of these assignments that are still at that attempt. */
  #jobsOf(items: readonly Assignment[]): Job[] {
    const { runs } = this.#engine().state;
    return items.flatMap(({ run, job: index, attempt }) => {
      const job = runs.get(run)?.jobs[index];
      return job?.attempt === attempt ? [job] : [];
    });
  }

  /** Asks the workers of these jobs to stop them. */
  kill(jobs: Iterable<Job>): void {
    const byWorker = new Map<number, AttemptKey[]>();
    for (const job of jobs) {
      if (job.status !== "RUNNING") continue;
      const keys = byWorker.get(job.worker) ?? [];
      keys.push({ run: job.run.number, job: job.index, attempt: job.attempt });
      byWorker.set(job.worker, keys);
    }
    for (const [worker, items] of byWorker) this.links.get(worker)?.connection.notify(Op.KILL, Kill.encode({ items }));
  }

  stop(): void {
    this.#leases?.cancel();
    this.#returns?.cancel();
    this.links.clear();
  }
}

/** The frame's own bytes of one assignment, or of one of its inputs. */
const ITEM_BYTES = 32;

function assignmentOf(job: Job): { assignment: Assignment; bytes: number; inputBytes: number } {
  const { run, spec } = job;
  const inputs: Assignment["inputs"] = [];
  let inputBytes = 0;
  if (spec.dependsOn.length > 0) {
    for (const index of spec.dependsOn) {
      const { result, spec: parent } = run.jobs[index]!;
      if (result === undefined) continue;
      inputs.push({ job: parent.id, result });
      inputBytes += result.length + 3 * parent.id.length + ITEM_BYTES;
    }
  }
  const { action, timeoutMs, env } = spec;
  const assignment: Assignment = {
    run: run.number, job: job.index, attempt: job.attempt, runId: run.id, jobId: spec.id, action, timeoutMs, env, project: run.spec.project, inputs,
  };
  return { assignment, inputBytes, bytes: ITEM_BYTES + 3 * (run.id.length + spec.id.length) + specBytes(spec) + inputBytes };
}

function tooLarge({ run, job, attempt, jobId }: Assignment, bytes: number): Report {
  const message = `Cannot start job "${jobId}": the results of its parents are ${bytes} bytes together, more than ${MAX_INPUTS_BYTES}`;
  return { run, job, attempt, failure: { kind: "bad-input", message, exitCode: undefined, signal: undefined }, result: undefined, durationMs: 0 };
}
