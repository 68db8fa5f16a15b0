/**
 * A TCP proxy that behaves badly on demand: the way between one worker or client and the master,
 * wherever the master is now.
 *
 *     worker ══ lane up ══▶ queue ══▶ master
 *            ◀═ lane down ═ queue ◀══
 *
 * A lane holds bytes back for a while (delay), or altogether (stall); it delivers them later, in
 * order, or never (cut).
 *
 * Invariants: bytes of a lane stay in order; an end waits behind the bytes before it, so a stalled
 * lane is a half-open connection; a lane holds at most MAX_HELD_BYTES, then its sender waits.
 */
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

const MAX_HELD_BYTES = 4 * 1024 * 1024;

/** How long the next chunk takes, in ms. */
export type Delay = () => number;

const NONE: Delay = () => 0;

class Lane {
  delay = NONE;
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #held: { due: number; chunk: Buffer | "end" }[] = [];
  #heldBytes = 0;
  #stalledUntil = 0;
  #timer: NodeJS.Timeout | undefined;
  /** The receiver's buffer is full. */
  #full = false;

  constructor(from: Socket, to: Socket) {
    this.#from = from;
    this.#to = to;
    from.on("data", (chunk: Buffer) => this.#hold(chunk));
    from.on("end", () => this.#hold("end"));
    to.on("drain", () => {
      this.#full = false;
      this.#deliver();
    });
  }

  stall(forMs: number): void {
    this.#stalledUntil = performance.now() + forMs;
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#held.length = 0;
  }

  #hold(chunk: Buffer | "end"): void {
    const due = Math.max(performance.now() + this.delay(), this.#held.at(-1)?.due ?? 0);
    this.#held.push({ due, chunk });
    this.#heldBytes += chunk === "end" ? 0 : chunk.length;
    if (this.#heldBytes > MAX_HELD_BYTES) this.#from.pause();
    this.#deliver();
  }

  #deliver(): void {
    clearTimeout(this.#timer);
    for (let next = this.#held[0]; next !== undefined && !this.#full; next = this.#held[0]) {
      const waitMs = Math.max(next.due, this.#stalledUntil) - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.#deliver(), Math.ceil(waitMs));
        return;
      }
      this.#held.shift();
      if (next.chunk === "end") this.#to.end();
      else {
        this.#heldBytes -= next.chunk.length;
        this.#full = !this.#to.write(next.chunk);
      }
    }
    if (this.#heldBytes < MAX_HELD_BYTES && this.#from.isPaused()) this.#from.resume();
  }
}

class Link {
  readonly up: Lane;
  readonly down: Lane;
  readonly #sockets: readonly Socket[];

  constructor(near: Socket, far: Socket, onGone: () => void) {
    this.#sockets = [near, far];
    this.up = new Lane(near, far);
    this.down = new Lane(far, near);
    for (const socket of this.#sockets) {
      socket.setNoDelay(true);
      socket.on("error", () => this.cut(false));
    }
    let open = 2;
    for (const socket of this.#sockets) {
      socket.once("close", () => {
        open -= 1;
        if (open === 0) onGone();
      });
    }
  }

  cut(reset: boolean): void {
    this.up.stop();
    this.down.stop();
    for (const socket of this.#sockets) {
      if (reset) socket.resetAndDestroy();
      else socket.destroy();
    }
  }
}

export class Proxy {
  /** Where the master is; undefined while it is nowhere. */
  target: number | undefined;
  readonly #server: Server;
  readonly #links = new Set<Link>();
  #delay = NONE;

  private constructor() {
    this.#server = createServer({ allowHalfOpen: true }, (near) => this.#accept(near));
  }

  static async listen(): Promise<Proxy> {
    const proxy = new Proxy();
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once("error", reject).listen(0, "127.0.0.1", resolve);
    });
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  #accept(near: Socket): void {
    const { target } = this;
    if (target === undefined) {
      near.on("error", () => undefined).destroy();
      return;
    }
    const far = connect({ port: target, host: "127.0.0.1", allowHalfOpen: true });
    const link = new Link(near, far, () => this.#links.delete(link));
    link.up.delay = link.down.delay = this.#delay;
    this.#links.add(link);
  }

  /** Every connection, also those to come. Without `delay`: no more. */
  delay(delay: Delay = NONE): void {
    this.#delay = delay;
    for (const { up, down } of this.#links) up.delay = down.delay = delay;
  }

  /** Silence on every connection. */
  stall(way: "up" | "down", forMs: number): void {
    for (const link of this.#links) link[way].stall(forMs);
  }

  cut(reset: boolean): void {
    for (const link of [...this.#links]) link.cut(reset);
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.cut(false);
    await closed;
  }
}
