/**
 * Chapter 20: what the specification of 2026-07-28 says that a server MUST do, sentence by
 * sentence, by its sections; 20-mcp.handshake.test.ts has the versions before. Sentences about
 * clients, and about what we do not offer (sampling, roots, completion, logging, OAuth), are left
 * out. And whole conversations of both eras.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { mismatch } from "#rows";
import { modern, modernMeta, Stage, type Json, type Pipe } from "./20-mcp.stage.ts";

const YAML = 'name: c\njobs:\n  - {id: a, run: print hi; sleep 1}\n' +
  '  - {id: b, run: print ho, needs: a, hitl_message: "Go?"}\n';
const TAG = "io.modelcontextprotocol/subscriptionId";

interface Room {
  readonly stage: Stage;
  /** Modern; its client can ask. */
  readonly pipe: Pipe;
  readonly old: Pipe;
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

must("modern basic/Requests", "the ID MUST NOT be null", async ({ pipe, stage }) => {
  pipe.send({ jsonrpc: "2.0", id: null, method: "tools/list", params: { _meta: pipe.meta } });
  await stage.pass(1);
  assert.equal(code(pipe.seen.at(-1)!), -32_600);
});
must("modern basic/Result Responses", "same ID, a result with resultType", async ({ pipe }) => {
  for (const id of [0, -3, "x", "0"]) {
    const answer = await pipe.ask("tools/list", {}, id);
    assert.deepEqual([answer["id"], answer["result"].resultType], [id, "complete"]);
  }
});
must("modern basic/Error Responses", "same ID, an integer code and a message", async ({ pipe }) => {
  const { id, error } = await pipe.ask("no/such", {}, "e1");
  assert.ok(id === "e1" && Number.isInteger(error.code) && error.message.length > 0);
});
must("modern basic/Error Codes", "no code of earlier versions is emitted", async ({ pipe }) => {
  assert.equal(code(await pipe.ask("resources/read", { uri: "titan://runs/none" })), -32_602);
  assert.equal(code(await pipe.ask("resources/read", { uri: "file:///etc/passwd" })), -32_602);
});
must("modern basic/Notifications", "MUST NOT be answered", async ({ pipe, stage }) => {
  const before = pipe.seen.length;
  pipe.send({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 12345 } });
  pipe.send({ jsonrpc: "2.0", method: "no/such", params: {} });
  await stage.pass(10);
  assert.equal(pipe.seen.length, before);
});
must("modern basic/Statelessness", "nothing follows from an earlier request", async (room) => {
  const { pipe, run } = room;
  const ask = { name: "approve_hitl_gate", arguments: { gate_id: `${run}/b` } };
  const before = await pipe.ask("tools/call", ask);
  assert.equal(before["result"].resultType, "input_required");
  const after = await pipe.ask("tools/call", { ...ask, _meta: modernMeta({}) });
  assert.equal(after["result"].isError, true);
});
must("modern basic/_meta", "a request without a required field is -32602", async ({ stage }) => {
  const pipe = stage.pipe();
  for (const key of Object.keys(modernMeta()).slice(0, 2)) {
    const { [key]: _, ...rest } = modernMeta();
    pipe.meta = rest;
    assert.equal(code(await pipe.ask("server/discover")), -32_602, key);
    const { body, headers } = modern(1, "server/discover");
    body["params"]._meta = rest;
    assert.equal((await stage.http().post(body, headers)).status, 400, key);
  }
});
must(
  "modern versioning",
  "an unknown version is -32022, with those that there are",
  async (room) => {
    const { error } = await room.pipe.ask("tools/list", { _meta: modernMeta({}, "1900-01-01") });
    assert.deepEqual([error.code, error.data.requested], [-32_022, "1900-01-01"]);
    const _meta = { "io.modelcontextprotocol/protocolVersion": "2099-01-01" };
    const bare = await room.pipe.ask("server/discover", { _meta });
    assert.equal(bare.error.code, -32_022, "its number alone: what else it wants is not known");
    assert.ok(error.data.supported.includes("2026-07-28"));
    const { body, headers } = modern(1, "tools/list", { _meta: modernMeta({}, "1900-01-01") });
    const { status, messages } = await room.stage
      .http()
      .post(body, { ...headers, "mcp-protocol-version": "1900-01-01" });
    assert.deepEqual([status, code(messages[0]!)], [400, -32_022]);
  },
);
must("modern server/discover", "servers MUST implement it", async ({ pipe }) => {
  const { result } = await pipe.ask("server/discover");
  assert.ok(result.supportedVersions.includes("2026-07-28") && result.capabilities.tools);
  assert.equal(result._meta["io.modelcontextprotocol/serverInfo"].name, "titan");
});
must("modern utilities/caching", "six results have ttlMs >= 0 and a cacheScope", async (room) => {
  const { pipe, run } = room;
  for (const [method, params] of [
    ["server/discover", {}], ["tools/list", {}], ["prompts/list", {}], ["resources/list", {}],
    ["resources/templates/list", {}], ["resources/read", { uri: `titan://runs/${run}` }],
  ] as [string, Json][]) {
    const { result } = await pipe.ask(method, params);
    assert.ok(result.ttlMs >= 0 && /^(public|private)$/.test(result.cacheScope), method);
  }
});
must(
  "modern patterns/mrtr",
  "one of inputRequests or requestState, of a declared kind, with keys " +
    "of its own; not cacheable",
  async ({ pipe, run }) => {
    const ask = { name: "approve_hitl_gate", arguments: { gate_id: `${run}/b` } };
    const { result } = await pipe.ask("tools/call", ask);
    const [request] = Object.values(result.inputRequests) as Json[];
    assert.deepEqual([request!["method"], request!["params"].mode], ["elicitation/create", "form"]);
    assert.equal(request!["params"].requestedSchema.type, "object");
    assert.ok(result.requestState.length > 40 && result.ttlMs === undefined);
    const url = await pipe.ask("tools/call", {
      ...ask,
      _meta: modernMeta({ elicitation: { url: {} } }),
    });
    assert.equal(url["result"].isError, true, "a mode that the client does not have");
  },
);
must("modern patterns/mrtr", "state that fails verification is rejected", async ({ pipe, run }) => {
  const ask = { name: "approve_hitl_gate", arguments: { gate_id: `${run}/b` } };
  const inputResponses = { person: { action: "accept" } };
  const forged = await pipe.ask("tools/call", { ...ask, requestState: "forged", inputResponses });
  assert.equal(code(forged), -32_602);
});
must(
  "modern patterns/progress",
  "grows, and has the token of a request under way",
  async (room) => {
    const { pipe } = room;
    const {
      structuredContent: { run },
    } = await pipe.call("submit_yaml_pipeline", { yaml: YAML });
    const from = pipe.seen.length;
    await pipe.ask("tools/call", {
      name: "wait_run",
      arguments: { run },
      _meta: { progressToken: "p" },
    });
    await room.stage.pass(5000);
    const told = pipe.seen.slice(from).filter(({ method }) => method === "notifications/progress");
    const steps = told.map(({ params }) => params.progress);
    assert.ok(steps.length > 1 && steps.every((step, at) => at === 0 || step > steps[at - 1]));
    assert.ok(told.every(({ params }) => params.progressToken === "p"));
    assert.ok("id" in pipe.seen.at(-1)!, "nothing comes after the response");
  },
);
must("modern patterns/subscriptions", "the acknowledgement first, then what was asked for, all " +
  "with the subscription's id; an end of ours is told", async ({ stage }) => {
  const pipe = stage.pipe();
  pipe.meta = modernMeta();
  const { structuredContent: { run } } = await pipe.call("submit_yaml_pipeline", { yaml: YAML });
  const uri = `titan://runs/${run}`;
  const notifications = { resourceSubscriptions: [uri], promptsListChanged: true };
  const ended = pipe.ask("subscriptions/listen", { notifications }, "s");
  const [first, second] = [await pipe.next(), await pipe.next()];
  assert.equal(first["method"], "notifications/subscriptions/acknowledged");
  assert.equal(second["method"], "notifications/resources/updated");
  for (const { params } of [first, second]) assert.equal(params._meta[TAG], "s");
  pipe.connection.close();
  assert.equal((await ended)["result"]._meta[TAG], "s");
  const cancelled = pipe.seen.filter(({ method }) => method === "notifications/cancelled");
  assert.deepEqual(cancelled.map(({ params }) => params.requestId), ["s"]);
});
must("modern server/tools", "the capability is declared, the list is the same for everybody, a " +
  "schema is an object, a structured result conforms", async ({ pipe, old, run }) => {
  const { result } = await pipe.ask("tools/list");
  assert.deepEqual((await old.ask("tools/list"))["result"].tools, result.tools);
  for (const [name, args] of [
    ["list_runs", {}], ["get_run", { run }], ["list_gates", {}], ["list_workers", {}],
    ["list_services", {}], ["ping_master", {}], ["get_job_status", { job_id: "a" }],
    ["get_job_logs", { job_id: `${run}/a` }], ["explain_pending", { run }],
    ["validate_pipeline", { yaml: "name: x" }], ["validate_pipeline", { yaml: YAML }],
  ] as [string, Json][]) {
    const { outputSchema } = result.tools.find((tool: Json) => tool["name"] === name);
    const { structuredContent } = await pipe.call(name, args);
    assert.equal(mismatch(outputSchema, structuredContent), undefined, name);
  }
});
must(
  "modern server/tools#Error Handling",
  "an unknown tool is a protocol error; a wrong value is " + "a result",
  async ({ pipe }) => {
    assert.equal(code(await pipe.ask("tools/call", { name: "rm_rf" })), -32_602);
    assert.equal((await pipe.call("get_run", { run: "none" }))["isError"], true);
    assert.equal((await pipe.call("get_run", {}))["isError"], true);
  },
);
must(
  "modern server/resources",
  "a missing resource is an error, and no empty list",
  async (room) => {
    const { run, pipe } = room;
    for (const uri of [`titan://runs/${run}/jobs/none/log`, "titan://runs/none", "titan://x", 7]) {
      assert.equal(code(await pipe.ask("resources/read", { uri })), -32_602, String(uri));
    }
    const { result } = await pipe.ask("resources/read", { uri: `titan://runs/${run}/jobs/a/log` });
    assert.equal(result.contents[0].text, "hi");
  },
);
must("modern transports/stdio", "no requests of ours, one message a line", async ({ pipe }) => {
  assert.equal(pipe.seen.some((message) => "method" in message && "id" in message), false);
});
must("modern transports/streamable-http", "headers are compared with the body, names decoded",
  async ({ stage }) => {
    const http = stage.http();
    const { body, headers } = modern(1, "resources/read", { uri: "titan://runs/größe" });
    const encoded = `=?base64?${Buffer.from("titan://runs/größe").toString("base64")}?=`;
    const fine = await http.post(body, { ...headers, "mcp-name": encoded });
    assert.deepEqual([fine.status, code(fine.messages[0]!)], [200, -32_602]);
    for (const bad of [encoded.toUpperCase(), "titan://runs/other", undefined]) {
      const { status, messages } = await http.post(body, { ...headers, "mcp-name": bad });
      assert.deepEqual([status, code(messages[0]!)], [400, -32_020], bad);
    }
  });
