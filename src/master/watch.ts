/**
 * Lesson 10: people who watch a run, and how a slow one costs nothing.
 *
 * A watcher first gets the whole run, then every change. Changes of one group (one fsync) travel in one page. A watcher
 * that cannot keep up is not allowed to fill the master's memory: its backlog is dropped, and when it is ready again it gets the
 * whole run anew. It may miss steps; it never misses where things stand.
 *
 * Invariants: pages leave only after their changes are durable; at most MAX_BACKLOG changes wait per watcher.
 * Test: test/10-master.test.ts
 */
import { jobChange, runInfo, type Job, type Run } from "#core";
import type { IncomingRequest } from "#rpc";
import { WatchPage, type JobChange, type RunInfo } from "#wire";
import type { Engine } from "./engine.ts";
import { changeBytes, jobBytes, jobRows, pages } from "./pages.ts";

/** At about 100 bytes each, 2 MB per watcher. */
const MAX_BACKLOG = 20_000;

interface Batch {
  changes: JobChange[];
  run: RunInfo | undefined;
}

class Watcher {
  readonly run: Run;
  readonly request: IncomingRequest;
  /** Durable, not sent yet. */
  ready: Batch[] = [];
  backlog = 0;
  reset = true;
  pumping = false;
  gone = false;
  /** Collects the changes of the group that is being committed. */
  batch: Batch | undefined;
  group = -1;

  constructor(run: Run, request: IncomingRequest) {
    this.run = run;
    this.request = request;
  }
}

export class Watchers {
  readonly #engine: () => Engine;
  readonly #soon: (fn: () => void) => void;
  readonly #byRun = new Map<Run, Set<Watcher>>();

  /** `soon` as in Host.timers. */
  constructor(engine: () => Engine, soon: (fn: () => void) => void) {
    this.#engine = engine;
    this.#soon = soon;
  }

  get size(): number {
    let count = 0;
    for (const all of this.#byRun.values()) count += all.size;
    return count;
  }

  /** Changes that wait, counted where they wait: at most MAX_BACKLOG for each watcher. */
  get backlog(): number {
    let count = 0;
    for (const all of this.#byRun.values()) {
      for (const { ready } of all) for (const batch of ready) count += batch.changes.length;
    }
    return count;
  }

  add(run: Run, request: IncomingRequest): void {
    const watcher = new Watcher(run, request);
    const all = this.#byRun.get(run) ?? new Set();
    this.#byRun.set(run, all.add(watcher));
    request.onCancel(() => this.#remove(watcher));
    this.#engine().afterwards(() => void this.#pump(watcher));
  }

  #remove(watcher: Watcher): void {
    watcher.gone = true;
    const all = this.#byRun.get(watcher.run);
    all?.delete(watcher);
    if (all?.size === 0) this.#byRun.delete(watcher.run);
  }

  jobChanged(job: Job, at: number): void {
    const watchers = this.#byRun.get(job.run);
    if (watchers === undefined) return; // nobody looks: nothing is built
    const change = jobChange(this.#engine().state, job, at);
    for (const watcher of watchers) this.#batchOf(watcher).changes.push(change);
  }

  runChanged(run: Run): void {
    for (const watcher of this.#byRun.get(run) ?? []) this.#batchOf(watcher).run = runInfo(run);
  }

  /** Jobs were added: a watcher knows jobs by the list that it got first, so it gets the whole list again. */
  grown(run: Run): void {
    for (const watcher of this.#byRun.get(run) ?? []) {
      this.#engine().afterwards(() => {
        watcher.reset = true;
        void this.#pump(watcher);
      });
    }
  }

  #batchOf(watcher: Watcher): Batch {
    const engine = this.#engine();
    if (watcher.batch !== undefined && watcher.group === engine.group) return watcher.batch;
    const batch: Batch = { changes: [], run: undefined };
    watcher.batch = batch;
    watcher.group = engine.group;
    engine.afterwards(() => this.#release(watcher, batch));
    return batch;
  }

  #release(watcher: Watcher, batch: Batch): void {
    watcher.ready.push(batch);
    watcher.backlog += batch.changes.length;
    if (watcher.backlog > MAX_BACKLOG) {
      watcher.ready = [];
      watcher.backlog = 0;
      watcher.reset = true;
    }
    // In the next turn: the dispatches that were released with this batch are on their way by then. People can wait for a
    // fraction of a millisecond; a job that was ready before its watcher's page was written should not.
    this.#soon(() => void this.#pump(watcher));
  }

  async #pump(watcher: Watcher): Promise<void> {
    if (watcher.pumping) return;
    watcher.pumping = true;
    while (!watcher.gone && (watcher.reset || watcher.ready.length > 0)) {
      if (watcher.reset) await this.#sendAll(watcher);
      else await this.#sendBatch(watcher, watcher.ready.shift()!);
    }
    watcher.pumping = false;
  }

  async #sendBatch(watcher: Watcher, batch: Batch): Promise<void> {
    watcher.backlog -= batch.changes.length;
    for (const { rows, last } of pages(batch.changes, changeBytes)) {
      await send(watcher, WatchPage.encode({ reset: false, run: last ? batch.run : undefined, jobs: [], changes: rows }));
    }
    this.#endIfOver(watcher, batch.run?.status);
  }

  /** Everything as it stands. What was waiting is older than this, and is dropped. */
  async #sendAll(watcher: Watcher): Promise<void> {
    const { run } = watcher;
    const engine = this.#engine();
    watcher.reset = false;
    watcher.ready = [];
    watcher.backlog = 0;
    const info = runInfo(run);
    for (const { rows, first, last } of pages(jobRows(engine, run.jobs), jobBytes)) {
      if (watcher.gone) return;
      // The run itself comes with the last page: whoever has it has everything.
      const page = WatchPage.encode({ reset: first, run: last ? info : undefined, jobs: rows, changes: [] });
      await engine.durable();
      await send(watcher, page);
    }
    this.#endIfOver(watcher, info.status);
  }

  #endIfOver(watcher: Watcher, status: RunInfo["status"] | undefined): void {
    if (status === undefined || status === "RUNNING" || watcher.ready.length > 0 || watcher.reset) return;
    this.#remove(watcher);
    watcher.request.end();
  }
}

async function send(watcher: Watcher, page: Buffer): Promise<void> {
  if (!watcher.gone && !watcher.request.item(page)) await watcher.request.drained();
}
