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
import { HEADER_BYTES, keep, letGo } from "#framing";
import { RpcError } from "./errors.ts";
import type { Windows } from "./windows.ts";

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
  /**
   * Gives each item to `sink` as it comes, in place of a reader. The bytes are lent for the call,
   * with their checksum if it is known. False from the sink: no more, until `flow`. Resolves at the
   * end of the stream.
   */
  pour(sink: Sink): Promise<void>;
  /** The sink takes items again. */
  flow(): void;
}

/** False: no more, for now. */
export type Sink = (bytes: Buffer, bodyCrc?: number) => boolean;

export interface StreamOptions {
  readonly deadlineMs?: number;
  /** That many bytes more wait here for their reader, or fewer. */
  readonly held?: ((bytes: number) => void) | undefined;
  /** Where its window comes from, which then grows with use. Default: a window that never grows. */
  readonly windows?: Windows | undefined;
}

/** One of our requests that has no final answer yet. */
export interface Call {
  /** Items may be lent: they are looked at in the call, and not kept. */
  readonly isPoured: boolean;
  /** False: this item breaks the protocol. */
  item(body: Buffer, bodyCrc?: number): boolean;
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

/** Whether a body is kept as it is: a slice of 10 bytes would keep a whole read buffer alive. */
function ownsItsMemory(body: Buffer): boolean {
  return 2 * body.length >= body.buffer.byteLength;
}

function copyOf(body: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(body.length);
  body.copy(copy);
  return copy;
}

interface Waiter {
  resolve(result: IteratorResult<Buffer, undefined>): void;
  reject(error: RpcError): void;
}

export class StreamCall implements RpcStream, Call {
  readonly #grant: (bytes: number) => void;
  readonly #abort: () => void;
  readonly #held: (bytes: number) => void;
  readonly #windows: Windows | undefined;
  #window: number;
  readonly #items: Buffer[] = [];
  /** Those that were lent, and copied. */
  readonly #kept = new Set<Buffer>();
  #waiter: Waiter | undefined;
  #sink: Sink | undefined;
  /** The sink wants more. */
  #flows = false;
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
    windows?: StreamOptions["windows"];
  }) {
    this.#windows = options.windows;
    this.#held = options.held ?? (() => undefined);
    this.#window = options.window;
    this.#credit = options.window;
    this.#grant = options.grant;
    this.#abort = options.abort;
  }

  get isPoured(): boolean {
    return this.#sink !== undefined;
  }

  item(body: Buffer, bodyCrc?: number): boolean {
    if (this.#credit <= 0) return false;
    this.#credit -= itemCost(body);
    const waiter = this.#waiter;
    if (this.#flows) {
      this.#take(body);
      this.#flows = this.#sink!(body, bodyCrc);
    } else if (waiter !== undefined && this.#sink === undefined) {
      this.#waiter = undefined;
      this.#take(body);
      waiter.resolve({ done: false, value: body });
    } else {
      const kept = this.#keep(body);
      this.#items.push(kept);
      this.#held(itemCost(kept));
    }
    return true;
  }

  /** An item that waits for a sink was lent, and is lent to it: its memory is free then. */
  #keep(body: Buffer): Buffer {
    if (this.#sink === undefined) return ownsItsMemory(body) ? body : copyOf(body);
    const kept = keep(body);
    this.#kept.add(kept);
    return kept;
  }

  pour(sink: Sink): Promise<void> {
    this.#sink = sink;
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve: () => resolve(), reject };
      this.flow();
    });
  }

  flow(): void {
    while (this.#items.length > 0) {
      const item = this.#items.shift()!;
      this.#held(-itemCost(item));
      this.#take(item);
      const isKept = this.#kept.delete(item);
      const isWelcome = this.#sink!(item);
      if (isKept) letGo(item);
      if (!isWelcome) return;
    }
    this.#flows = !this.#ended;
    if (this.#ended) this.#wake();
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
    this.#end();
  }

  fail(error: RpcError): void {
    if (this.#ended) return;
    this.#error = error;
    this.#end();
  }

  #end(): void {
    this.#ended = true;
    this.#flows = false;
    this.#giveBack();
    // A sink has its items first. A reader that waits has had them.
    if (this.#items.length === 0 || this.#error !== undefined) this.#wake();
  }

  /** The window was needed for items that come, and for those that wait. */
  #giveBack(): void {
    if (!this.#ended || this.#items.length > 0) return;
    this.#windows?.giveBack(this.#window);
    this.#window = this.#windows?.leastBytes ?? this.#window;
  }

  cancel(): void {
    for (const item of this.#items.splice(0)) this.#held(-itemCost(item));
    for (const item of this.#kept) letGo(item);
    this.#kept.clear();
    this.#giveBack();
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
    if (this.#ended) return this.#giveBack();
    this.#taken += itemCost(body);
    // Half a window at a time: a credit frame for each item would double the frames on the wire.
    if (this.#taken < this.#window / 2) return;
    const more = this.#windows?.grow(this.#window) ?? 0;
    this.#window += more;
    this.#credit += this.#taken + more;
    this.#grant(this.#taken + more);
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
