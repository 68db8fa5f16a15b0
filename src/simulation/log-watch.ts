/**
 * Lesson 22: reads over the master's shoulder: every event of its log, at the moment in which it
 * becomes durable.
 *
 *     disk: sync completed ─▶ the bytes that a power cut would leave ─▶ new records ─▶ the judge
 *
 * It reads the disk image: neither the master's word nor the page cache counts. After each start of
 * a master everything is read again from the beginning, because recovery may have changed it.
 *
 * Invariant: the judge knows every durable event before any answer that waited for it can have left
 * the machine.
 * Test: test/22-simulation.test.ts
 */
import { Event, eventText } from "#core";
import { readSegment, type Place } from "#log";
import { readLogEvents } from "./invariants.ts";
import { durableView } from "./durable-view.ts";
import { LOG_DIR, MASTER, type Stage } from "./stage.ts";

export class LogWatch {
  readonly #stage: Stage;
  readonly #places = new Map<string, Place>();

  constructor(stage: Stage) {
    this.#stage = stage;
    stage.world.onSync((host, path) => {
      if (host !== MASTER.host) return;
      if (path.startsWith(LOG_DIR)) this.#stage.ask(() => this.#readNew());
    });
  }

  /** A master has recovered: every event that was durable before must still be there. */
  readAgain(): void {
    this.#stage.ask(() => {
      this.#places.clear();
      this.#readNew();
      this.#stage.judge.recovered(
        Math.max(0, ...[...this.#places.values()].map(({ seq }) => seq - 1)),
      );
    });
    void this.checkSnapshot();
  }

  /** The snapshot that is part of the log now, if one is. */
  async checkSnapshot(): Promise<void> {
    try {
      const { snapshot } = await readLogEvents(
        durableView(this.#stage.world, MASTER.host),
        LOG_DIR,
      );
      if (snapshot !== undefined) {
        this.#stage.ask(() => this.#stage.judge.snapshot(snapshot.seq, snapshot.parts));
      }
    } catch (error) {
      this.#stage.breaks(
        "acknowledged-is-durable",
        `what a power cut would leave of the log cannot be read: ${(error as Error).message}`,
      );
    }
  }

  #readNew(): void {
    const disk = this.#stage.world.disk(MASTER.host);
    for (const name of disk.durableNames(LOG_DIR)) {
      if (!name.endsWith(".seg")) continue;
      const bytes = disk.durable(`${LOG_DIR}/${name}`);
      const from = this.#places.get(name);
      if (bytes === undefined || bytes.length <= (from?.offset ?? 0)) continue;
      this.#places.set(
        name,
        readSegment(bytes, { file: name, from, onRecord: (seq, body) => this.#record(seq, body) }),
      );
    }
  }

  #record(seq: number, body: Buffer): void {
    const { judge } = this.#stage;
    if (seq > judge.seq) {
      const event = Event.decode(body);
      this.#stage.note(`log ${seq} ${eventText(event, this.#stage.names)}`);
    }
    judge.event(seq, body);
  }
}
