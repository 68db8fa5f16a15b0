/**
 * Lesson 19: the past of the run that is on the screen: its facts, page after page from the first,
 * and the run as it was at one of them.
 *
 *     first picture   the master is asked for the moment of the address
 *     while it moves  facts are folded here (fold.ts)
 *     when it rests   the master is asked again, for what only it can say: why jobs waited
 *
 * Test: test/19-dashboard.past.test.ts, test/19-dashboard.run.browser.test.ts
 */
import type { ApiError } from "../api.ts";
import { button, problem } from "../parts/page.ts";
import { withQuery } from "../router.ts";
import type { Fact, Job, Run } from "../rows.ts";
import type { State } from "../state.ts";
import { Attempts } from "../timeline/attempts.ts";
import { h, type Child, type VNode } from "../vdom.ts";
import type { Context } from "../views/view.ts";
import { barTree, sayPlace } from "./bar.ts";
import {
  momentOf, RunPast, type FactsPage, type Moment, type MomentRows, type PastFact, type Span,
} from "./fold.ts";
import { factsTree, stepsTree, type Step } from "./told.ts";
import { Latest, Travel, type Course } from "./travel.ts";

/** What the page of a run shows in place of the present. */
export interface PastScene {
  readonly run: Run;
  readonly rows: ReadonlyMap<string, Job>;
  readonly now: number;
  readonly facts: readonly Fact[];
  /** All that are known, also those that begin later. */
  readonly attempts: Attempts;
}

const PAGE = 1_000;
/** Facts that are held at once; of a run that has more, a person chooses. A test has fewer. */
export const LIMITS = { facts: 200_000 };
/** As many as one answer has. */
const MAX_JOBS = 100_000;
/** New facts of a run that goes on are asked for so often. */
const GROW_MS = 1_000;

const BEGINNINGS: ReadonlySet<string> = new Set(["RunSubmitted", "UpdateSubmitted", "RunForked"]);

class RunTravel implements Course {
  readonly run: string;
  readonly travel: Travel;
  readonly moment: Latest<MomentRows>;
  readonly step: Latest<Step>;
  context: Context;
  problem: string | undefined;
  #past: RunPast | undefined;
  #attempts = new Attempts();
  #next: number | null = 0;
  /** Facts before this one were left out. */
  #from = 0;
  /** Nobody has chosen yet. */
  #mayJump = true;
  #isBusy = false;
  #askedAt = 0;
  /** What the master has said of a moment, for as long as it is shown. */
  #exact: Moment | undefined;

  constructor(run: string, context: Context) {
    this.run = run;
    this.context = context;
    const redraw = (): void =>
      this.context.dispatch({ type: "ui", key: "past", value: performance.now() });
    const get = (path: string): Promise<unknown> => this.context.api.get(path);
    this.moment = new Latest({ get, redraw });
    this.step = new Latest({ get, redraw });
    this.travel = new Travel(this, {
      context: () => this.context, redraw, rested: () => sayPlace(this.travel, this.context),
    });
    void this.#load();
  }

  get count(): number {
    return this.#past?.facts.length ?? 1;
  }

  /** Its beginning is not in the log any more. */
  get isCut(): boolean {
    const first = this.#past?.facts[0]?.type;
    return first !== undefined && this.#from === 0 && !BEGINNINGS.has(first);
  }

  get isGrowing(): boolean {
    return this.#next !== null && !this.isFull && this.problem === undefined;
  }

  /** There are more facts behind those that are here. */
  get isFull(): boolean {
    return this.#next !== null && this.count >= LIMITS.facts;
  }

  /** The first facts of the run are not among those that are here. */
  get isLater(): boolean {
    return this.#from > 0;
  }

  fact(place: number): PastFact | undefined {
    return this.#past?.facts[place - 1];
  }

  seqOf(place: number): number {
    return this.fact(place)?.seq ?? this.travel.seq;
  }

  placeOf(seq: number): number {
    return this.#past?.placeOf(seq) ?? 1;
  }

  /** All facts up to the shown one, as far as they have come. */
  factsUntil(place: number): readonly PastFact[] {
    return this.#past?.facts.slice(0, place) ?? [];
  }

  get attempts(): Attempts {
    return this.#attempts.read(this.#past?.facts ?? []);
  }

  /** The moment that is shown; undefined: it has not come yet. */
  now(): Moment | undefined {
    const { travel, moment } = this;
    const isKnown = this.#past !== undefined && !(this.isGrowing && travel.place >= this.count);
    const seq = isKnown ? this.seqOf(travel.place) : travel.seq;
    const path = this.#momentPath(seq);
    // The end has no number before the facts have come.
    const isNamed = isKnown || !travel.isAtEnd;
    if (isNamed && (!isKnown || travel.isResting)) moment.want(path);
    const answer = moment.answerTo(path);
    if (answer !== undefined && this.#exact?.seq !== answer.seq) {
      this.#exact = momentOf(answer, this.run);
    }
    if (isKnown && this.#exact?.seq !== seq) return this.#past!.at(travel.place);
    return this.#exact;
  }

  #momentPath(seq: number): string {
    return `history/at?seq=${seq}&run=${encodeURIComponent(this.run)}&limit=${MAX_JOBS}`;
  }

