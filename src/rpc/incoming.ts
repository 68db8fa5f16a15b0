/**
 * Lesson 04: a request that a peer made, until it has its final answer.
 *
 * The handler may answer now or later, from anywhere. The peer sees exactly one final answer, and
 * none after it gave up.
 *
 * Invariants: one final answer; items leave only for credit; the bytes that wait for credit are
 * bounded by the stream window.
 * Test: test/04-rpc.test.ts
 */
import { HEADER_BYTES } from "#framing";
import { ERROR, MORE, REPLY } from "./flags.ts";
import { encodeError, RpcError, type RpcErrorCode } from "./errors.ts";
import type { RpcLimits } from "./limits.ts";
import { itemCost } from "./stream.ts";

export interface IncomingRequest {
  readonly opcode: number;
  /** A slice of the read buffer: copy what must outlive the answer. */
  readonly body: Buffer;
  /** The peer gave up or is gone: stop working, because nobody will see the answer. */
  readonly cancelled: boolean;
  /** It has its final answer, or will never get one. */
  readonly over: boolean;
  /**
   * Whether an item that is sent now leaves soon: the reader has given credit, and its connection
   * is not behind.
   */
  readonly hasRoom: boolean;
  /** The final answer. Ignored after another one. */
  reply(body?: Uint8Array): void;
  /** The final answer, failed. */
  fail(code: RpcErrorCode, message: string): void;
  /**
   * One item of a stream. False: the reader is behind; await `drained()` first, or the stream ends
   * OVERLOADED. Throws an RpcError TOO_LARGE.
   */
  item(body: Uint8Array): boolean;
  /**
   * The same for bytes that are lent, with the checksum of the body if it is known. They leave
   * without one if the reader `takesBare`.
   */
  lentItem(body: Uint8Array, bodyCrc?: number): boolean;
  /** The reader has said that it takes items without a checksum. */
  takesBare: boolean;
  /**
   * How long an item may be that passes the reader's window by no more than a quarter: windows are
   * small where there are many of them.
   */
  readonly itemBytes: number;
  /**
   * Resolves once more items are welcome, and when the request is over: then look at `cancelled`. A
   * handler that awaits it before each item, also before the first, holds no item for a reader that
   * has no room.
   */
  drained(): Promise<void>;
  /** Ends a stream. */
  end(): void;
  /** Called once when the peer gives up or is gone; at once if that has happened. */
  onCancel(fn: () => void): void;
}

/** The part of a connection that a request needs. */
export interface RequestHost {
  readonly limits: RpcLimits;
  /** So much is queued that streams must not add to it. */
  isBehind(): boolean;
  send(flags: number, requestId: number, body: Uint8Array): void;
  sendLent(requestId: number, body: Uint8Array, bodyCrc: number | "bare" | undefined): void;
  drained(): Promise<void>;
  /** That many bytes more wait for credit here, or fewer. */
  held(bytes: number): void;
  /** The request has its final answer, or will never get one. */
  forget(requestId: number): void;
}

const NOTHING = new Uint8Array(0);

/** An item of bytes that are passed on: one read of a socket. */
export const MAX_ITEM_BYTES = 64 * 1024;
/** A shorter one is mostly header and system call. */
const LEAST_ITEM_BYTES = 1024;

export class Incoming implements IncomingRequest {
  readonly opcode: number;
  readonly body: Buffer;
  takesBare = false;
  readonly #id: number;
  readonly #connection: RequestHost;
  readonly #isStream: boolean;
  #finished = false;
  #cancelled = false;
  // Few requests need these lists, so a thousand waiting requests do not allocate them.
  #cancelFns: Array<() => void> | undefined;
  #credit = 0;
  #largestGrant = 0;
  /** Items that wait for credit, and the final body behind them once there is one. */
  #held: Uint8Array[] | undefined;
  #heldBytes = 0;
  #final: Uint8Array | undefined;
  #wakes: Array<() => void> | undefined;

  constructor(
    connection: RequestHost,
    request: { id: number; opcode: number; body: Buffer; isStream: boolean },
  ) {
    this.#connection = connection;
    this.#id = request.id;
    this.opcode = request.opcode;
    this.body = request.body;
    this.#isStream = request.isStream;
  }

  get cancelled(): boolean {
    return this.#cancelled;
  }

  get over(): boolean {
    return this.#finished || this.#final !== undefined;
  }

  get hasRoom(): boolean {
    return this.#ready;
  }

