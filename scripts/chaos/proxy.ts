/**
 * A TCP proxy that behaves badly on demand. Workers and clients dial it; it dials the master,
 * wherever that is now.
 *
 *     worker ══ lane up ══▶ queue ══▶ master          a lane holds bytes back for a while (delay), or altogether (stall);
 *            ◀═ lane down ═ queue ◀══                 what it holds is delivered later, in order, or never (cut)
 *
 * Invariants: bytes of a lane stay in order; an end waits behind the bytes before it, so a stalled
 * lane is a half-open connection; a lane holds at most MAX_HELD_BYTES, then its sender waits.
 */
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

const MAX_HELD_BYTES = 4 * 1024 * 1024;

class Lane {
  delayMs = 0;
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
    const due = Math.max(performance.now() + this.delayMs, this.#held.at(-1)?.due ?? 0);
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
  #delayMs = 0;

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
    link.up.delayMs = link.down.delayMs = this.#delayMs;
    this.#links.add(link);
  }

  /** Every connection, also those to come. */
  delay(byMs: number): void {
    this.#delayMs = byMs;
    for (const { up, down } of this.#links) up.delayMs = down.delayMs = byMs;
  }

  /** One of the connections, the n-th modulo how many there are. */
  stall(n: number, options: { way: "up" | "down"; forMs: number }): void {
    this.#nth(n)?.[options.way].stall(options.forMs);
  }

  cut(n: number | "all", reset: boolean): void {
    const links = n === "all" ? [...this.#links] : [this.#nth(n)];
    for (const link of links) link?.cut(reset);
  }

  #nth(n: number): Link | undefined {
    return [...this.#links][n % Math.max(1, this.#links.size)];
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.cut("all", false);
    await closed;
  }
}
