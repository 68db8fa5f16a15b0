/**
 * Lesson 15: all commands in one table.
 *
 * Clients send names in capitals or in small letters, hardly ever in both: these two spellings are
 * keys of the map, any other is converted on its way.
 * Test: test/15-store.test.ts
 */
import { invariant } from "#base";
import type { Command } from "./command.ts";
import { CONNECTION } from "./connection.ts";
import { HASHES } from "./hashes.ts";
import { commandCommand } from "./introspection.ts";
import { KEYS } from "./keys.ts";
import { LISTS } from "./lists.ts";
import { PERSISTENCE } from "./persist.ts";
import { PUBSUB } from "./pubsub.ts";
import { SETS } from "./sets.ts";
import { STRINGS } from "./strings.ts";
import { TRANSACTIONS } from "./transactions.ts";

const COMMAND = commandCommand({ all: () => COMMANDS, find: (name) => findCommand(name) });

export const COMMANDS: readonly Command[] = [
  ...CONNECTION, ...STRINGS, ...KEYS, ...SETS, ...HASHES, ...LISTS, ...TRANSACTIONS, ...PUBSUB,
  ...PERSISTENCE, COMMAND,
];

const byName = new Map<string, Command>();
for (const command of COMMANDS) {
  invariant(!byName.has(command.name), `one command ${command.name}`);
  byName.set(command.name, command);
  byName.set(command.name.toUpperCase(), command);
}

const LONGEST_NAME = Math.max(...COMMANDS.map(({ name }) => name.length));

export function findCommand(name: string): Command | undefined {
  return (
    byName.get(name) ?? (name.length > LONGEST_NAME ? undefined : byName.get(name.toLowerCase()))
  );
}