must(
  "modern transports/streamable-http",
  "an unknown method is 404 and -32601; a notification 202 " +
    "without a body; GET and DELETE are 405",
  async ({ stage }) => {
    const http = stage.http();
    const { body, headers } = modern(1, "no/such");
    const unknown = await http.post(body, headers);
    assert.deepEqual([unknown.status, code(unknown.messages[0]!)], [404, -32_601]);
    const { status, messages } = await http.post({ jsonrpc: "2.0", method: "notifications/x" });
    assert.deepEqual([status, messages], [202, []]);
    for (const method of ["GET", "DELETE", "PUT"]) {
      assert.equal((await http.post("", {}, { method })).status, 405, method);
    }
  },
);
must("modern transports/streamable-http", "a stream ends with the response, and is not buffered",
  async ({ stage }) => {
    const http = stage.http();
    const sent = modern(1, "tools/call", {
      name: "submit_yaml_pipeline",
      arguments: { yaml: YAML },
    });
    const { messages: [made] } = await http.post(sent.body, sent.headers);
    const { run } = made!["result"].structuredContent;
    const params = { name: "wait_run", arguments: { run }, _meta: { progressToken: 9 } };
    const { body, headers } = modern(2, "tools/call", params);
    const { headers: found, messages } = await http.post(body, headers);
    assert.deepEqual([found["content-type"], found["x-accel-buffering"]],
      ["text/event-stream", "no"]);
    assert.equal(messages.at(-1)!["id"], 2);
    assert.ok(messages.length > 1 && messages.slice(0, -1).every((each) => !("id" in each)));
  });
