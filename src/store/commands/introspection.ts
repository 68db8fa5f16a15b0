/**
 * Lesson 15: COMMAND, by which clients learn the commands, and where keys stand in them.
 *
 * Left out: GETKEYS, filters of LIST, and DOCS. redis-cli, which asks for DOCS, has a table of its
 * own for servers without it, and shows that.
 * Test: test/15-store.commands.test.ts
 */
import { container, type Command, type Subcommands } from "./command.ts";
import type { Replies } from "../types.ts";

/** The table is asked when a client asks: this command is itself a row of it. */
interface Table {
  all(): readonly Command[];
  find(name: string): Command | undefined;
}

export function commandCommand({ all, find }: Table): Command {
  const subcommands: Subcommands = {
    count: { arity: 2, run: (_store, { out }) => out.int(all().length) },
    info: {
      arity: -2,
      run: (_store, { out }, argv) =>
        writeEach(out, argv.length > 2 ? argv.slice(2).map(find) : all()),
    },
    list: {
      arity: 2,
      run: (_store, { out }) => {
        const names = all().flatMap(namesOf);
        out.array(names.length);
        for (const name of names) out.bulk(name);
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
