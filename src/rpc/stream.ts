/**
 * Lesson 04: an answer in many parts, at the reader's pace.
 *
 *     consumer                         producer
 *       stream, credit 262144 ──────▶    may send 262144 bytes
 *       ◀────────────── item, item …     stops at 0
 *       (takes half)  credit 131072 ──▶  goes on
 *
 * The TCP window cannot do this: it belongs to the connection, and stopping it for one slow reader
 * would stop the heartbeats and answers of everybody else on it. So every stream has a window of
 * its own.
 *
 * Invariants: a byte is granted once; at most the window and one body wait here.
 * Test: test/04-rpc.test.ts
 */
import { HEADER_BYTES } from "#framing";
import { RpcError } from "./errors.ts";

/**
 * Items in the order they were sent. Leaving a `for await` loop early cancels the stream at the
 * producer.
 */
export interface RpcStream extends AsyncIterable<Buffer> {
  /**
   * Tells the producer to stop. A reader that waits for an item gets an RpcError with code
   * CANCELLED. Idempotent.
   */
  cancel(): void;
}

export interface StreamOptions {
  readonly deadlineMs?: number;
  /** That many bytes more wait here for their reader, or fewer. */
  readonly held?: ((bytes: number) => void) | undefined;
}

/** One of our requests that has no final answer yet. */
export interface Call {
  /** False: this item breaks the protocol. */
  item(body: Buffer): boolean;
  done(body: Buffer): void;
  fail(error: RpcError): void;
}

/**
 * The credit that an item costs. Its header counts, too, or empty items would be free and the queue
 * without bound.
 */
export function itemCost(body: Uint8Array): number {
  return HEADER_BYTES + body.byteLength;
}

interface Waiter {
  resolve(result: IteratorResult<Buffer, undefined>): void;
  reject(error: RpcError): void;
}

export class StreamCall implements RpcStream, Call {
  readonly #grant: (bytes: number) => void;
  readonly #abort: () => void;
  readonly #held: (bytes: number) => void;
  readonly #window: number;
  readonly #items: Buffer[] = [];
  #waiter: Waiter | undefined;
  /** Granted and not used yet, as the producer sees it. */
  #credit: number;
  /** Taken by the consumer and not granted again yet. */
  #taken = 0;
  #ended = false;
  #error: RpcError | undefined;

  constructor(options: {
    window: number;
    grant: (bytes: number) => void;
    abort: () => void;
    held?: StreamOptions["held"];
  }) {
    this.#held = options.held ?? (() => undefined);
    this.#window = options.window;
    this.#credit = options.window;
    this.#grant = options.grant;
    this.#abort = options.abort;
  }

  item(body: Buffer): boolean {
    if (this.#credit <= 0) return false;
    this.#credit -= itemCost(body);
    const waiter = this.#waiter;
    if (waiter === undefined) {
      // A copy in memory of its own: a slice of 10 bytes would keep the whole read buffer alive
      // while it waits.
      const kept = Buffer.allocUnsafeSlow(body.length);
      body.copy(kept);
      this.#items.push(kept);
      this.#held(itemCost(kept));
    } else {
      this.#waiter = undefined;
      this.#take(body);
      waiter.resolve({ done: false, value: body });
    }
    return true;
  }

  /**
   * The final answer: usually empty. A peer that answers a stream with a plain reply sent a stream
   * of one.
   */
  done(body: Buffer): void {
    if (body.length > 0) {
      this.#credit = Infinity;
      this.item(body);
    }
    this.#ended = true;
    this.#wake();
  }

  fail(error: RpcError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    this.#wake();
  }

  cancel(): void {
    for (const item of this.#items.splice(0)) this.#held(-itemCost(item));
    if (this.#ended) return;
    this.#abort();
    this.fail(new RpcError("CANCELLED", "Cannot read stream: it was cancelled here"));
  }

  [Symbol.asyncIterator](): AsyncIterator<Buffer, undefined> {
    return {
      next: () => this.#next(),
      return: async () => {
        this.cancel();
        return { done: true, value: undefined };
      },
    };
  }

  #next(): Promise<IteratorResult<Buffer, undefined>> {
    const value = this.#items.shift();
    if (value !== undefined) {
      this.#held(-itemCost(value));
      this.#take(value);
      return Promise.resolve({ done: false, value });
    }
    if (this.#error !== undefined) return Promise.reject(this.#error);
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    if (this.#waiter !== undefined) {
      return Promise.reject(
        new RpcError("CONFLICT", "Cannot read stream: another reader is waiting"),
      );
    }
    return new Promise((resolve, reject) => (this.#waiter = { resolve, reject }));
  }

  // #region grant
  #take(body: Buffer): void {
    this.#taken += itemCost(body);
    // Half a window at a time: a credit frame for each item would double the frames on the wire.
    if (this.#taken < this.#window / 2 || this.#ended) return;
    this.#credit += this.#taken;
    this.#grant(this.#taken);
    this.#taken = 0;
  }
  // #endregion

  #wake(): void {
    const waiter = this.#waiter;
    this.#waiter = undefined;
    if (waiter === undefined) return;
    if (this.#error !== undefined) waiter.reject(this.#error);
    else waiter.resolve({ done: true, value: undefined });
  }
}
