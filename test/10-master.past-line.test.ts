/** Who looks back slowly keeps one answer of the past in the master's memory, and no more. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { HistoryAsked, Op } from "#wire";
import type { PastReader } from "../src/master/past-desk.ts";
import { Room } from "./10-master.support.ts";

const PAGE = Buffer.alloc(200_000);
/** More than a connection takes that nobody reads from. */
const PAGES = 60;

const asked = (seq: number): Buffer => HistoryAsked.encode({
  seq, at: undefined, after: undefined, run: undefined, limit: 9,
});

test("the next question of a peer waits until the answer before is read; others do not", () =>
  Room.run(async (room) => {
    const order: number[] = [];
    const reader: PastReader = {
      async ask({ body }) {
        const { seq } = HistoryAsked.decode(body);
        order.push(seq!);
        if (seq === 2) throw new Error("there is no such moment");
        return Array.from({ length: PAGES }, () => PAGE);
      },
      close: () => Promise.resolve(),
    };
    await room.start({ past: () => reader });
    const [slow, other] = [await room.client(), await room.client()];
    const read = (client: typeof slow, seq: number): AsyncIterator<Buffer> =>
      client.parts(Op.HISTORY, asked(seq))[Symbol.asyncIterator]();
    const countOf = async (pages: AsyncIterator<Buffer>): Promise<number> => {
      for (let count = 0; ; count++) if ((await pages.next()).done === true) return count;
    };
    const first = read(slow, 1);
    await first.next();
    const failed = assert.rejects(read(slow, 2).next(), /no such moment/);
    const third = countOf(read(slow, 3));
    await room.sleep(1_000);
    assert.equal(await countOf(read(other, 4)), PAGES);
    assert.deepEqual(order, [1, 4]);
    assert.equal(await countOf(first), PAGES - 1);
    await failed;
    assert.equal(await third, PAGES, "an error keeps nobody back");
    assert.deepEqual(order, [1, 4, 2, 3]);
    slow.close();
    other.close();
  }));
