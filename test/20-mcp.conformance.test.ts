/** Chapter 20: what the two specifications say MUST be, sentence by sentence. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { modernMeta, Stage } from "./20-mcp.stage.ts";

test("a modern request without its _meta is refused with -32602", async () => {
  await Stage.run(async (stage) => {
    const pipe = stage.pipe();
    assert.equal((await pipe.ask("tools/list"))["error"].code, -32_602);
    pipe.meta = modernMeta({}, "1900-01-01");
    const { error } = await pipe.ask("tools/list");
    assert.deepEqual([error.code, error.data.requested], [-32_022, "1900-01-01"]);
  });
});