must("modern transports/streamable-http#Cancellation", "closing the stream cancels the request",
  async ({ stage }) => {
    const http = stage.http();
    const gone = new AbortController();
    const { body, headers } = modern(3, "subscriptions/listen",
      { notifications: { resourceSubscriptions: ["titan://pipelines/schema"] } });
    const answer = await http.open(body, headers, { signal: gone.signal });
    assert.equal(typeof answer.body, "object");
    gone.abort();
    let pieces = 0;
    for await (const _ of answer.body as AsyncIterable<string>) pieces += 1;
    assert.ok(pieces <= 1);
  });

test("what the specification says that a server MUST do", async (t) => {
  await Stage.run(async (stage) => {
    const pipe = stage.pipe();
    pipe.meta = modernMeta({ elicitation: {} });
    const old = stage.pipe();
    await old.initialize();
    const { structuredContent: { run } } = await pipe.call("submit_yaml_pipeline", { yaml: YAML });
    await pipe.call("wait_run", { run });
    for (const { section, must: text, check } of musts) {
      await check({ stage, pipe, old, run }).catch((error: Error) => {
        error.message = `${section}: ${text}\n${error.message}`;
        throw error;
      });
    }
    t.diagnostic(`${musts.length} sentences`);
  });
});

// ── transcripts ──────────────────────────────────────────────────────────────────────────────────

