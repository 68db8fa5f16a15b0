/**
 * Lesson 10: those who follow the whole log, and how the latest facts are kept for them.
 *
 *     record ─▶ pending ──(durable)──▶ recent facts, as JSON     MAX_RECENT_BYTES, the oldest go
 *                                        ▲         ▲
 *     followers, by the next number:     C         A, D
 *     B is behind all of them  ──▶ reads its gap from the log on disk (past.ts)
 *
 * A follower gets every fact once, in order, at its own pace: pages are made when it has room, and
 * of a busy log not after each group, but fifty times a second. One
 * that asks for facts that cannot be told any more, because a snapshot has taken their place or
 * because they are too many, is told so, and goes on with those that happen from then on.
 *
 * Most facts are details of attempts, and as JSON they are a tenth of what a small job costs the
 * master. While nobody asks for these texts they are not made, and those in a row that are the same
 * without them are told as one with a number.
 *
 * With each page comes which runs and jobs look different now: much that follows from a fact (that
 * a child is skipped, say) is no fact of its own.
 *
 * Invariants: nothing is told before it is durable; while nobody follows nothing is kept and
 * nothing is made; what is kept is bounded, however slow a follower is.
 * Test: test/10-master.facts.test.ts
 */
import { runOf, type Event, type EventNames, type Job, type Run, type State } from "#core";
import type { Host, Timer } from "#host";
import type { Log } from "#log";
import { RpcError, type IncomingRequest } from "#rpc";
import { FactsPage, isDetail, type FactsAsked, type Touched } from "#wire";
import type { Engine } from "./engine.ts";
import { Meter } from "./meter.ts";
import { bareFact, inRows, keptFact, readPast, type KeptFact, type KnownNames } from "./past.ts";
import type { Turns } from "./turns.ts";

/** Ten seconds of a busy cluster: 2,000 facts a second, of 200 bytes each. */
export const MAX_RECENT_BYTES = 4 * 1024 * 1024;
/** Of one connection. An HTTP door has one for all of its readers. */
export const MAX_FOLLOWS = 8;
/** Positions of jobs that one group names of a run; beyond, all of them may have changed. */
const MAX_TOUCHED = 1000;
const PAGE_BYTES = 128 * 1024;
/**
 * A busy log has a group of events each millisecond, and a page for each would cost a master with
 * an open dashboard a tenth of its time. A page that is told to people can wait for so long.
 */
const PACE_MS = 20;

/** What one group of events has changed, by the numbers of runs. */
type Changed = Map<number, { readonly id: string; readonly jobs: Set<number>; all: boolean }>;

/** What is told of events that become durable together. */
interface Batch {
  readonly facts: KeptFact[];
  /** The number of `facts[0]`. */
  first: number;
  readonly changed: Changed;
}

interface Follower {
  readonly request: IncomingRequest;
  readonly peer: object;
  /** It wants the texts of details. */
  readonly details: boolean;
  /** The number of the fact that it gets next. */
  next: number;
  /** It has not had its first page. */
  isNew: boolean;
  /** What it asked for cannot be told. */
  reset: boolean;
  /** From the disk, to be sent before the recent ones. */
  past: KeptFact[];
  pumping: boolean;
  gone: boolean;
}

export interface FactsOptions {
  readonly host: Host;
  readonly log: Log;
  readonly turns: Turns;
  readonly engine: () => Engine;
}

export class Facts {
  /** Looks at every event, whether somebody follows or not. */
  readonly meter: Meter;
  readonly #options: FactsOptions;
  readonly #followers = new Set<Follower>();
  /** The number of `recent[0]`, or of the next fact. */
  #first = 0;
  #recent: KeptFact[] = [];
  #bytes = 0;
  /** Followers that want details, and the number from which on these have their texts. */
  #detailed = 0;
  #detailedFrom = 0;
  #batch: Batch | undefined;
  #group = -1;
  #pacedAt = -Infinity;
  #pacing: Timer | undefined;
  /** Names of what has been forgotten since somebody follows. */
  readonly #runs = new Map<number, string>();
  readonly #workers = new Map<number, string>();

