/**
 * Lesson 19: when the page is drawn. All changes of a frame are one picture; and a picture that
 * took long, of 10,000 jobs or on a slow machine, is followed by a pause, so that the stream, which
 * may change something at any time, leaves the machine to keys, pointer and other tabs.
 *
 *     ▮▮▮▮ ········ ▮▮▮ ······ ▮▮▮▮ ········       pictures of what happens: a third of the time
 *              ▮                                   of what a person did: in the next frame
 *
 * Test: test/19-dashboard.busy.test.ts
 */
/** Half a frame: pictures that take less follow one another as they like. */
const SHORT_MS = 8;
/** A pause is so many times as long as the picture before it, but no longer than MAX_PAUSE_MS. */
const PAUSES = 2;
const MAX_PAUSE_MS = 1_000;
/** Nobody looks: a title and a badge may be a second late. */
const UNSEEN_MS = 1_000;

export interface PaceOptions {
  now(): number;
  /** The browser's next frame. A tab in the background has none. */
  nextFrame(work: () => void): void;
  /** Returns how it is called off. */
  after(ms: number, work: () => void): () => void;
  /** Behind the frame that is made now: what the browser does for a picture counts, too. */
  behind(work: () => void): void;
  isHidden(): boolean;
  draw(): void;
}

export class Pace {
  readonly #options: PaceOptions;
  #free = 0;
  #isPlanned = false;
  /** Ends a pause at whose end a picture is planned. */
  #callOff: (() => void) | undefined;

  constructor(options: PaceOptions) {
    this.#options = options;
  }

  /** Something has changed. `isOurs`: a person did it, and looks for what it does. */
  want({ isOurs }: { readonly isOurs: boolean }): void {
    const { now, after, isHidden } = this.#options;
    if (this.#isPlanned && !(isOurs && this.#callOff !== undefined)) return;
    this.#callOff?.();
    this.#callOff = undefined;
    this.#isPlanned = true;
    const pause = isHidden() ? UNSEEN_MS : isOurs ? 0 : this.#free - now();
    if (pause > 0) this.#callOff = after(pause, () => this.#begin());
    else this.#begin();
  }

  #begin(): void {
    this.#callOff = undefined;
    if (this.#options.isHidden()) this.#draw();
    else this.#options.nextFrame(() => this.#draw());
  }

  #draw(): void {
    const { now, behind, draw } = this.#options;
    this.#isPlanned = false;
    const from = now();
    draw();
    behind(() => {
      const end = now();
      const took = end - from;
      this.#free = took <= SHORT_MS ? 0 : end + Math.min(MAX_PAUSE_MS, PAUSES * took);
    });
  }
}
