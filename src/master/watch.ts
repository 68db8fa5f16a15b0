/**
 * Lesson 10: people who watch a run, and how a slow one costs nothing.
 *
 *     a run's feed     batch 7 │ batch 8 │ batch 9      one batch per group (one fsync),
 *                         ▲         ▲          ▲        encoded once for all watchers
 *     its watchers        C        A, D        B        each knows which one it gets next
 *
 * A watcher first gets the whole run, then every change. A watcher that cannot keep up is not
 * allowed to fill the master's memory: the oldest batches go, and a watcher that was to get one of
 * them gets the whole run anew when it is ready again. It may miss steps; it never misses where
 * things stand. Watchers that want the whole run at the same time share its pages, too.
 *
 * The end of a run is a promise: people go home, scripts go on. It is told once it is durable, also
 * when the disk is full and reads are answered from memory (engine.ts).
 *
 * Invariants: pages leave only after their changes are durable; at most MAX_BACKLOG changes wait
 * per run and MAX_BACKLOGS of all, however many watch; nothing is encoded for a watcher that has no
 * room.
 * Test: test/10-master.watch.test.ts
 */
import { FreshMap, FreshSet } from "#base";
import { jobChange, runInfo, type Job, type Run } from "#core";
import { RpcError, type IncomingRequest } from "#rpc";
import { isOpenRun, WatchPage, type JobChange, type RunInfo } from "#wire";
import type { Engine } from "./engine.ts";
import { MAX_WATCHES, MAX_WATCHES_OF_RUN } from "./limits.ts";
import { changeBytes, jobBytes, jobRows, pages } from "./pages.ts";
import type { Turns } from "./turns.ts";

/** At about 100 bytes each, 2 MB per run that is watched. */
export const MAX_BACKLOG = 20_000;
/** Of all runs: what sixteen of them may have, 32 MB. */
export const MAX_BACKLOGS = 16 * MAX_BACKLOG;
/** Pages of whole runs that are kept for the next watcher: 256 KiB each. */
const MAX_SHARED_PAGES = 16;
/** …and for how long: in a page are the reasons why jobs wait, which change without the run. */
const SHARED_MS = 100;

/** What one group changed in a run. */
interface Batch {
  changes: JobChange[];
  count: number;
  run: RunInfo | undefined;
  /** Once somebody has had room for it; `changes` is empty then. */
  encoded: Buffer[] | undefined;
}

/** A part of the list of a run's jobs. */
interface ListPage {
  readonly body: Buffer;
  /** The job that the next page begins with; undefined: this is the last one. */
  readonly next: number | undefined;
  /** What it says of the run, if the list is this one page. */
  readonly info: RunInfo | undefined;
}

interface SharedPage {
  readonly feed: Feed;
  readonly version: number;
  readonly at: number;
  readonly page: Promise<ListPage>;
}

/**
 * A list that is being sent: the job that its next page begins with (undefined: all are sent), and
 * the run as it was then.
 */
interface List {
  from: number | undefined;
  readonly info: RunInfo;
}

class Feed {
  readonly run: Run;
  readonly watchers = new Set<Watcher>();
  /** Durable, and not sent to everybody yet. */
  readonly batches: Batch[] = [];
  /** The number of `batches[0]`. */
  first = 0;
  /** Changes in `batches`. */
  backlog = 0;
  /** Counts what has happened: a page of the list with the same number is still right. */
  version = 0;
  /** Collects the changes of the group that is being committed. */
  batch: Batch | undefined;
  group = -1;

  constructor(run: Run) {
    this.run = run;
  }

  get end(): number {
    return this.first + this.batches.length;
  }
}

interface Who {
  readonly peer: object;
  readonly grows: boolean;
}

class Watcher {
  readonly feed: Feed;
  readonly request: IncomingRequest;
  readonly peer: object;
  /** It takes jobs that are added as changes. */
  readonly grows: boolean;
  /** The number of the batch that it gets next, and how many pages of it it has. */
  next = 0;
  pagesSent = 0;
  /** It is to get the whole run. */
  reset = true;
  list: List | undefined;
  /** The status of the run that it was told last. */
  told: RunInfo["status"] | undefined;
  pumping = false;
  gone = false;

  constructor(feed: Feed, request: IncomingRequest, who: Who) {
    this.feed = feed;
    this.request = request;
    this.peer = who.peer;
    this.grows = who.grows;
  }

  get isBehind(): boolean {
    return !this.gone && (this.reset || this.list !== undefined || this.next < this.feed.end);
  }
}

function tooMany(run: Run, watches: string): RpcError {
  const found = `this connection has ${watches}, and no connection may have more`;
  return new RpcError("OVERLOADED", `Cannot watch ${run.id}: ${found}`);
}

export class Watchers {
  readonly #engine: () => Engine;
  readonly #turns: Turns;
  readonly #soon: (fn: () => void) => void;
  readonly #feeds = new FreshMap<Run, Feed>();
  /** Watches of each peer. */
  readonly #watches = new Map<object, number>();
  readonly #shared = new FreshMap<string, SharedPage>();
  /** Runs that are over, which is not durable yet. */
  readonly #ending = new FreshSet<Run>();
  /** Those of the group that is being committed: one look at the disk is for all of them. */
  #ends: { readonly group: number; readonly runs: Run[] } = { group: -1, runs: [] };
  /** Changes that wait, in all feeds. */
  #backlog = 0;