const FOLDER = join(import.meta.dirname, "..", "lessons", "20-mcp", "transcripts");
const RECORD = process.env["TITAN_RECORD"] === "1";

/** Lines that begin with ▶ are sent, the others are what comes back. */
function compare(file: string, lines: readonly string[]): void {
  const path = join(FOLDER, file);
  const text = `${lines.join("\n")}\n`;
  if (RECORD) writeFileSync(path, text);
  assert.equal(text, readFileSync(path, "utf8"), `${file}: TITAN_RECORD=1 writes it down`);
}

/** The list of tools has a test of its own, and the instructions are a page. */
function shortened(value: unknown): string {
  return JSON.stringify(value, (key, part) => {
    if (key === "tools" && Array.isArray(part)) return part.map(({ name }) => name);
    if (key === "instructions") return `${String(part).slice(0, 20)}…`;
    return part as unknown;
  });
}

function script(meta: Json | undefined, run: () => string, state: () => string): Json[] {
  const approve = { name: "approve_hitl_gate", arguments: { gate_id: "hitl-gate-b" } };
  const open = meta === undefined
    ? { method: "initialize", params: { protocolVersion: "2025-11-25",
      capabilities: { elicitation: {} }, clientInfo: { name: "reader", version: "1" } } }
    : { method: "server/discover" };
  const call = (name: string, args: Json, more: Json = {}): Json =>
    ({ method: "tools/call", params: { name, arguments: args, ...more } });
  const steps: (() => Json)[] = [
    () => open, () => ({ method: "tools/list" }),
    () => call("submit_yaml_pipeline", { yaml: YAML, idempotency_key: "k" }),
    () => call("submit_yaml_pipeline", { yaml: YAML, idempotency_key: "k" }),
    () => call("wait_run", { run: run() }, { _meta: { progressToken: "t" } }),
    () => ({ method: "tools/call", params: approve }),
    ...(meta === undefined ? [] : [() => ({ method: "tools/call", params: { ...approve,
      requestState: state(), inputResponses: { person: { action: "accept", content: {} } } } })]),
    () => call("wait_run", { run: run() }), () => call("get_job_logs", { job_id: "b" }),
    () => ({ method: "resources/read", params: { uri: `titan://runs/${run()}/jobs/a/log` } }),
    () => ({ method: "prompts/get", params: { name: "diagnose_run", arguments: { run: run() } } }),
    () => call("get_run", { run: "nowhere" }), () => call("no_such_tool", {}),
    () => ({ method: "no/such" }),
  ];
  return steps.map((step, at) => ({ at, step }));
}

