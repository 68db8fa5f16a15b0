/**
 * Lesson 03: the real network.
 *
 * Node's sockets, with three decisions taken once for everybody: small frames leave at once (no
 * Nagle), one named high-water mark says when a writer is ahead of its peer, and a connection ends
 * in exactly one `onClose` whatever happened to it.
 *
 * Test: test/03-host.test.ts
 */
import {
  connect,
  createServer,
  type AddressInfo,
  type Server,
  type Socket as NodeSocket,
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

export function nodeNetwork(): Network {
  return { listen, dial };
}

function listen(at: Address, onSocket: (socket: Socket) => void): Promise<Listener> {
  return new Promise((resolve, reject) => {
    const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) =>
      onSocket(new TcpSocket(socket)),
    );
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
    const socket = connect({ host: to.host, port: to.port, noDelay: true, allowHalfOpen: true });
    const timer = setTimeout(() => socket.destroy(timedOut(to, timeoutMs)), clampDelay(timeoutMs));
    const fail = (error: Error): void => {
      clearTimeout(timer);
      reject(error);
    };
    socket.once("error", fail);
    socket.once("connect", () => {
      clearTimeout(timer);
      socket.off("error", fail);
      resolve(new TcpSocket(socket));
    });
  });
}

function timedOut(to: Address, timeoutMs: number): Error {
  const error = new Error(`Cannot dial ${to.host}:${to.port}: no answer within ${timeoutMs} ms`);
  return Object.assign(error, { code: "ETIMEDOUT" });
}

class TcpSocket implements Socket {
  readonly remote: string;
  readonly #socket: NodeSocket;
  #error: Error | undefined;
  #behind = false;

  constructor(socket: NodeSocket) {
    this.#socket = socket;
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
    socket.on("data", (chunk: Buffer) => handlers.onData(chunk));
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
    const socket = this.#socket;
    // The peer may have gone in this same turn; its `onClose` is on the way, and tells more than an
    // error here.
    if (socket.destroyed || socket.writableEnded) return false;
    socket.write(bytes);
    if (socket.writableLength <= HIGH_WATER_BYTES) return true;
    this.#behind = true;
    return false;
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

  reset(): void {
    const { writableEnded, writableFinished, writableLength } = this.#socket;
    // A socket that is shutting down cannot be reset: the system refuses, and Node then never says
    // that it has closed. In a moment it can.
    const isShuttingDown = writableEnded && !writableFinished && writableLength === 0;
    if (!isShuttingDown) this.#socket.resetAndDestroy();
    else this.#socket.once("finish", () => this.#socket.resetAndDestroy());
  }
}
