/** Time travel: any moment of a log is what its prefix folds to; what cannot be told is said. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { apply, Event, hashState, State, type Command, type DecidedOn } from "#core";
import { History } from "#history";
import type { Host } from "#host";
import { openLog } from "#log";
import { commandsOf, effectsOf, KINDS, perhaps } from "../src/history/origins.ts";
import { Bench, NO_ROOM, randomLife } from "./10-master.core.ts";
import { Script } from "./10-master.script.ts";
import { inWorld, Machine } from "./05-log.support.ts";

const TRANSCRIPTS = join(import.meta.dirname, "../lessons/10-master/transcripts");

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


test("origins: each event names its command, and its effects are those of the decision", () => {
  const { decide } = Bench.prototype;
  const seen = new Set<string>();
  const check = (bench: Bench, command: Command): DecidedOn<Command["type"]> => {
    const decided = decide.call(bench, command) as DecidedOn<Command["type"]>;
    const derived = decided.events.flatMap((event) => {
      const commands = commandsOf(event);
      assert.ok(commands.includes(command.type), `${event.type} of ${command.type}`);
      seen.add(event.type);
      const unsure = command.type === "Rollback" ? perhaps(event) : [];
      return [...effectsOf(bench.state, event), ...unsure].map(({ type }) => type);
    });
    // A worker that is back is told once more what is to end: no fact of it.
    const effects = decided.effects.filter(() => command.type !== "Rejoin");
    assert.deepEqual(merged(derived), merged(effects.map(({ type }) => type)), command.type);
    return decided;
  };
  Bench.prototype.decide = function (command) { return check(this, command) as never; };
  try {
    for (let seed = 1; seed <= 12; seed++) {
      randomLife(seed, 150, () => undefined, { services: seed % 2 === 0, journals: true });
    }
    for (const file of readdirSync(TRANSCRIPTS)) {
      const script = new Script();
      for (const part of readFileSync(join(TRANSCRIPTS, file), "utf8").trim().split(/\n{2,}/)) {
        const lines = part.split("\n---")[0]!.split("\n").filter((line) => !line.startsWith("#"));
        if (lines.length > 0) script.perform(lines);
      }
    }
  } finally {
    Bench.prototype.decide = decide;
  }
  // All that are decided: not JobStarted, which follows from the state, nor three of old logs.
  assert.equal(seen.size, KINDS - 4);
});

/** One kill may be of several events. */
function merged(types: readonly string[]): string[] {
  const others = types.filter((type) => type !== "Kill");
  return [...others, ...(types.includes("Kill") ? ["Kill"] : [])].sort();
}
