/**
 * Lesson 14: connections to services, through the master: from a client to a READY replica, over
 * the connection that its worker has made.
 *
 *     client ── FORWARD web ──▶ wait until a replica is READY ─▶ the one with the fewest open
 *     client ◀── PULL ───┐                                                │
 *                        └── join ◀── CONNECT attempt ──▶ worker ◀────────┘
 *
 * Nothing of this is an event: a connection ends with the process that it goes through.
 *
 * Invariants: an attempt that has failed to take a connection is not asked again before something
 * has changed; bytes that wait here count for the client, who is the one that asked for them; with
 * nothing under way every count here is 0.
 * Test: test/14-services.forward.test.ts
 */
import { durationText } from "#base";
import { findServices, reachable, type Job } from "#core";
import type { Host } from "#host";
import {
  RpcError, Windows, type IncomingRequest, type RpcConnection, type RpcStream,
} from "#rpc";
import { accept, join, Opener, type End } from "#tunnel";
import {
  Connect, Forward, FORWARD_WINDOWS, LEASE_MS, MAX_FORWARDED, Op, type AttemptKey,
} from "#wire";
import type { Engine } from "./engine.ts";
import { FORWARD_SPARE_IN_ALL, MAX_FORWARDED_IN_ALL } from "./limits.ts";
import type { WorkerLink, Workers } from "./workers.ts";

/** A new connection waits so long for a replica: a lease that ends, and a start after it. */
const WAIT_MS = LEASE_MS + 11_000;
/** A worker dials for 2 s and says so. One that says nothing may be frozen: another is asked. */
const DIAL_MS = 5000;
/** A connection beyond the most waits a moment for one that is ending. */
const PLACE_MS = 1000;
const PLACE_AGAIN_MS = 20;
/** Between two looks without news: a worker may be back, or a program may listen again. */
const AGAIN_MS = 250;

/** A replica that may be asked, and how many forwarded connections it has. */
interface Replica {
  readonly key: AttemptKey;
  readonly name: string;
  readonly link: WorkerLink;
  readonly open: number;
}

interface Dialler {
  readonly service: string;
  readonly request: IncomingRequest;
  readonly client: RpcConnection;
}

// #region choose
/** One with the fewest connections; where several have as few, they take turns. */
export function fewestOpen<T extends { readonly open: number }>(
  replicas: readonly T[], turn: number,
): T | undefined {
  const least = Math.min(...replicas.map(({ open }) => open));
  const equal = replicas.filter(({ open }) => open === least);
  return equal[turn % equal.length];
}
// #endregion

export class Forwards {
  readonly #host: Host;
  readonly #engine: () => Engine;
  readonly #workers: () => Workers;
  readonly #windows = new Windows({ ...FORWARD_WINDOWS, spareBytes: FORWARD_SPARE_IN_ALL });
  readonly #opener = new Opener(this.#windows);
  /** Open connections of each attempt and of each peer, where there are any. */
  readonly #ofAttempt = new Tally<string>();
  readonly #ofPeer = new Tally<RpcConnection>();
  #open = 0;
  #turn = 0;
  /** New connections that wait for a replica, and others who wait for news. */
  readonly #waiting = new Set<() => void>();

  constructor(options: { host: Host; engine(): Engine; workers(): Workers }) {
    this.#host = options.host;
    this.#engine = options.engine;
    this.#workers = options.workers;
  }

