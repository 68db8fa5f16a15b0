/**
 * Lesson 14: a socket at the end of a pair of streams.
 *
 *     socket reads ──▶ hears.item      no room: the socket is paused until there is some
 *     socket writes ◀── says           the socket is full: no item is taken until it drains
 *
 * Before the far end is there the socket is read, too, for a moment: a program that gives up is
 * heard only by those who read. Until then its bytes wait here.
 *
 * Test: test/14-services.forward.test.ts
 */
import { BLOCK_BYTES, keep, letGo } from "#framing";
import type { Socket } from "#host";
import { RpcError, type RpcStream } from "#rpc";
import type { End } from "./open.ts";

/** What a program may say before the far end is there: a question, not a file. */
const EARLY_BYTES = 64 * 1024;

/**
 * Carries what the socket says to the far end, and back. Not a byte leaves before the far end is
 * there. To be called in the turn that delivered the socket.
 *
 * Resolves when the socket has closed: with the reason, if the far end is not there, or broke off.
 */
export function splice(socket: Socket, far: End | Promise<End>): Promise<Error | undefined> {
  return new Splice(socket, far).done;
}

class Splice {
  readonly done: Promise<Error | undefined>;
  readonly #socket: Socket;
  #end: End | undefined;
  /** What the socket has said and the far end has no room for yet. */
  #unsaid: Buffer[] = [];
  #unsaidBytes = 0;
  /** The far end has no room, and will say when it has. */
  #isFull = false;
  #closed = false;
  #ended = false;
  #why: Error | undefined;
  #resolve: (why: Error | undefined) => void = () => undefined;

  constructor(socket: Socket, far: End | Promise<End>) {
    this.#socket = socket;
    this.done = new Promise((resolve) => { this.#resolve = resolve; });
    socket.handle({
      borrows: true,
      onData: (bytes) => this.#heard(bytes),
      onDrain: () => this.#end?.says.flow(),
      onEnd: () => {
        this.#ended = true;
        if (this.#end !== undefined && !this.#isFull) this.#end.hears.end();
      },
      onClose: (error) => this.#over(error),
    });
    if (far instanceof Promise) far.then((end) => this.#begin(end), (why) => this.#broken(why));
    else this.#begin(far);
  }

  #begin(end: End): void {
    if (this.#closed) return leave(end, undefined);
    this.#end = end;
    // Its reader has gone: nobody takes what this socket says.
    end.hears.onCancel(() => this.#broken(new RpcError("CANCELLED", "The far end has gone")));
    void this.#write(end.says);
    this.#goOn();
  }

  #heard(bytes: Buffer): void {
    const isSaid = this.#end !== undefined && !this.#isFull;
    const rest = isSaid ? this.#say(bytes) : bytes;
    for (let at = 0; at < rest.length; at += BLOCK_BYTES) {
      this.#unsaid.push(keep(rest.subarray(at, at + BLOCK_BYTES)));
    }
    this.#unsaidBytes += rest.length;
    if (this.#unsaidBytes >= EARLY_BYTES) this.#socket.pause();
  }

  /** In pieces that fit the reader's window. Gives back what has to wait until there is room. */
  #say(bytes: Buffer): Buffer {
    const { hears } = this.#end!;
    let at = 0;
    while (at < bytes.length && !this.#isFull) {
      const piece = bytes.subarray(at, at + hears.itemBytes);
      at += piece.length;
      if (hears.lentItem(piece)) continue;
      this.#isFull = true;
      this.#socket.pause();
      void hears.drained().then(() => this.#goOn());
    }
    return bytes.subarray(at);
  }

  /** There is room: for what waits here, then for what the socket says next, or for its end. */
  #goOn(): void {
    this.#isFull = false;
    while (!this.#isFull && this.#unsaid.length > 0) {
      const bytes = this.#unsaid.shift()!;
      const rest = this.#say(bytes);
      this.#unsaidBytes -= bytes.length - rest.length;
      if (rest.length > 0) this.#unsaid.unshift(rest);
      else letGo(bytes);
    }
    if (this.#isFull || this.#closed) return;
    if (this.#ended) this.#end!.hears.end();
    else this.#socket.resume();
  }

  async #write(says: RpcStream): Promise<void> {
    try {
      await says.pour((bytes) => this.#socket.writeLent(bytes));
      this.#socket.end();
    } catch (error) {
      this.#broken(error as Error);
    }
  }

  #broken(why: Error): void {
    if (this.#closed) return;
    this.#why ??= why;
    this.#socket.reset();
  }

  #over(error: Error | undefined): void {
    this.#closed = true;
    this.#unsaid = [];
    if (this.#end !== undefined) leave(this.#end, error);
    this.#resolve(this.#why);
  }
}

/** The socket has closed. In order it does so after both streams have ended; else both fail. */
function leave({ says, hears }: End, error: Error | undefined): void {
  says.cancel();
  // An end that still waits for room is an answer: bytes before it may be on their way.
  if (!hears.over) hears.fail("CANCELLED", error?.message ?? "The socket was closed");
}

