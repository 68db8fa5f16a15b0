/** Many peers that ask for much at once: which of them is served in a turn of the event loop. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeFrame } from "#framing";
import type { Host, Socket } from "#host";
import { RpcConnection } from "#rpc";
import { SimWorld } from "#simhost";
import { Rests, SLICES_PER_TURN } from "../src/rpc/rests.ts";

test("of connections that rest four go on in a turn, in order; after a long slice its place is " +
  "free for a turn", async () => {
  const world = new SimWorld({ seed: 1 });
  const host = world.host("a");
  const rests = Rests.of(host);
  assert.equal(Rests.of(host), rests);
  let turn = 0;
  const went: string[][] = [];
  const look = (): void => void (++turn < 10 && host.timers.soon(look));
  const goOn = (name: string, again: (() => void) | undefined = undefined) => (): void => {
    (went[turn] ??= []).push(name);
    again?.();
  };
  host.timers.soon(look);
  rests.add(goOn("a", () => rests.add(goOn("a again"), true)), false);
  for (const name of ["b", "c", "d", "e", "f", "g", "h", "i"]) rests.add(goOn(name), false);
  await world.run(world.now + 1);
  // In turn 2 the place of `a` is free.
  const inTurns = [["a", "b", "c", "d"], ["e", "f", "g"], ["h", "i", "a again"]];
  assert.deepEqual(went.slice(1), inTurns);
  rests.add(goOn("j"), true);
  rests.add(goOn("k"), false);
  [turn, went.length] = [0, 0];
  host.timers.soon(look);
  await world.run(world.now + 1);
  assert.deepEqual(went.map(String), ["j", "k"], "in order, and it begins again");
});

test("of twenty peers with long requests four are served in a turn of the loop, and each has " +
  "its share", async () => {
  const world = new SimWorld({ seed: 1 });
  const real = world.host("server");
  let [now, turn] = [0, 0];
  const host: Host = { ...real, clock: { ...real.clock, monotonic: () => now } };
  const counts = Array<number>(20).fill(0);
  const served: number[] = [];
  const bytes = Buffer.concat(
    Array.from({ length: 10 }, (_, i) => encodeFrame({ opcode: 1, requestId: 1 + i })),
  );
  counts.forEach((_, peer) => {
    const socket = Object.assign({} as Socket, {
      remote: `peer ${peer}`, pendingBytes: 0, pause: () => undefined, resume: () => undefined,
      handle({ onData }: Parameters<Socket["handle"]>[0]) {
        host.timers.soon(() => onData(bytes));
      },
    });
    const onRequest = (): void => {
      now += 0.6;
      counts[peer]! += 1;
      served[turn] = (served[turn] ?? 0) + 1;
    };
    new RpcConnection(socket, { host, onRequest });
  });
  const look = (): void => void (++turn < 400 && host.timers.soon(look));
  host.timers.soon(look);
  await world.run(world.now + 1);
  assert.deepEqual(counts, Array(20).fill(10));
  // All are read as they come. From then on each has a slice now and then, and of this length.
  const most = Math.max(...served.slice(1).filter(Boolean));
  assert.deepEqual([served[0], most], [20, SLICES_PER_TURN]);
});
