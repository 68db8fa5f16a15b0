/**
 * Lesson 15: what a command is.
 *
 * Each family of commands (strings.ts, lists.ts, …) is a table of these; table.ts puts the tables
 * together.
 * Test: test/15-store.test.ts
 */
import { oneLine, QUOTED_CHARS, Refusal, wrongArity } from "../refusal.ts";
import type { Session } from "../session.ts";
import type { Store } from "../store.ts";

/**
 * Does the command: reads `argv`, answers into `session.out`, or throws a `Refusal` before it
 * changes anything.
 */
export type Run = (store: Store, session: Session, argv: string[]) => void;

/**
 * Where the keys stand in argv: from `first` to `last` (negative: from the end), every `step`. [0,
 * 0, 0]: no keys.
 */
export type KeyPlaces = readonly [first: number, last: number, step: number];

export const NO_KEYS: KeyPlaces = [0, 0, 0];
export const ONE_KEY: KeyPlaces = [1, 1, 1];
export const TWO_KEYS: KeyPlaces = [1, 2, 1];
export const ALL_KEYS: KeyPlaces = [1, -1, 1];

export interface Command {
  /** In lower case, as Redis's error texts have it. */
  readonly name: string;
  /** Elements of argv, the name included: exactly so many, or, when negative, at least so many. */
  readonly arity: number;
  /**
   * Redis's words: write, readonly, fast, blocking, pubsub, noscript, loading, stale, no-auth, …
   */
  readonly flags: readonly string[];
  readonly keys: KeyPlaces;
  /** Changes the keyspace: it is logged, and a replica refuses it. */
  readonly write: boolean;
  /** May make the data larger: it is refused when there is too much. */
  readonly denyoom: boolean;
  /** Allowed before AUTH. */
  readonly open: boolean;
  /** Done at once even between MULTI and EXEC. */
  readonly immediate: boolean;
  /** Allowed to a RESP2 client that has subscriptions. */
  readonly whileSubscribed: boolean;
  /**
   * Subcommands that do not exist, or have the wrong number of arguments, are refused before MULTI
   * queues them.
   */
  readonly check: ((argv: readonly string[]) => void) | undefined;
  /** Names in lower case. Empty: it is no family. */
  readonly subcommands: readonly string[];
  readonly run: Run;
}

const IMMEDIATE = new Set(["exec", "discard", "multi", "watch", "quit", "reset"]);
const WHILE_SUBSCRIBED = new Set([
  "ping", "subscribe", "unsubscribe", "psubscribe", "punsubscribe", "quit", "reset",
]);

interface CommandOptions {
  /** A list of words, separated by spaces. */
  readonly flags: string;
  readonly keys?: KeyPlaces;
  readonly check?: (argv: readonly string[]) => void;
  readonly subcommands?: readonly string[];
  readonly run: Run;
}

export function command(name: string, arity: number, options: CommandOptions): Command {
  const flags = options.flags.split(" ");
  return {
    name, arity, flags, keys: options.keys ?? NO_KEYS,
    write: flags.includes("write"), denyoom: flags.includes("denyoom"),
    open: flags.includes("no-auth"),
    immediate: IMMEDIATE.has(name), whileSubscribed: WHILE_SUBSCRIBED.has(name),
    check: options.check, subcommands: options.subcommands ?? [], run: options.run,
  };
}

/** "config|get" for a subcommand, as error texts and CLIENT LIST have it. */
export function fullName({ name, subcommands }: Command, argv: readonly string[]): string {
  return subcommands.length === 0 || argv.length === 1 ? name : `${name}|${argv[1]!.toLowerCase()}`;
}

/** True: so many elements of argv are right for it. */
export function acceptsArity({ arity }: { readonly arity: number }, length: number): boolean {
  return arity > 0 ? length === arity : length >= -arity;
}

/** The keys of one call. */
export function keysOf({ keys: [first, last, step] }: Command, argv: readonly string[]): string[] {
  if (first === 0) return [];
  // -1 is the last argument, -2 the one before it.
  const end = last === -1 ? argv.length : last + 1;
  return argv.slice(first, end).filter((_, i) => i % step === 0);
}

/**
 * The subcommands of a container (CONFIG, CLIENT, …) by name in lower case; arity as of a command.
 */
export type Subcommands = Readonly<Record<string, { readonly arity: number; readonly run: Run }>>;

/** A command that is a family of its own, HELP included. `alone` runs without a subcommand. */
export function container(
  name: string,
  { flags, alone, subcommands: own }: { flags: string; alone?: Run; subcommands: Subcommands },
): Command {
  const subcommands: Subcommands = {
    ...own,
    help: { arity: 2, run: (_store, session) => help(session, name, Object.keys(own)) },
  };
  const find = (argv: readonly string[]): Subcommands[string] => {
    const word = argv[1]!.toLowerCase();
    const found = Object.hasOwn(subcommands, word) ? subcommands[word] : undefined;
    if (found === undefined) {
      const quoted = argv[1]!.slice(0, QUOTED_CHARS);
      const text = `ERR unknown subcommand '${quoted}'. Try ${name.toUpperCase()} HELP.`;
      throw new Refusal(oneLine(text));
    }
    if (!acceptsArity(found, argv.length)) throw wrongArity(`${name}|${word}`);
    return found;
  };
  return command(name, alone === undefined ? -2 : -1, {
    flags,
    subcommands: Object.keys(subcommands),
    check: (argv) => {
      if (argv.length > 1) find(argv);
    },
    run: (store, session, argv) =>
      (argv.length > 1 ? find(argv).run : alone!)(store, session, argv),
  });
}

function help({ out }: Session, name: string, words: readonly string[]): void {
  const lines = [
    `${name.toUpperCase()} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:`,
    ...[...words, "help"].map((word) => word.toUpperCase()),
  ];
  out.array(lines.length);
  for (const line of lines) out.simple(line);
}
