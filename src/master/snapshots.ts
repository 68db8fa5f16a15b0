/**
 * Lesson 10: the whole state as bytes, for the log (a snapshot) or for somebody who compares (a
 * hash).
 *
 *     the state as of now ─▶ slice ─▶ a turn for everybody else ─▶ slice ─▶ …
 *
 * Invariants: a snapshot shows one moment, although the state goes on changing; it knows no more
 * than the log that it takes the place of.
 * Test: test/10-master.server.test.ts, test/10-master.full.test.ts
 */
import { createHash } from "node:crypto";
import { Picture, type State } from "#core";
import type { Host } from "#host";
import { LogError, type Log } from "#log";

/**
 * A snapshot is taken once the tail has grown by this many events: at 500,000 a second, two seconds
 * of replay.
 */
const SNAPSHOT_EVENTS = 1_000_000;

/** Of a snapshot or a hash, between two turns: two or three milliseconds of encoding. */
const SLICE_BYTES = 64 * 1024;

/** SHA-256 (hex) of the state as it was when the log's next number was `nextSeq`. */
export interface StateHash {
  readonly hash: string;
  readonly nextSeq: number;
}

export interface SnapshotsOptions {
  readonly host: Host;
  readonly log: Log;
  state(): State;
  onFatal(error: Error): void;
}

export class Snapshots {
  /** Events since the newest snapshot, or since the last one for which there was no room. */
  tail = 0;
  #saving = false;
  #hashing: Promise<StateHash> | undefined;
  #nextHash: Promise<StateHash> | undefined;
  readonly #options: SnapshotsOptions;

  constructor(options: SnapshotsOptions) {
    this.#options = options;
  }

  saveIfLong(): void {
    if (this.tail >= SNAPSHOT_EVENTS && !this.#saving) this.save().catch(() => undefined);
  }

  /**
   * Writes the state as of now; the log forgets what the snapshot covers.
   *
   * @throws {LogError} FULL: there was no room for it. The log is as it was; the next snapshot is
   * tried when the log has grown again
   */
  async save(): Promise<void> {
    const { log, state, onFatal } = this.#options;
    if (this.#saving || this.tail === 0) return;
    this.#saving = true;
    const seq = log.nextSeq - 1;
    const picture = new Picture(state()); // now, before the next event
    this.tail = 0;
    try {
      await log.durable(seq); // a snapshot must not know more than the log
      await log.saveSnapshot(seq, this.#slices(picture));
    } catch (error) {
      if (error instanceof LogError && error.code === "FULL") throw error;
      onFatal(error as Error);
    } finally {
      picture.close();
      this.#saving = false;
    }
  }

  /** The parts of a picture, with a turn for everybody else after every few. */
  async *#slices(picture: Picture): AsyncGenerator<Buffer> {
    const { timers } = this.#options.host;
    let bytes = 0;
    for (const part of picture.parts()) {
      yield part;
      bytes += part.length;
      if (bytes < SLICE_BYTES) continue;
      bytes = 0;
      await new Promise<void>((resume) => timers.soon(resume));
    }
  }

  /**
   * The identity of the state. Those who ask while a hash is being made share the next one: the one
   * that is being made may be of an earlier moment.
   */
  hash(): Promise<StateHash> {
    if (this.#hashing === undefined) {
      this.#hashing = this.#hashNow().finally(() => { this.#hashing = undefined; });
      return this.#hashing;
    }
    this.#nextHash ??= this.#hashing.then(() => {
      this.#nextHash = undefined;
      return this.hash();
    });
    return this.#nextHash;
  }

  async #hashNow(): Promise<StateHash> {
    const { log, state } = this.#options;
    const { nextSeq } = log;
    const hash = createHash("sha256");
    for await (const part of this.#slices(new Picture(state()))) hash.update(part);
    return { hash: hash.digest("hex"), nextSeq };
  }
}
