/**
 * Lesson 20: the answer to one request as a stream of events, begun only when there is something to
 * say before the end.
 *
 * Invariants: messages leave in the order in which they were sent; nothing is kept for a peer that
 * is gone, nor more news than MAX_WAITING for one that does not read; no answer is dropped.
 * Test: test/20-mcp.http.test.ts
 */
import type { Host } from "#host";
import type { MountedAnswer } from "#http";

export const EVENTS = "text/event-stream";
/** Proxies close what is silent for a minute. */
const BEAT_MS = 15_000;
/** Messages that nobody has read. Those of progress are dropped then: the next one says more. */
const MAX_WAITING = 1000;

export class Stream {
  readonly #host: Host;
  readonly #signal: AbortSignal;
  #waiting: string[] = [];
  #ended = false;
  #wake: () => void = () => undefined;
  #begin: () => void = () => undefined;
  /** Resolves, with nothing, once there is something to say. */
  readonly begun: Promise<undefined>;

  constructor(host: Host, signal: AbortSignal) {
    this.#host = host;
    this.#signal = signal;
    this.begun = new Promise((resolve) => (this.#begin = () => resolve(undefined)));
    signal.addEventListener("abort", () => this.#wake(), { once: true });
  }

  /** News: they are dropped where nobody reads them. */
  send(message: object): void {
    if (this.#waiting.length < MAX_WAITING) this.say(message);
  }

  /** An answer that is not the last one. */
  say(message: object): void {
    if (this.#ended || this.#signal.aborted) return;
    this.#waiting.push(eventOf(message));
    this.#begin();
    this.#wake();
  }

  /** The last message. */
  end(message?: object): void {
    if (message !== undefined && !this.#ended) this.#waiting.push(eventOf(message));
    this.#ended = true;
    this.#wake();
  }

  answer(): MountedAnswer {
    const headers = { "content-type": EVENTS, "x-accel-buffering": "no" };
    return { status: 200, headers, body: this.#pieces() };
  }

  async *#pieces(): AsyncGenerator<string> {
    while (!this.#signal.aborted) {
      const ready = this.#waiting;
      this.#waiting = [];
      if (ready.length > 0) yield ready.join("");
      else if (this.#ended) return;
      else if (!(await this.#news())) yield ":\n\n";
    }
  }

  /** Whether there is any, or only time has passed. */
  #news(): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = this.#host.timers.after(BEAT_MS, () => resolve(false));
      this.#wake = () => {
        timer.cancel();
        resolve(true);
      };
    });
  }
}

function eventOf(message: object): string {
  return `event: message\ndata: ${JSON.stringify(message)}\n\n`;
}
