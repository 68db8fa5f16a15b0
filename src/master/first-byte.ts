/**
 * Lesson 10: the first byte of a peer says which dialect it speaks. Peers of version 1 are given
 * away, so that the master knows nothing of what they say.
 *
 *     socket ─▶ stranger ──"2"──▶ frames, HELLO, a session
 *                        └─"1"──▶ no connection of ours any more; the other dialect's
 *
 * Version 1 has no word for a token. So its peers have to be on this machine, or on one from which
 * somebody has shown the token and is still here: the worker beside them, for instance.
 *
 * Invariant: until its first byte a peer is a stranger like any other, with the time and the place
 * of one; after it, the two sides of this file never both hold the socket.
 * Test: test/dialect.frame.test.ts
 */
import { isLoopback } from "#base";
import { detectDialect } from "#framing";
import { deliver, type Socket, type SocketHandlers } from "#host";
import { hostOf, type Doors } from "./doors.ts";

/** Takes over a socket, and the bytes that have been read from it. */
export type OnOlderPeer = (socket: Socket, first: Buffer) => void;

/** The socket for our own dialect. It closes when the peer turns out to speak the other one. */
export function hearFirstByte(
  socket: Socket,
  { doors, onOlderPeer }: { doors: Pick<Doors, "knows">; onOlderPeer: OnOlderPeer },
): Socket {
  const host = hostOf(socket.remote);
  let side = new Side(socket);
  let isFirst = true;
  const isOlder = (chunk: Buffer): boolean =>
    detectDialect(chunk[0]!) === "v1" && (isLoopback(unmapped(host)) || doors.knows(host));
  socket.handle({
    borrows: true,
    onData(chunk) {
      const gives = isFirst && isOlder(chunk);
      isFirst = false;
      if (!gives) return deliver(side.handlers, chunk);
      const ours = side;
      side = new Side(socket);
      ours.isOpen = false;
      ours.handlers.onClose();
      onOlderPeer(side, Buffer.from(chunk));
    },
    onDrain: () => side.handlers.onDrain?.(),
    onEnd: () => (side.handlers.onEnd === undefined ? socket.end() : side.handlers.onEnd()),
    onClose: (error) => side.handlers.onClose(error),
  });
  return side;
}

/** On a socket for both families, an IPv4 address looks like this: `::ffff:127.0.0.1`. */
function unmapped(host: string): string {
  return host.replace(/^\[::ffff:([\d.]+)\]$/, "$1");
}

const NOBODY: SocketHandlers = { onData: () => undefined, onClose: () => undefined };

/** The socket as one of its two owners has it. The first one's goes dead when it is given away. */
class Side implements Socket {
  readonly remote: string;
  readonly #socket: Socket;
  handlers = NOBODY;
  isOpen = true;

  constructor(socket: Socket) {
    this.remote = socket.remote;
    this.#socket = socket;
  }

  get pendingBytes(): number {
    return this.#socket.pendingBytes;
  }

  handle(handlers: SocketHandlers): void {
    this.handlers = handlers;
  }

  write(bytes: Uint8Array): boolean {
    return this.isOpen && this.#socket.write(bytes);
  }

  writeLent(...pieces: readonly Uint8Array[]): boolean {
    return this.isOpen && this.#socket.writeLent(...pieces);
  }

  pause(): void {
    if (this.isOpen) this.#socket.pause();
  }

  resume(): void {
    if (this.isOpen) this.#socket.resume();
  }

  end(): void {
    if (this.isOpen) this.#socket.end();
  }

  destroy(): void {
    if (this.isOpen) this.#socket.destroy();
  }

  reset(): void {
    if (this.isOpen) this.#socket.reset();
  }
}
