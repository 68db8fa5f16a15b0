/** Tokens that a step emits are output of its job: a watcher that is cut off goes on. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Reading } from "../src/sdk/run-output.ts";
import { pipeline, report, Room, spec } from "./10-master.support.ts";

test("a watcher of a stream of tokens that is cut in the middle, again and again, has no gap and " +
  "no duplicate", () =>
  Room.run(async (room) => {
    await room.start();
    const worker = await room.worker("w1");
    const person = await room.client();
    const { run } = await person.submitSpec(pipeline([spec("agent")]));
    await room.until(() => worker.assigned.length === 1);
    const assigned = worker.assigned[0]!;
    const tokens = Array.from({ length: 60 }, (_, i) => `token${i}${i % 7 === 6 ? "\n" : " "}`);
    const output = new Reading("agent", 1);
    const heard: string[] = [];
    let cuts = 0;
    let isOver = false;
    const watching = (async () => {
      while (!isOver || output.bytes < tokens.join("").length) {
        const client = await room.client();
        try {
          for await (const lines of output.read(client, run, { follow: true })) {
            for (const { text } of lines) heard.push(text);
            // Cut off after every third piece, whatever is on its way.
            if (++cuts % 3 === 0) client.close();
          }
        } catch {
          // the connection is gone: another one
        }
        client.close();
      }
    })();
    for (const token of tokens) {
      await worker.print(assigned, token);
      await room.sleep(3);
    }
    await worker.finish(report(assigned));
    isOver = true;
    await watching;
    assert.ok(cuts > 20, `${cuts} pieces`);
    const rest = [...output.end()].map(({ text }) => text);
    assert.equal([...heard, ...rest].join("\n").replaceAll("\n", " ").trim(),
      tokens.join("").replaceAll("\n", " ").trim());
  }));
