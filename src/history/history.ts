/**
 * Lesson 10: what can be asked of the past: a moment, facts in words, and one step.
 *
 *     a moment ─▶ the last checkpoint before it ─▶ fold what is between ─▶ rows
 *                 or the state of the last visit, if that is nearer
 *
 * The way through the log (pass.ts) goes on in the background, a block at a time, so that a visit
 * that comes meanwhile waits for one block.
 *
 * Invariants: questions are answered one after another; nothing behind `until`, which the owner of
 * the log knows to be durable, is told.
 * Test: test/10-master.history.test.ts
 */
import type { Event, State } from "#core";
import type { Host } from "#host";
import { LogView } from "#log";
import type { ChangedRows, Fact, HistorySpan } from "#wire";
import { ToldChanges } from "./changes.ts";
import { checkpointLimits, type CheckpointLimits } from "./checkpoints.ts";
import { factsOf, goOn, stepOn, type Cursor } from "./cursor.ts";
import { HistoryError } from "./errors.ts";
import { pastFact } from "./facts.ts";
import { runsOf, type PastRun } from "./names.ts";
import { Pass } from "./pass.ts";
import { tellStep, type StepTold } from "./step.ts";
import { sayChanges } from "./words.ts";

/** Which moment: after fact `seq`, at a time, or `after` so many ms of the run. */
export interface Which {
  readonly seq?: number | undefined;
  readonly at?: number | undefined;
  readonly after?: number | undefined;
  readonly run?: string | undefined;
}

/** Good until the next question: the state goes on then. */
export interface Moment {
  readonly seq: number;
  /** The time that was asked for, or that of the fact. Undefined: nothing has happened yet. */
  readonly at: number | undefined;
  readonly state: State;
  readonly run: PastRun | undefined;
}

export interface PastFacts {
  readonly facts: Fact[];
  readonly next: number | undefined;
  readonly run: PastRun | undefined;
  /** Of each fact, if that was asked. */
  readonly changed: ChangedRows[];
}

export interface FactsAsked {
  readonly from: number;
  readonly limit: number;
  readonly run?: string | undefined;
  /** With the rows of the run that each has changed: those of the facts of others, too. */
  readonly changes?: boolean;
  /** With what each has changed in short words, as further keys of it. */
  readonly words?: boolean;
}

interface Wanted {
  readonly from: number;
  readonly limit: number;
  readonly run: PastRun | undefined;
  readonly words: boolean;
}

type Collected = Omit<PastFacts, "run">;

export class History {
  readonly #limits: CheckpointLimits;
  readonly #view: LogView;
  #pass: Pass | undefined;
  /** Where the last visit stopped. */
  #cursor: Cursor | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #closed = false;

  /** `dir`: the folder of the log. */
  constructor(host: Host, dir: string, limits: Partial<CheckpointLimits> = {}) {
    this.#view = new LogView(host, dir);
    this.#limits = checkpointLimits(limits);
  }

