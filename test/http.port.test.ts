/** Which HTTP port a cluster has, and what becomes of one that is taken. */
import assert from "node:assert/strict";
import { createServer, type AddressInfo } from "node:net";
import { test } from "node:test";
import { httpOf, openHttp } from "../src/cli/http-port.ts";

function call(flags: Record<string, string> = {}) {
  const notes: string[] = [];
  return {
    notes,
    text: (name: string) => flags[name],
    texts: (name: string) => (flags[name] === undefined ? [] : [flags[name]]),
    count: (name: string) => (flags[name] === undefined ? undefined : Number(flags[name])),
    command: { name: "up" },
    context: { note: (text: string) => void notes.push(text), onExit: () => undefined },
  };
}

test("httpOf(): 9080 beside the default port alone, another one, or none", () => {
  const unnamed = { port: 9080, isNamed: false };
  assert.deepEqual(httpOf(call(), 9090), unnamed);
  assert.deepEqual(httpOf(call({ "http-host": "h" }), 9090), unnamed);
  assert.equal(httpOf(call(), 0), undefined);
  assert.equal(httpOf(call({ http: "off" }), 9090), undefined);
  assert.deepEqual(httpOf(call({ http: "0" }), 0), { port: 0, isNamed: true });
  assert.deepEqual(httpOf(call({ http: "9080" }), 9090), { port: 9080, isNamed: true });
  for (const [flags, port] of [[{}, 0], [{ http: "off" }, 9090]] as const) {
    assert.throws(() => httpOf(call({ ...flags, "http-host": "h" }), port), /without --http PORT/);
  }
});

test("a port that is taken ends the start only if somebody has named it", async () => {
  const other = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => other.once("listening", resolve));
  const { port } = other.address() as AddressInfo;
  const master = { master: { host: "127.0.0.1", port: 1 }, token: undefined };
  const asked = call();
  assert.equal(await openHttp(asked, master, { port, isNamed: false }), undefined);
  assert.match(asked.notes.join(), /^titan: Cannot serve HTTP at port \d+: .*EADDRINUSE.*--http P/);
  const named = openHttp(call(), master, { port, isNamed: true });
  await assert.rejects(named, /Cannot serve HTTP at port/);
  other.close();
});
