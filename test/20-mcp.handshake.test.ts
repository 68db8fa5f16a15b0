/**
 * Chapter 20: what the specifications of the handshake era say that a server MUST do, sentence by
 * sentence: those of 2025-11-25, which hold since 2025-03-26 where nothing else is said, by their
 * sections. 20-mcp.batch.test.ts has the batches of 2025-03-26. Sentences about clients, and about
 * what we do not offer (sampling, roots, completion, logging, tasks, OAuth), are left out; Origin
 * is checked by the port (http.test.ts), before anything of this chapter.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Stage, type Http, type Json, type Pipe } from "./20-mcp.stage.ts";

const YAML = 'name: h\njobs:\n  - {id: a, run: print hi; sleep 1}\n' +
  '  - {id: b, run: print ho, needs: a, hitl_message: "Go?"}\n';

interface Room {
  readonly stage: Stage;
  /** Its client cannot ask. */
  readonly pipe: Pipe;
  readonly http: Http;
  /** The header of a session over HTTP. */
  readonly session: Json;
  /** A run whose gate is open. */
  readonly run: string;
}

interface Must {
  readonly section: string;
  readonly must: string;
  readonly check: (room: Room) => Promise<void>;
}

const musts: Must[] = [];
const must = (section: string, text: string, check: Must["check"]): void =>
  void musts.push({ section, must: text, check });
const code = (response: Json): number => response["error"]?.code;
const rpc = (id: unknown, method: string, params: Json = {}): Json =>
  ({ jsonrpc: "2.0", ...(id !== undefined && { id }), method, params });

async function asking(stage: Stage, elicitation: Json): Promise<Pipe> {
  const pipe = stage.pipe();
  await pipe.initialize("2025-11-25", { elicitation });
  return pipe;
}

