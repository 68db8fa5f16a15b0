/** Lesson 04: what leaves in one write. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { nodeHost, type Socket, type SocketHandlers } from "#host";
import { RpcConnection } from "#rpc";

/** A peer that takes one write at a time. */
function slowPeer(): { connection: RpcConnection; drain(): Promise<void>; writes: Uint8Array[] } {
  const writes: Uint8Array[] = [];
  let handlers: SocketHandlers | undefined;
  const socket: Socket = {
    remote: "slow:1", pendingBytes: 0, handle: (given) => void (handlers = given),
    write: (bytes) => (writes.push(bytes), false), writeLent: () => false,
    pause: () => {}, resume: () => {}, end: () => {}, destroy: () => {}, reset: () => {},
  };
  const connection = new RpcConnection(socket, { host: nodeHost() });
  const drain = async (): Promise<void> => {
    for (let count = -1; count < writes.length;) {
      count = writes.length;
      handlers?.onDrain?.();
      await new Promise((done) => setImmediate(done));
    }
  };
  return { connection, drain, writes };
}

const BATCH_BYTES = 64 * 1024;
const SMALL_BYTES = 1000;

test("takeBatch() joins small frames into writes of one batch, not into one of all", async () => {
  const { connection, drain, writes } = slowPeer();
  for (let i = 0; i < 300; i++) connection.notify(1, Buffer.alloc(SMALL_BYTES));
  await drain();
  connection.destroy();
  const longest = Math.max(...writes.map(({ length }) => length));
  assert.ok(longest < BATCH_BYTES + 2 * SMALL_BYTES, `a write of ${longest} bytes`);
  assert.ok(writes.length < 10, `${writes.length} writes for 300 frames`);
});

test("takeBatch() hands a large body on as it is, without a copy, and joins it with nothing",
  async () => {
    const { connection, drain, writes } = slowPeer();
    const large = Buffer.alloc(100_000, 7);
    connection.notify(1, Buffer.alloc(SMALL_BYTES));
    connection.notify(1, large);
    connection.notify(1, Buffer.alloc(SMALL_BYTES));
    await drain();
    connection.destroy();
    const alone = writes.filter(({ length }) => length === large.length);
    assert.equal(alone[0]?.buffer, large.buffer, "it is the caller's memory");
    assert.ok(writes.every(({ length }) => length <= large.length), "it leaves alone");
  });
