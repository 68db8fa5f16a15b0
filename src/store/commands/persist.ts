/**
 * Lesson 15: commands about the log and about replicas.
 * Test: test/15-store.log.test.ts, test/15-store.replica.test.ts
 */
import { command, type Command } from "./command.ts";
import { Refusal } from "../refusal.ts";
import type { Session } from "../session.ts";
import type { Store } from "../store.ts";

const MEMORY_ONLY = new Refusal("ERR this store lives in memory only");

function bgrewriteaof({ services }: Store, { out }: Session): void {
  if (services === undefined) throw MEMORY_ONLY;
  out.simple(services.rewrite());
}

const NOT_IN_TRANSACTION = new Refusal("ERR Command not allowed inside a transaction");

/** REPLICAOF host port, or REPLICAOF NO ONE. */
function replicaof({ services, inTransaction }: Store, { out }: Session, argv: string[]): void {
  if (inTransaction) throw NOT_IN_TRANSACTION;
  if (services === undefined) throw MEMORY_ONLY;
  const [, host, port] = argv as [string, string, string];
  if (host.toLowerCase() === "no" && port.toLowerCase() === "one") services.follow(undefined);
  else {
    if (!/^[1-9][0-9]{0,4}$/.test(port) || Number(port) > 65_535) {
      throw new Refusal("ERR Invalid master port");
    }
    services.follow({ host, port: Number(port) });
  }
  out.ok();
}

function role({ services }: Store, { out }: Session): void {
  if (services !== undefined) return services.describeRole(out);
  out.array(3);
  out.bulk("master");
  out.int(0);
  out.array(0);
}

function sync({ services, inTransaction }: Store, session: Session, argv: string[]): void {
  if (inTransaction) throw NOT_IN_TRANSACTION;
  if (services === undefined) throw MEMORY_ONLY;
  services.sync(session, { id: argv[1]!, offset: Number(argv[2]) });
}

export const PERSISTENCE: readonly Command[] = [
  command("bgrewriteaof", 1, { flags: "admin noscript", run: bgrewriteaof }),
  command("replicaof", 3, { flags: "admin noscript loading stale", run: replicaof }),
  command("role", 1, { flags: "noscript loading stale fast", run: role }),
  command("titan.sync", 3, { flags: "admin noscript", run: sync }),
];
