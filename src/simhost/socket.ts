/**
 * A connection: two ends, each of which keeps the pieces that it sent until the other end has read
 * them.
 *
 *     write ─▶ pieces, each with an arrival time ─▶ held? ─▶ paused, stopped? ─▶ onData
 *               never before the piece ahead of it
 *
 * The last piece of an end says how it ended: in order, or with a reset. An end whose machine lost
 * power in silence says nothing, and the other one goes on sending to nobody.
 *
 * Test: test/22-simulation.world.test.ts
 */
import { deliver, HIGH_WATER_BYTES, type Socket, type SocketHandlers } from "#host";
import { systemError } from "./disk.ts";
import type { Link } from "./link.ts";
import type { Boot } from "./machine.ts";
import type { World } from "./types.ts";

/**
 * So many bytes are in the two kernels between the programs before `pendingBytes` starts to count.
 */
const KERNEL_BYTES = 128 * 1024;

const OVERWRITTEN = 0xee;

/** The network of a connection, as far as the connection needs it. */
export interface Cables {
  /** Whether nothing passes from one host to another now. */
  isHeld(from: string, to: string): boolean;
  /** Called with what one end has under way: kernels' buffers and its own. */
  waiting(bytes: number): void;
  /** The connection is over. */
  forget(connection: Connection): void;
}

export interface Party {
  readonly boot: Boot;
  readonly port: number;
}

export class Connection {
  readonly diallerEnd: SimSocket;
  readonly listenerEnd: SimSocket;
  readonly link: Link;
  readonly #network: Cables;

  constructor(
    world: World,
    network: Cables,
    parties: { dialler: Party; listener: Party; link: Link },
  ) {
    this.#network = network;
    this.link = parties.link;
    this.diallerEnd = new SimSocket(world, {
      network,
      connection: this,
      self: parties.dialler,
      peer: parties.listener,
    });
    this.listenerEnd = new SimSocket(world, {
      network,
      connection: this,
      self: parties.listener,
      peer: parties.dialler,
    });
    this.diallerEnd.other = this.listenerEnd;
    this.listenerEnd.other = this.diallerEnd;
  }

  /** The ends that this life has. */
  endsOf(boot: Boot): SimSocket[] {
    return [this.diallerEnd, this.listenerEnd].filter((end) => end.boot === boot);
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

  /** Both ends read the bytes that have arrived, and then that there will be no more. */
  reset(): void {
    this.diallerEnd.sendReset();
    this.listenerEnd.sendReset();
  }

  /** Delivers at one host the bytes that have arrived from another; without `from`, from any. */
  pump(to: string, from?: string): void {
    for (const end of [this.diallerEnd, this.listenerEnd]) {
      if (end.other.boot.name === to && (from === undefined || end.boot.name === from)) end.pump();
    }
  }

  /** One end has gone; the connection is over when both have. */
  ended(): void {
    if (this.diallerEnd.gone && this.listenerEnd.gone) this.#network.forget(this);
  }
}

/** Bytes on the way; "end" for "that was all"; "reset" for "nothing more, and do not ask". */
interface Piece {
  readonly bytes: Buffer | "end" | "reset";
  arrived: boolean;
}

export class SimSocket implements Socket {
  readonly remote: string;
  readonly boot: Boot;
  other!: SimSocket;
  gone = false;
  readonly #world: World;
  readonly #network: Cables;
  readonly #connection: Connection;
  #handlers: SocketHandlers | undefined;
  #sent: Piece[] = [];
  #sentBytes = 0;
  #lastArrival = 0;
  #behind = false;
  #paused = false;
  #ending = false;
  /** The peer sends no more, and this end still may. */
  #peerDone = false;
  /** This end's machine lost power, and nobody was told. */
  #lost = false;

  constructor(
    world: World,
    options: { network: Cables; connection: Connection; self: Party; peer: Party },
  ) {
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
    if (this.other.#sent[0]?.arrived === true) {
      this.#world.after(this.boot, 0, () => this.other.pump());
    }
  }

