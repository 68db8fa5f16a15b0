/**
 * Lesson 03: time as a number.
 *
 *     queue of events, by time and then by order of arming
 *     run:  take the first ─▶ now = its time ─▶ call it ─▶ let its promises settle ─▶ take the next
 *
 * Nothing waits: a day in which ten things happen takes as long as ten calls. And nothing races:
 * two events of the same instant run in the order in which they were armed, in every run.
 *
 * Invariants: `now` never goes back; one event's consequences (promises included) are complete
 * before the next begins.
 * Left out: promises that wait for the real world (a socket, a thread pool). They would settle
 * after an unknown number of turns, and then no run could be repeated.
 * Test: test/03-host.test.ts
 */
import { clampDelay } from "./time.ts";
import type { Clock, Timer, Timers } from "./types.ts";

/**
 * 2024-01-01T00:00:00Z: a round date, so that a trace shows at a glance that its clock is not real.
 */
const WALL_START_MS = Date.UTC(2024, 0, 1);

interface Event extends Timer {
  readonly at: number;
  readonly sequence: number;
  fn: (() => void) | undefined;
}

/**
 * A clock and timers that move only inside `run` and `settle`.
 *
 * @example
 * ```ts
 * import { VirtualTime } from "#host";
 * const time = new VirtualTime();
 * const order: string[] = [];
 * time.timers.after(86_400_000, () => order.push("tomorrow"));
 * time.timers.after(10, () => order.push("soon"));
 * await time.run();
 * order // => [ 'soon', 'tomorrow' ]
 * time.now // => 86400000
 * ```
 */
export class VirtualTime {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly #queue: Event[] = [];
  #sequence = 0;
  #now = 0;
  #running = false;

  constructor() {
    this.clock = { monotonic: () => this.#now, wall: () => WALL_START_MS + Math.floor(this.#now) };
    this.timers = {
      after: (ms, fn) => this.#arm(this.#now + clampDelay(ms), fn),
      soon: (fn) => void this.#arm(this.#now, fn),
    };
  }

  /** Milliseconds since the start. */
  get now(): number {
    return this.#now;
  }

  /**
   * Lets everything happen that is due by `untilMs`, in order; by default until nothing is left.
   */
  async run(untilMs = Infinity): Promise<void> {
    await this.#alone(async () => {
      await turn(); // work that was started before `run` comes first
      while (await this.#step(untilMs));
      if (untilMs !== Infinity && untilMs > this.#now) this.#now = untilMs;
    });
  }

  /**
   * Runs until `promise` settles, and gives its result. Rejects when nothing is left that could
   * settle it.
   */
  async settle<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const done = (): void => void (settled = true);
    promise.then(done, done);
    await this.#alone(async () => {
      await turn();
      while (!settled && (await this.#step(Infinity)));
    });
    if (!settled) {
      throw new Error(`Cannot settle promise: nothing is left to happen at ${this.#now} ms`);
    }
    return promise;
  }

  async #alone(work: () => Promise<void>): Promise<void> {
    if (this.#running) throw new Error("Cannot run virtual time: it is running already");
    this.#running = true;
    try {
      await work();
    } finally {
      this.#running = false;
    }
  }

  // #region step
  /** One event and all that follows from it at once. False: none is due by `untilMs`. */
  async #step(untilMs: number): Promise<boolean> {
    const first = this.#queue[0];
    if (first === undefined || first.at > untilMs) return false;
    this.#pop();
    const { fn } = first;
    if (fn === undefined) return true; // cancelled
    first.fn = undefined;
    this.#now = first.at;
    fn();
    await turn();
    return true;
  }
  // #endregion

  #arm(at: number, fn: () => void): Timer {
    const event: Event = {
      at,
      sequence: this.#sequence++,
      fn,
      // The event stays in the heap until its time: to take it out we would need to know its place.
      cancel: () => void (event.fn = undefined),
    };
    this.#push(event);
    return event;
  }

  /** Sift up: the new event changes places with its parent until the parent is earlier. */
  #push(event: Event): void {
    const queue = this.#queue;
    let at = queue.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (isBefore(queue[parent]!, event)) break;
      queue[at] = queue[parent]!;
      at = parent;
    }
    queue[at] = event;
  }

  /**
   * Sift down: the last event takes the first place, and sinks below every child that is earlier.
   */
  #pop(): void {
    const queue = this.#queue;
    const last = queue.pop()!;
    if (queue.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= queue.length) break;
      if (child + 1 < queue.length && isBefore(queue[child + 1]!, queue[child]!)) child++;
      if (isBefore(last, queue[child]!)) break;
      queue[at] = queue[child]!;
      at = child;
    }
    queue[at] = last;
  }
}

// #region order
/**
 * Compares times first. Two events of one instant keep the order in which they were armed; without
 * that rule the heap's layout would decide.
 */
function isBefore(a: Event, b: Event): boolean {
  // #exercise isBefore
  return a.at < b.at || (a.at === b.at && a.sequence < b.sequence);
  // #end-exercise
}
// #endregion

/**
 * A whole turn of the event loop: every promise that can settle without outside help has done so.
 */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
