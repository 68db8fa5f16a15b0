/**
 * Lesson 04: the way out. Frames queue here, leave in batches, and say when there are too many.
 *
 *     push ──▶ queue ──(end of the turn, or 64 KiB)──▶ socket.write(batch) ──▶ kernel ──▶ peer
 *                ▲                                          │ false
 *                └──────────── waits for onDrain ◀──────────┘
 *
 * A system call costs as much as encoding twenty small frames, so all frames that are pushed in one
 * turn leave together. The socket gets one batch at a time. A drain then means that the peer took
 * something, and that tells a slow peer from a stalled one.
 *
 * Invariants: frames leave in the order of `push`; the socket holds one batch plus one frame at
 * most; bytes that have left are not kept, even if the queue never empties; a peer that takes
 * nothing costs no more memory than the limits say.
 * Test: test/04-rpc.test.ts
 */
import {
  encodeFrame, frameParts, HEADER_BYTES, keep, letGo, type FrameInit,
} from "#framing";
import type { Host, Socket } from "#host";

/**
 * Large enough that the system call no longer shows, small enough that the first byte does not wait
 * for the last.
 */
const BATCH_BYTES = 64 * 1024;

/**
 * Copying 4 KiB costs about 0.2 µs, less than one more entry in a gathered write. Larger bodies are
 * not copied.
 */
const COPY_BYTES = 4 * 1024;

/**
 * Memory of a queued piece beside its bytes: a Buffer object and a slot. A million empty answers
 * take 16 MB on the wire and 90 here.
 */
const PIECE_BYTES = 96;

const GONE = new Uint8Array(0);

interface Waiter {
  /** The promise resolves when no more bytes than this are held. */
  readonly below: number;
  resolve(): void;
  reject(error: Error): void;
}

export class Outbox {
  readonly #host: Host;
  readonly #socket: Socket;
  #limit: number;
  #queue: Uint8Array[] = [];
  /** Index of the first piece that has not left. */
  #head = 0;
  #queuedBytes = 0;
  #scheduled = false;
  #blocked = false;
  /** Bodies in the queue that were lent, and copied. */
  readonly #kept = new Set<Uint8Array>();
  #waiting: Waiter[] = [];
  #closed: Error | undefined;
  /** Called when the socket takes no more, and whenever everything has left. */
  onBlocked: () => void = () => {};
  onEmpty: () => void = () => {};

  constructor(socket: Socket, options: { host: Host; limitBytes: number }) {
    this.#socket = socket;
    this.#host = options.host;
    this.#limit = options.limitBytes;
  }

  /** Bytes queued here and in the socket. */
  get pendingBytes(): number {
    return this.#queuedBytes + this.#socket.pendingBytes;
  }

  /**
   * The memory that the limits look at. The socket's own bytes are a constant beside it,
   * HIGH_WATER_BYTES and a batch, and belong to the kernel soon.
   */
  get heldBytes(): number {
    return this.#queuedBytes + PIECE_BYTES * (this.#queue.length - this.#head);
  }

  limit(bytes: number): void {
    this.#limit = bytes;
  }

  get behind(): boolean {
    return this.heldBytes > this.#limit;
  }

  get blocked(): boolean {
    return this.#blocked;
  }

