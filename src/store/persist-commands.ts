/**
 * Lesson 15: commands about the log and about replicas.
 * Test: test/15-store.log.test.ts, test/15-store.replica.test.ts
 */
import { command, type Command } from "./command.ts";
import { Refusal } from "./refusal.ts";
import type { Session } from "./session.ts";
import type { Store } from "./store.ts";

const MEMORY_ONLY = new Refusal("ERR this store lives in memory only");

function bgrewriteaof({ services }: Store, { out }: Session): void {
  if (services === undefined) throw MEMORY_ONLY;
  out.simple(services.rewrite());
}

export const PERSISTENCE: readonly Command[] = [
  command("bgrewriteaof", 1, { flags: "admin noscript", run: bgrewriteaof }),
];
