/**
 * Lesson 15: who listens to which channel. A message goes to those who listen at that moment, and
 * is kept for nobody.
 *
 *     channels   name    → sessions       found by name: O(listeners)
 *     patterns   pattern → sessions       every pattern is tried: keep them few
 *
 * Invariants: a session is in a table exactly when the name is in its own set; tables hold no empty
 * entries.
 * Left out: sharded channels (there is one shard). Messages are neither logged nor replayed.
 * Test: test/15-store.waiting.test.ts
 */
import { matches } from "./commands/glob.ts";
import { nameCost, type Session } from "./session.ts";

type Table = Map<string, Set<Session>>;

/** The words a client hears about its own subscriptions, and the set of the session they are in. */
export interface Kind {
  readonly joined: string;
  readonly left: string;
  readonly mine: "channels" | "patterns";
}

export const CHANNEL: Kind = { joined: "subscribe", left: "unsubscribe", mine: "channels" };
export const PATTERN: Kind = { joined: "psubscribe", left: "punsubscribe", mine: "patterns" };

/** Writes to a session from outside of its own commands: `Store.tell`. */
type Tell = (session: Session, write: () => void) => void;

export class Subscriptions {
  readonly channels: Table = new Map();
  readonly patterns: Table = new Map();
  readonly #tell: Tell;

  constructor(tell: Tell) {
    this.#tell = tell;
  }

  /** Subscribes, and tells the session. */
  join(session: Session, name: string, kind: Kind): void {
    const table = this[kind.mine];
    if (!session[kind.mine].has(name)) session.namesBytes += nameCost(name);
    session[kind.mine].add(name);
    const listeners = table.get(name);
    if (listeners === undefined) table.set(name, new Set([session]));
    else listeners.add(session);
    this.#confirm(session, kind.joined, name);
  }

  /** Unsubscribes, and tells the session. `name` null: it had no subscription to end. */
  part(session: Session, name: string | null, kind: Kind): void {
    if (name !== null) this.#remove(session, name, kind);
    this.#confirm(session, kind.left, name);
  }

  /** Ends all subscriptions of a client that has gone, or said RESET: nobody is told. */
  leave(session: Session): void {
    for (const kind of [CHANNEL, PATTERN]) {
      for (const name of [...session[kind.mine]]) this.#remove(session, name, kind);
    }
    session.subscriptions = 0;
  }

  #remove(session: Session, name: string, { mine }: Kind): void {
    if (!session[mine].delete(name)) return;
    session.namesBytes -= nameCost(name);
    const listeners = this[mine].get(name);
    listeners?.delete(session);
    if (listeners?.size === 0) this[mine].delete(name);
  }

  #confirm(session: Session, word: string, name: string | null): void {
    session.subscriptions = session.channels.size + session.patterns.size;
    session.out.push(3);
    session.out.bulk(word);
    if (name === null) session.out.nil();
    else session.out.bulk(name);
    session.out.int(session.subscriptions);
  }

  /**
   * Sends a message to everyone who listens; a session that listens in two ways gets it twice.
   * Returns how many times it was sent.
   */
  publish(channel: string, message: string): number {
    let sent = 0;
    for (const session of this.channels.get(channel) ?? []) {
      this.#tell(session, () => write(session, ["message", channel, message]));
      sent++;
    }
    for (const [pattern, listeners] of this.patterns) {
      if (!matches(pattern, channel)) continue;
      for (const session of listeners) {
        this.#tell(session, () => write(session, ["pmessage", pattern, channel, message]));
        sent++;
      }
    }
    return sent;
  }
}

function write({ out }: Session, parts: readonly string[]): void {
  out.push(parts.length);
  for (const part of parts) out.bulk(part);
}
