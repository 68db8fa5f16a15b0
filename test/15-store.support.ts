/**
 * What the tests of the store share: a store in virtual time, and a client of it that has no
 * socket.
 */
import assert from "node:assert/strict";
import { afterEach } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { seededRandom, VirtualTime } from "#host";
import { ReplyBuffer, Engine, type Reply, type Session, type StoreOptions } from "#store";

export interface Client {
  readonly session: Session;
  readonly out: ReplyBuffer;
  /** How often `onPush` and `onUnblocked` were called. */
  readonly calls: { pushed: number; unblocked: number };
  /** Executes a command and gives its one answer. */
  ask(...argv: string[]): Reply;
  /** What was written since the last time, however many answers. */
  heard(): Reply[];
}

export interface Fixture extends Client {
  readonly time: VirtualTime;
  readonly store: Engine;
  readonly groups: string[][][];
  client(options?: { readonly protocol?: 2 | 3; readonly onUnblocked?: () => void }): Client;
}

/** Stores of the test that runs. */
const stores: Engine[] = [];

/** Who waits is known as waiting, and when all have gone, nothing of theirs is left. */
afterEach(() => {
  for (const store of stores.splice(0)) {
    const sessions = [...store.sessions.values()];
    const blocked = sessions.filter((session) => session.blocked !== undefined).length;
    assert.equal(store.counts().waiting, blocked, "sessions that wait");
    for (const session of sessions) store.end(session);
    const nothing = { sessions: 0, waiting: 0, waitedFor: 0, watched: 0, channels: 0 };
    assert.deepEqual(store.counts(), nothing, "left behind by sessions that have gone");
  }
});

/** A store whose clock stands still unless a test moves it. */
export function fixture(options: Partial<StoreOptions> = {}): Fixture {
  const time = new VirtualTime();
  const groups: string[][][] = [];
  const host = { clock: time.clock, timers: time.timers, random: seededRandom(15) };
  const store = new Engine({ host, propagate: (group) => groups.push(group), ...options });
  stores.push(store);
  const client: Fixture["client"] = ({ protocol = 2, onUnblocked = () => {} } = {}) => {
    const out = new ReplyBuffer(protocol);
    const calls = { pushed: 0, unblocked: 0 };
    const session = store.session({
      out,
      onPush: () => calls.pushed++,
      onUnblocked: () => {
        calls.unblocked++;
        onUnblocked();
      },
    });
    const heard = (): Reply[] => out.take();
    const ask = (...argv: string[]): Reply => {
      store.execute(session, argv);
      const answers = heard();
      assert.equal(answers.length, 1, `${argv.join(" ")}: one answer, not ${answers.length}`);
      return answers[0]!;
    };
    return { session, out, calls, ask, heard };
  };
  return { ...client(), time, store, groups, client };
}

/** All that a store holds, in an order of its own, so that two can be compared. */
export function contents(store: Engine): string[] {
  const byKey = new Map<string, string>();
  for (const [name, key, ...rest] of store.dump()) {
    const parts =
      name === "SADD"
        ? [...rest].sort()
        : name === "HSET"
          ? rest.map((part, i) => (i % 2 === 0 ? `${part}=${rest[i + 1]}` : "")).sort()
          : rest;
    byKey.set(
      key!,
      `${byKey.get(key!) ?? ""} ${name} ${JSON.stringify(key)} ${JSON.stringify(parts)}`,
    );
  }
  return [...byKey.values()].sort();
}

let collect: (() => void) | undefined;

/** The memory of this process, garbage not counted. */
export function held(): number {
  if (collect === undefined) {
    setFlagsFromString("--expose-gc");
    collect = runInNewContext("gc") as () => void;
  }
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
