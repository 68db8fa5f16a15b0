/** Chapter 20: streamable HTTP: headers, sessions, streams. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { messagesIn, modern, Stage, type Http, type Json } from "./20-mcp.stage.ts";

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

const YAML = 'name: web\njobs:\n  - {id: a, run: print hi; sleep 5, hitl_message: "Go?"}\n';

/** A session of the handshake era: its header. */
async function greeted(http: Http, capabilities: Json = {}): Promise<Json> {
  const params = { protocolVersion: "2025-11-25", capabilities, clientInfo: { name: "web" } };
  const { headers } = await http.post({ jsonrpc: "2.0", id: 0, method: "initialize", params });
  return { "mcp-session-id": headers["mcp-session-id"] };
}

function called(id: number, name: string, args: Json, more: Json = {}): Json {
  return { jsonrpc: "2.0", id, method: "tools/call", params: { name, arguments: args, ...more } };
}

test("a question of the handshake era comes on the stream of its request", async () => {
  await Stage.run(async (stage) => {
    const http = stage.http();
    const session = await greeted(http, { elicitation: {} });
    const { messages: [sent] } =
      await http.post(called(1, "submit_yaml_pipeline", { yaml: YAML }), session);
    const { run } = sent!["result"].structuredContent;
    await http.post(called(2, "wait_run", { run }), session);
    const { headers, body } =
      await http.open(called(3, "approve_hitl_gate", { gate_id: "a" }), session);
    assert.equal(headers["content-type"], "text/event-stream");
    const seen: Json[] = [];
    for await (const piece of body as AsyncIterable<string>) {
      for (const message of messagesIn(piece)) {
        seen.push(message);
        if (message["method"] !== "elicitation/create") continue;
        const answer = { jsonrpc: "2.0", id: message["id"], result: { action: "accept" } };
        // Somebody else's session, and none at all, answer nothing.
        for (const headers of [await greeted(http), {}, session]) {
          const { status, messages } = await http.post(answer, headers);
          assert.deepEqual([status, messages], [202, []]);
        }
      }
    }
    assert.deepEqual(seen.map(({ method }) => method), ["elicitation/create", undefined]);
    assert.equal(seen[1]!["result"].structuredContent.status, "approved");
  });
});

test("a modern client that dies ends its waiting; an old one may come back; " +
  "runs go on", async () => {
  await Stage.run(async (stage) => {
    /** The calls that wait for a run, by how their waiting was ended. */
    const waits: AbortSignal[] = [];
    const wait = stage.titan.wait.bind(stage.titan);
    stage.titan.wait = (run, options) => {
      waits.push(options!.signal!);
      return wait(run, options);
    };
    const http = stage.http();
    const { run } = await stage.titan.submit({ name: "w", jobs: [{ id: "a", run: "sleep 60" }] });
    const params = { name: "wait_run", arguments: { run }, _meta: { progressToken: 1 } };
    const young = modern(2, "tools/call", params);
    const session = await greeted(http);
    const old = { jsonrpc: "2.0", id: 2, method: "tools/call", params };
    for (const [body, headers] of [[young.body, young.headers], [old, session]] as const) {
      const gone = new AbortController();
      const { body: stream } = await http.open(body, headers, { signal: gone.signal });
      const pieces = (stream as AsyncIterable<string>)[Symbol.asyncIterator]();
      assert.match((await pieces.next()).value!, /"progress":0/);
      gone.abort();
      assert.equal((await pieces.next()).done, true);
      await stage.pass(10);
    }
    assert.deepEqual(waits.map(({ aborted }) => aborted), [true, false]);
    const cancel = { jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 2 } };
    await http.post(cancel, session);
    assert.equal(waits[1]!.aborted, true);
    assert.equal((await wait(run)).status, "COMPLETED");
  });
});

test("a GET of a session hears of changes, and a second one takes its place", async () => {
  await Stage.run(async (stage) => {
    const http = stage.http();
    const session = await greeted(http);
    const listen = async (): Promise<AsyncIterator<string>> => {
      const { body } = await http.open("", session, { method: "GET" });
      return (body as AsyncIterable<string>)[Symbol.asyncIterator]();
    };
    const first = await listen();
    const { messages: [sent] } =
      await http.post(called(1, "submit_yaml_pipeline", { yaml: YAML }), session);
    const { run } = sent!["result"].structuredContent;
    const uri = `titan://runs/${run}`;
    await http.post(
      { jsonrpc: "2.0", id: 2, method: "resources/subscribe", params: { uri } },
      session,
    );
    assert.deepEqual(messagesIn((await first.next()).value)[0]!["params"], { uri });
    const second = await listen();
    assert.equal((await first.next()).done, true);
    await stage.titan.decide(`${run}/a`, { approve: true, by: "ada" });
    let piece = "";
    while (!piece.includes("updated")) piece = (await second.next()).value;
    // Silence is broken before a proxy closes it.
    const waiting = second.next();
    await stage.pass(30_000);
    assert.match((await waiting).value, /^(:\n\n|event)/);
    await http.post("", session, { method: "DELETE" });
    let last = await second.next();
    while (last.done !== true) last = await second.next();
  });
});

test("bodies and heads that are no good are refused in the protocol's own words", async () => {
  await Stage.run(async (stage) => {
    const http = stage.http();
    const rows: [Json | string, Json, number, number][] = [
      ["{", {}, 400, -32_700], ["[]", {}, 400, -32_600], ["", {}, 400, -32_700],
      [{ jsonrpc: "2.0", id: null, method: "ping" }, {}, 400, -32_600],
      [{ jsonrpc: "2.0", id: 1, method: "notifications/cancelled" }, {}, 400, -32_600],
      [{ jsonrpc: "2.0", id: 1, method: "ping" }, { accept: "text/html" }, 406, -32_600],
      [{ jsonrpc: "2.0", id: 1, method: "tools/list" },
        { "mcp-protocol-version": "2026-07-28" }, 400, -32_602],
      [{ jsonrpc: "2.0", id: 1, method: "tools/list" }, { "mcp-session-id": "x" }, 404, -32_600],
    ];
    for (const [body, headers, status, code] of rows) {
      const found = await http.post(body, headers);
      const { error } = found.messages[0]!;
      assert.deepEqual([found.status, error.code], [status, code], JSON.stringify(body));
    }
    const { status } = await http.post(
      { jsonrpc: "2.0", id: 1, method: "ping" },
      { accept: "*/*" },
    );
    assert.equal(status, 200);
  });
});