  /** All that is under way, those included that wait for a replica. */
  get size(): number {
    const counted = Math.max(this.#open, this.#ofAttempt.size);
    return counted + this.#opener.size + this.#waiting.size;
  }

  /** Forwarded connections to an attempt that are open, or being opened. */
  readonly openOf = (key: AttemptKey): number => this.#ofAttempt.of(nameOf(key));

  /** A service is in another state: those who wait look again, after the event that says so. */
  changed(): void {
    if (this.#waiting.size > 0) this.#host.timers.soon(() => this.#wakeAll());
  }

  /** A client wants a connection. Resolves when it is over. */
  async open(request: IncomingRequest, client: RpcConnection): Promise<void> {
    const { service, id, bare } = Forward.decode(request.body);
    findServices(this.#engine().state, service, "forward");
    if (id === 0) return request.end();
    await this.#room(service, { request, client });
    if (request.over) return;
    this.#count(client, 1);
    try {
      const far = await this.#reach({ service, request, client });
      if (far === undefined) return;
      const held = (bytes: number): void => client.hold(bytes);
      const near = accept(request, { connection: client, id, bare, held, windows: this.#windows });
      await join(near, far.end).finally(far.release);
    } finally {
      this.#count(client, -1);
    }
  }

  /** A worker has dialled, and asks for what its service is to hear. */
  pulled(request: IncomingRequest, worker: RpcConnection): void {
    this.#opener.pulled(request, worker);
  }

  // #region reach
  /** Undefined: the client has given up. */
  async #reach(dialler: Dialler): Promise<{ end: End; release(): void } | undefined> {
    const { service, request } = dialler;
    const until = this.#host.clock.monotonic() + WAIT_MS;
    const failed = new Set<string>();
    let why = "";
    while (!request.over) {
      const leftMs = until - this.#host.clock.monotonic();
      if (leftMs <= 0) throw unreached(service, why || this.#stateOf(service));
      const replicas = this.#replicas(service).filter(({ name }) => !failed.has(name));
      const chosen = fewestOpen(replicas, this.#turn++);
      if (chosen === undefined) {
        await this.#news(request, Math.min(AGAIN_MS, leftMs));
        failed.clear();
        continue;
      }
      const release = this.#take(chosen);
      try {
        return { end: await this.#dial(chosen, { ...dialler, leftMs }), release };
      } catch (error) {
        release();
        if (!(error instanceof RpcError)) throw error;
        failed.add(chosen.name);
        why = error.message.replace(/^Cannot connect: /, "");
      }
    }
    return undefined;
  }
  // #endregion

  #stateOf(service: string): string {
    const [job] = findServices(this.#engine().state, service, "forward");
    return `${job!.spec.id} is ${job!.service?.phase ?? "PENDING"}`;
  }

  /** Those whose worker is here, and has room. */
  #replicas(service: string): Replica[] {
    return reachable(this.#engine().state, service).flatMap((job) => {
      const link = this.#workers().links.get(job.worker!);
      if (link === undefined || link.connection.closed) return [];
      if (this.#ofPeer.of(link.connection) >= MAX_FORWARDED) return [];
      const key = keyOf(job);
      return [{ key, name: nameOf(key), link, open: this.openOf(key) }];
    });
  }

  async #dial(replica: Replica, dialler: Dialler & { leftMs: number }): Promise<End> {
    const { key, link } = replica;
    const { request, client, leftMs } = dialler;
    let says: RpcStream | undefined;
    let isLate = false;
    const timer = this.#host.timers.after(Math.min(DIAL_MS, leftMs), () => {
      isLate = true;
      says?.cancel();
    });
    try {
      return await this.#opener.open(link.connection, {
        opcode: Op.CONNECT,
        body: (id) => Connect.encode({ ...key, worker: link.id, id, bare: true }),
        held: (bytes) => client.hold(bytes),
        onStream: (stream) => {
          says = stream;
          request.onCancel(() => stream.cancel());
        },
      });
    } catch (error) {
      throw isLate ? new RpcError("DEADLINE", "its worker has not answered") : error;
    } finally {
      timer.cancel();
    }
  }

  #take({ name, link }: Replica): () => void {
    this.#ofAttempt.add(name, 1);
    this.#ofPeer.add(link.connection, 1);
    return () => {
      this.#ofAttempt.add(name, -1);
      this.#ofPeer.add(link.connection, -1);
      // The last one of a replica that drains: it is stopped.
      this.#engine().look();
    };
  }

  #count(client: RpcConnection, by: 1 | -1): void {
    this.#open += by;
    this.#ofPeer.add(client, by);
  }

  /** A client knows of an end before it is counted here: a place that it takes is free soon. */
  async #room(service: string, { request, client }: Omit<Dialler, "service">): Promise<void> {
    const until = this.#host.clock.monotonic() + PLACE_MS;
    for (;;) {
      const why = this.#isFull(client);
      if (why === undefined || request.over) return;
      if (this.#host.clock.monotonic() >= until) {
        throw new RpcError("OVERLOADED", `Cannot forward to "${service}": ${why}`);
      }
      await this.#news(request, PLACE_AGAIN_MS);
    }
  }

  #isFull(client: RpcConnection): string | undefined {
    const full = (most: number, whose: string): string =>
      `${whose} has ${most} forwarded connections, the most it may`;
    if (this.#ofPeer.of(client) >= MAX_FORWARDED) return full(MAX_FORWARDED, "this client");
    if (this.#open < MAX_FORWARDED_IN_ALL) return undefined;
    return full(MAX_FORWARDED_IN_ALL, "this master");
  }

  /** Until a service changes, the client gives up, or the time has passed. */
  #news(request: IncomingRequest, ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        timer.cancel();
        this.#waiting.delete(done);
        resolve();
      };
      const timer = this.#host.timers.after(ms, done);
      this.#waiting.add(done);
      request.onCancel(done);
    });
  }

  #wakeAll(): void {
    for (const wake of [...this.#waiting]) wake();
  }
}

/** How many there are of each, where there are any. */
class Tally<Key> {
  readonly #counts = new Map<Key, number>();

  get size(): number {
    return this.#counts.size;
  }

  of(key: Key): number {
    return this.#counts.get(key) ?? 0;
  }

  add(key: Key, by: number): void {
    const count = this.of(key) + by;
    if (count === 0) this.#counts.delete(key);
    else this.#counts.set(key, count);
  }
}

function unreached(service: string, why: string): RpcError {
  const waited = `no replica took the connection within ${durationText(WAIT_MS)}`;
  return new RpcError("OVERLOADED", `Cannot forward to "${service}": ${waited} (${why})`);
}

function keyOf({ run, index, attempt }: Job): AttemptKey {
  return { run: run.number, job: index, attempt };
}

function nameOf({ run, job, attempt }: AttemptKey): string {
  return `${run}/${job}/${attempt}`;
}