must("basic#Requests", "the ID is a text or a whole number, and not null", async (room) => {
  const { pipe, stage } = room;
  for (const id of [null, 1.5, {}, true]) {
    pipe.send({ jsonrpc: "2.0", id, method: "ping" });
    await stage.pass(1);
    assert.equal(code(pipe.seen.at(-1)!), -32_600, JSON.stringify(id));
  }
});
must("basic#Responses",
  "same ID, and one of result and error; codes are integers", async (room) => {
  for (const id of [0, -3, "x", "0"]) {
    const fine = await room.pipe.ask("ping", {}, id);
    assert.deepEqual([fine["id"], fine["result"], "error" in fine], [id, {}, false]);
    const wrong = await room.pipe.ask("no/such", {}, id);
    assert.deepEqual([wrong["id"], code(wrong), "result" in wrong], [id, -32_601, false]);
  }
});
must("basic#Notifications", "the receiver MUST NOT send a response", async ({ pipe, stage }) => {
  const before = pipe.seen.length;
  for (const method of ["notifications/initialized", "no/such"]) pipe.send(rpc(undefined, method));
  await stage.pass(10);
  assert.equal(pipe.seen.length, before);
});
must("basic/lifecycle#Initialization",
  "capabilities and information of our own; ping is answered " +
  "before it, with an empty object (utilities/ping)", async ({ stage }) => {
  const pipe = stage.pipe();
  assert.deepEqual((await pipe.ask("ping"))["result"], {});
  const { capabilities, serverInfo } = await pipe.initialize();
  assert.deepEqual(capabilities, { tools: {}, resources: { subscribe: true }, prompts: {} });
  assert.equal(serverInfo.name, "titan");
});
must("basic/lifecycle#Version Negotiation", "the version that was asked for if we speak it, else " +
  "another one that we speak", async ({ stage }) => {
  for (const [asked, agreed] of [["2024-11-05", "2024-11-05"], ["2025-03-26", "2025-03-26"],
    ["2025-06-18", "2025-06-18"], ["2025-11-25", "2025-11-25"], ["1.0", "2025-11-25"]]) {
    assert.equal((await stage.pipe().initialize(asked)).protocolVersion, agreed);
  }
});
must("basic/transports#Sending Messages", "a notification or a response that is accepted is 202 " +
  "without a body; one that is not is an HTTP error", async ({ http, session }) => {
  for (const body of [rpc(undefined, "notifications/initialized"),
    { jsonrpc: "2.0", id: "nobody", result: {} }]) {
    const { status, messages } = await http.post(body, session);
    assert.deepEqual([status, messages], [202, []]);
  }
  for (const body of [rpc(1, "notifications/initialized"), { jsonrpc: "2.0", result: {} }]) {
    assert.equal((await http.post(body, session)).status, 400);
  }
});
must("basic/transports#Sending Messages", "a request is answered by JSON or by a stream that has " +
  "its response", async ({ http, session, run }) => {
  const plain = await http.post(rpc(7, "ping"), session);
  assert.match(plain.headers["content-type"]!, /^application\/json/);
  const wait = { name: "wait_run", arguments: { run }, _meta: { progressToken: "p" } };
  const stream = await http.post(rpc(8, "tools/call", wait), session);
  assert.equal(stream.headers["content-type"], "text/event-stream");
  assert.equal(stream.messages.filter(({ id }) => id === 8).length, 1);
});
must("basic/transports#Listening for Messages", "GET is a stream, or 405", async (room) => {
  assert.equal((await room.http.post("", {}, { method: "GET" })).status, 405);
  const { headers } = await room.http.open("", room.session, { method: "GET" });
  assert.equal(headers["content-type"], "text/event-stream");
});
must("basic/transports#Listening, #Multiple Connections",
  "no response on the stream of a GET, and " +
  "each message on one stream alone", async ({ stage, http }) => {
  const { headers } = await http.post(rpc(0, "initialize",
    { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "two" } }));
  const own = { "mcp-session-id": headers["mcp-session-id"] };
  const heard: [string[], string[]] = [[], []];
  const listen = async (to: string[]): Promise<void> => {
    const { body } = await http.open("", own, { method: "GET" });
    void (async () => {
      for await (const piece of body as AsyncIterable<string>) to.push(piece);
    })();
  };
  await listen(heard[0]);
  await listen(heard[1]);
  const { run } = await stage.titan.submit({ name: "w", jobs: [{ id: "a", run: "sleep 1" }] });
  await http.post(rpc(1, "resources/subscribe", { uri: `titan://runs/${run}` }), own);
  await http.post(rpc(2, "ping"), own);
  await stage.pass(3000);
  const said = heard.map((pieces) => new Set(pieces.join("").match(/"method":"[^"]*"|"result"/g)));
  assert.deepEqual(said, [new Set(), new Set(['"method":"notifications/resources/updated"'])]);
  await http.post("", own, { method: "DELETE" });
});
must("basic/transports#Session Management", "an ID of visible ASCII; a session that is over is " +
  "404", async ({ http }) => {
  const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "x" } };
  const { headers } = await http.post(rpc(1, "initialize", params));
  const own = { "mcp-session-id": headers["mcp-session-id"] };
  assert.match(own["mcp-session-id"]!, /^[\x21-\x7e]{20,}$/);
  assert.equal((await http.post(rpc(2, "ping"), own)).status, 200);
  await http.post("", own, { method: "DELETE" });
  for (const id of [own["mcp-session-id"], "guess"]) {
    assert.equal((await http.post(rpc(3, "ping"), { "mcp-session-id": id })).status, 404);
  }
});
must("basic/transports#Protocol Version Header",
  "a version that there is not is 400", async (room) => {
  for (const [version, status] of [["1900-01-01", 400], ["2025-06-18", 200]] as const) {
    const named = { "mcp-protocol-version": version };
    assert.equal((await room.http.post(rpc(2, "tools/list"), named)).status, status);
  }
});
must("basic/utilities/progress",
  "has the token of a request under way, and grows", async (room) => {
  const { pipe, stage } = room;
  const { structuredContent: { run } } = await pipe.call("submit_yaml_pipeline", { yaml: YAML });
  const from = pipe.seen.length;
  await pipe.ask("tools/call",
    { name: "wait_run", arguments: { run }, _meta: { progressToken: 5 } });
  await stage.pass(3000);
  const told = pipe.seen.slice(from).filter(({ method }) => method === "notifications/progress");
  const steps = told.map(({ params }) => params.progress);
  assert.ok(steps.length > 1 && steps.every((step, at) => at === 0 || step > steps[at - 1]));
  assert.ok(told.every(({ params }) => params.progressToken === 5));
  assert.ok("id" in pipe.seen.at(-1)!, "nothing comes after the response");
});
must("basic/utilities/cancellation",
  "we only cancel what we have asked ourselves", async (room) => {
  const pipe = await asking(room.stage, {});
  const call = { name: "approve_hitl_gate", arguments: { gate_id: `${room.run}/b` } };
  pipe.send(rpc("c", "tools/call", call));
  const { id } = await pipe.next();
  pipe.send(rpc(undefined, "notifications/cancelled", { requestId: "c" }));
  const { method, params } = await pipe.next();
  assert.deepEqual([method, params.requestId], ["notifications/cancelled", id]);
});
must("client/elicitation",
  "only if the client has declared it, and only in a mode that it has; a " +
  "flat object of plain fields", async ({ stage, pipe, run }) => {
  const call = { name: "approve_hitl_gate", arguments: { gate_id: `${run}/b` } };
  const opener = await asking(stage, { url: {} });
  for (const each of [pipe, opener]) {
    assert.equal((await each.ask("tools/call", call))["result"].isError, true);
    assert.equal(each.seen.some(({ method }) => method === "elicitation/create"), false);
  }
  for (const declared of [{}, { form: {} }, { form: {}, url: {} }]) {
    const able = await asking(stage, declared);
    able.send(rpc("q", "tools/call", call));
    const { id, method, params } = await able.next();
    assert.equal(method, "elicitation/create");
    assert.ok(params.message.includes("Go?") && params.requestedSchema.type === "object");
    for (const field of Object.values(params.requestedSchema.properties) as Json[]) {
      assert.match(field["type"], /^(string|number|boolean)$/);
    }
    able.send({ jsonrpc: "2.0", id, result: { action: "decline" } });
    await stage.pass(10);
    assert.equal(able.seen.at(-1)!["result"].isError, true);
  }
});
must("server/tools, /resources, /prompts",
  "what is there is declared, a schema is an object, a bad " +
  "cursor is -32602 (utilities/pagination)", async ({ pipe }) => {
  for (const [method, key] of [["tools/list", "tools"], ["resources/list", "resources"],
    ["prompts/list", "prompts"], ["resources/templates/list", "resourceTemplates"]] as const) {
    assert.ok((await pipe.ask(method))["result"][key].length > 0, method);
    assert.equal(code(await pipe.ask(method, { cursor: "none of ours" })), -32_602, method);
  }
  for (const { inputSchema, outputSchema } of (await pipe.ask("tools/list"))["result"].tools) {
    assert.deepEqual([inputSchema.type, outputSchema.type], ["object", "object"]);
  }
});
must("server/resources#Subscriptions", "a subscriber hears of changes", async ({ stage }) => {
  const pipe = stage.pipe();
  await pipe.initialize();
  const { structuredContent: { run } } = await pipe.call("submit_yaml_pipeline", { yaml: YAML });
  const uri = `titan://runs/${run}`;
  assert.deepEqual((await pipe.ask("resources/subscribe", { uri }))["result"], {});
  assert.deepEqual((await pipe.next())["params"], { uri });
  assert.deepEqual((await pipe.ask("resources/unsubscribe", { uri }))["result"], {});
});

test("what the specifications of the handshake era say that a server MUST do", async (t) => {
  await Stage.run(async (stage) => {
    const [pipe, http] = [stage.pipe(), stage.http()];
    await pipe.initialize();
    const { structuredContent: { run } } = await pipe.call("submit_yaml_pipeline", { yaml: YAML });
    await pipe.call("wait_run", { run });
    const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "x" } };
    const { headers } = await http.post(rpc(0, "initialize", params));
    const session = { "mcp-session-id": headers["mcp-session-id"] };
    for (const { section, must: text, check } of musts) {
      await check({ stage, pipe, http, session, run }).catch((error: Error) => {
        error.message = `${section}: ${text}\n${error.message}`;
        throw error;
      });
    }
    t.diagnostic(`${musts.length} sentences`);
  });
});
