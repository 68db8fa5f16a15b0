/**
 * Lesson 15: publish and subscribe. A message goes to those who listen at that moment, and is kept
 * for nobody.
 *
 *     channels   name    → sessions       found by name: O(listeners)
 *     patterns   pattern → sessions       every pattern is tried: keep them few
 *
 * Invariants: a session is in a table exactly when the name is in its own set; tables hold no empty
 * entries.
 * Left out: sharded channels (there is one shard). Messages are neither logged nor replayed.
 * Test: test/15-store.waiting.test.ts
 */
import { command, container, type Command, type Subcommands } from "./command.ts";
import { checkPattern, matches } from "./glob.ts";
import { Refusal } from "../refusal.ts";
import { nameCost, type Session } from "../session.ts";
import type { Store } from "../store.ts";

type Table = Map<string, Set<Session>>;

/** What a client is told about its own subscriptions, and which of its sets they are in. */
interface Kind {
  readonly joined: string;
  readonly left: string;
  readonly mine: "channels" | "patterns";
}

const CHANNEL: Kind = { joined: "subscribe", left: "unsubscribe", mine: "channels" };
const PATTERN: Kind = { joined: "psubscribe", left: "punsubscribe", mine: "patterns" };

export class PubSub {
  readonly channels: Table = new Map();
  readonly patterns: Table = new Map();

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

  /** The client has gone, or said RESET: nobody is told. */
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

  // #region publish
  /**
   * Sends to everyone who listens; a session that listens in two ways gets it twice. Returns how
   * many times it was sent.
   */
  publish(store: Store, channel: string, message: string): number {
    let sent = 0;
    for (const session of this.channels.get(channel) ?? []) {
      store.tell(session, () => write(session, ["message", channel, message]));
      sent++;
    }
    for (const [pattern, listeners] of this.patterns) {
      if (!matches(pattern, channel)) continue;
      for (const session of listeners) {
        store.tell(session, () => write(session, ["pmessage", pattern, channel, message]));
        sent++;
      }
    }
    return sent;
  }
  // #endregion
}

function write({ out }: Session, parts: readonly string[]): void {
  out.push(parts.length);
  for (const part of parts) out.bulk(part);
}

function subscribe(kind: Kind) {
  return (store: Store, session: Session, argv: string[]): void => {
    const names = argv.slice(1);
    if (kind === PATTERN) names.forEach(checkPattern);
    for (const name of names) store.pubsub.join(session, name, kind);
  };
}

/** Without names: all of them; with none at all there is still one answer. */
function unsubscribe(kind: Kind) {
  return (store: Store, session: Session, argv: string[]): void => {
    const names: (string | null)[] = argv.length > 1 ? argv.slice(1) : [...session[kind.mine]];
    if (names.length === 0) names.push(null);
    for (const name of names) store.pubsub.part(session, name, kind);
  };
}

function publish(store: Store, { out }: Session, argv: string[]): void {
  out.int(store.pubsub.publish(store, argv[1]!, argv[2]!));
}

const about: Subcommands = {
  channels: {
    arity: -2,
    run: ({ pubsub: { channels } }, { out }, argv) => {
      if (argv.length > 3) {
        throw new Refusal(
          `ERR unknown subcommand or wrong number of arguments for '${argv[1]!}'. Try PUBSUB HELP.`,
        );
      }
      if (argv[2] !== undefined) checkPattern(argv[2]);
      const names = [...channels.keys()].filter(
        (name) => argv[2] === undefined || matches(argv[2], name),
      );
      out.array(names.length);
      for (const name of names) out.bulk(name);
    },
  },
  numsub: {
    arity: -2,
    run: ({ pubsub: { channels } }, { out }, argv) => {
      out.array(2 * (argv.length - 2));
      for (const name of argv.slice(2)) {
        out.bulk(name);
        out.int(channels.get(name)?.size ?? 0);
      }
    },
  },
  numpat: { arity: 2, run: ({ pubsub: { patterns } }, { out }) => out.int(patterns.size) },
};

export const PUBSUB: readonly Command[] = [
  command("publish", 3, { flags: "pubsub loading stale fast", run: publish }),
  command("subscribe", -2, { flags: "pubsub noscript loading stale", run: subscribe(CHANNEL) }),
  command("unsubscribe", -1, { flags: "pubsub noscript loading stale", run: unsubscribe(CHANNEL) }),
  command("psubscribe", -2, { flags: "pubsub noscript loading stale", run: subscribe(PATTERN) }),
  command("punsubscribe", -1, {
    flags: "pubsub noscript loading stale",
    run: unsubscribe(PATTERN),
  }),
  container("pubsub", { flags: "pubsub loading stale", subcommands: about }),
];
