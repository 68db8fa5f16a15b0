/**
 * A network of named hosts.
 *
 *     write ─▶ pieces, each with an arrival time ─▶ held? ─▶ paused? ─▶ onData
 *               never before the piece ahead of it
 *
 * What TCP promises holds: order, no gaps, no duplicates. What it does not promise is left to the seed: where chunks are
 * cut and how long they take.
 */
import { HIGH_WATER_BYTES, type Address, type Listener, type Network, type Socket, type SocketHandlers } from "#host";
import type { Boot, World } from "./world.ts";

/** What the two kernels hold between the programs, before `pendingBytes` starts to count. */
const KERNEL_BYTES = 128 * 1024;

/** The same as the real dial, in virtual time. */
const DIAL_TIMEOUT_MS = 10_000;

const FIRST_PORT = 40_000;

/** Names by which every host calls itself. */
const LOOPBACK = new Set(["127.0.0.1", "::1", "localhost"]);

interface Bound {
  readonly boot: Boot;
  readonly accept: (socket: Socket) => void;
}

export class SimNetwork {
  readonly #world: World;
  readonly #listeners = new Map<string, Bound>();
  /** In the order of connecting: who is told first of a crash must not depend on chance that nobody seeded. */
  readonly #connections = new Set<Connection>();
  readonly #held = new Set<string>();
  #lastPort = FIRST_PORT;

  constructor(world: World) {
    this.#world = world;
  }

  of(boot: Boot): Network {
    return {
      listen: (at, accept) => this.#listen(boot, { at, accept }),
      dial: (to, options) => this.#dial(boot, to, options?.timeoutMs ?? DIAL_TIMEOUT_MS),
    };
  }