  /** `soon` as in Host.timers. */
  constructor(engine: () => Engine, turns: Turns, soon: (fn: () => void) => void) {
    this.#engine = engine;
    this.#turns = turns;
    this.#soon = soon;
  }

  /** Watches that are open. */
  get size(): number {
    return [...this.#watches.values()].reduce((sum, count) => sum + count, 0);
  }

  /** Changes that wait for a watcher. */
  get backlog(): number {
    return this.#backlog;
  }

  // #region add
  /** @throws {RpcError} OVERLOADED: this peer has as many watches as one may have */
  add(run: Run, request: IncomingRequest, who: Who): void {
    const { peer } = who;
    const count = this.#watches.get(peer) ?? 0;
    if (count >= MAX_WATCHES) throw tooMany(run, `${MAX_WATCHES} watches`);
    const feed = this.#feeds.get(run) ?? new Feed(run);
    const same = [...feed.watchers].filter((watcher) => watcher.peer === peer).length;
    if (same >= MAX_WATCHES_OF_RUN) throw tooMany(run, `${MAX_WATCHES_OF_RUN} watches of it`);
    const watcher = new Watcher(feed, request, who);
    this.#feeds.set(run, feed);
    feed.watchers.add(watcher);
    this.#watches.set(peer, count + 1);
    request.onCancel(() => this.#remove(watcher));
    this.#engine().answer(() => void this.#pump(watcher));
  }
  // #endregion

  #remove(watcher: Watcher): void {
    if (watcher.gone) return;
    watcher.gone = true;
    const { feed, peer } = watcher;
    feed.watchers.delete(watcher);
    const left = (this.#watches.get(peer) ?? 1) - 1;
    if (left > 0) this.#watches.set(peer, left);
    else this.#watches.delete(peer);
    if (feed.watchers.size > 0) return;
    this.#feeds.delete(feed.run);
    this.#drop(feed, feed.batches.length);
  }

  jobChanged(job: Job, at: number): void {
    const feed = this.#feeds.get(job.run);
    if (feed === undefined) return; // nobody looks: nothing is built
    this.#batchOf(feed).changes.push(jobChange(this.#engine().state, job, at));
  }

  /** Each of them is a change, for those who take it so. */
  jobsAdded(run: Run, from: number, at: number): void {
    const feed = this.#feeds.get(run);
    if (feed === undefined || ![...feed.watchers].some(({ grows }) => grows)) return;
    const batch = this.#batchOf(feed);
    const { state } = this.#engine();
    for (let index = from; index < run.jobs.length; index++) {
      const job = run.jobs[index]!;
      batch.changes.push({ ...jobChange(state, job, at), id: job.spec.id });
    }
    batch.run = runInfo(run);
  }

  runChanged(run: Run): void {
    if (!isOpenRun(run.status)) this.#runEnds(run);
    const feed = this.#feeds.get(run);
    if (feed !== undefined) this.#batchOf(feed).run = runInfo(run);
  }

  #runEnds(run: Run): void {
    this.#ending.add(run);
    const engine = this.#engine();
    if (this.#ends.group === engine.group) return void this.#ends.runs.push(run);
    const runs = [run];
    this.#ends = { group: engine.group, runs };
    engine.whenDurable(() => runs.forEach((ended) => this.#ended(ended)));
  }

  /** Its end is durable. */
  #ended(run: Run): void {
    this.#ending.delete(run);
    for (const watcher of this.#feeds.get(run)?.watchers ?? []) void this.#pump(watcher);
  }

  /** All that is left to tell is an end that may not have happened. */
  #isHeld({ feed, list, reset }: Watcher): boolean {
    return !reset && list !== undefined && list.from === undefined && this.#ending.has(feed.run);
  }

  /**
   * Jobs were added, durably. A watcher of an older version knows jobs by the list that it got
   * first, so it gets the whole list again, and not the batch that was released just now.
   */
  grown(run: Run | undefined): void {
    const feed = run && this.#feeds.get(run);
    if (feed === undefined) return;
    feed.version += 1;
    for (const watcher of feed.watchers) {
      if (watcher.grows) continue;
      watcher.reset = true;
      void this.#pump(watcher);
    }
  }

  #batchOf(feed: Feed): Batch {
    const engine = this.#engine();
    feed.version += 1;
    if (feed.batch !== undefined && feed.group === engine.group) return feed.batch;
    const batch: Batch = { changes: [], count: 0, run: undefined, encoded: undefined };
    feed.batch = batch;
    feed.group = engine.group;
    engine.whenDurable(() => this.#release(feed, batch));
    return batch;
  }

  // #region release
  #release(feed: Feed, batch: Batch): void {
    if (feed.watchers.size === 0) return;
    batch.count = batch.changes.length;
    feed.batches.push(batch);
    feed.backlog += batch.count;
    this.#backlog += batch.count;
    this.#forgetSent(feed);
    // A watcher that was to get one of these gets the whole run: its `next` is a number that is
    // gone.
    while (feed.backlog > MAX_BACKLOG) this.#drop(feed, 1);
    if (this.#backlog > MAX_BACKLOGS) this.#drop(feed, feed.batches.length);
    // In the next turn: the dispatches that were released with this batch are on their way by then.
    // People can wait for a fraction of a millisecond; a job that was ready before its watcher's
    // page was written should not.
    this.#soon(() => {
      for (const watcher of feed.watchers) if (!watcher.pumping) void this.#pump(watcher);
    });
  }
  // #endregion

  /** Nobody needs what all have got. */
  #forgetSent(feed: Feed): void {
    let needed = feed.end;
    for (const { reset, next } of feed.watchers) if (!reset && next < needed) needed = next;
    if (needed > feed.first) this.#drop(feed, needed - feed.first);
  }