  /** @throws {LogError} the log is damaged, or there is none */
  span(until = Infinity): Promise<HistorySpan> {
    return this.#alone(async () => {
      const pass = await this.#passTo(until, until);
      const { front: first, firstAt, tip } = pass;
      return { first, last: tip.seq, firstAt, lastAt: tip.state.at };
    });
  }

  /** @throws {HistoryError} NOT_FOUND: it cannot be told, and why */
  at<T>(which: Which, read: (moment: Moment) => T, until = Infinity): Promise<T> {
    return this.#alone(async () => {
      const pass = await this.#passTo(until, which.run === undefined ? which.seq : until);
      const run = which.run === undefined ? undefined : pass.names.find(which.run);
      const { seq, state } = await this.#visit(pass, which, run);
      const at = timeOf(which, run) ?? (state.at === 0 ? undefined : state.at);
      return read({ seq, at, state, run });
    });
  }

  /** Facts from number `from` on, at most `limit`. */
  facts(asked: FactsAsked, until = Infinity): Promise<PastFacts> {
    return this.#alone(async () => {
      const { from, limit, run: typed, changes = false, words = false } = asked;
      const pass = await this.#passTo(until, typed === undefined ? from + limit : until);
      const run = typed === undefined ? undefined : pass.names.find(typed);
      const wanted = { from: Math.max(from, pass.front + 1), limit, run, words };
      const found = run !== undefined && changes
        ? await this.#follow(pass, { ...wanted, run }) : await this.#collect(pass, wanted);
      return { ...found, run };
    });
  }

  /** @throws {HistoryError} NOT_FOUND */
  step(seq: number, until = Infinity): Promise<StepTold> {
    return this.#alone(async () => {
      const pass = await this.#passTo(until, seq);
      if (seq <= pass.front || seq > pass.tip.seq) throw outside(pass, seq);
      const cursor = await this.#visit(pass, { seq: seq - 1 }, undefined);
      for await (const block of this.#view.blocks(cursor.place)) {
        for (const fact of factsOf(block)) return tellStep(cursor, fact, pass.names);
      }
      throw outside(pass, seq);
    });
  }

  /** Those who wait for an answer are refused. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#view.stop();
    await this.#alone(async () => { await this.#pass?.rest(); });
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    this.#waiting += 1;
    const done = this.#turn.then(work).finally(async () => {
      this.#waiting -= 1;
      if (this.#waiting === 0) await this.#rest();
    });
    this.#turn = done.catch(() => undefined);
    return done;
  }

  /** No file is held open while nobody asks. */
  async #rest(): Promise<void> {
    await this.#pass?.rest();
    await this.#view.rest();
  }

  /** The way through the log, gone as far as fact `wanted`, or to its end. */
  async #passTo(until: number, wanted = until): Promise<Pass> {
    await this.#pass?.rest();
    if (await this.#view.refresh()) this.#pass = this.#cursor = undefined;
    const pass = this.#pass ??= await Pass.begin(this.#view, this.#limits);
    while (pass.tip.seq < wanted && (await pass.advance(until)));
    if (pass.tip.seq < until) this.#goOnLater(pass, until);
    return pass;
  }

  /** In the background, a block for each turn. */
  #goOnLater(pass: Pass, until: number): void {
    void this.#alone(async () => {
      if (this.#closed || this.#pass !== pass) return;
      if (await pass.advance(until)) this.#goOnLater(pass, until);
    }).catch(() => undefined); // told to those who ask
  }

  /** To be read: the last moment is the state of the way itself, of which no copy is made. */
  async #visit(pass: Pass, which: Which, run: PastRun | undefined): Promise<Cursor> {
    const { tip } = pass;
    if (which.seq !== undefined) {
      const { seq } = which;
      if (seq < pass.front || seq > tip.seq) throw outside(pass, seq);
      return seq === tip.seq ? tip : this.#stand(pass, seq, (next) => next <= seq);
    }
    const at = timeOf(which, run) ?? Infinity;
    if (pass.front > 0 && at < pass.firstAt) throw before(pass, at);
    if (at >= tip.state.at) return tip;
    // Events are ordered, and so are their times: the first one that is later ends the moment.
    const stretch = pass.stretches.findLast((each) => each.at <= at);
    const from = stretch === undefined ? pass.front : stretch.place.seq - 1;
    return this.#stand(pass, from, (next, event) => next <= tip.seq && event.at <= at);
  }

  /** A state that stands at fact `from`, or behind it where `isIn` still agrees. */
  async #stand(
    pass: Pass, from: number, isIn: (seq: number, event: Event) => boolean,
  ): Promise<Cursor> {
    const { checkpoints } = pass;
    const near = checkpoints.before(from);
    const old = this.#cursor;
    const isNear = old !== undefined && old.seq <= from && old.seq >= near.seq;
    this.#cursor = undefined; // two of them at once need not fit
    const cursor = this.#cursor = isNear ? old : checkpoints.restore(near);
    await goOn(cursor, this.#view, (seq, event) => seq <= from || isIn(seq, event));
    return cursor;
  }

  /**
   * Stretches without a fact of the run are skipped. To say what each has changed, the state goes
   * with it.
   */
  async #collect(pass: Pass, { from, limit, run, words }: Wanted): Promise<Collected> {
    const facts: Fact[] = [];
    const { stretches, names, tip } = pass;
    for (const [index, stretch] of stretches.entries()) {
      const end = stretches[index + 1]?.place.seq ?? tip.seq + 1;
      if (end <= from || (run !== undefined && !stretch.runs.has(run.number))) continue;
      const begin = Math.max(from, stretch.place.seq) - 1;
      const cursor = words ? await this.#stand(pass, begin, () => false) : undefined;
      for await (const block of this.#view.blocks(cursor?.place ?? stretch.place)) {
        for (const fact of factsOf(block)) {
          const { event, place: { seq } } = fact;
          if (seq < from) continue;
          if (seq >= end) break;
          const isWanted = run === undefined || runsOf(event).includes(run.number);
          if (isWanted && facts.length === limit) return { facts, changed: [], next: seq };
          const said = isWanted && cursor !== undefined && sayChanges(cursor, fact, names);
          if (isWanted) facts.push(pastFact(fact, names, said || {}));
          else if (cursor !== undefined) stepOn(cursor, fact);
        }
        if (block.at.seq + block.bodies.length >= end) break;
      }
    }
    return { facts, changed: [], next: undefined };
  }

  /** As `#collect`, and the state goes with it. */
  async #follow(
    pass: Pass, { from, limit, run }: Wanted & { run: PastRun },
  ): Promise<Collected> {
    const { stretches, tip } = pass;
    const told = new ToldChanges(run.number, { limit, names: pass.names });
    for (const [index, stretch] of stretches.entries()) {
      const end = stretches[index + 1]?.place.seq ?? tip.seq + 1;
      if (end <= from || !stretch.runs.has(run.number)) continue;
      const cursor = await this.#stand(pass, Math.max(from, stretch.place.seq) - 1, () => false);
      const isIn = (seq: number): boolean => seq < end && !told.isFull;
      await goOn(cursor, this.#view, isIn, (...next) => told.step(...next));
      if (told.isFull) return { ...told.all, next: cursor.seq + 1 };
    }
    return { ...told.all, next: undefined };
  }
}

function timeOf({ seq, at, after }: Which, run: PastRun | undefined): number | undefined {
  if (seq !== undefined || at !== undefined) return seq === undefined ? at : undefined;
  return run === undefined || after === undefined ? undefined : run.submittedAt + after;
}

function outside({ front, tip, firstAt }: Pass, seq: number): HistoryError {
  const doing = `Cannot go back to fact ${seq}`;
  if (seq > tip.seq) {
    const end = tip.seq === 0 ? "nothing has happened yet" : `the log ends with fact ${tip.seq}`;
    return new HistoryError("NOT_FOUND", `${doing}: ${end}`);
  }
  return new HistoryError("NOT_FOUND", `${doing}: ${frontText(front, firstAt)}`);
}

function before({ front, firstAt }: Pass, at: number): HistoryError {
  const doing = `Cannot go back to ${timeText(at)}`;
  return new HistoryError("NOT_FOUND", `${doing}: ${frontText(front, firstAt)}`);
}

function frontText(front: number, firstAt: number): string {
  const where = `a snapshot stands for facts 1 to ${front}, up to ${timeText(firstAt)}`;
  return `${where}, and the earliest moment that can be told is that one`;
}

function timeText(ms: number): string {
  return new Date(ms).toISOString();
}