  reply(body: Uint8Array = NOTHING): void {
    if (this.#finished || this.#final !== undefined) return;
    const { maxBodyBytes } = this.#connection.limits;
    if (body.byteLength > maxBodyBytes) {
      return this.fail(
        "TOO_LARGE",
        `Cannot reply: ${body.byteLength} bytes exceed ${maxBodyBytes}`,
      );
    }
    if (this.#held !== undefined) {
      this.#final = body; // the items before it must arrive first
    } else this.#finish(REPLY, body);
  }

  end(): void {
    this.reply();
  }

  fail(code: RpcErrorCode, message: string): void {
    if (!this.#finished) this.#finish(REPLY | ERROR, encodeError(code, message));
  }

  item(body: Uint8Array): boolean {
    if (this.#finished || this.#final !== undefined) return true; // nothing to wait for
    const { maxBodyBytes, streamWindowBytes } = this.#connection.limits;
    if (body.byteLength > maxBodyBytes) {
      throw new RpcError(
        "TOO_LARGE",
        `Cannot send item: ${body.byteLength} bytes exceed ${maxBodyBytes}`,
      );
    }
    if (!this.#isStream) {
      this.fail(
        "BAD_REQUEST",
        `Opcode ${this.opcode} answers with a stream, and was asked for a single reply`,
      );
      return true;
    }
    if (this.#credit > 0) this.#sendItem(body);
    else if (this.#heldBytes < streamWindowBytes) {
      (this.#held ??= []).push(body);
      this.#hold(itemCost(body));
    } else {
      this.fail("OVERLOADED", "The producer did not wait for the reader of the stream");
    }
    return this.#ready;
  }

  lentItem(body: Uint8Array, bodyCrc?: number): boolean {
    const leaves = !this.over && this.#isStream && this.#credit > 0;
    if (!leaves || body.byteLength > MAX_ITEM_BYTES) return this.item(Buffer.from(body));
    this.#credit -= itemCost(body);
    this.#connection.sendLent(this.#id, body, this.takesBare ? "bare" : bodyCrc);
    return this.#ready;
  }

  get itemBytes(): number {
    const left = Math.max(this.#credit, this.#largestGrant / 4) - HEADER_BYTES;
    return Math.min(MAX_ITEM_BYTES, Math.max(LEAST_ITEM_BYTES, Math.floor(left)));
  }

  async drained(): Promise<void> {
    while (!this.#finished && !this.#ready) {
      const waits = this.#isStream && this.#credit <= 0;
      if (waits) await new Promise<void>((resolve) => (this.#wakes ??= []).push(resolve));
      // a closed connection shows in `cancelled`
      else await this.#connection.drained().catch(() => {});
    }
  }

  onCancel(fn: () => void): void {
    if (this.#cancelled) fn();
    else if (!this.#finished) (this.#cancelFns ??= []).push(fn);
  }

  /** See `grant`. The first one is the reader's whole window, and the others are half of it. */
  granted(bytes: number): void {
    this.#largestGrant = Math.max(this.#largestGrant, bytes);
    this.grant(bytes);
  }

  // #region credit
  /** The peer's consumer took some items: as many bytes may follow. */
  grant(bytes: number): void {
    // #exercise grant
    this.#credit += bytes;
    while (this.#credit > 0 && this.#held !== undefined) {
      const body = this.#held.shift()!;
      if (this.#held.length === 0) this.#held = undefined;
      this.#hold(-itemCost(body));
      this.#sendItem(body);
    }
    if (this.#held === undefined && this.#final !== undefined) this.#finish(REPLY, this.#final);
    // Also when the connection is behind: the callers then wait for the connection.
    if (this.#credit > 0) this.#wake();
    // #end-exercise
  }
  // #endregion

  /** The peer gave up, or the connection is gone: no answer will be sent any more. */
  cancel(): void {
    if (this.#finished) return;
    this.#cancelled = true;
    const fns = this.#cancelFns;
    this.#close();
    for (const fn of fns ?? []) fn();
  }

  /**
   * A handler threw: its own RpcError is an answer, everything else is our bug and not the peer's.
   */
  threw(error: unknown): void {
    if (error instanceof RpcError) this.fail(error.code, error.message);
    else {
      this.fail(
        "INTERNAL",
        `The handler of opcode ${this.opcode} failed: ` +
          `${String((error as Error)?.message ?? error)}`,
      );
    }
  }

  get #ready(): boolean {
    const welcome = !this.#isStream || (this.#credit > 0 && this.#held === undefined);
    return welcome && !this.#connection.isBehind();
  }

  #hold(bytes: number): void {
    this.#heldBytes += bytes;
    this.#connection.held(bytes);
  }

  #sendItem(body: Uint8Array): void {
    this.#credit -= itemCost(body);
    this.#connection.send(REPLY | MORE, this.#id, body);
  }

  #finish(flags: number, body: Uint8Array): void {
    this.#close();
    this.#connection.send(flags, this.#id, body);
  }

  #close(): void {
    this.#finished = true;
    this.#cancelFns = undefined;
    this.#held = undefined;
    if (this.#heldBytes > 0) this.#hold(-this.#heldBytes);
    this.#connection.forget(this.#id);
    this.#wake();
  }

  #wake(): void {
    const wakes = this.#wakes;
    this.#wakes = undefined;
    for (const wake of wakes ?? []) wake();
  }
}
