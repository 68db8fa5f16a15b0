/**
 * Lesson 03: the real network.
 *
 * Node's sockets, with four decisions taken once for everybody: small frames leave at once (no
 * Nagle), one named high-water mark says when a writer is ahead of its peer, a connection ends in
 * exactly one `onClose` whatever happened to it, and all sockets read into one buffer.
 *
 *     kernel ──read──▶ the buffer ─▶ onData(a view of it)     a handler that borrows
 *                                 ─▶ onData(a copy)           any other
 *
 * Left to itself Node allocates 64 KiB for each read. A program that only passes bytes on then
 * spends half of its time in V8's collector (measured: decision 012 of docs).
 *
 * Invariants: a chunk that is lent is not written to while its `onData` runs; the bytes of
 * `writeLent` are the kernel's or a copy when it returns.
 * Test: test/03-host.test.ts
 */
import { writevSync } from "node:fs";
import {
  connect,
  createServer,
  type AddressInfo,
  type OnReadOpts,
  type Server,
  Socket as NodeSocket,
} from "node:net";
import { clampDelay } from "./time.ts";
import type { Address, Listener, Network, Socket, SocketHandlers } from "./types.ts";

/**
 * Queued output beyond which `write` says false. 256 KiB is 2 ms at 1 Gbit/s: enough for the event
 * loop to come round and refill it, and small enough that 1,000 slow peers cost 256 MiB.
 */
export const HIGH_WATER_BYTES = 256 * 1024;

/**
 * Linux sends its SYN again after 1, 3 and 7 s: three chances, and an answer before a person gives
 * up.
 */
export const DIAL_TIMEOUT_MS = 10_000;

/**
 * One read of the system. Four times what Node takes: fewer calls and fewer wakeups for each byte
 * where a peer is ahead of us. There is one for the process, as a read is over before the next.
 */
const READ_BYTES = 256 * 1024;
/** Lent bytes that find memory at once: an item of a stream, with its header. */
const LENT_BYTES = 65 * 1024;
/** Memory of lent bytes that the kernel has taken, for the next ones: 2 MiB, six slow peers. */
const MAX_SPARES = 32;

let readBuffer: Buffer | undefined;
const spares: Buffer[] = [];

/** Other runtimes have Node's sockets, and not this part of them. */
const READS_IN_PLACE =
  process.versions["deno"] === undefined && process.versions["bun"] === undefined;

export function nodeNetwork(): Network {
  return { listen, dial };
}

function listen(at: Address, onSocket: (socket: Socket) => void): Promise<Listener> {
  return new Promise((resolve, reject) => {
    const options = { noDelay: true, allowHalfOpen: true, pauseOnConnect: READS_IN_PLACE };
    const server = createServer(options, (socket) => onSocket(accepted(socket)));
    server.once("error", reject);
    server.listen({ host: at.host, port: at.port }, () => {
      server.off("error", reject);
      // Accepting may fail later (no file descriptors left). That connection is lost; the listener
      // lives.
      server.on("error", () => {});
      const bound = server.address() as AddressInfo;
      resolve({ host: bound.address, port: bound.port, close: () => closed(server) });
    });
  });
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => {}); // its callback waits for open sockets; accepting stops at once
    resolve();
  });
}

function dial(to: Address, options: { timeoutMs?: number } = {}): Promise<Socket> {
  const timeoutMs = options.timeoutMs ?? DIAL_TIMEOUT_MS;
  return new Promise((resolve, reject) => {
    const reader = READS_IN_PLACE ? new Reader() : undefined;
    const socket = connect({
      host: to.host, port: to.port, noDelay: true, allowHalfOpen: true,
      ...(reader && { onread: reader }),
    });
    const timer = setTimeout(() => socket.destroy(timedOut(to, timeoutMs)), clampDelay(timeoutMs));
    const fail = (error: Error): void => {
      clearTimeout(timer);
      reject(error);
    };
    socket.once("error", fail);
    socket.once("connect", () => {
      clearTimeout(timer);
      socket.off("error", fail);
      resolve(new TcpSocket(socket, reader));
    });
  });
}

function timedOut(to: Address, timeoutMs: number): Error {
  const error = new Error(`Cannot dial ${to.host}:${to.port}: no answer within ${timeoutMs} ms`);
  return Object.assign(error, { code: "ETIMEDOUT" });
}

/** Reads in place, for the handlers that its socket gets in the turn in which it is delivered. */
class Reader implements OnReadOpts {
  readonly buffer = (readBuffer ??= Buffer.allocUnsafeSlow(READ_BYTES));
  handlers: SocketHandlers | undefined;

  readonly callback = (bytes: number, buffer: Uint8Array): boolean => {
    deliver(this.handlers!, (buffer as Buffer).subarray(0, bytes));
    return true;
  };
}

