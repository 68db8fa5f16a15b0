/**
 * Lesson 15: waiting for an element of a list.
 *
 *     BLPOP jobs 0    the session goes to the end of the queue for "jobs"; no answer yet
 *     RPUSH jobs x    after the command (after the whole transaction) the first of the queue gets x
 *
 * Who came first is served first, per key; a session that waits for several keys is served by the
 * first of them that has an element, in the order in which the command named them. What is logged
 * is the LPOP or LMOVE that happened, not the BLPOP or BLMOVE that waited for it.
 *
 * Invariants: a session is in the queue of each of its keys or of none; nobody waits while there is
 * an element to take, once a command is over.
 * Test: test/15-store.waiting.test.ts
 */
import { MAX_TIMER_MS } from "#host";
import type { Keyspace } from "./data/keyspace.ts";
import { List } from "./data/list.ts";
import { Refusal } from "./refusal.ts";
import { nameCost, type Blocked, type Session } from "./session.ts";
import type { StoreHost } from "./types.ts";

type Wait = Pick<Blocked, "keys" | "take">;

export class Blocking {
  /** Per key, those who wait for it, in order of arrival. */
  readonly #queues = new Map<string, Set<Session>>();
  /** Keys that got a list since they were last looked at. */
  readonly #ready = new Set<string>();
  /** Answered, and not told yet that they may go on. */
  #released: Session[] = [];
  #releasing = false;
  readonly #host: StoreHost;

  constructor(host: StoreHost) {
    this.#host = host;
  }

  /** Sessions that wait. */
  get size(): number {
    const waiting = new Set<Session>();
    for (const queue of this.#queues.values()) for (const session of queue) waiting.add(session);
    return waiting.size;
  }

  /** Names that somebody waits for, or whose list is still to be given away. */
  get names(): number {
    return this.#queues.size + this.#ready.size;
  }

  /** Puts the session at the end of the queue for each key. `timeoutMs` 0: for ever. */
  wait(session: Session, { keys, take, timeoutMs }: Wait & { readonly timeoutMs: number }): void {
    const blocked: Blocked = { keys: [...new Set(keys)], take, timer: undefined };
    session.blocked = blocked;
    for (const key of blocked.keys) {
      session.namesBytes += nameCost(key);
      const queue = this.#queues.get(key);
      if (queue === undefined) this.#queues.set(key, new Set([session]));
      else queue.add(session);
    }
    if (timeoutMs > 0) this.#arm(session, this.#host.clock.monotonic() + timeoutMs);
  }

  /** A timer has a longest time; a wait has none. */
  #arm(session: Session, deadline: number): void {
    const left = deadline - this.#host.clock.monotonic();
    session.blocked!.timer = this.#host.timers.after(
      Math.min(Math.ceil(left), MAX_TIMER_MS),
      () => {
        if (deadline > this.#host.clock.monotonic()) return this.#arm(session, deadline);
        this.abandon(session);
        session.out.nilArray();
        session.onPush();
        session.onUnblocked();
      },
    );
  }

  /** There is a list under this key. */
  signal(key: string): void {
    if (this.#queues.size !== 0 && this.#queues.has(key)) this.#ready.add(key);
  }

  // #region serve
  /** Gives one element to one session that waits for it. False: there is nobody left to serve. */
  serve(keyspace: Keyspace): boolean {
    if (this.#ready.size === 0) return false;
    for (const key of this.#ready) {
      const session = this.#queues.get(key)?.values().next().value;
      if (session === undefined || !(keyspace.get(key) instanceof List)) {
        this.#ready.delete(key);
        continue;
      }
      const { keys, take } = session.blocked!;
      this.abandon(session);
      session.wrote = true;
      serveOne(keyspace, session, { keys, take });
      this.#released.push(session);
      return true;
    }
    return false;
  }
  // #endregion

  /**
   * Tells those who were served that they may go on. Their commands may serve others, who are told
   * after them.
   */
  release(): void {
    if (this.#releasing || this.#released.length === 0) return;
    this.#releasing = true;
    for (
      let session = this.#released.shift();
      session !== undefined;
      session = this.#released.shift()
    ) {
      session.onPush();
      session.onUnblocked();
    }
    this.#releasing = false;
  }

  /** Everybody's wait ends with this error. They may go on after the next `release`. */
  dismiss(text: string): void {
    for (const session of new Set([...this.#queues.values()].flatMap((queue) => [...queue]))) {
      this.abandon(session);
      session.out.error(text);
      this.#released.push(session);
    }
  }

  /** The session waits no longer. */
  abandon(session: Session): void {
    if (session.blocked === undefined) return;
    for (const key of session.blocked.keys) {
      session.namesBytes -= nameCost(key);
      const queue = this.#queues.get(key);
      queue?.delete(session);
      if (queue?.size === 0) this.#queues.delete(key);
    }
    session.blocked.timer?.cancel();
    session.blocked = undefined;
  }
}

/** As if the command came now: its keys in its own order, and what is no list is refused. */
function serveOne(keyspace: Keyspace, session: Session, { keys, take }: Wait): void {
  try {
    const key = keys.find((each) => keyspace.list(each) !== undefined)!;
    take(key, keyspace.list(key)!);
  } catch (refusal) {
    if (!(refusal instanceof Refusal)) throw refusal;
    session.out.error(refusal.text);
  }
}
