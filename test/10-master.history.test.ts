/** Time travel: any moment of a log is what its prefix folds to; what cannot be told is said. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { apply, Event, hashState, State } from "#core";
import { History } from "#history";
import type { Host } from "#host";
import { openLog } from "#log";
import { NO_ROOM, randomLife } from "./10-master.core.ts";
import { inWorld, Machine } from "./05-log.support.ts";

/** The hash of the state behind each fact, from that before the first one on. */
function hashesOf(log: readonly Buffer[]): string[] {
  const state = new State();
  return [hashState(state), ...log.map((body) => {
    apply(state, Event.decode(body));
    return hashState(state);
  })];
}

async function writeLog(
  host: Host, bodies: readonly Buffer[], options: { segmentBytes?: number } = {},
): Promise<void> {
  const log = await openLog({ host, dir: "log", durability: "no", ...options });
  for (const body of bodies) log.append(body);
  await log.close();
}

const hashAt = (history: History, seq: number): Promise<string> =>
  history.at({ seq }, ({ state }) => hashState(state));

test("each moment of a log is what the facts up to it fold to, however it is come to", inWorld(
  async () => {
    for (const seed of [1, 2, 3]) {
      const { log } = randomLife(seed, 120, (bench) => {
        if (bench.log.length > 60) bench.memory = NO_ROOM; // runs are forgotten from here on
      }, { services: true, journals: true });
      const host = new Machine();
      await writeLog(host, log, { segmentBytes: 2000 });
      const history = new History(host, "log", { every: 16, maxBytes: 40_000 });
      const hashes = hashesOf(log);
      const forth = hashes.keys();
      for (const seq of forth) assert.equal(await hashAt(history, seq), hashes[seq], `${seq}`);
      for (let seq = log.length; seq >= 0; seq -= 7) {
        assert.equal(await hashAt(history, seq), hashes[seq], `back to ${seq}`);
      }
      assert.deepEqual((await history.span()).last, log.length);
      await history.close();
    }
  },
));

