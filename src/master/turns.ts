/**
 * Lesson 10: long answers, made when their reader has room for them and its turn has come.
 *
 *     room?  the stream has credit, and its connection is not behind
 *       ▲      │
 *       │      ▼
 *       │    turn?  peers in a ring, a few pages at a time
 *       │      │
 *       │      ▼
 *       └──  the page is made, and sent
 *
 * A request of eighty bytes may want 64 MiB. Made at once, a thousand of them fill the memory and
 * keep the loop busy for seconds, whether anybody reads the answers or not. Made page by page, an
 * answer that nobody reads is never made; and peers take turns, so that a short answer waits behind
 * a few pages and not behind a thousand requests.
 *
 * Invariants: no page is made for a reader without room; at most `atOnce` are in the making,
 * `perPeer` of one peer; in one turn of the event loop no page is begun once `msPerTurn` went into
 * others, but for a peer that has had next to nothing, and after twice that none at all; the peer
 * with the least of late is next, and requests of one peer are served in order.
 * Test: test/10-master.turns.test.ts
 */
import type { Host } from "#host";
import type { IncomingRequest } from "#rpc";

export interface TurnsOptions {
  readonly host: Host;
  readonly atOnce: number;
  readonly perPeer: number;
  readonly msPerTurn: number;
}

/**
 * The time after which an answer that a peer has had counts half: long against a page, short
 * against a person's patience.
 */
const HALF_LIFE_MS = 250;

/**
 * A peer that has had less of late has asked for something short, and need not wait for the next
 * turn of the loop.
 */
const LIGHT_MS = 1;
/**
 * What a page costs that its reader makes later, when it has read it from a file: 256 KiB are
 * hashed or encoded in about this time.
 */
const PACED_MS = 1;
/** Of the places for pages in the making: the rest is for those who have had little. */
const HEAVY_SHARE = 0.75;

interface Peer {
  /** Begins a page: what has to be done now is done when it returns. */
  readonly waiting: (() => void)[];
  busy: number;
}

type Done = () => void;
type Body = Uint8Array | undefined;

export class Turns {
  readonly #options: TurnsOptions;
  /** Those who wait or make something, the one that was served last at the end. */
  readonly #peers = new Map<object, Peer>();
  /**
   * Milliseconds of the loop that went into a peer's pages, as of some time. They outlast its
   * requests.
   */
  readonly #had = new WeakMap<object, { ms: number; at: number }>();
  #busy = 0;
  #waiting = 0;
  /** Milliseconds that went into pages in this turn of the loop. */
  #spent = 0;
  /** What the page that has just begun will cost beside what it has cost. */
  #later = 0;
  #granting = false;
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
  /**
   * Waits for room and for the turn, and then begins `make` at once. Undefined: nobody wants the
   * page any more.
   */
  async begin<T>(
    request: IncomingRequest,
    peer: object,
    make: (done: Done) => T,
  ): Promise<{ made: T } | undefined> {
    for (;;) {
      await request.drained();
      if (request.over) return undefined;
      // Another request of this peer may be faster, and take the room.
      const made = await this.#inTurn(peer, (done) =>
        request.hasRoom && !request.over ? { made: make(done) } : done(),
      );
      if (made !== undefined) return made;
    }
  }
  // #endregion

  /** For a reader that makes its pages itself: resolves with what ends its turn. */
  async pace(request: IncomingRequest, peer: object): Promise<Done | undefined> {
    const begun = await this.begin(request, peer, (done) => {
      this.#later += PACED_MS;
      return done;
    });
    return begun?.made;
  }

  /**
   * One item of a stream. `make` may say undefined: there is nothing (more) to send. False: no more
   * is wanted.
   */
  async send(
    request: IncomingRequest,
    peer: object,
    make: () => Body | Promise<Body>,
  ): Promise<boolean> {
    const begun = await this.begin(request, peer, (done) => settle(make, done));
    const body = await begun?.made;
    if (body === undefined || request.over) return false;
    request.item(body);
    return !request.over;
  }

  /** The same for a request that has one answer, which may be large. */
  async reply(
    request: IncomingRequest,
    peer: object,
    make: () => Uint8Array | Promise<Uint8Array>,
  ): Promise<void> {
    const begun = await this.begin(request, peer, (done) => settle(make, done));
    if (begun !== undefined) request.reply(await begun.made);
  }

  /** Resolves when `peer` may do something of its own; call what it resolves with afterwards. */
  take(peer: object): Promise<Done> {
    return this.#inTurn(peer, (done) => done);
  }

  #inTurn<T>(owner: object, start: (done: Done) => T): Promise<T> {
    return new Promise((resolve, reject) => {
      const peer = this.#peers.get(owner) ?? { waiting: [], busy: 0 };
      this.#peers.set(owner, peer);
      let isOver = false;
      const done = (): void => {
        if (isOver) return;
        isOver = true;
        this.#done(owner, peer);
      };
      peer.waiting.push(() => {
        try {
          resolve(start(done));
        } catch (error) {
          done();
          reject(error as Error);
        }
      });
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
    if (this.#granting) return; // it is in the loop below, and comes round
    this.#granting = true;
    const { host: { clock, timers }, atOnce, msPerTurn } = this.#options;
    // Twenty peers that have just come have all had nothing: they do not fill a turn either.
    while (this.#waiting > 0 && this.#busy < atOnce && this.#spent < 2 * msPerTurn) {
      const isFull = this.#spent >= msPerTurn || this.#busy >= HEAVY_SHARE * atOnce;
      const next = this.#next(isFull ? LIGHT_MS : Infinity);
      // the next turn of the loop, or the end of a page, comes back here
      if (next === undefined) break;
      const [owner, peer] = next;
      this.#waiting -= 1;
      this.#busy += 1;
      peer.busy += 1;
      const before = clock.monotonic();
      peer.waiting.shift()!();
      const ms = clock.monotonic() - before + this.#later;
      this.#later = 0;
      this.#spent += ms;
      this.#had.set(owner, { ms: this.#hadBy(owner) + ms, at: before });
    }
    this.#granting = false;
    if (this.#planned || this.#spent === 0) return;
    this.#planned = true;
    // Every other turn of the loop is free of pages: what came in during one is answered before the
    // next.
    timers.soon(() => timers.soon(() => {
      this.#planned = false;
      this.#spent = 0;
      this.#grant();
    }));
  }

  /**
   * Of the peers that wait and may have one more, the one that has had the least of late; of
   * equals, the one that was served longest ago.
   */
  #next(most: number): [object, Peer] | undefined {
    let best: [object, Peer] | undefined;
    let least = most;
    for (const [owner, peer] of this.#peers) {
      if (peer.waiting.length === 0 || peer.busy >= this.#options.perPeer) continue;
      const had = this.#hadBy(owner);
      if (had < least) [best, least] = [[owner, peer], had];
    }
    if (best !== undefined) {
      this.#peers.delete(best[0]);
      this.#peers.set(...best);
    }
    return best;
  }
  // #endregion

  #hadBy(owner: object): number {
    const had = this.#had.get(owner);
    if (had === undefined) return 0;
    const halvings = (this.#options.host.clock.monotonic() - had.at) / HALF_LIFE_MS;
    return had.ms * 2 ** -halvings;
  }
}

async function settle<T>(make: () => T | Promise<T>, done: Done): Promise<T> {
  try {
    return await make();
  } finally {
    done();
  }
}