  #drop(feed: Feed, count: number): void {
    for (const batch of feed.batches.splice(0, count)) {
      feed.backlog -= batch.count;
      this.#backlog -= batch.count;
    }
    feed.first += count;
  }

  async #pump(watcher: Watcher): Promise<void> {
    if (watcher.pumping) return;
    watcher.pumping = true;
    const { request, peer } = watcher;
    while (watcher.isBehind && !this.#isHeld(watcher)) {
      await this.#turns.send(request, peer, () => this.#nextPage(watcher));
      if (request.over) this.#remove(watcher);
    }
    watcher.pumping = false;
    if (watcher.gone || watcher.told === undefined || isOpenRun(watcher.told)) return;
    this.#remove(watcher);
    request.end();
  }

  #nextPage(watcher: Watcher): Buffer | undefined | Promise<Buffer> {
    const { feed } = watcher;
    if (!watcher.isBehind) return undefined;
    if (watcher.reset || (watcher.list === undefined && watcher.next < feed.first)) {
      // Everything as it stands. The changes that waited are older than this, and are skipped.
      watcher.reset = false;
      watcher.next = feed.end;
      watcher.pagesSent = 0;
      watcher.list = { from: 0, info: runInfo(feed.run) };
    }
    const { list } = watcher;
    if (list === undefined) return this.#batchPage(watcher);
    if (list.from === undefined) return this.#lastPage(watcher, list.info);
    return this.#listPage(watcher, list, list.from);
  }

  #batchPage(watcher: Watcher): Buffer {
    const { feed } = watcher;
    const batch = feed.batches[watcher.next - feed.first]!;
    batch.encoded ??= [...pages(batch.changes, changeBytes)].map(({ rows: changes, last }) => {
      const run = last ? batch.run : undefined;
      return WatchPage.encode({ reset: false, run, jobs: [], changes });
    });
    batch.changes = [];
    const page = batch.encoded[watcher.pagesSent++]!;
    if (watcher.pagesSent < batch.encoded.length) return page;
    watcher.next += 1;
    watcher.pagesSent = 0;
    watcher.told = batch.run?.status ?? watcher.told;
    return page;
  }

  async #listPage(watcher: Watcher, list: List, from: number): Promise<Buffer> {
    const page = await this.#sharedPage(watcher.feed, from);
    list.from = page.next;
    if (page.info !== undefined) {
      watcher.told = page.info.status;
      // Unless it is to begin again: jobs were added meanwhile.
      if (watcher.list === list) watcher.list = undefined;
    }
    return page.body;
  }

  /**
   * The run itself comes last: a watcher that has it has everything. It is as it was at the first
   * page; later changes follow.
   */
  #lastPage(watcher: Watcher, info: RunInfo): Buffer {
    watcher.list = undefined;
    watcher.told = info.status;
    return WatchPage.encode({ reset: false, run: info, jobs: [], changes: [] });
  }

  // #region share
  /** A page of the list of jobs, made once for all who want it now. */
  #sharedPage(feed: Feed, from: number): Promise<ListPage> {
    const key = `${feed.run.number}:${from}`;
    const { now } = this.#engine().context;
    const known = this.#shared.get(key);
    const isSame = known?.feed === feed && known.version === feed.version;
    if (isSame && Math.abs(now - known.at) < SHARED_MS) return known.page;
    const page = this.#makePage(feed, from);
    this.#shared.delete(key); // the newest is last
    this.#shared.set(key, { feed, version: feed.version, at: now, page });
    const [oldest] = this.#shared.keys();
    if (this.#shared.size > MAX_SHARED_PAGES) this.#shared.delete(oldest!);
    return page;
  }
  // #endregion

  async #makePage({ run }: Feed, from: number): Promise<ListPage> {
    const engine = this.#engine();
    const { rows, last } = pages(jobRows(engine, run.jobs, from), jobBytes).next().value!;
    const info = from === 0 && last && !this.#ending.has(run) ? runInfo(run) : undefined;
    const body = WatchPage.encode({ reset: from === 0, run: info, jobs: rows, changes: [] });
    await engine.readable(); // read first, then wait: what is read meanwhile may be in memory only
    return { body, info, next: last ? undefined : from + rows.length };
  }
}