  crash(boot: Boot): void {
    for (const [key, bound] of this.#listeners) if (bound.boot === boot) this.#listeners.delete(key);
    for (const connection of [...this.#connections]) if (connection.touches(boot)) connection.break("ECONNRESET");
  }

  cut(a: string, b: string): void {
    for (const connection of [...this.#connections]) if (connection.joins(a, b)) connection.break("ECONNRESET");
  }

  hold(from: string, to: string): void {
    this.#held.add(`${from} ${to}`);
  }

  release(from: string, to: string): void {
    this.#held.delete(`${from} ${to}`);
    for (const connection of this.#connections) connection.pump(from, to);
  }

  isHeld(from: string, to: string): boolean {
    return this.#held.has(`${from} ${to}`);
  }

  forget(connection: Connection): void {
    this.#connections.delete(connection);
  }

  async #listen(boot: Boot, options: { at: Address; accept: (socket: Socket) => void }): Promise<Listener> {
    const port = options.at.port === 0 ? ++this.#lastPort : options.at.port;
    const key = `${boot.name}:${port}`;
    if (this.#listeners.has(key)) throw systemError("EADDRINUSE", `listen ${key}`);
    const bound: Bound = { boot, accept: options.accept };
    this.#listeners.set(key, bound);
    const close = async (): Promise<void> => {
      if (this.#listeners.get(key) === bound) this.#listeners.delete(key);
    };
    return { host: boot.name, port, close };
  }

  #dial(boot: Boot, to: Address, timeoutMs: number): Promise<Socket> {
    const { latencyMs } = this.#world.options;
    const host = LOOPBACK.has(to.host) ? boot.name : to.host;
    return new Promise((resolve, reject) => {
      let settled = false;
      const timer = this.#world.after(boot, timeoutMs, () => {
        settled = true;
        reject(systemError("ETIMEDOUT", `dial ${to.host}:${to.port}`));
      });
      const arrive = (): void => {
        if (settled || boot.dead) return;
        // The way there or the way back is silent: the dialler learns nothing, and tries until its time is up.
        if (this.isHeld(boot.name, host) || this.isHeld(host, boot.name)) {
          this.#world.after(boot, latencyMs[1] + 1, arrive);
          return;
        }
        timer.cancel();
        const bound = this.#listeners.get(`${host}:${to.port}`);
        if (bound === undefined) return reject(systemError("ECONNREFUSED", `dial ${to.host}:${to.port}`));
        resolve(this.#connect(boot, { bound, port: to.port }));
      };
      this.#world.after(boot, this.#world.draw(latencyMs), arrive);
    });
  }

  #connect(dialler: Boot, target: { bound: Bound; port: number }): Socket {
    const connection = new Connection(this.#world, this, {
      dialler: { boot: dialler, port: ++this.#lastPort },
      listener: { boot: target.bound.boot, port: target.port },
    });
    this.#connections.add(connection);
    this.#world.note(`${dialler.name} dials ${target.bound.boot.name}:${target.port}`);
    target.bound.accept(connection.listenerEnd);
    return connection.diallerEnd;
  }
}

interface Party {
  readonly boot: Boot;
  readonly port: number;
}

class Connection {
  readonly diallerEnd: SimSocket;
  readonly listenerEnd: SimSocket;
  readonly #network: SimNetwork;

  constructor(world: World, network: SimNetwork, parties: { dialler: Party; listener: Party }) {
    this.#network = network;
    this.diallerEnd = new SimSocket(world, { network, connection: this, self: parties.dialler, peer: parties.listener });
    this.listenerEnd = new SimSocket(world, { network, connection: this, self: parties.listener, peer: parties.dialler });
    this.diallerEnd.other = this.listenerEnd;
    this.listenerEnd.other = this.diallerEnd;
  }

  touches(boot: Boot): boolean {
    return this.diallerEnd.boot === boot || this.listenerEnd.boot === boot;
  }

  joins(a: string, b: string): boolean {
    const from = this.diallerEnd.boot.name;
    const to = this.listenerEnd.boot.name;
    return (from === a && to === b) || (from === b && to === a);
  }

  break(code: string): void {
    this.#network.forget(this);
    this.diallerEnd.break(code);
    this.listenerEnd.break(code);
  }

  pump(from: string, to: string): void {
    for (const end of [this.diallerEnd, this.listenerEnd]) {
      if (end.boot.name === from && end.other.boot.name === to) end.pump();
    }
  }

  /** One end has gone; the connection is over when both have. */
  ended(): void {
    if (this.diallerEnd.gone && this.listenerEnd.gone) this.#network.forget(this);
  }
}

/** Bytes on the way, or undefined for "that was all". */
interface Piece {
  readonly bytes: Buffer | undefined;
  arrived: boolean;
}

/** One end. It keeps the pieces that it sent until the other end has read them. */
class SimSocket implements Socket {
  readonly remote: string;
  readonly boot: Boot;
  other!: SimSocket;
  gone = false;
  readonly #world: World;
  readonly #network: SimNetwork;
  readonly #connection: Connection;
  #handlers: SocketHandlers | undefined;
  #sent: Piece[] = [];
  #sentBytes = 0;
  #lastArrival = 0;
  #behind = false;
  #paused = false;
  #ending = false;

  constructor(world: World, options: { network: SimNetwork; connection: Connection; self: Party; peer: Party }) {
    this.#world = world;
    this.#network = options.network;
    this.#connection = options.connection;
    this.boot = options.self.boot;
    this.remote = `${options.peer.boot.name}:${options.peer.port}`;
  }

  get pendingBytes(): number {
    return Math.max(0, this.#sentBytes - KERNEL_BYTES);
  }

  handle(handlers: SocketHandlers): void {
    this.#handlers = handlers;
  }

  write(bytes: Uint8Array): boolean {
    if (this.gone || this.#ending || this.boot.dead) return false;
    let rest = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#sentBytes += rest.length;
    while (rest.length > 0) {
      const cut = this.#world.options.splitChunks ? 1 + (this.#world.random.u32() % rest.length) : rest.length;
      this.#transmit(rest.subarray(0, cut));
      rest = rest.subarray(cut);
    }
    if (this.pendingBytes <= HIGH_WATER_BYTES) return true;
    this.#behind = true;
    return false;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#world.after(this.boot, 0, () => this.other.pump());
  }

  end(): void {
    if (this.gone || this.#ending) return;
    this.#ending = true;
    this.#transmit(undefined);
  }

  destroy(): void {
    if (this.gone) return;
    // The kernel still sends what it has taken; the rest is dropped.
    while (this.pendingBytes > 0 && this.#sent.length > 0) this.#sentBytes -= this.#sent.pop()!.bytes?.length ?? 0;
    if (!this.#ending) this.#transmit(undefined);
    this.#leave();
  }

  break(code: string): void {
    this.#sent = [];
    this.#leave(systemError(code, `connection to ${this.remote}`));
  }

  /** Hands over what has arrived, as far as the other end reads. */
  pump(): void {
    const { other } = this;
    while (this.#sent[0]?.arrived === true && !other.#paused && !this.#network.isHeld(this.boot.name, other.boot.name)) {
      const { bytes } = this.#sent.shift()!;
      this.#sentBytes -= bytes?.length ?? 0;
      if (other.gone) continue;
      if (bytes === undefined) other.#peerEnded();
      else {
        this.#world.note(`${this.boot.name} -> ${other.boot.name} ${bytes.length} bytes`);
        other.#handlers?.onData(bytes);
      }
    }
    if (!this.#behind || this.pendingBytes > 0 || this.gone) return;
    this.#behind = false;
    this.#world.after(this.boot, 0, () => { if (!this.gone) this.#handlers?.onDrain?.(); });
  }

  #transmit(bytes: Buffer | undefined): void {
    const piece: Piece = { bytes, arrived: false };
    this.#sent.push(piece);
    const { time, options } = this.#world;
    // Never before the piece ahead of it: one connection keeps its order, whatever each piece draws.
    this.#lastArrival = Math.max(this.#lastArrival, time.now + this.#world.draw(options.latencyMs));
    this.#world.after(this.other.boot, this.#lastArrival - time.now, () => {
      piece.arrived = true;
      this.pump();
    });
  }

  /** The peer has sent all it had to say. So have we: Titan's connections do not live on half open. */
  #peerEnded(): void {
    if (!this.#ending) this.#transmit(undefined);
    this.#ending = true;
    this.#leave();
  }

  #leave(error?: Error): void {
    if (this.gone) return;
    this.gone = true;
    this.#connection.ended();
    this.#world.after(this.boot, 0, () => {
      this.#world.note(`${this.boot.name} closed ${this.remote}${error === undefined ? "" : ` ${(error as { code?: string }).code}`}`);
      this.#handlers?.onClose(error);
    });
  }
}

function systemError(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code });
}
