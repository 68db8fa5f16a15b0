/**
 * Lesson 19: the facts of the whole log, by their numbers: pages of it, read when somebody looks at
 * them, and forgotten when many others have been looked at since.
 *
 * Test: test/19-dashboard.past.test.ts
 */
import type { ApiError } from "../api.ts";
import type { FactsPage, PastFact, Span } from "./fold.ts";
import type { Course } from "./travel.ts";

/** Facts of a page, and pages that are kept. */
const PAGE = 200;
const MAX_PAGES = 60;
/** The same page is not asked for sooner. */
const AGAIN_MS = 1_000;

export class LogFacts implements Course {
  readonly #get: (path: string) => Promise<unknown>;
  readonly #redraw: () => void;
  /** By the number of their first fact; the page that was looked at last comes last. */
  readonly #pages = new Map<number, ReadonlyMap<number, PastFact>>();
  readonly #asked = new Set<number>();
  readonly isGrowing = false;
  span: Span | undefined;
  problem: string | undefined;

  constructor(get: (path: string) => Promise<unknown>, redraw: () => void) {
    this.#get = get;
    this.#redraw = redraw;
    void this.look();
  }

  /** Where the log begins and ends. */
  async look(): Promise<void> {
    try {
      this.span = (await this.#get("history")) as Span;
      this.problem = undefined;
    } catch (error) {
      this.problem = (error as ApiError).message;
    }
    this.#redraw();
  }

  /** It has grown up to here. */
  grow(last: number): void {
    if (this.span !== undefined && last > this.span.last) this.span = { ...this.span, last };
  }

  /** The first state that can be told is not that behind a fact that can be. */
  get count(): number {
    return this.span === undefined ? 1 : Math.max(1, this.span.last - this.span.first);
  }

  seqOf(place: number): number {
    const { first, last } = this.span ?? { first: 0, last: 1 };
    return Math.min(last, first + place);
  }

  placeOf(seq: number): number {
    return Math.max(1, Math.min(this.count, seq - (this.span?.first ?? 0)));
  }

  fact(place: number): PastFact | undefined {
    const seq = this.seqOf(place);
    const from = seq - seq % PAGE;
    const page = this.#pages.get(from);
    if (page !== undefined) {
      this.#pages.delete(from);
      this.#pages.set(from, page);
    }
    const fact = page?.get(seq);
    if (fact === undefined && this.span !== undefined) void this.#ask(from);
    return fact;
  }

  async #ask(from: number): Promise<void> {
    if (this.#asked.has(from)) return;
    this.#asked.add(from);
    const start = Math.max(from, this.span!.first + 1);
    try {
      const path = `history/facts?from=${start}&limit=${from + PAGE - start}`;
      const { facts } = (await this.#get(path)) as FactsPage;
      this.#pages.set(from, new Map(facts.map((fact) => [fact.seq, fact])));
      for (const oldest of this.#pages.keys()) {
        if (this.#pages.size <= MAX_PAGES) break;
        this.#pages.delete(oldest);
      }
      this.problem = undefined;
    } catch (error) {
      this.problem = (error as ApiError).message;
    }
    // The last page grows; and a master that is away comes back.
    setTimeout(() => this.#asked.delete(from), AGAIN_MS);
    this.#redraw();
  }

  /** After a problem. */
  again(): void {
    this.#asked.clear();
    void this.look();
  }
}
