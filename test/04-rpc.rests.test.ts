/** Many peers that ask for much at once: which of them is served in a turn of the event loop. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeFrame } from "#framing";
import type { Host, Socket } from "#host";
import { RpcConnection } from "#rpc";
import { SimWorld } from "#simhost";
import { Rests } from "../src/rpc/rests.ts";

test("of connections that rest one goes on in a turn, in order; after a long slice a turn is " +
  "free", async () => {
  const world = new SimWorld({ seed: 1 });
  const host = world.host("a");
  const rests = Rests.of(host);
  assert.equal(Rests.of(host), rests);
  let turn = 0;
  const went: string[] = [];
  const look = (): void => void (++turn < 10 && host.timers.soon(look));
  const goOn = (name: string, again: (() => void) | undefined = undefined) => (): void => {
    went.push(`${name} in turn ${turn}`);
    again?.();
  };
  host.timers.soon(look);
  rests.add(goOn("a", () => rests.add(goOn("a"), true)), false);
  rests.add(goOn("b"), false);
  await world.run(world.now + 1);
  assert.deepEqual(went, ["a in turn 1", "b in turn 3", "a in turn 4"]);
  rests.add(goOn("c"), false);
  await world.run(world.now + 1);
  assert.equal(went.length, 4, "it begins again");
});

test("of twenty peers with long requests one is served in a turn of the loop, and each has its " +
  "share", async () => {
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
  assert.deepEqual([served[0], Math.max(...served.slice(1).filter(Boolean))], [20, 1]);
});
