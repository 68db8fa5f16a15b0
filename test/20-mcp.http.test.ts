/** Chapter 20: streamable HTTP: headers, sessions, streams. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { modern, Stage } from "./20-mcp.stage.ts";

test("a modern request has headers that say what its body says", async () => {
  await Stage.run(async (stage) => {
    const http = stage.http();
    const { body, headers } = modern(1, "tools/call", { name: "list_runs" });
    const fine = await http.post(body, headers);
    assert.deepEqual([fine.status, fine.messages[0]!["result"].resultType], [200, "complete"]);
    for (const name of ["mcp-protocol-version", "mcp-method", "mcp-name"]) {
      for (const value of [undefined, "other"]) {
        const { status, messages } = await http.post(body, { ...headers, [name]: value });
        assert.deepEqual([status, messages[0]!["error"].code], [400, -32_020], `${name} ${value}`);
      }
    }
  });
});

test("a session of a handshake is known by its header, until it is ended", async () => {
  await Stage.run(async (stage) => {
    const http = stage.http();
    const params = { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "x" } };
    const greeting = { jsonrpc: "2.0", id: 1, method: "initialize", params };
    const { headers } = await http.post(greeting);
    const session = { "mcp-session-id": headers["mcp-session-id"] };
    const list = { jsonrpc: "2.0", id: 2, method: "tools/list" };
    assert.equal((await http.post(list, session)).status, 200);
    assert.equal((await http.post("", session, { method: "DELETE" })).status, 204);
    assert.equal((await http.post(list, session)).status, 404);
    assert.equal((await http.post("", {}, { method: "GET" })).status, 405);
  });
});
