/** Chapter 20: the contract: messages, eras, states and lines, and one dispatcher behind them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { TOOL_NAMES } from "#mcp";
import { modernMeta, Stage } from "./20-mcp.stage.ts";

test("a handshake of every version, and then a list of all tools", async () => {
  await Stage.run(async (stage) => {
    for (const [asked, agreed] of [
      ["2024-11-05", "2024-11-05"], ["2025-03-26", "2025-03-26"], ["2025-06-18", "2025-06-18"],
      ["2025-11-25", "2025-11-25"], ["1999-01-01", "2025-11-25"], ["2026-07-28", "2025-11-25"],
    ]) {
      const pipe = stage.pipe();
      assert.equal((await pipe.initialize(asked)).protocolVersion, agreed, asked);
      const { result } = await pipe.ask("tools/list");
      assert.deepEqual(result.tools.map(({ name }: { name: string }) => name), TOOL_NAMES);
      assert.equal("resultType" in result, false);
    }
  });
});

test("a run is submitted, waited for and read, in both eras", async () => {
  await Stage.run(async (stage) => {
    for (const meta of [undefined, modernMeta()]) {
      const pipe = stage.pipe();
      pipe.meta = meta;
      if (meta === undefined) await pipe.initialize();
      const yaml = "name: hello\njobs:\n  - {id: a, run: print hi; result 42}\n";
      const { structuredContent: sent } = await pipe.call("submit_yaml_pipeline", { yaml });
      const waited = await pipe.call("wait_run", { run: sent.run });
      assert.deepEqual([waited.structuredContent.over, waited.isError], [true, undefined]);
      const { structuredContent: log } = await pipe.call("get_job_logs", { job_id: "a" });
      assert.deepEqual([log.logs, log.run], ["hi", sent.run]);
    }
  });
});
