/** Time travel: any moment of a log is what its prefix folds to; what cannot be told is said. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  apply, Event, hashState, State, writeSnapshot, type Command, type DecidedOn,
} from "#core";
import { History } from "#history";
import type { Host } from "#host";
import { LogView, openLog } from "#log";
import {
  checkpointLimits, Checkpoints, MAX_CHECKPOINT_BYTES,
} from "../src/history/checkpoints.ts";
import { stepOn } from "../src/history/cursor.ts";
import { commandsOf, effectsOf, KINDS, perhaps } from "../src/history/origins.ts";
import { Bench, checkIndexes, NO_ROOM, randomLife, spec } from "./10-master.core.ts";
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

test("the last moment is read where the way through the log ends: no state is made for it", inWorld(
  async () => {
    const { log, state } = randomLife(4, 120, () => undefined);
    const host = new Machine();
    await writeLog(host, log);
    const history = new History(host, "log", { every: 16 });
    const { restore } = Checkpoints.prototype;
    let restored = 0;
    Checkpoints.prototype.restore = function (...asked) {
      restored += 1;
      return restore.apply(this, asked);
    };
    try {
      const hash = ({ state: own }: { state: State }): string => hashState(own);
      for (const which of [{ seq: log.length }, { at: state.at }, { at: state.at + 1 }, {}]) {
        assert.equal(await history.at(which, hash), hashState(state));
      }
      assert.equal(restored, 0);
      const hashes = hashesOf(log);
      assert.equal(await hashAt(history, log.length - 1), hashes.at(-2));
      assert.equal(restored, 1);
      assert.equal(await history.at({ seq: log.length }, hash), hashState(state));
      const earlier = log.findLastIndex((body) => Event.decode(body).at < state.at) + 1;
      assert.equal(await history.at({ at: state.at - 1 }, hash), hashes[earlier]);
      // One step further than a visit, and the end is still the end.
      await history.step(log.length);
      assert.equal(await hashAt(history, log.length), hashState(state));
    } finally {
      Checkpoints.prototype.restore = restore;
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

/** A log whose owner goes on, and the hash behind each of its facts. */
async function ownedLog(host: Host) {
  const bench = new Bench();
  const log = await openLog({ host, dir: "log", segmentBytes: 700 });
  const hashes = [hashState(bench.state)];
  const more = async (runs: number): Promise<void> => {
    for (let n = 0; n < runs; n++) {
      bench.now += 1000;
      bench.submit([spec("a"), spec("b", { dependsOn: [0] })]);
      for (const body of bench.log.slice(log.nextSeq - 1)) log.append(body);
      hashes.push(hashState(bench.state));
      await log.durable();
    }
  };
  return { bench, log, hashes, more };
}

test("a log is read while its owner goes on, and begins with a later snapshot", inWorld(
  async () => {
    const host = new Machine();
    const { bench, log, hashes, more } = await ownedLog(host);
    const history = new History(host, "log", { every: 4 });
    await more(9);
    assert.equal(await hashAt(history, 5), hashes[5]);
    await more(9); // other segments
    assert.equal(await hashAt(history, 18), hashes[18]);
    const first = 18;
    const { at } = bench.state;
    await log.saveSnapshot(first, writeSnapshot(bench.state));
    await more(3);
    assert.deepEqual(await history.span(), {
      first, last: 21, firstAt: at, lastAt: bench.state.at,
    });
    for (const seq of [18, 19, 21, 18]) assert.equal(await hashAt(history, seq), hashes[seq]);
    const earliest = `a snapshot stands for facts 1 to 18, up to ${new Date(at).toISOString()}, ` +
      "and the earliest moment that can be told is that one";
    await assert.rejects(hashAt(history, 17), {
      name: "HistoryError", code: "NOT_FOUND",
      message: `Cannot go back to fact 17: ${earliest}`,
    });
    await assert.rejects(history.at({ at: at - 1 }, () => 0), {
      message: `Cannot go back to ${new Date(at - 1).toISOString()}: ${earliest}`,
    });
    assert.equal((await history.at({ at }, ({ seq }) => seq)), 18);
    const { facts } = await history.facts({ from: 1, limit: 9 });
    assert.deepEqual(facts.map(({ text }) => JSON.parse(text).seq), [19, 20, 21]);
    assert.match(facts[0]!.text, /RunSubmitted/);
    const old = [...bench.state.runs.values()][0]!.id;
    assert.equal((await history.at({ seq: 18, run: old }, ({ run }) => run!.id)), old);
    await history.close();
    await log.close();
  },
));