/** What a whole conversation needs to know of what was said before. */
function remember(seen: readonly Json[]): { run: () => string; state: () => string } {
  const find = (key: string): string => {
    const text = JSON.stringify(seen);
    return new RegExp(`"${key}":"([^"]+)"`).exec(text)?.[1] ?? "";
  };
  return { run: () => find("run"), state: () => find("requestState") };
}

for (const era of ["handshake", "modern"] as const) {
  test(`a conversation of the ${era} era, over a pipe and over HTTP`, async () => {
    const meta = era === "modern" ? modernMeta({ elicitation: {} }) : undefined;
    await Stage.run(async (stage) => {
      const pipe = stage.pipe();
      const { run, state } = remember(pipe.seen);
      const lines: string[] = [];
      for (const { at, step } of script(meta, run, state)) {
        const { method, params = {} } = step();
        const whole = { ...params, ...(meta && { _meta: { ...meta, ...params._meta } }) };
        lines.push(`▶ ${JSON.stringify({ id: at, method, params })}`);
        const from = pipe.seen.length;
        const answer = pipe.ask(method, whole, at);
        await stage.pass(20);
        const question = pipe.seen.find((each) => each["method"] === "elicitation/create");
        if (question !== undefined && at === 5) {
          pipe.send({ jsonrpc: "2.0", id: question["id"], result: { action: "accept" } });
        }
        await answer;
        lines.push(...pipe.seen.slice(from).map(shortened));
      }
      compare(`pipe-${era}.txt`, lines);
    });
    await Stage.run(async (stage) => {
      const http = stage.http();
      const seen: Json[] = [];
      const { run, state } = remember(seen);
      const lines: string[] = [];
      let session: Json = {};
      for (const { at, step } of script(meta, run, state)) {
        const { method, params = {} } = step();
        if (meta === undefined && params.name === "approve_hitl_gate") continue;
        const full = modern(at, method, params, { elicitation: {} });
        const body = meta === undefined ? { jsonrpc: "2.0", id: at, method, params } : full.body;
        const headers = meta === undefined ? session : full.headers;
        lines.push(
          `▶ POST ${JSON.stringify(headers)} ${JSON.stringify({ id: at, method, params })}`,
        );
        const answer = await http.post(body, headers);
        seen.push(...answer.messages);
        const id = answer.headers["mcp-session-id"];
        if (id !== undefined) session = { "mcp-session-id": id };
        lines.push(`${answer.status} ${JSON.stringify(answer.headers)}`,
          ...answer.messages.map(shortened));
      }
      compare(`http-${era}.txt`, lines);
    });
  });
}