  write(bytes: Uint8Array): boolean {
    if (this.gone || this.#ending || this.boot.dead) return false;
    const all = Buffer.from(bytes); // as the kernel does: the caller's memory is the caller's again
    this.#sentBytes += all.length;
    this.#network.waiting(this.#sentBytes);
    for (let sent = 0; sent < all.length;) {
      const cut = this.#connection.link.cut(all.length - sent, sent);
      this.#transmit(all.subarray(sent, sent + cut));
      sent += cut;
    }
    if (this.pendingBytes <= HIGH_WATER_BYTES) return true;
    this.#behind = true;
    return false;
  }

  writeLent(...pieces: readonly Uint8Array[]): boolean {
    return this.write(Buffer.concat(pieces));
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#world.after(this.boot, 0, () => this.other.pump());
  }

  end(): void {
    if (this.gone || this.#ending || this.boot.dead) return;
    this.#ending = true;
    this.#transmit("end");
    if (this.#peerDone) this.#leave();
  }

  destroy(): void {
    if (this.gone || this.boot.dead) return;
    this.#dropPending();
    if (!this.#ending) this.#transmit("end");
    this.#leave();
  }

  reset(): void {
    if (this.gone || this.boot.dead) return;
    this.#dropPending();
    this.#transmit("reset");
    this.#leave();
  }

  break(code: string): void {
    this.#sent = [];
    this.#leave(systemError(code, `connection to ${this.remote}`));
  }

  /** The process was killed: its kernel ends the connection in its name. */
  kill(): void {
    if (this.gone) return;
    this.#dropPending();
    // Bytes that nobody will read any more are answered with a reset, so that the peer does not
    // take them for read.
    const unread = this.other.#sent[0]?.arrived === true;
    if (!this.#ending) this.#transmit(unread ? "reset" : "end");
    this.#vanish();
  }

  /** The machine lost power, and nobody is told. */
  lose(): void {
    if (this.gone) return;
    this.#lost = true;
    this.#vanish();
  }

  /** Pieces that have not arrived by now never will. */
  sendReset(): void {
    this.#sent = this.#sent.filter((piece) => piece.arrived);
    this.#sent.push({ bytes: "reset", arrived: true });
    this.#world.at(0, () => this.#arrive());
  }

  /** Delivers the pieces that have arrived, as far as the other end reads. */
  pump(): void {
    const { other } = this;
    while (
      this.#sent[0]?.arrived === true &&
      !this.#network.isHeld(this.boot.name, other.boot.name)
    ) {
      if (other.gone) {
        if (!other.#answersForTheLost()) break;
      } else if (!other.#reads) break;
      const { bytes } = this.#sent.shift()!;
      if (typeof bytes !== "string") this.#sentBytes -= bytes.length;
      if (other.gone) {
        // It had closed both ways, and this end took that for one.
        if (this.#peerDone && bytes !== "end") other.sendReset();
        continue;
      }
      if (bytes === "end") other.#peerEnded();
      else if (bytes === "reset") {
        other.#leave(systemError("ECONNRESET", `connection to ${other.remote}`));
      } else {
        this.#world.note(`${this.boot.name} -> ${other.boot.name} ${bytes.length} bytes`);
        deliver(other.#handlers!, bytes);
        // On a real host the next read goes to the same memory. A view that was kept shows it.
        if (other.#handlers!.borrows === true) bytes.fill(OVERWRITTEN);
      }
    }
    if (!this.#behind || this.pendingBytes > 0 || this.gone) return;
    this.#behind = false;
    this.#world.after(this.boot, 0, () => {
      if (!this.gone) this.#handlers?.onDrain?.();
    });
  }

  get #reads(): boolean {
    return !this.#paused && !this.boot.machine.paused && this.#handlers !== undefined;
  }

  /**
   * False: silence. A machine that is up again does not know the connection, and answers it with a
   * reset.
   */
  #answersForTheLost(): boolean {
    if (!this.#lost) return true;
    if (this.boot.machine.silent) return false;
    this.#lost = false;
    this.sendReset();
    return true;
  }

  /** The kernel still sends the bytes that it has taken; the rest is dropped. */
  #dropPending(): void {
    while (this.pendingBytes > 0 && this.#sent.length > 0) {
      const { bytes } = this.#sent.pop()!;
      if (typeof bytes !== "string") this.#sentBytes -= bytes.length;
    }
  }

  #transmit(bytes: Piece["bytes"]): void {
    const piece: Piece = { bytes, arrived: false };
    this.#sent.push(piece);
    const { time } = this.#world;
    // Never before the piece ahead of it: one connection keeps its order, whatever time each piece
    // takes.
    this.#lastArrival = Math.max(this.#lastArrival, time.now + this.#connection.link.delay());
    this.#world.at(this.#lastArrival - time.now, () => {
      piece.arrived = true;
      this.#arrive();
    });
  }

  /** The kernel of the other end has the piece. Its process reads it when it runs. */
  #arrive(): void {
    if (this.other.gone) this.pump();
    else this.other.boot.machine.enter(this.other.boot, () => this.pump());
  }

  /** The peer has sent everything. Without `onEnd` this end has, too. */
  #peerEnded(): void {
    this.#peerDone = true;
    const { onEnd } = this.#handlers!;
    if (onEnd === undefined) this.end();
    else onEnd();
    if (this.#ending) this.#leave();
  }

  #vanish(): void {
    this.gone = true;
    this.#connection.ended();
  }

  #leave(error?: Error): void {
    if (this.gone) return;
    this.#vanish();
    this.#world.after(this.boot, 0, () => {
      this.#world.note(
        `${this.boot.name} closed ` +
          `${this.remote}${error === undefined ? "" : ` ${(error as { code?: string }).code}`}`,
      );
      this.#handlers?.onClose(error);
    });
  }
}
