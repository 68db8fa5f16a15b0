/**
 * Lesson 15: from the log's bytes back to a keyspace: for a store that starts, and for a dump.
 *
 *     snapshot's chunks, records ─▶ parser ─▶ group by group ─▶ Engine.load
 *
 * A dump could be the log itself, which is in Redis's language already. But "SET k v, EXPIRE k 1,
 * PERSIST k" read a day later would lose k, whose deadline has passed before it is taken away; and
 * counters that are read twice count twice. So a dump is what the log comes to.
 *
 * Invariants: a group counts when its end is there; nothing is written.
 * Test: test/15-store.log.test.ts
 */
import type { Host } from "#host";
import { readLog } from "#log";
import { encodeCommand, GroupReader } from "./text.ts";
import { RespParser } from "../resp/resp.ts";
import { Engine } from "../engine.ts";

/** What `dumpResp` hands over at a time. */
const DUMP_CHARS = 64 * 1024;

const STAR = 0x2a;

/**
 * What the log holds is not what this program writes. Not damage (that is a `LogError`): somebody
 * else's records.
 */
export class StoreLogError extends Error {
  override readonly name = "StoreLogError";
  readonly code = "BAD_RECORD";
}

export class Replay {
  readonly #store: Engine;
  readonly #parser = new RespParser();
  readonly #groups = new GroupReader();

  constructor(store: Engine) {
    this.#store = store;
  }

  /** Takes the bytes that come next; `where` names them in an error. @throws {StoreLogError} */
  take(where: string, bytes: Buffer): void {
    try {
      // The parser takes any other first byte for a command that somebody types, and waits for the
      // end of its line: a log of something else would look like one of ours that was torn off.
      if (!this.#parser.isInside && bytes.length > 0 && bytes[0] !== STAR) {
        throw new Error("it holds no commands of a store");
      }
      this.#parser.push(bytes);
      for (let argv = this.#parser.next(); argv !== undefined; argv = this.#parser.next()) {
        const group = this.#groups.take(argv);
        if (group !== undefined) for (const each of group) this.#store.load(each);
      }
    } catch (error) {
      throw new StoreLogError(`Cannot replay ${where}: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  /** A group has begun whose end was torn off. */
  get isCut(): boolean {
    return this.#groups.isOpen || this.#parser.isInside;
  }
}

/**
 * What a folder of `openStore` holds, as commands for an empty Redis: its append-only file, or
 * through `redis-cli --pipe`. Needs as much memory as the store. Reads only; of a store that runs
 * it is what was there at one moment.
 *
 * @throws {LogError} what `openStore` would refuse {@link StoreLogError} for somebody else's log
 */
export async function* dumpResp({
  host,
  dir,
}: {
  host: Host;
  dir: string;
}): AsyncGenerator<Buffer, void> {
  const store = await readStore(host, `${dir}/log`);
  try {
    let text = "";
    for (const argv of store.dump()) {
      text += encodeCommand(argv);
      if (text.length < DUMP_CHARS) continue;
      yield Buffer.from(text, "latin1");
      text = "";
    }
    yield Buffer.from(text, "latin1");
  } finally {
    store.close();
  }
}

/** A rewrite in the middle takes files away that are being read: then all is read anew. */
async function readStore(host: Host, log: string): Promise<Engine> {
  for (let tries = 5; ; tries--) {
    const files = (await host.storage.list(log)).join();
    const store = new Engine({ host, role: "loading" });
    try {
      await replayInto(store, host, log);
      return store;
    } catch (error) {
      store.close();
      if (tries === 0 || (await host.storage.list(log)).join() === files) throw error;
    }
  }
}

async function replayInto(store: Engine, host: Host, log: string): Promise<void> {
  const replay = new Replay(store);
  let covered = 0;
  await readLog(host, log, {
    begin: ({ snapshot = 0 }) => (covered = snapshot),
    chunk: (bytes) => replay.take("snapshot", bytes),
    record: (seq, body) => {
      if (seq > covered) replay.take(`record ${seq}`, body);
    },
  });
}
