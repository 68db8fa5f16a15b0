/** When the code is loaded with which the tools of a client over a pipe work. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { nodeHost } from "#host";
import { Dispatcher } from "../src/mcp/dispatch.ts";
import { RequestStates } from "../src/mcp/request-state.ts";
import { StdioConnection } from "../src/mcp/stdio.ts";
import { modernMeta } from "./20-mcp.stage.ts";

test("who shakes hands stays, so code is loaded once it asks no more; who only probes causes none",
  async () => {
    let warmed = 0;
    const timers: { ms: number; open: boolean; fn: () => void }[] = [];
    const open = () => timers.filter((timer) => timer.open);
    const after = (ms: number, fn: () => void): { cancel(): void } => {
      const timer = { ms, open: true, fn };
      timers.push(timer);
      return { cancel: () => void (timer.open = false) };
    };
    const node = nodeHost();
    const host = { ...node, timers: { ...node.timers, after } } as typeof node;
    const options = { host, version: "1", session: () => Promise.reject(new Error("no master")) };
    class Watched extends Dispatcher {
      override warm(): void { warmed += 1; }
    }
    let came: () => void = () => undefined;
    const pipe = new StdioConnection({
      dispatcher: new Watched({ ...options, master: "m" }), host, states: new RequestStates(host),
      write: () => came(),
    });
    const ask = async (message: object): Promise<void> => {
      const answered = new Promise<void>((resolve) => (came = resolve));
      pipe.take(Buffer.from(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`));
      await answered;
    };
    await ask({ id: 1, method: "server/discover", params: { _meta: modernMeta() } });
    assert.deepEqual(timers, []);
    await ask({ id: 2, method: "initialize", params: {
      protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "x", version: "1" },
    } });
    await ask({ id: 3, method: "tools/list" });
    assert.deepEqual([timers.length, open().length], [2, 1], "each request begins the wait anew");
    assert.ok(open()[0]!.ms >= 100, "longer than from one of the first requests to the next");
    assert.equal(warmed, 0);
    open()[0]!.fn();
    assert.equal(warmed, 1);
    pipe.take(Buffer.from('{"jsonrpc":"2.0","id":4,"method":"tools/list"}\n'));
    pipe.close();
    assert.deepEqual(open(), []);
    await setImmediate();
    assert.deepEqual(open(), [], "nothing holds up the end of the process");
  });
