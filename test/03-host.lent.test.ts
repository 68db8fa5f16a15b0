/**
 * Chapter 03: bytes that are lent, by a socket to its handler and by a writer to a socket; and what
 * a paused socket hears. The same for the real host and the simulated one.
 */
import assert from "node:assert/strict";
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { mock, test } from "node:test";
import { nodeHost, type Host, type Listener, type Socket } from "#host";
import { SimWorld } from "#simhost";

interface Room {
  readonly host: Host;
  readonly name: string;
  /** Lets time pass until it holds. */
  until(what: () => boolean): Promise<void>;
}

function realRoom(): Room {
  return {
    host: nodeHost(), name: "127.0.0.1",
    async until(what) {
      for (let tries = 0; !what(); tries++) {
        assert.ok(tries < 5000, `still not true: ${what}`);
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    },
  };
}

function simRoom(): Room {
  const world = new SimWorld({ seed: 1 });
  return {
    host: world.host("a"), name: "a",
    async until(what) {
      for (let tries = 0; !what(); tries++) {
        assert.ok(tries < 5000, `still not true: ${what}`);
        await world.run(world.now + 1);
      }
    },
  };
}

/** One end: chunks as they were given, and what they were then. */
class End {
  readonly socket: Socket;
  readonly chunks: Buffer[] = [];
  readonly copies: Buffer[] = [];
  ended = false;
  closed = false;

  constructor(socket: Socket, borrows: boolean) {
    this.socket = socket;
    socket.handle({
      borrows,
      onData: (chunk) => {
        this.chunks.push(chunk);
        this.copies.push(Buffer.from(chunk));
      },
      onEnd: () => void (this.ended = true),
      onClose: () => void (this.closed = true),
    });
  }

  get heard(): Buffer {
    return Buffer.concat(this.copies);
  }
}

async function pair(room: Room, borrows = false): Promise<[End, End, Listener]> {
  const { network } = room.host;
  let accepted: End | undefined;
  const port = room.name === "a" ? 80 : 0;
  const listener = await network.listen({ host: room.name, port }, (socket) => {
    accepted = new End(socket, borrows);
  });
  let dialled: End | undefined;
  void network.dial(listener).then((socket) => (dialled = new End(socket, borrows)));
  await room.until(() => accepted !== undefined && dialled !== undefined);
  return [dialled!, accepted!, listener];
}

async function close(room: Room, ...[a, b, listener]: [End, End, Listener]): Promise<void> {
  a.socket.destroy();
  b.socket.destroy();
  await room.until(() => a.closed && b.closed);
  await listener.close();
}

for (const [kind, make] of [["real", realRoom], ["simulated", simRoom]] as const) {
  test(`a chunk belongs to its handler, unless it borrows: then the next read may change it ` +
    `(${kind})`, async () => {
    const room = make();
    for (const borrows of [false, true]) {
      const [a, b, listener] = await pair(room, borrows);
      for (const [from, to] of [[a, b], [b, a]] as const) {
        for (const text of ["first", "other"]) {
          from.socket.write(Buffer.from(text));
          await room.until(() => to.copies.at(-1)?.toString() === text);
        }
        assert.equal(to.chunks[0]!.toString() === "first", !borrows);
        assert.equal(to.heard.toString(), "firstother");
      }
      await close(room, a, b, listener);
    }
  });

  test(`writeLent() is done with its bytes when it returns, also while the peer does not read ` +
    `(${kind})`, async () => {
    const room = make();
    const [a, b, listener] = await pair(room);
    b.socket.pause();
    const [piece, header] = [Buffer.alloc(60_000), Buffer.alloc(16)];
    let sent = 0;
    // Until the kernels take no more, and then some: those wait in this process.
    for (let last = 8; last > 0; sent++) {
      piece.fill(sent % 251);
      header.fill(255);
      if (!a.socket.writeLent(header, piece)) last--;
      if (a.socket.pendingBytes > 0 && sent > 100) last--;
    }
    assert.ok(a.socket.pendingBytes > 0);
    a.socket.writeLent(Buffer.alloc(300_000, 252)); // more than is copied in advance
    piece.fill(253);
    b.socket.resume();
    const each = piece.length + header.length;
    await room.until(() => b.copies.reduce((sum, { length }) => sum + length, 0) ===
      sent * each + 300_000);
    const { heard } = b;
    for (let i = 0; i < sent; i++) {
      const frame = heard.subarray(i * each, (i + 1) * each);
      assert.ok(frame.subarray(0, 16).every((byte) => byte === 255), `header ${i}`);
      assert.ok(frame.subarray(16).every((byte) => byte === i % 251), `piece ${i}`);
    }
    assert.ok(heard.subarray(sent * each).every((byte) => byte === 252));
    await close(room, a, b, listener);
  });

  test(`lent bytes that the kernel takes at once are not copied for it (${kind})`, async () => {
    if (kind !== "real") return;
    const room = make();
    const [a, b, listener] = await pair(room);
    const spy = mock.method(fs, "writevSync");
    syncBuiltinESMExports();
    const piece = Buffer.alloc(20_000, 1);
    a.socket.writeLent(Buffer.from("head"), piece);
    const [call] = spy.mock.calls;
    b.socket.pause();
    a.socket.write(Buffer.alloc(64_000_000)); // most of it waits
    a.socket.writeLent(piece);
    assert.equal(spy.mock.callCount(), 1, "nothing overtakes bytes that wait");
    spy.mock.restore();
    syncBuiltinESMExports();
    assert.equal(call?.arguments[1][1], piece);
    assert.equal(call?.result, 20_004);
    await close(room, a, b, listener);
  });

  test(`a paused socket hears neither bytes nor the end that follows them, and then both ` +
    `(${kind})`, async () => {
    const room = make();
    const [a, b, listener] = await pair(room);
    for (const [from, to] of [[a, b], [b, a]] as const) {
      to.socket.pause();
      if (from === a) from.socket.write(Buffer.from("bye"));
      from.socket.end();
      for (let i = 0; i < 20; i++) {
        let isLater = false;
        room.host.timers.after(1, () => void (isLater = true));
        await room.until(() => isLater);
      }
      assert.deepEqual([to.heard.toString(), to.ended], ["", false]);
      to.socket.resume();
      await room.until(() => to.ended);
      assert.equal(to.heard.toString(), from === a ? "bye" : "");
    }
    await room.until(() => a.closed && b.closed);
    await listener.close();
  });
}
