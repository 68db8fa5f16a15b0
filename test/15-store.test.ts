/** Lesson 15's contract: what a store must do, whoever wrote it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom, VirtualTime } from "#host";
import { Recorder, Refusal, Store, type Reply, type Session, type StoreOptions } from "#store";

interface Fixture {
  readonly time: VirtualTime;
  readonly store: Store;
  readonly session: Session;
  readonly groups: string[][][];
  /** Executes a command and gives its one answer. */
  ask(...argv: string[]): Reply;
}

function fixture(options: Partial<StoreOptions> = {}): Fixture {
  const time = new VirtualTime();
  const groups: string[][][] = [];
  const host = { clock: time.clock, timers: time.timers, random: seededRandom(15) };
  const store = new Store({ host, propagate: (group) => groups.push(group), ...options });
  const out = new Recorder();
  const session = store.session({ out });
  const ask = (...argv: string[]): Reply => {
    store.execute(session, argv);
    const answers = out.take();
    assert.equal(answers.length, 1, `${argv.join(" ")}: one answer`);
    return answers[0]!;
  };
  return { time, store, session, groups, ask };
}

test("Store.execute() refuses an unknown command and a wrong number of arguments in Redis's words", () => {
  const { ask } = fixture();
  assert.deepEqual(ask("NOSUCH", "a", "b"), new Refusal("ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b' "));
  assert.deepEqual(ask("GET"), new Refusal("ERR wrong number of arguments for 'get' command"));
  assert.deepEqual(ask("GET", "a", "b"), new Refusal("ERR wrong number of arguments for 'get' command"));
});

test("Store.execute() keeps any bytes, in keys and values", () => {
  const { ask } = fixture();
  const bytes = String.fromCharCode(...Array.from({ length: 256 }, (_, i) => i));
  assert.equal(ask("SET", bytes, bytes), "OK");
  assert.equal(ask("GET", bytes), bytes);
  assert.equal(ask("STRLEN", bytes), 256);
});
