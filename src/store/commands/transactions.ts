/**
 * Lesson 15: several commands as one.
 *
 *     WATCH k · GET k · MULTI · SET k … · EXEC      nil if k was changed since the WATCH: try again
 *
 * MULTI holds commands back, and EXEC runs them in one go: there is no other command in between,
 * because there is one thread. A command that fails in there does not undo the others. WATCH is the
 * optimistic half: it locks no key, and takes note that the key was read.
 * Test: test/15-store.waiting.test.ts
 */
import { ALL_KEYS, command, type Command } from "./command.ts";
import { Refusal } from "../refusal.ts";
import type { Session } from "../session.ts";
import type { Store } from "../store.ts";

function multi(_store: Store, session: Session): void {
  if (session.queue !== undefined) throw new Refusal("ERR MULTI calls can not be nested");
  session.queue = [];
  session.queuedBytes = 0;
  session.queueBroken = false;
  session.out.ok();
}

function discard(store: Store, session: Session): void {
  if (session.queue === undefined) throw new Refusal("ERR DISCARD without MULTI");
  session.queue = undefined;
  store.unwatch(session);
  session.out.ok();
}

function exec(store: Store, session: Session): void {
  const { queue } = session;
  if (queue === undefined) throw new Refusal("ERR EXEC without MULTI");
  session.queue = undefined;
  // A watched key that has expired counts as changed: `has` removes it, and that sets `touched`.
  for (const key of session.watched) {
    if (!store.keys.has(key) && store.keys.dict.has(key)) session.touched = true;
  }
  const { touched } = session;
  store.unwatch(session);
  if (session.queueBroken) {
    throw new Refusal("EXECABORT Transaction discarded because of previous errors.");
  }
  if (touched) return session.out.nilArray();
  store.runAll(session, queue);
}

function watch(store: Store, session: Session, argv: string[]): void {
  if (session.queue !== undefined) throw new Refusal("ERR WATCH inside MULTI is not allowed");
  for (const key of argv.slice(1)) {
    // A key that is dead already is removed now: its end must not count as a change later.
    store.keys.has(key);
    store.watch(session, key);
  }
  session.out.ok();
}

function unwatch(store: Store, session: Session): void {
  store.unwatch(session);
  session.out.ok();
}

export const TRANSACTIONS: readonly Command[] = [
  command("multi", 1, { flags: "noscript loading stale fast", run: multi }),
  command("exec", 1, { flags: "noscript loading stale", run: exec }),
  command("discard", 1, { flags: "noscript loading stale fast", run: discard }),
  command("watch", -2, { flags: "noscript loading stale fast", keys: ALL_KEYS, run: watch }),
  command("unwatch", 1, { flags: "noscript loading stale fast", run: unwatch }),
];
