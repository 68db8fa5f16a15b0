/** Chapter 20: the process: `titan mcp` at the ends of a pipe. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { tempFolder, titan } from "./cli.support.ts";

test("titan mcp answers, prints nothing else on stdout, and ends with its stdin", async () => {
  const list = { jsonrpc: "2.0", id: 1, method: "ping" };
  const { code, stdout, stderr } = await titan(["mcp"], {
    cwd: tempFolder(), input: `${JSON.stringify(list)}\n`, env: { TITAN_MASTER: "127.0.0.1:1" },
  });
  assert.deepEqual([code, stdout, stderr], [0, '{"jsonrpc":"2.0","id":1,"result":{}}\n', ""]);
});