  constructor(options: FactsOptions) {
    this.#options = options;
    this.meter = new Meter(() => this.#state);
    options.log.onSync = this.meter.synced;
  }

  /** Those who follow. */
  get size(): number {
    return this.#followers.size;
  }

  /** Bytes that are kept for them. */
  get bytes(): number {
    return this.#bytes;
  }

  // #region record
  /** They are about to be applied, and with that some names may go. */
  before(events: readonly Event[]): void {
    if (this.#followers.size === 0) return;
    for (const event of events) this.#keepNames(event);
  }

  /** They are applied, and have numbers from `first` on in the log. */
  after(first: number, events: readonly Event[]): void {
    for (const event of events) this.meter.look(event);
    if (this.#followers.size === 0) return;
    const batch = this.#batchNow();
    const { facts } = batch;
    if (facts.length === 0) batch.first = first;
    for (const event of events) {
      const number = runOf(event);
      const run = number === undefined ? undefined : this.#state.runs.get(number);
      const hasText = this.#detailed > 0 || !isDetail(event);
      facts.push(hasText ? keptFact(batch.first + facts.length, event, this.#names)
        : bareFact(event.type, run?.id, facts.at(-1)));
      if (run === undefined) continue;
      this.#touch(run);
      if (GROWTH.has(event.type)) this.#touchNew(event, run);
    }
  }

  jobChanged(job: Job): void {
    if (this.#followers.size > 0) this.#touch(job.run, job.index);
  }

  runChanged(run: Run): void {
    if (this.#followers.size > 0) this.#touch(run);
  }
  // #endregion

  #keepNames(event: Event): void {
    const { runs, workers } = this.#state;
    if (event.type === "RunsForgotten" || event.type === "RunsLetGo") {
      for (const number of event.runs) {
        const run = runs.get(number);
        if (run === undefined) continue;
        this.#runs.set(number, run.id);
        this.#touch(run);
      }
    }
    if (event.type === "WorkerLost") {
      this.#workers.set(event.worker, workers.get(event.worker)?.name ?? `${event.worker}`);
    }
  }

  get #state(): State {
    return this.#options.engine().state;
  }

  #touchNew(event: Event, run: Run): void {
    if (!("jobs" in event)) return;
    const { size } = run;
    for (let index = size - event.jobs.length; index < size; index++) this.#touch(run, index);
  }

  #touch(run: Run, job?: number): void {
    const { changed } = this.#batchNow();
    const known = changed.get(run.number);
    const found = known ?? { id: run.id, jobs: new Set<number>(), all: false };
    if (known === undefined) changed.set(run.number, found);
    if (job === undefined || found.all) return;
    found.jobs.add(job);
    found.all = found.jobs.size > MAX_TOUCHED;
    if (found.all) found.jobs.clear();
  }

  #batchNow(): Batch {
    const engine = this.#options.engine();
    if (this.#batch !== undefined && this.#group === engine.group) return this.#batch;
    const batch: Batch = { facts: [], first: 0, changed: new Map() };
    this.#batch = batch;
    this.#group = engine.group;
    engine.whenDurable(() => this.#release(batch));
    return batch;
  }

  // #region release
  #release({ facts, first, changed }: Batch): void {
    if (this.#followers.size === 0) return;
    // Somebody who began to follow meanwhile gets what was under way from the disk.
    const late = Math.max(0, this.#first - first);
    for (let at = late; at < facts.length; at++) this.#keep(facts[at]!);
    const last = this.#recent.pop();
    if (last !== undefined) {
      // A new object: the old one may stand for others, too.
      this.#recent.push({ ...last, touched: [...last.touched, ...touchedOf(changed)] });
    }
    this.#pumpInTime();
  }

  /** At once, if the last pages are long enough ago. */
  #pumpInTime(): void {
    if (this.#pacing !== undefined) return;
    const { clock, timers } = this.#options.host;
    const pump = (): void => {
      this.#pacing = undefined;
      this.#pacedAt = clock.monotonic();
      this.#pumpAll();
    };
    const ms = this.#pacedAt + PACE_MS - clock.monotonic();
    if (ms <= 0) pump();
    else this.#pacing = timers.after(ms, pump);
  }

  #keep(fact: KeptFact): void {
    this.#recent.push(fact);
    this.#bytes += fact.bytes;
    if (this.#bytes <= MAX_RECENT_BYTES) return;
    // A quarter at once: to take them one by one would move all others each time.
    let gone = 0;
    while (this.#bytes > 0.75 * MAX_RECENT_BYTES && gone < this.#recent.length - 1) {
      this.#bytes -= this.#recent[gone++]!.bytes;
    }
    this.#recent.splice(0, gone);
    this.#first += gone;
  }
  // #endregion

  get #names(): EventNames {
    const known = this.#known;
    return {
      run: (number) => known.run(number) ?? `${number}`,
      jobId: (key) => known.jobId(key) ?? `${key.job}`,
      workerName: known.workerName,
    };
  }

  get #known(): KnownNames {
    const state = this.#state;
    return {
      run: (number) => state.runs.get(number)?.id ?? this.#runs.get(number),
      jobId: ({ run, job }) => state.runs.get(run)?.jobs[job]?.spec.id,
      workerName: (number) => state.workers.get(number)?.name ?? this.#workers.get(number),
    };
  }

  // #region follow
  /** @throws {RpcError} OVERLOADED: this peer follows as often as one may */
  follow(request: IncomingRequest, peer: object, { from, details }: FactsAsked): void {
    const same = [...this.#followers].filter((each) => each.peer === peer).length;
    if (same >= MAX_FOLLOWS) {
      const found = `this connection follows it ${same} times, and none may more often`;
      throw new RpcError("OVERLOADED", `Cannot follow the log: ${found}`);
    }
    const { log, engine } = this.#options;
    if (this.#followers.size === 0) this.#first = log.nextSeq;
    if (details && this.#detailed++ === 0) this.#detailedFrom = log.nextSeq;
    const now = log.durableSeq + 1;
    const follower: Follower = {
      // The first fact is number 1: from 0 on is from the beginning.
      request, peer, details, next: from === undefined ? now : Math.max(from, 1),
      isNew: true, past: [], pumping: false, gone: false,
      // Of another log, or of a future that has not happened.
      reset: from !== undefined && from > now,
    };
    this.#followers.add(follower);
    request.onCancel(() => this.#remove(follower));
    engine().answer(() => void this.#pump(follower));
    // Facts that are under way now are read from the disk once they are there.
    engine().whenDurable(() => this.#pumpAll());
  }
  // #endregion

  #remove(follower: Follower): void {
    if (follower.gone) return;
    follower.gone = true;
    if (follower.details) this.#detailed -= 1;
    this.#followers.delete(follower);
    if (this.#followers.size > 0) return;
    this.#pacing?.cancel();
    this.#pacing = undefined;
    this.#recent = [];
    this.#bytes = 0;
    this.#batch = undefined;
    this.#runs.clear();
    this.#workers.clear();
  }

  #pumpAll(): void {
    for (const follower of this.#followers) void this.#pump(follower);
  }

  #isBehind(follower: Follower): boolean {
    const { gone, isNew, reset, past, next } = follower;
    if (gone) return false;
    if (isNew || reset || past.length > 0) return true;
    const first = this.#firstFor(follower);
    if (next >= first) return next < this.#first + this.#recent.length;
    return this.#options.log.durableSeq + 1 >= first; // all of its gap is on the disk
  }

  /** The first of the recent facts that are as this follower wants them. */
  #firstFor({ details }: Follower): number {
    return details ? Math.max(this.#first, this.#detailedFrom) : this.#first;
  }

  async #pump(follower: Follower): Promise<void> {
    if (follower.pumping) return;
    follower.pumping = true;
    const { request, peer } = follower;
    const { turns } = this.#options;
    try {
      while (this.#isBehind(follower)) {
        await turns.send(request, peer, () => this.#nextPage(follower));
        if (request.over) this.#remove(follower);
      }
    } catch (error) {
      // The disk, or a log that is damaged: nobody's promise hangs on it here.
      request.fail("INTERNAL", `Cannot follow the log: ${(error as Error).message}`);
      this.#remove(follower);
    }
    follower.pumping = false;
  }

  #nextPage(follower: Follower): Buffer | undefined | Promise<Buffer> {
    if (!this.#isBehind(follower)) return undefined;
    if (follower.reset) return this.#resetPage(follower);
    if (follower.isNew) {
      follower.isNew = false;
      return pageOf(follower.next, []);
    }
    if (follower.past.length > 0) return this.#send(follower, follower.past);
    if (follower.next < this.#firstFor(follower)) return this.#pastPage(follower);
    return this.#send(follower, this.#recent, follower.next - this.#first);
  }

  #resetPage(follower: Follower): Buffer {
    follower.reset = false;
    follower.isNew = false;
    follower.next = this.#options.log.durableSeq + 1;
    return pageOf(follower.next, [], true);
  }

  async #pastPage(follower: Follower): Promise<Buffer> {
    const range = { from: follower.next, to: this.#firstFor(follower) };
    const past = await readPast({ log: this.#options.log, names: this.#known, range });
    if (past === undefined) return this.#resetPage(follower);
    follower.past = past;
    return this.#send(follower, past);
  }

  /** A page of them, from position `at` on. */
  #send(follower: Follower, facts: KeptFact[], at = 0): Buffer {
    let end = at;
    for (let bytes = 0; end < facts.length && bytes < PAGE_BYTES; end++) bytes += facts[end]!.bytes;
    const page = facts.slice(at, end);
    const first = follower.next;
    follower.next += page.length;
    if (facts === follower.past) follower.past = facts.slice(end);
    return pageOf(first, page);
  }
}

/** Events that add jobs to a run, which are its last ones then. */
const GROWTH: ReadonlySet<string> = new Set<Event["type"]>([
  "JobsAdded", "JobsInserted", "JobsSpawned", "ServiceScaled",
]);

function touchedOf(changed: Changed): Touched[] {
  return [...changed.values()].map(({ id, jobs, all }) => ({ run: id, jobs: [...jobs], all }));
}

function pageOf(first: number, page: readonly KeptFact[], reset = false): Buffer {
  const touched: Touched[] = [];
  for (const each of page) if (each.touched.length > 0) touched.push(...each.touched);
  return FactsPage.encode({ reset, first, facts: inRows(page), touched });
}
