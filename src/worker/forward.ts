/**
 * Lesson 14: connections to the services of this worker, over its own connection to the master.
 *
 *     CONNECT attempt, registration ─▶ is that attempt here? ─▶ dial 127.0.0.1:its port ─▶ splice
 *
 * No address comes over the wire: only services that this worker has started can be reached.
 *
 * Invariants: a port that has gone to another attempt is never taken for the one that was asked
 * for; what a connection holds is given back when its socket has closed.
 * Test: test/14-services.forward.test.ts
 */
import type { Host, Socket } from "#host";
import { RpcError, Windows, type IncomingRequest, type RpcConnection } from "#rpc";
import { accept, splice } from "#tunnel";
import {
  Connect, FORWARD_SPARE_BYTES, FORWARD_WINDOWS, MAX_FORWARDED, Op, type AttemptKey,
} from "#wire";

/** A service on this machine is reached where programs of this machine reach it. */
const LOOPBACK = "127.0.0.1";
/** A program that listens is dialled by its kernel; one whose queue is full may take a moment. */
const DIAL_MS = 2000;

export interface ForwardsOptions {
  readonly host: Host;
  /** This worker, in a sentence. */
  name(): string;
  /** Where an attempt listens that runs here; undefined: there is none. */
  portOf(key: AttemptKey): number | undefined;
}

export class WorkerForwards {
  /** The master's number for this worker. */
  registration = 0;
  readonly #options: ForwardsOptions;
  readonly #windows = new Windows({ ...FORWARD_WINDOWS, spareBytes: FORWARD_SPARE_BYTES });
  #open = 0;

  constructor(options: ForwardsOptions) {
    this.#options = options;
  }

  /** Connections that are open, or being opened. */
  get size(): number {
    return this.#open;
  }

  /** All that a master asks of a worker, and that is no notice. */
  asked(request: IncomingRequest, connection: RpcConnection): void | Promise<void> {
    if (request.opcode === Op.CONNECT) return this.#connect(request, connection);
    const why = `Cannot serve opcode ${request.opcode}: this worker does not know it`;
    request.fail("UNSUPPORTED", why);
  }

  // #region connect
  async #connect(request: IncomingRequest, connection: RpcConnection): Promise<void> {
    const { id, bare, worker, ...key } = Connect.decode(request.body);
    const port = this.#portOf(key, worker);
    if (this.#open >= MAX_FORWARDED) {
      const why = `${this.#options.name()} forwards ${this.#open} connections, the most it may`;
      throw new RpcError("OVERLOADED", `Cannot connect: ${why}`);
    }
    this.#open += 1;
    try {
      const socket = await this.#dial(port);
      // The attempt may have ended meanwhile, and its port may be another's now.
      if (request.over || this.#options.portOf(key) !== port) {
        socket.destroy();
        return request.fail("NOT_FOUND", "Cannot connect: the attempt has ended");
      }
      await splice(socket, accept(request, { connection, id, bare, windows: this.#windows }));
    } finally {
      this.#open -= 1;
    }
  }
  // #endregion

  /** @throws {RpcError} NOT_FOUND */
  #portOf(key: AttemptKey, registration: number): number {
    const port = this.#options.portOf(key);
    if (registration === this.registration && port !== undefined) return port;
    const found = `attempt ${key.attempt} does not run on ${this.#options.name()}`;
    throw new RpcError("NOT_FOUND", `Cannot connect: ${found}`);
  }

  async #dial(port: number): Promise<Socket> {
    const { network } = this.#options.host;
    try {
      return await network.dial({ host: LOOPBACK, port }, { timeoutMs: DIAL_MS });
    } catch (error) {
      const isRefused = (error as { code?: string }).code === "ECONNREFUSED";
      const found = isRefused ? `nothing listens on port ${port}` : (error as Error).message;
      throw new RpcError("NOT_FOUND", `Cannot connect: ${found} on ${this.#options.name()}`);
    }
  }
}
