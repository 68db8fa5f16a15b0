/**
 * Lesson 14: a socket at the end of a pair of streams.
 *
 *     socket reads ──▶ hears.item      no room: the socket is paused until there is some
 *     socket writes ◀── says           the socket is full: no item is taken until it drains
 *
 * Test: test/14-services.forward.test.ts
 */
import type { Socket } from "#host";
import { RpcError, type RpcStream } from "#rpc";
import type { End } from "./open.ts";

/**
 * Carries what the socket says to the far end, and back. The socket is not read before the far end
 * is there. To be called in the turn that delivered the socket.
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
  #closed = false;
  #ended = false;
  #why: Error | undefined;
  #resolve: (why: Error | undefined) => void = () => undefined;
  #wake: () => void = () => undefined;

  constructor(socket: Socket, far: End | Promise<End>) {
    this.#socket = socket;
    this.done = new Promise((resolve) => { this.#resolve = resolve; });
    socket.pause();
    socket.handle({
      onData: (bytes) => this.#read(bytes),
      onDrain: () => this.#wake(),
      onEnd: () => {
        this.#ended = true;
        this.#end?.hears.end();
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
    // It said that before anybody was there to hear it: a paused socket says its end, too.
    if (this.#ended) end.hears.end();
    this.#socket.resume();
  }

  #read(bytes: Buffer): void {
    const { hears } = this.#end!;
    if (hears.item(bytes)) return;
    this.#socket.pause();
    void hears.drained().then(() => this.#socket.resume());
  }

  async #write(says: RpcStream): Promise<void> {
    try {
      for await (const bytes of says) {
        if (this.#socket.write(bytes) || this.#closed) continue;
        await new Promise<void>((resolve) => { this.#wake = resolve; });
      }
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
    this.#wake();
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

