/**
 * Lesson 15: waiting for an element of a list.
 *
 *     BLPOP jobs 0    the session goes to the end of the queue for "jobs"; no answer yet
 *     RPUSH jobs x    after the command (after the whole transaction) the first of the queue gets x
 *
 * Per key, the session that came first is served first; a session that waits for several keys is
 * served from the first of them that has an element, in the order in which its command named them.
 * The log gets the LPOP or LMOVE that happened, not the BLPOP or BLMOVE that waited for it.
 *
 * Invariants: a session is in the queue of each of its keys or of none; once a command is over,
 * nobody waits for a key that has an element.
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
  /** Per key, the sessions that wait for it, in order of arrival. */
  readonly #queues = new Map<string, Set<Session>>();
  /** Keys that got a list since `serve` last looked at them. */
  readonly #ready = new Set<string>();
  /** Sessions that are answered, and were not told yet that they may go on. */
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

  /** Keys that somebody waits for. */
  get names(): number {
    return this.#queues.size;
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

  /** A timer runs for MAX_TIMER_MS at most. For a longer wait it is set again. */
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

  /** Takes note that there is a list under this key. */
  signal(key: string): void {
    if (this.#queues.has(key)) this.#ready.add(key);
  }

  /** Gives one element to one session that waits for it. False: there is nobody left to serve. */
  serve(keyspace: Keyspace): boolean {
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

  /**
   * Tells the sessions that were served that they may go on. Their next commands may serve other
   * sessions, which are told after them.
   */
  release(): void {
    if (this.#releasing) return;
    this.#releasing = true;
    // The list may grow meanwhile.
    while (this.#released.length > 0) {
      const session = this.#released.shift()!;
      session.onPush();
      session.onUnblocked();
    }
    this.#releasing = false;
  }

  /** Ends every wait with this error. The sessions may go on after the next `release`. */
  dismiss(text: string): void {
    for (const session of new Set([...this.#queues.values()].flatMap((queue) => [...queue]))) {
      this.abandon(session);
      session.out.error(text);
      this.#released.push(session);
    }
  }

  /** Takes the session out of all queues. */
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

/**
 * Does the command as if it came now: looks at its keys in its own order, and refuses a key that
 * holds no list.
 */
function serveOne(keyspace: Keyspace, session: Session, { keys, take }: Wait): void {
  try {
    const key = keys.find((each) => keyspace.list(each) !== undefined)!;
    take(key, keyspace.list(key)!);
  } catch (refusal) {
    if (!(refusal instanceof Refusal)) throw refusal;
    session.out.error(refusal.text);
  }
}
