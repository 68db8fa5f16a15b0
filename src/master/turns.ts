/**
 * Lesson 10: long answers, made when their reader has room for them and its turn has come.
 *
 *     room?  the stream has credit, its connection is not behind ─▶ turn?  peers in a ring, a few pages at a time
 *       ▲                                                             │
 *       └────────────── the next page ◀── sent ◀── made ◀─────────────┘
 *
 * A request of eighty bytes may want 64 MiB. Made at once, a thousand of them fill the memory and keep the loop busy for
 * seconds, whether anybody reads the answers or not. Made page by page, an answer that nobody reads is never made; and
 * peers take turns, so that a short answer waits behind a few pages and not behind a thousand requests.
 *
 * Invariants: no page is made for a reader without room; at most `atOnce` are in the making, `perPeer` of one peer,
 * `perTurn` begun in one turn of the event loop; peers that wait are served in a ring, requests of one peer in order.
 * Test: test/10-master.turns.test.ts
 */
import type { IncomingRequest } from "#rpc";

export interface TurnsOptions {
  /** As in Host.timers. */
  soon(fn: () => void): void;
  readonly atOnce: number;
  readonly perPeer: number;
  readonly perTurn: number;
}

interface Peer {
  readonly waiting: (() => void)[];
  busy: number;
}

type Body = Uint8Array | undefined;

export class Turns {
  readonly #options: TurnsOptions;
  /** Those who wait or make something. A map remembers its order, so it is the ring: whoever was served goes to its end. */
  readonly #peers = new Map<object, Peer>();
  #busy = 0;
  #waiting = 0;
  /** Begun in this turn of the loop. */
  #begun = 0;
  #planned = false;

  constructor(options: TurnsOptions) {
    this.#options = options;
  }

  /** Requests that wait for their turn. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Peers that are known here; none once nobody waits. */
  get peers(): number {
    return this.#peers.size;
  }

  // #region begin
  /** Waits for room and for the turn. Call what it resolves with when the page has been sent; undefined: nobody wants it any more. */
  async begin(request: IncomingRequest, peer: object): Promise<(() => void) | undefined> {
    for (;;) {
      await request.drained();
      if (request.over) return undefined;
      const done = await this.take(peer);
      if (!request.over && request.hasRoom) return done;
      done(); // another request of this peer was faster
    }
  }
  // #endregion

  /** One item of a stream, or the one reply. `make` may say undefined: there is nothing (more) to send. False: no more is wanted. */
  async send(request: IncomingRequest, peer: object, make: () => Body | Promise<Body>): Promise<boolean> {
    const done = await this.begin(request, peer);
    if (done === undefined) return false;
    try {
      const body = await make();
      if (body === undefined || request.over) return false;
      request.item(body);
      return !request.over;
    } finally {
      done();
    }
  }

  /** The same for a request that has one answer, which may be large. */
  async reply(request: IncomingRequest, peer: object, make: () => Uint8Array | Promise<Uint8Array>): Promise<void> {
    const done = await this.begin(request, peer);
    if (done === undefined) return;
    try {
      request.reply(await make());
    } finally {
      done();
    }
  }

  /** Resolves when `owner` may make a page; call what it resolves with afterwards. */
  take(owner: object): Promise<() => void> {
    return new Promise((resolve) => {
      const peer = this.#peers.get(owner) ?? { waiting: [], busy: 0 };
      this.#peers.set(owner, peer);
      let isOver = false;
      const done = (): void => {
        if (!isOver) this.#done(owner, peer);
        isOver = true;
      };
      peer.waiting.push(() => resolve(done));
      this.#waiting += 1;
      this.#grant();
    });
  }

  #done(owner: object, peer: Peer): void {
    peer.busy -= 1;
    this.#busy -= 1;
    if (peer.busy === 0 && peer.waiting.length === 0) this.#peers.delete(owner);
    this.#grant();
  }

  // #region grant
  #grant(): void {
    const { atOnce, perTurn, soon } = this.#options;
    while (this.#waiting > 0 && this.#busy < atOnce && this.#begun < perTurn) {
      const next = this.#next();
      if (next === undefined) return; // whoever waits has enough in the making: `#done` comes back here
      this.#busy += 1;
      this.#begun += 1;
      next();
    }
    if (this.#planned || this.#begun === 0) return;
    this.#planned = true;
    soon(() => {
      this.#planned = false;
      this.#begun = 0;
      this.#grant();
    });
  }
  // #endregion

  /** The oldest request of the first peer in the ring that may have one more. */
  #next(): (() => void) | undefined {
    for (const [owner, peer] of this.#peers) {
      if (peer.waiting.length === 0 || peer.busy >= this.#options.perPeer) continue;
      this.#peers.delete(owner);
      this.#peers.set(owner, peer);
      this.#waiting -= 1;
      peer.busy += 1;
      return peer.waiting.shift()!;
    }
    return undefined;
  }
}
