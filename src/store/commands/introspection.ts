/**
 * Lesson 15: COMMAND, by which clients learn what there is, and where the keys stand in it.
 *
 * Left out: DOCS. redis-cli, which asks for it, has a table of its own for servers without it, and
 * shows that.
 * Test: test/15-store.commands.test.ts
 */
import { container, keysOf, NO_KEYS, acceptsArity, type Command, type Subcommands } from "./command.ts";
import { checkPattern, matches } from "./glob.ts";
import { parseInteger } from "./numbers.ts";
import { Refusal, SYNTAX_ERROR } from "../refusal.ts";
import type { Replies } from "../types.ts";

/** All are asked when a client asks: this command is itself one of all. */
interface Table {
  all(): readonly Command[];
  find(name: string): Command | undefined;
  /** The kind of data it is about, as an ACL category. */
  groupOf(command: Command): string | undefined;
}

export function commandCommand({ all, find, groupOf }: Table): Command {
  const subcommands: Subcommands = {
    count: { arity: 2, run: (_store, { out }) => out.int(all().length) },
    info: {
      arity: -2,
      run: (_store, { out }, argv) =>
        writeEach(out, argv.length > 2 ? argv.slice(2).map(find) : all()),
    },
    list: {
      arity: -2,
      run: (_store, { out }, argv) => {
        const wanted = filter(argv, groupOf);
        const found = all().flatMap((each) => namesOf(each).filter((name) => wanted(each, name)));
        out.array(found.length);
        for (const name of found) out.bulk(name);
      },
    },
    getkeys: {
      arity: -3,
      run: (_store, { out }, argv) => {
        const named = find(argv[2]!);
        if (named === undefined) throw new Refusal("ERR Invalid command specified");
        const keys = keysIn(named, argv.slice(2));
        out.array(keys.length);
        for (const key of keys) out.bulk(key);
      },
    },
  };
  return container("command", {
    flags: "loading stale",
    alone: (_store, { out }) => writeEach(out, all()),
    subcommands,
  });
}

/** A family is listed with all of its members: "config", "config|get", … */
function namesOf({ name, subcommands }: Command): string[] {
  return [name, ...subcommands.map((word) => `${name}|${word}`)];
}

type Wanted = (command: Command, fullName: string) => boolean;

/** What COMMAND LIST says behind FILTERBY. */
function filter(argv: readonly string[], groupOf: Table["groupOf"]): Wanted {
  const [, , filterBy, kind = "", value = ""] = argv;
  if (filterBy === undefined) return () => true;
  if (argv.length !== 5 || !/^filterby$/i.test(filterBy)) throw SYNTAX_ERROR;
  switch (kind.toLowerCase()) {
    case "module":
      return () => false; // there are none
    case "pattern": {
      const pattern = checkPattern(value).toLowerCase();
      return (_command, name) => matches(pattern, name);
    }
    case "aclcat":
      return (each, name) => categories(each, name, groupOf(each)).includes(value.toLowerCase());
    default:
      throw SYNTAX_ERROR;
  }
}

/** What an administrator would not give to everybody, though its flags do not say so. */
const DANGEROUS = new Set(["keys", "flushall", "flushdb", "info", "role"]);
const ADMIN = new Set(["role", "client|list", "client|no-evict"]);

/** Redis derives most ACL categories from flags. Of a family only its members are in its group. */
function categories(command: Command, name: string, group: string | undefined): string[] {
  const { flags, subcommands } = command;
  if (subcommands.length > 0 && !name.includes("|")) return ["slow"];
  const isAdmin = flags.includes("admin") || ADMIN.has(name);
  const found = [flags.includes("fast") ? "fast" : "slow"];
  if (group !== undefined) found.push(group);
  if (flags.includes("write")) found.push("write");
  if (flags.includes("readonly")) found.push("read");
  if (isAdmin) found.push("admin");
  if (isAdmin || DANGEROUS.has(name)) found.push("dangerous");
  return [...found, ...["pubsub", "blocking"].filter((flag) => flags.includes(flag))];
}

/** The keys of a call that is asked about and not made. */
function keysIn(named: Command, argv: readonly string[]): string[] {
  const isCounted = named.flags.includes("movablekeys");
  if (named.keys === NO_KEYS && !isCounted) {
    throw new Refusal("ERR The command has no key arguments");
  }
  if (!acceptsArity(named, argv.length)) {
    throw new Refusal("ERR Invalid number of arguments specified for command");
  }
  if (!isCounted) return keysOf(named, argv);
  const wanted = Number(parseInteger(argv[1]!) ?? 0);
  if (wanted < 1 || wanted > argv.length - 2) {
    throw new Refusal("ERR Invalid arguments specified for command");
  }
  return argv.slice(2, 2 + wanted);
}

function writeEach(out: Replies, commands: readonly (Command | undefined)[]): void {
  out.array(commands.length);
  for (const each of commands) {
    if (each === undefined) out.nil();
    else write(out, each);
  }
}

/**
 * Ten things: name, arity, flags, the three key places, and (of which we have none) categories,
 * tips, key rules, subcommands.
 */
function write(out: Replies, { name, arity, flags, keys }: Command): void {
  out.array(10);
  out.bulk(name);
  out.int(arity);
  const known = flags.filter((flag) => flag !== "no-auth");
  out.set(known.length);
  for (const flag of known) out.simple(flag);
  for (const place of keys) out.int(place);
  out.set(0);
  for (let i = 0; i < 3; i++) out.array(0);
}
