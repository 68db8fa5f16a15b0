/**
 * Lesson 15: from the log's bytes back to a keyspace: for a store that starts, and for a dump.
 *
 *     snapshot's chunks, records ─▶ parser ─▶ group by group ─▶ Engine.load
 *
 * The log itself, which is in Redis's language, is no good dump. A Redis that reads "SET k v,
 * EXPIRE k 1, PERSIST k" a day later loses k, whose deadline has passed before PERSIST takes it
 * away; and a Redis that reads the log twice counts every INCR twice. So a dump is the keyspace to
 * which the log leads, as commands.
 *
 * Invariants: a group is done when its end is there; nothing is written to the log.
 * Test: test/15-store.log.test.ts
 */
import type { Host } from "#host";
import { readLog } from "#log";
import { encodeCommand, GroupReader } from "./text.ts";
import { RespParser } from "../resp/resp.ts";
import { Engine } from "../engine.ts";

/** How much text `dumpResp` hands over at a time. */
const DUMP_CHARS = 64 * 1024;

const STAR = 0x2a;

/** The log holds records of another program. That is not damage, which is a `LogError`. */
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

  /**
   * Does the groups in these bytes, which continue those before; `where` names them in an error.
   *
   * @throws {StoreLogError}
   */
  read(where: string, bytes: Buffer): void {
    try {
      // The parser takes any other first byte for a command that somebody types, and waits for the
      // end of its line: another program's log would look like a log of ours that was torn off.
      if (!this.#parser.isInside && bytes.length > 0 && bytes[0] !== STAR) {
        throw new Error("it holds no commands of a store");
      }
      this.#parser.push(bytes);
      for (let argv = this.#parser.next(); argv !== undefined; argv = this.#parser.next()) {
        const group = this.#groups.add(argv);
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
 * The data in a folder of `openStore`, as commands for an empty Redis: for its append-only file, or
 * for `redis-cli --pipe`. Needs as much memory as the store. Only reads; of a store that runs it is
 * the data of one moment.
 *
 * @throws {LogError} for a log that `openStore` would refuse; a StoreLogError for another program's
 * log
 */
export async function* dumpResp({
  host,
  dir,
}: {
  host: Host;
  dir: string;
}): AsyncGenerator<Buffer, void> {
  const store = await readStore(host, `${dir}/log`);
  let text = "";
  for (const argv of store.dump()) {
    text += encodeCommand(argv);
    if (text.length < DUMP_CHARS) continue;
    yield Buffer.from(text, "latin1");
    text = "";
  }
  yield Buffer.from(text, "latin1");
}

/** A rewrite of a running store may delete files that are being read: then all is read again. */
async function readStore(host: Host, log: string): Promise<Engine> {
  for (let tries = 5; ; tries--) {
    const files = (await host.storage.list(log)).join();
    const store = new Engine({ host, role: "loading" });
    try {
      await replayInto(store, host, log);
      return store;
    } catch (error) {
      if (tries === 0 || (await host.storage.list(log)).join() === files) throw error;
    }
  }
}

async function replayInto(store: Engine, host: Host, log: string): Promise<void> {
  const replay = new Replay(store);
  let covered = 0;
  await readLog(host, log, {
    begin: ({ snapshot = 0 }) => (covered = snapshot),
    chunk: (bytes) => replay.read("snapshot", bytes),
    record: (seq, body) => {
      if (seq > covered) replay.read(`record ${seq}`, body);
    },
  });
}
