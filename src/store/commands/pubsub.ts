/**
 * Lesson 15: publish and subscribe. The tables of listeners are in subscriptions.ts.
 * Test: test/15-store.waiting.test.ts
 */
import { command, container, type Command, type Subcommands } from "./command.ts";
import { checkPattern, matches } from "./glob.ts";
import { Refusal } from "../refusal.ts";
import type { Session } from "../session.ts";
import type { Store } from "../store.ts";
import { CHANNEL, PATTERN, type Kind } from "../subscriptions.ts";

function subscribe(kind: Kind) {
  return (store: Store, session: Session, argv: string[]): void => {
    const names = argv.slice(1);
    if (kind === PATTERN) names.forEach(checkPattern);
    for (const name of names) store.subscriptions.join(session, name, kind);
  };
}

/** Without names: all of them; with none at all there is still one answer. */
function unsubscribe(kind: Kind) {
  return (store: Store, session: Session, argv: string[]): void => {
    const names: (string | null)[] = argv.length > 1 ? argv.slice(1) : [...session[kind.mine]];
    if (names.length === 0) names.push(null);
    for (const name of names) store.subscriptions.part(session, name, kind);
  };
}

function publish(store: Store, { out }: Session, argv: string[]): void {
  out.int(store.subscriptions.publish(argv[1]!, argv[2]!));
}

const about: Subcommands = {
  channels: {
    arity: -2,
    run: ({ subscriptions: { channels } }, { out }, argv) => {
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
    run: ({ subscriptions: { channels } }, { out }, argv) => {
      out.array(2 * (argv.length - 2));
      for (const name of argv.slice(2)) {
        out.bulk(name);
        out.int(channels.get(name)?.size ?? 0);
      }
    },
  },
  numpat: { arity: 2, run: ({ subscriptions: { patterns } }, { out }) => out.int(patterns.size) },
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
