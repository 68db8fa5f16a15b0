/**
 * Lesson 19: where somebody is in the past, and how the next moment comes: by a step, a drag, a
 * click, or by itself.
 *
 * The address has the moment (`?at=1234`, a number of the log), so that a link shows it again. It
 * follows once the slider rests: browsers refuse more than a few changes of it a second.
 *
 * Test: test/19-dashboard.past.test.ts, test/19-dashboard.run.browser.test.ts
 */
import type { ApiError } from "../api.ts";
import { withQuery } from "../router.ts";
import type { Problem } from "../state.ts";
import type { Context } from "../views/view.ts";
import type { PastFact } from "./fold.ts";
import { FRAME_MS, nextPicture, type Speed } from "./play.ts";

/** What can be travelled: facts, at places from 1 to `count`. */
export interface Course {
  readonly count: number;
  /** More of them are on their way. */
  readonly isGrowing: boolean;
  /** Undefined: it has not been read yet. It is now. */
  fact(place: number): PastFact | undefined;
  seqOf(place: number): number;
  placeOf(seq: number): number;
}

/** So long nothing moves, and what costs a request is asked for. */
const REST_MS = 250;
/** For people who do not want motion: as a slide show. */
const CALM_MS = 1_000;
/** The next facts are on their way. */
const LOOK_MS = 200;

export interface TravelOptions {
  context(): Context;
  redraw(): void;
  /** Somebody has moved, and looks now. */
  rested(): void;
}

/** Behind all facts, also behind those that come. */
const END = Number.MAX_SAFE_INTEGER;

export class Travel {
  readonly course: Course;
  readonly #context: () => Context;
  readonly #redraw: () => void;
  readonly #rested: () => void;
  #seq: number;
  /** As the address has it. */
  #told: string | null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #rest: ReturnType<typeof setTimeout> | undefined;
  isPlaying = false;
  /** Nothing has moved for a moment. */
  isResting = false;
  speed: Speed = "1";

  constructor(course: Course, { context, redraw, rested }: TravelOptions) {
    this.course = course;
    this.#context = context;
    this.#redraw = redraw;
    this.#rested = rested;
    this.#told = context().url.searchParams.get("at");
    this.#seq = seqIn(this.#told);
    this.#settle();
  }

  /** Of the log. */
  get seq(): number {
    return this.#seq;
  }

  /** No moment has been named. */
  get isAtEnd(): boolean {
    return this.#seq === END;
  }

  get place(): number {
    return this.course.placeOf(this.#seq);
  }

  /** Somebody has changed the address: a link, or the browser's way back. */
  follow(url: URL): void {
    const at = url.searchParams.get("at");
    if (at === null || at === this.#told) return;
    this.#told = at;
    this.#move(seqIn(at));
  }

  go(place: number): void {
    const { course } = this;
    const next = Math.max(1, Math.min(course.count, place));
    this.#move(course.seqOf(next));
  }

  step(by: 1 | -1): void {
    this.pause();
    this.go(this.place + by);
  }

  toggle(): void {
    if (this.isPlaying) {
      this.pause();
      return;
    }
    this.isPlaying = true;
    // At the end there is nothing to be seen but all of it again.
    if (this.place >= this.course.count && !this.course.isGrowing) this.go(1);
    this.#play();
    this.#redraw();
  }

  pause(): void {
    clearTimeout(this.#timer);
    if (!this.isPlaying) return;
    this.isPlaying = false;
    this.#settle();
    this.#redraw();
  }

  setSpeed(speed: Speed): void {
    this.speed = speed;
    if (this.isPlaying) this.#play();
    this.#redraw();
  }

  /** The page is left. A person who comes back goes by the address. */
  close(): void {
    this.#told = null;
    clearTimeout(this.#rest);
    this.pause();
    clearTimeout(this.#rest);
  }

  #move(seq: number): void {
    this.#seq = seq;
    this.#settle();
    this.#redraw();
  }

  #settle(): void {
    this.isResting = false;
    clearTimeout(this.#rest);
    this.#rest = setTimeout(() => {
      this.isResting = true;
      this.#tell();
      this.#rested();
      this.#redraw();
    }, REST_MS);
  }

  #tell(): void {
    const { url, navigate } = this.#context();
    const at = String(this.#seq);
    if (this.isAtEnd || url.searchParams.get("at") === at) return;
    this.#told = at;
    navigate(withQuery(url, { at }), { replace: true });
  }

  #play(): void {
    clearTimeout(this.#timer);
    const { course, speed, place } = this;
    const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const next = nextPicture(place, {
      speed, leastMs: isCalm ? CALM_MS : FRAME_MS, count: course.count,
      atOf: (each) => course.fact(each)?.at,
    });
    if (next === undefined && place >= course.count && !course.isGrowing) {
      this.pause();
      return;
    }
    this.#timer = setTimeout(() => {
      if (next !== undefined) this.go(next.place);
      this.#play();
    }, next?.waitMs ?? LOOK_MS);
  }
}

/** A text that is no number means the end. */
function seqIn(text: string | null): number {
  return /^\d{1,15}$/.test(text ?? "") ? Number(text) : END;
}

/** A master that is away is asked again. */
const AGAIN_MS = 2_000;

/** The answer that belongs to where somebody is: one request at a time, and the latest counts. */
export class Latest<T> {
  readonly #options: { get(path: string): Promise<unknown>; redraw(): void };
  #wanted = "";
  #isBusy = false;
  #found: { readonly path: string; readonly value: T } | undefined;
  #failed: { readonly path: string; readonly error: Problem } | undefined;

  constructor(options: { get(path: string): Promise<unknown>; redraw(): void }) {
    this.#options = options;
  }

  /** The latest answer, whatever it belongs to. */
  get value(): T | undefined {
    return this.#found?.value;
  }

  answerTo(path: string): T | undefined {
    return this.#found?.path === path ? this.#found.value : undefined;
  }

  /** Why there is no answer to what is wanted. */
  get problem(): Problem | undefined {
    return this.#failed?.path === this.#wanted ? this.#failed.error : undefined;
  }

  /** May be called at any time, and again. */
  want(path: string): void {
    if (path === this.#wanted) return;
    this.#wanted = path;
    void this.#ask();
  }

  async #ask(): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    const path = this.#wanted;
    try {
      this.#found = { path, value: (await this.#options.get(path)) as T };
      this.#failed = undefined;
    } catch (error) {
      const { status, message } = error as ApiError;
      this.#failed = { path, error: { status, message } };
    }
    this.#isBusy = false;
    if (this.#wanted !== path) void this.#ask();
    else if (this.#failed?.error.status === 0) setTimeout(() => void this.#ask(), AGAIN_MS);
    this.#options.redraw();
  }
}
