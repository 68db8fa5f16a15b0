/**
 * Chapter 20: batches, which a server MUST receive in 2025-03-26, and in no other version: over a
 * pipe and over HTTP, with what is said as transcripts.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { nodeHost } from "#host";
import { Stream } from "../src/mcp/stream.ts";
import { modernMeta, Stage, type Json } from "./20-mcp.stage.ts";

const FOLDER = join(import.meta.dirname, "..", "lessons", "20-mcp", "transcripts");
const YAML = "name: b\njobs:\n  - {id: a, run: print hi; sleep 1}\n";

function compare(file: string, lines: readonly string[]): void {
  const path = join(FOLDER, file);
  const text = `${lines.join("\n")}\n`;
  if (process.env["TITAN_RECORD"] === "1") writeFileSync(path, text);
  assert.equal(text, readFileSync(path, "utf8"), `${file}: TITAN_RECORD=1 writes it down`);
}

const rpc = (id: unknown, method: string, params: Json = {}): Json =>
  ({ jsonrpc: "2.0", ...(id !== undefined && { id }), method, params });
const call = (id: unknown, name: string, args: Json = {}, more: Json = {}): Json =>
  rpc(id, "tools/call", { name, arguments: args, ...more });
const hello = (version: string): Json => rpc(0, "initialize",
  { protocolVersion: version, capabilities: {}, clientInfo: { name: "reader", version: "1" } });

/** Batches as clients send them, right and wrong. */
function batches(run: string): readonly (readonly unknown[])[] {
  return [
    [rpc(1, "ping"), rpc(undefined, "notifications/initialized"), rpc("two", "no/such")],
    [call(3, "wait_run", { run }, { _meta: { progressToken: "p" } }), rpc(4, "ping")],
    [rpc(undefined, "notifications/initialized"), { jsonrpc: "2.0", id: "x", result: {} }],
    [{ ...hello("2025-03-26"), id: 5 }, rpc(6, "ping"), 7, { jsonrpc: "2.0", id: null }],
    [rpc(8, "tools/list", { _meta: modernMeta() })],
    [],
    Array.from({ length: 101 }, (_, id) => rpc(id, "ping")),
  ];
}

const shown = (batch: readonly unknown[]): string =>
  (batch.length > 100 ? `[ … ${batch.length} times ping]` : JSON.stringify(batch));

test("over a pipe a batch is answered by one, when all of it is done", async () => {
  await Stage.run(async (stage) => {
    const pipe = stage.pipe();
    await pipe.initialize("2025-03-26");
    const { structuredContent: { run } } = await pipe.call("submit_yaml_pipeline", { yaml: YAML });
    const lines: string[] = [];
    for (const batch of batches(run)) {
      const from = pipe.seen.length;
      lines.push(`▶ ${shown(batch)}`);
      pipe.send(JSON.stringify(batch));
      await stage.pass(5000);
      lines.push(...pipe.seen.slice(from).map((each) => JSON.stringify(each)));
    }
    compare("pipe-batch.txt", lines);
  });
});

test("over HTTP a batch is an array, or a stream with an answer to each", async () => {
  await Stage.run(async (stage) => {
    const http = stage.http();
    const { headers: { "mcp-session-id": id } } = await http.post(hello("2025-03-26"));
    const session = { "mcp-session-id": id };
    const sent = await http.post(call(1, "submit_yaml_pipeline", { yaml: YAML }), session);
    const { run } = sent.messages[0]!["result"].structuredContent;
    const lines: string[] = [];
    for (const batch of batches(run)) {
      lines.push(`▶ POST ${shown(batch)}`);
      const { status, headers, messages } = await http.post(JSON.stringify(batch), session);
      lines.push(`${status} ${JSON.stringify(headers)}`,
        ...messages.map((each) => JSON.stringify(each)));
    }
    compare("http-batch.txt", lines);
  });
});

test("other versions have no batches; a client that names none is taken for 2025-03-26",
  async () => {
    await Stage.run(async (stage) => {
      const batch = JSON.stringify([rpc(1, "ping")]);
      const http = stage.http();
      for (const version of ["2024-11-05", "2025-06-18", "2025-11-25"]) {
        const pipe = stage.pipe();
        await pipe.initialize(version);
        pipe.send(batch);
        await stage.pass(1);
        assert.equal(pipe.seen.at(-1)!["error"].code, -32_600, version);
        const { headers } = await http.post(hello(version));
        const session = { "mcp-session-id": headers["mcp-session-id"] };
        assert.equal((await http.post(batch, session)).status, 400, version);
        const named = await http.post(batch, { "mcp-protocol-version": version });
        assert.equal(named.status, 400, version);
      }
      const bare = await http.post(batch);
      const pong = { jsonrpc: "2.0", id: 1, result: {} };
      assert.deepEqual([bare.status, bare.messages], [200, [[pong]]]);
      assert.equal((await http.post(batch, { "mcp-session-id": "guess" })).status, 404);
    });
  });

test("a request of a batch can be cancelled: the rest is answered without it", async () => {
  await Stage.run(async (stage) => {
    const pipe = stage.pipe();
    await pipe.initialize("2025-03-26");
    const yaml = "name: l\njobs:\n  - {id: a, run: sleep 600}\n";
    const { structuredContent: { run } } = await pipe.call("submit_yaml_pipeline", { yaml });
    const from = pipe.seen.length;
    pipe.send(JSON.stringify([call("w", "wait_run", { run }), rpc("p", "ping")]));
    await stage.pass(1);
    assert.equal(pipe.seen.length, from, "one answer, when all of it is done");
    pipe.send(rpc(undefined, "notifications/cancelled", { requestId: "w" }));
    await stage.pass(10);
    assert.deepEqual(pipe.seen.slice(from), [[{ jsonrpc: "2.0", id: "p", result: {} }]]);
    // Whoever closes the pipe behind a batch still reads its answer.
    pipe.send(JSON.stringify([call("v", "wait_run", { run, timeout_s: 1 }), rpc("q", "ping")]));
    await pipe.connection.settled(5000);
    assert.deepEqual((pipe.seen.at(-1) as unknown as Json[]).map(({ id }) => id), ["v", "q"]);
    await stage.titan.cancel(run);
  });
});

test("Stream drops news that nobody reads, and no answer", async () => {
  const stream = new Stream(nodeHost(), new AbortController().signal);
  for (let n = 0; n < 1100; n++) stream.send({ news: n });
  for (const id of [1, 2]) stream.say({ id });
  stream.end();
  let text = "";
  for await (const piece of stream.answer().body as AsyncIterable<string>) text += piece;
  assert.equal(text.match(/"news"/g)!.length, 1000);
  assert.deepEqual(text.match(/"id":\d/g), ['"id":1', '"id":2']);
});