  push(frame: FrameInit): void {
    if (this.#closed !== undefined) return;
    if ((frame.body?.length ?? 0) <= COPY_BYTES) this.#enqueue(encodeFrame(frame));
    else for (const piece of frameParts(frame)) this.#enqueue(piece);
    if (this.#blocked) return; // onDrain will send it
    if (this.#queuedBytes >= BATCH_BYTES) this.flush();
    else if (!this.#scheduled) {
      this.#scheduled = true;
      this.#host.timers.soon(() => {
        this.#scheduled = false;
        if (!this.#blocked) this.flush();
      });
    }
  }

  /** The same for a body that is lent. A large one leaves at once if it can; else it is copied. */
  pushLent(frame: FrameInit & { readonly body: Uint8Array }): void {
    if (frame.body.length <= COPY_BYTES) return this.push(frame);
    if (this.#queuedBytes > 0 && !this.#blocked) this.flush();
    if (this.#closed !== undefined) return;
    if (this.#blocked) {
      const body = keep(frame.body);
      this.#kept.add(body);
      return this.push({ ...frame, body });
    }
    if (this.#socket.writeLent(...frameParts(frame))) return;
    this.#blocked = true;
    this.onBlocked();
  }

  // #region flush
  flush(): void {
    // One batch at a time, and then a look at the socket's answer: bytes that the socket has not
    // got can still be counted here.
    while (!this.#blocked && this.#queuedBytes > 0 && this.#closed === undefined) {
      if (!this.#write(this.#takeBatch())) {
        this.#blocked = true;
        this.onBlocked();
      }
    }
    this.#report();
  }
  // #endregion

  /** The header in front of a kept body leaves with it, and its memory is free then. */
  #write(batch: Uint8Array): boolean {
    const next = this.#queue[this.#head];
    if (this.#kept.has(batch)) return this.#writeKept(batch);
    if (next === undefined || !this.#kept.has(next)) return this.#socket.write(batch);
    return this.#writeKept(this.#takeBatch(), batch);
  }

  #writeKept(body: Uint8Array, ...before: readonly Uint8Array[]): boolean {
    const isWelcome = this.#socket.writeLent(...before, body);
    this.#kept.delete(body);
    letGo(body);
    return isWelcome;
  }

  onDrain(): void {
    this.#blocked = false;
    this.flush();
  }

  /**
   * Resolves once half of the limit is free again, so that writers do not wake for a single frame.
   */
  drained(limit = this.#limit): Promise<void> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    const below = limit / 2;
    if (this.heldBytes <= below) return Promise.resolve();
    return new Promise((resolve, reject) => this.#waiting.push({ below, resolve, reject }));
  }

  /** Drops the queue; callers that wait for `drained` get the reason. */
  close(error: Error): void {
    this.#closed = error;
    this.#queue = [];
    this.#head = 0;
    this.#queuedBytes = 0;
    for (const body of this.#kept) letGo(body);
    this.#kept.clear();
    for (const waiter of this.#waiting.splice(0)) waiter.reject(error);
  }

  #enqueue(piece: Uint8Array): void {
    this.#queue.push(piece);
    this.#queuedBytes += piece.length;
  }

  /**
   * The bytes of the next write: up to a batch of small pieces joined, or one large piece by
   * itself, not copied.
   */
  #takeBatch(): Uint8Array {
    // #exercise takeBatch
    const start = this.#head;
    let end = start;
    let bytes = 0;
    // A large piece at the front leaves alone; behind small pieces it waits for the next batch.
    do bytes += this.#queue[end++]!.length;
    while (
      end < this.#queue.length &&
      bytes < BATCH_BYTES &&
      this.#isSmall(start) &&
      this.#isSmall(end)
    );
    const batch =
      end === start + 1 ? this.#queue[start]! : Buffer.concat(this.#queue.slice(start, end), bytes);
    this.#queuedBytes -= bytes;
    this.#drop(end);
    return batch;
    // #end-exercise
  }

  /**
   * The pieces before `end` have left. Their bytes and their slots must not wait for an empty
   * queue: a peer that is always a little behind keeps it from ever being empty.
   */
  #drop(end: number): void {
    this.#queue.fill(GONE, this.#head, end);
    this.#head = end;
    if (2 * end < this.#queue.length) return;
    // Half of the slots are free: moving the others takes one step for each that left since the
    // last time.
    this.#queue = this.#queue.slice(end);
    this.#head = 0;
  }

  #isSmall(index: number): boolean {
    return this.#queue[index]!.length <= COPY_BYTES + HEADER_BYTES;
  }

  /**
   * Each that wakes may add a batch before it looks again, and does not see the others. So as many
   * wake as there is room for, and the next ones a turn later.
   */
  #wake(): void {
    let { heldBytes } = this;
    const [ready, rest]: [Waiter[], Waiter[]] = [[], []];
    for (const waiter of this.#waiting) {
      if (heldBytes > waiter.below) rest.push(waiter);
      else {
        heldBytes += BATCH_BYTES;
        ready.push(waiter);
      }
    }
    if (ready.length === 0) return;
    this.#waiting = rest;
    for (const { resolve } of ready) resolve();
    if (rest.length > 0) this.#host.timers.soon(() => this.#wake());
  }

  #report(): void {
    if (this.#waiting.length > 0) this.#wake();
    if (this.#queuedBytes === 0 && !this.#blocked) this.onEmpty();
  }
}