  /** The run has gone on meanwhile. */
  grow(latest: number): void {
    const isKnown = latest <= (this.#past?.facts.at(-1)?.seq ?? Infinity);
    if (isKnown || this.#isBusy || performance.now() - this.#askedAt < GROW_MS) return;
    this.#next = this.#past!.facts.at(-1)!.seq + 1;
    void this.#load();
  }

  async #load(): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    this.#askedAt = performance.now();
    const run = encodeURIComponent(this.run);
    try {
      while (this.#next !== null && (!this.isFull || (await this.#jump()))) {
        const path = `history/facts?from=${this.#next}&limit=${PAGE}&run=${run}&changes=1`;
        const { facts, next } = await this.context.api.get<FactsPage>(path);
        const { first } = await this.context.api.get<Span>("history");
        // Facts that were not read yet may be gone by now: behind them the fold begins anew.
        let isAnew = this.#past === undefined || first >= this.#next;
        for (const fact of facts) {
          await this.#add(fact, isAnew);
          isAnew = false;
        }
        this.#next = next;
        this.context.dispatch({ type: "ui", key: "past", value: performance.now() });
      }
      this.problem = this.#past === undefined && this.#next === null
        ? "The log has been compacted: no fact of this run is in it any more." : undefined;
    } catch (error) {
      this.problem = (error as ApiError).message;
    }
    this.#isBusy = false;
    this.context.dispatch({ type: "ui", key: "past", value: performance.now() });
  }

  async #add(told: PastFact, isAnew: boolean): Promise<void> {
    // All of them are about this run.
    const fact = { ...told, text: told.text.replaceAll(`${this.run}/`, "") };
    let moment: Moment | undefined;
    if (isAnew || fact.changed?.all === true) {
      const path = this.#momentPath(fact.seq);
      moment = momentOf(await this.context.api.get<MomentRows>(path), this.run);
    }
    if (this.#past !== undefined) this.#past.add(fact, moment);
    else if (moment !== undefined) this.#past = new RunPast(fact, moment);
  }

  /** The moment of the address is behind all that could be read: it is read around that one. */
  async #jump(): Promise<boolean> {
    const { travel: { seq } } = this;
    if (!this.#mayJump || seq <= this.seqOf(this.count)) return false;
    const { last } = await this.context.api.get<Span>("history");
    this.#letGo(Math.min(seq - LIMITS.facts / 2, last - LIMITS.facts + 1));
    return true;
  }

  #letGo(from: number): void {
    this.#mayJump = false;
    this.#past = undefined;
    this.#attempts = new Attempts();
    this.#from = this.#next = Math.max(0, Math.floor(from));
  }

  /** Other facts in the place of those that are here. */
  async show(which: "first" | "next" | "last"): Promise<void> {
    if (this.#isBusy) return;
    const last = which === "last" ? (await this.context.api.get<Span>("history")).last : 0;
    this.#letGo(which === "next" ? this.#next! : last - LIMITS.facts + 1);
    await this.#load();
    this.travel.go(which === "last" ? this.count : 1);
  }

  /** After a problem. */
  again(): void {
    this.problem = undefined;
    void this.#load();
  }
}

let shown: RunTravel | undefined;

/** Of the run whose address has a moment. */
function travelOf(context: Context): RunTravel {
  const id = context.params["run"]!;
  if (shown?.run !== id) shown = new RunTravel(id, context);
  shown.context = context;
  shown.travel.follow(context.url);
  return shown;
}

export interface PastParts {
  readonly scene: PastScene | undefined;
  readonly bar: VNode;
  /** Below the views of the run. */
  readonly below: Child;
}

export function pastParts(state: State, context: Context): PastParts {
  const own = travelOf(context);
  const { travel, run } = own;
  own.grow(state.facts.get(run)?.at(-1)?.seq ?? 0);
  const moment = own.now();
  const seq = own.seqOf(travel.place);
  const path = `history/step?seq=${seq}`;
  if (travel.isResting && own.fact(travel.place) !== undefined) own.step.want(path);
  const live = withQuery(context.url, { at: undefined });
  return {
    scene: moment && {
      run: moment.run, rows: moment.jobs, now: moment.at, facts: own.factsUntil(travel.place),
      attempts: own.attempts,
    },
    bar: barTree({
      travel, context, live, label: `Facts of ${run}`, problem: problemTree(own),
    }),
    below: h("div", { class: "columns past-told" },
      factsTree(travel, `facts of ${run}`),
      stepsTree(own.step.answerTo(path))),
  };
}

function problemTree(own: RunTravel): Child {
  const message = own.problem ?? own.moment.problem?.message;
  if (message === undefined) {
    if (!own.isGrowing && (own.isFull || own.isLater)) return partTree(own);
    return own.isCut ? h("p", { class: "soft" }, "The log has been compacted: what this run did " +
      "before its first fact here cannot be told any more.") : null;
  }
  return problem(message, button("Try again", () => own.again()));
}

/** More facts than are held at once: which ones they are, and the way to the others. */
function partTree(own: RunTravel): Child {
  const [first, last] = [own.seqOf(1), own.seqOf(own.count)];
  const has = `${own.run} has more than ${LIMITS.facts.toLocaleString("en")} facts.`;
  const way = (label: string, which: "first" | "next" | "last", isThere: boolean): Child =>
    isThere ? button(label, () => void own.context.act(() => own.show(which))) : null;
  return h("p", { class: "past-part", role: "status" },
    `${has} Those from #${first} to #${last} are here. `,
    way("First facts", "first", own.isLater), way("Next facts", "next", own.isFull),
    way("Last facts", "last", own.isFull));
}