/** Hands over a chunk that is lent: as it is to a handler that borrows, else a copy. */
export function deliver(handlers: SocketHandlers, chunk: Buffer): void {
  handlers.onData(handlers.borrows === true ? chunk : Buffer.from(chunk));
}

/**
 * A server makes its sockets itself, and cannot be told how they read. So the system's handle moves
 * to a socket of ours, before it has read anything.
 */
function accepted(socket: NodeSocket): TcpSocket {
  const { _handle: handle } = socket as unknown as { _handle?: unknown };
  if (!READS_IN_PLACE || handle === undefined || handle === null) return new TcpSocket(socket);
  const reader = new Reader();
  (socket as unknown as { _handle: unknown })._handle = null;
  const options = { handle, allowHalfOpen: true, onread: reader };
  const ours = new NodeSocket(options as ConstructorParameters<typeof NodeSocket>[0]);
  return new TcpSocket(ours, reader);
}

class TcpSocket implements Socket {
  readonly remote: string;
  readonly #socket: NodeSocket;
  readonly #reader: Reader | undefined;
  #error: Error | undefined;
  #behind = false;

  constructor(socket: NodeSocket, reader?: Reader) {
    this.#socket = socket;
    this.#reader = reader;
    const { remoteAddress = "unknown", remotePort = 0 } = socket;
    this.remote = remoteAddress.includes(":")
      ? `[${remoteAddress}]:${remotePort}`
      : `${remoteAddress}:${remotePort}`;
    // Before `handle`: an error event that nobody listens to would end the process.
    socket.on("error", (error) => (this.#error ??= error));
  }

  get pendingBytes(): number {
    return this.#socket.writableLength;
  }

  handle(handlers: SocketHandlers): void {
    const socket = this.#socket;
    if (this.#reader !== undefined) this.#reader.handlers = handlers;
    else socket.on("data", (chunk: Buffer) => handlers.onData(chunk));
    socket.on("end", () => (handlers.onEnd === undefined ? socket.end() : handlers.onEnd()));
    socket.on("drain", () => {
      // Node has a lower mark of its own: pass on only a drain that somebody waits for.
      if (!this.#behind) return;
      this.#behind = false;
      handlers.onDrain?.();
    });
    if (socket.closed) setImmediate(() => handlers.onClose(this.#error));
    else socket.once("close", () => handlers.onClose(this.#error));
  }

  write(bytes: Uint8Array): boolean {
    return this.#write(bytes);
  }

  /** `onTaken`: the kernel has the bytes, or will never have them. */
  #write(bytes: Uint8Array, onTaken?: () => void): boolean {
    const socket = this.#socket;
    // The peer may have gone in this same turn; its `onClose` is on the way, and tells more than an
    // error here.
    if (socket.destroyed || socket.writableEnded) return false;
    socket.write(bytes, onTaken);
    if (socket.writableLength <= HIGH_WATER_BYTES) return true;
    this.#behind = true;
    return false;
  }

  writeLent(...pieces: readonly Uint8Array[]): boolean {
    let taken = this.#writeNow(pieces);
    const bytes = pieces.reduce((sum, { length }) => sum + length, 0);
    if (taken === bytes) return true;
    if (bytes - taken > LENT_BYTES) {
      return this.write(Buffer.concat(pieces, bytes).subarray(taken));
    }
    const buffer = spares.pop() ?? Buffer.allocUnsafeSlow(LENT_BYTES);
    let at = 0;
    for (const piece of pieces) {
      const rest = piece.subarray(Math.min(taken, piece.length));
      taken -= piece.length - rest.length;
      buffer.set(rest, at);
      at += rest.length;
    }
    return this.#write(buffer.subarray(0, at), () => {
      if (spares.length < MAX_SPARES) spares.push(buffer);
    });
  }

  /**
   * Gives the kernel what it takes at once, from where the pieces lie. Node has no such call: its
   * `write` may keep the bytes, and a lent piece would have to be copied in case it does.
   */
  #writeNow(pieces: readonly Uint8Array[]): number {
    const socket = this.#socket;
    const { _handle: handle } = socket as unknown as { _handle?: { fd?: number } | null };
    const fd = handle?.fd ?? -1;
    // Bytes that wait already go first.
    if (fd < 0 || socket.writableLength > 0 || !socket.writable) return 0;
    try {
      return writevSync(fd, pieces);
    } catch {
      return 0; // it is full, or its peer has gone: Node's own write finds out, and says so
    }
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  keepAlive(on: boolean): void {
    if (on) this.#socket.ref();
    else this.#socket.unref();
  }

  reset(): void {
    const { writableEnded, writableFinished, writableLength } = this.#socket;
    // A socket that is shutting down cannot be reset: the system refuses, and Node then never says
    // that it has closed. In a moment it can.
    const isShuttingDown = writableEnded && !writableFinished && writableLength === 0;
    if (!isShuttingDown) this.#socket.resetAndDestroy();
    else this.#socket.once("finish", () => this.#socket.resetAndDestroy());
  }
}
