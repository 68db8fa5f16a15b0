/** When the tools are loaded that a client over a pipe will ask for. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { nodeHost } from "#host";
import { Dispatcher } from "../src/mcp/dispatch.ts";
import { RequestStates } from "../src/mcp/request-state.ts";
import { StdioConnection } from "../src/mcp/stdio.ts";
import { modernMeta } from "./20-mcp.stage.ts";

test("who shakes hands stays, so tools are loaded meanwhile; who only probes causes none of it",
  async () => {
    let warmed = 0;
    const host = nodeHost();
    const options = { host, version: "1", session: () => Promise.reject(new Error("no master")) };
    class Watched extends Dispatcher {
      override warm(): void { warmed += 1; }
    }
    const written: string[] = [];
    let came: () => void = () => undefined;
    const pipe = new StdioConnection({
      dispatcher: new Watched({ ...options, master: "m" }), host, states: new RequestStates(host),
      write: (line) => {
        written.push(line);
        came();
      },
    });
    const ask = async (message: object): Promise<void> => {
      const answered = new Promise<void>((resolve) => (came = resolve));
      pipe.take(Buffer.from(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`));
      await answered;
      await new Promise<void>((resolve) => void host.timers.after(2, resolve));
    };
    await ask({ id: 1, method: "server/discover", params: { _meta: modernMeta() } });
    assert.equal(warmed, 0);
    await ask({ id: 2, method: "initialize", params: {
      protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "x", version: "1" },
    } });
    assert.deepEqual([warmed, written.length], [1, 2]);
    pipe.close();
  });