test("a snapshot whose segments are all there still hides nothing", inWorld(async () => {
  const host = new Machine();
  const bench = new Bench();
  const log = await openLog({ host, dir: "log" });
  for (let n = 0; n < 5; n++) bench.submit([spec("a")]);
  for (const body of bench.log) log.append(body);
  await log.durable();
  await log.saveSnapshot(4, writeSnapshot(bench.state));
  await log.close();
  const history = new History(host, "log");
  assert.equal((await history.span()).first, 0);
  assert.equal(await hashAt(history, 2), hashesOf(bench.log)[2]);
}));

test("a reader that is stopped reads no further, and refuses who waits", inWorld(async () => {
  const { log } = randomLife(4, 120, () => undefined);
  const host = new Machine();
  await writeLog(host, log, { segmentBytes: 2000 });
  const stopped = {
    name: "LogError", code: "CLOSED", message: "Cannot read log: its reader was stopped",
  };
  const view = new LogView(host, "log");
  await view.refresh();
  const blocks = view.blocks(view.start);
  assert.equal((await blocks.next()).done, false);
  view.stop();
  await assert.rejects(blocks.next(), stopped);
  await view.rest();
  const history = new History(host, "log");
  const waits = [1, log.length].map((seq) => assert.rejects(hashAt(history, seq), stopped));
  await history.close();
  await Promise.all(waits);
}));

test("nothing behind the last durable fact is told", inWorld(async () => {
  const host = new Machine();
  const { log } = randomLife(5, 60, () => undefined);
  await writeLog(host, log);
  const history = new History(host, "log");
  assert.equal((await history.span(3)).last, 3);
  await assert.rejects(history.at({ seq: 4 }, () => 0, 3), /the log ends with fact 3$/);
  assert.equal(await history.at({ at: Number.MAX_SAFE_INTEGER }, ({ seq }) => seq, 3), 3);
  assert.equal((await history.facts({ from: 1, limit: 9 }, 3)).facts.length, 3);
  await assert.rejects(history.step(4, 3), /the log ends with fact 3$/);
  assert.equal((await history.span()).last, log.length);
}));

test("a time is the moment behind the last fact that is not later", inWorld(async () => {
  const host = new Machine();
  const { log } = randomLife(6, 120, () => undefined);
  await writeLog(host, log);
  const history = new History(host, "log", { every: 8 });
  const times = log.map((body) => Event.decode(body).at);
  for (const at of [times[0]! - 1, ...new Set(times), times.at(-1)! + 1]) {
    const last = times.findLastIndex((each) => each <= at) + 1;
    assert.equal(await history.at({ at }, ({ seq }) => seq), last, `${at}`);
  }
}));

test("of two limits of the memory of checkpoints, the lesser one counts", () => {
  const bytesOf = (maxBytes?: number): number =>
    checkpointLimits(maxBytes === undefined ? {} : { maxBytes }).maxBytes;
  assert.equal(bytesOf(40_000), 40_000, "a thread with little memory");
  assert.equal(bytesOf(2 * MAX_CHECKPOINT_BYTES), MAX_CHECKPOINT_BYTES, "one with much of it");
  assert.equal(bytesOf(), MAX_CHECKPOINT_BYTES);
  assert.equal(checkpointLimits({ every: 4 }).every, 4);
});

test("checkpoints stay within their budget, and each is a state of its own", () => {
  const { log } = randomLife(7, 250, () => undefined, { services: true, journals: true });
  const hashes = hashesOf(log);
  const tip = { state: new State(), seq: 0, place: { segment: 1, offset: 32, seq: 1 } };
  const maxBytes = 100_000;
  const points = new Checkpoints(tip, { every: 4, maxBytes });
  let most = 0;
  const { place } = tip;
  for (const body of log) {
    const event = Event.decode(body);
    stepOn(tip, { event, place: { ...place, seq: tip.seq + 1 }, next: place, bytes: body.length });
    points.look(body.length);
    most = Math.max(most, points.bytes);
  }
  assert.ok(most <= maxBytes, `${most}`);
  assert.ok(points.size > 3 && points.size < log.length / 8, `${points.size} of ${log.length}`);
  for (let seq = 0; seq < log.length; seq += 11) {
    const point = points.before(seq);
    assert.ok(point.seq <= seq);
    for (const _ of [1, 2]) {
      const cursor = points.restore(point);
      assert.equal(hashState(cursor.state), hashes[point.seq]);
      for (const body of log.slice(point.seq, seq)) apply(cursor.state, Event.decode(body));
      assert.equal(hashState(cursor.state), hashes[seq], `${seq}`);
      checkIndexes(cursor.state);
    }
  }
});
