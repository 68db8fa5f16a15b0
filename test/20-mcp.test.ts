/** Chapter 20: the contract: messages, eras, states and lines, and one dispatcher behind them. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { TOOL_NAMES } from "#mcp";
import { modernMeta, Stage, type Json, type Pipe } from "./20-mcp.stage.ts";

const GATED = `
name: release
jobs:
  - {id: build, run: print built, hitl_message: "Ship it?"}
  - {id: ship, run: print shipped, needs: build}
`;

/** All files that a file brings along, by their places in `src`. */
function filesOf(file: string, found = new Set<string>()): ReadonlySet<string> {
  if (found.has(file)) return found;
  found.add(file);
  const source = readFileSync(join(import.meta.dirname, "..", "src", file), "utf8");
  for (const [, name] of source.matchAll(/^(?:import|export) (?!type)[^;]*? from "([^"]+)";/gm)) {
    if (name!.startsWith("#")) filesOf(`${name!.slice(1)}/mod.ts`, found);
    else if (name!.startsWith(".")) filesOf(join(dirname(file), name!), found);
  }
  return found;
}

test("a client that only asks for versions waits for words, and not for code of tools", () => {
  const files = [...filesOf("mcp/mod.ts")];
  assert.ok(files.includes("mcp/tools/list.ts") && files.includes("wire/mod.ts"));
  const heavy = files.filter((file) => /^(sdk|rpc|pipeline|project|yaml)\//.test(file));
  assert.deepEqual(heavy, []);
});

test("a handshake of every version, and then a list of all tools", async () => {
  await Stage.run(async (stage) => {
    for (const [asked, agreed] of [
      ["2024-11-05", "2024-11-05"], ["2025-03-26", "2025-03-26"], ["2025-06-18", "2025-06-18"],
      ["2025-11-25", "2025-11-25"], ["1999-01-01", "2025-11-25"], ["2026-07-28", "2025-11-25"],
    ]) {
      const pipe = stage.pipe();
      assert.equal((await pipe.initialize(asked)).protocolVersion, agreed, asked);
      const { result } = await pipe.ask("tools/list");
      assert.deepEqual(result.tools.map(({ name }: { name: string }) => name),
        TOOL_NAMES);
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

test("readMessage() takes one message, and answers everything else with its code", async () => {
  await Stage.run(async (stage) => {
    const pipe = stage.pipe();
    const rows: [string, unknown, number | undefined][] = [
      ['{"jsonrpc":"2.0","id":1,"method":"ping"}', 1, undefined],
      ['{"jsonrpc":"2.0","id":"a","method":"ping"}', "a", undefined],
      ['{"jsonrpc":"2.0","id":0,"method":"ping","params":{}}', 0, undefined],
      ["{", undefined, -32_700],
      ["nonsense", undefined, -32_700],
      ['[{"jsonrpc":"2.0","id":1,"method":"ping"}]', undefined, -32_600],
      ["[]", undefined, -32_600],
      ["7", undefined, -32_600],
      ["null", undefined, -32_600],
      ['"x"', undefined, -32_600],
      ['{"jsonrpc":"2.0","id":null,"method":"ping"}', undefined, -32_600],
      ['{"jsonrpc":"2.0","id":1.5,"method":"ping"}', undefined, -32_600],
      ['{"jsonrpc":"2.0","id":{},"method":"ping"}', undefined, -32_600],
      ['{"jsonrpc":"1.0","id":2,"method":"ping"}', 2, -32_600],
      ['{"id":3,"method":"ping"}', 3, -32_600],
      ['{"jsonrpc":"2.0","id":4}', 4, -32_600],
      ['{"jsonrpc":"2.0","id":5,"method":7}', 5, -32_600],
      ['{"jsonrpc":"2.0","id":6,"method":"ping","params":[1]}', 6, -32_602],
      ['{"jsonrpc":"2.0","id":7,"method":"notifications/cancelled"}', 7, -32_600],
      ['{"jsonrpc":"2.0","id":8,"result":{},"error":{}}', 8, -32_600],
    ];
    for (const [line, id, code] of rows) {
      const before = pipe.seen.length;
      pipe.send(line);
      await stage.pass(1);
      assert.equal(pipe.seen.length, before + 1, line);
      const { jsonrpc, id: answered, error, result } = pipe.seen.at(-1)!;
      assert.deepEqual([jsonrpc, answered, error?.code], ["2.0", id, code], line);
      assert.equal(result === undefined, code !== undefined, line);
    }
    const quiet = [
      '{"jsonrpc":"2.0","method":"notifications/initialized"}', "", "   ",
      '{"jsonrpc":"2.0","method":"nobody/knows","params":{}}',
      '{"jsonrpc":"2.0","id":"titan-1","result":{}}', '{"jsonrpc":"2.0","id":9,"error":{"code":1}}',
    ];
    const before = pipe.seen.length;
    for (const line of quiet) pipe.send(line);
    await stage.pass(10);
    assert.equal(pipe.seen.length, before);
  });
});

test("eraOf() is of the message: both eras on one pipe, at the same time", async () => {
  await Stage.run(async (stage) => {
    const pipe = stage.pipe();
    const meta = modernMeta();
    const early = await pipe.ask("tools/list");
    assert.deepEqual([early["error"].code, early["result"]], [-32_602, undefined]);
    await pipe.initialize("2025-06-18");
    const [old, young] = await Promise.all([
      pipe.ask("tools/list"), pipe.ask("tools/list", { _meta: meta }),
    ]);
    assert.equal(old["result"].resultType, undefined);
    assert.deepEqual([young["result"].resultType, young["result"].cacheScope],
      ["complete", "public"]);
    // What only one era has.
    assert.equal((await pipe.ask("ping", { _meta: meta }))["error"].code, -32_601);
    assert.deepEqual((await pipe.ask("ping"))["result"], {});
    const half = { "io.modelcontextprotocol/clientCapabilities": {} };
    assert.equal((await pipe.ask("tools/list", { _meta: half }))["error"].code, -32_602);
    assert.equal((await pipe.ask("server/discover"))["error"].code, -32_602);
    const { result } = await pipe.ask("server/discover", { _meta: meta });
    assert.ok(result.supportedVersions.includes("2026-07-28"));
  });
});

/** Asks for an approval, and returns the question's state. */
async function question(pipe: Pipe, args: Json): Promise<string> {
  const { result } = await pipe.ask("tools/call", { name: "approve_hitl_gate", arguments: args });
  assert.equal(result.resultType, "input_required", JSON.stringify(result));
  assert.match(result.inputRequests.person.params.message, /Ship it\?/);
  return result.requestState;
}

function answered(pipe: Pipe, args: Json, requestState: unknown): Promise<Json> {
  const inputResponses = { person: { action: "accept", content: {} } };
  return pipe.ask("tools/call", {
    name: "approve_hitl_gate", arguments: args, requestState, inputResponses,
  });
}

async function asker(stage: Stage, name = "reader"): Promise<Pipe> {
  const pipe = stage.pipe();
  const client = { "io.modelcontextprotocol/clientInfo": { name, version: "1" } };
  pipe.meta = { ...modernMeta({ elicitation: {} }), ...client };
  return pipe;
}

test("a state is accepted once, in time, and for the request that it was made for", async () => {
  await Stage.run(async (stage) => {
    const pipe = await asker(stage);
    const runs: string[] = [];
    for (let at = 0; at < 2; at++) {
      const sent = await pipe.call("submit_yaml_pipeline", { yaml: GATED });
      runs.push(sent["structuredContent"].run);
      await pipe.call("wait_run", { run: runs[at] });
    }
    const [first, second] = runs.map((run) => ({ gate_id: `${run}/build` })) as [any, any];
    const state = await question(pipe, first);
    const flipped = `${state[0] === "A" ? "B" : "A"}${state.slice(1)}`;
    for (const forged of ["", "x", "AAAA", flipped, state.slice(0, -4), 7, null, `${state}AA`]) {
      const { error } = await answered(pipe, first, forged);
      assert.match(error.message, /none of ours/, String(forged));
      assert.equal(error.code, -32_602);
    }
    // Another gate, other arguments, another client.
    assert.match((await answered(pipe, second, state))["error"].message, /another request/);
    const changed = { ...first, comment: "and more" };
    assert.match((await answered(pipe, changed, state))["error"].message, /another request/);
    const { error } = await answered(await asker(stage, "other"), first, state);
    assert.match(error.message, /none of ours/);
    // The same server, and a client that calls itself otherwise.
    const mine = pipe.meta;
    pipe.meta = { ...mine, "io.modelcontextprotocol/clientInfo": { name: "other" } };
    assert.match((await answered(pipe, first, state))["error"].message, /another request/);
    pipe.meta = mine;
    // An answer that is missing is asked for again.
    const silent = await pipe.ask("tools/call",
      { name: "approve_hitl_gate", arguments: second, requestState: await question(pipe, second) });
    assert.equal(silent["result"].resultType, "input_required");
    const { result } = await answered(pipe, first, state);
    assert.deepEqual(
      [result.resultType, result.structuredContent.status],
      ["complete", "approved"],
    );
    const late = await question(pipe, second);
    await stage.pass(600_001);
    assert.match((await answered(pipe, second, late))["error"].message, /its time is over/);
  });
});

test("openState() knows a state that was used: a budget is raised once", async () => {
  await Stage.run(async (stage) => {
    const pipe = await asker(stage);
    const yaml = "name: agent\nagent: {budget: {usd: 1}}\njobs:\n  - {id: a, run: sleep 7200}\n";
    const { structuredContent: { run } } = await pipe.call("submit_yaml_pipeline", { yaml });
    const raise = (more: Json): Promise<Json> => pipe.ask("tools/call",
      { name: "agent_budget", arguments: { agent_run_id: run, add_usd: 5 }, ...more });
    const { result: { requestState } } = await raise({});
    const inputResponses = { person: { action: "accept" } };
    const { result } = await raise({ requestState, inputResponses });
    assert.equal(result.structuredContent.limits.usd, 6);
    const { error } = await raise({ requestState, inputResponses });
    assert.match(error?.message ?? "it was accepted again", /it was used before/);
    assert.equal((await pipe.call("agent_budget", { agent_run_id: run }))["structuredContent"]
      .limits.usd, 6);
  });
});

test("takeLines() finds lines wherever the pieces end, and forgets those that are too long",
  async () => {
    await Stage.run(async (stage) => {
      const pipe = stage.pipe();
      const line = (id: number | string): string =>
        `{"jsonrpc":"2.0","id":"${id}","method":"ping"}`;
      const ids = (): unknown[] => pipe.seen.splice(0).map(({ id }) => id);
      const bytes = Buffer.from(`${line("ä☃🎉")}\r\n`);
      for (const byte of bytes) pipe.connection.take(Buffer.of(byte));
      await stage.pass(1);
      assert.deepEqual(ids(), ["ä☃🎉"]);
      pipe.connection.take(Buffer.from(`${line(1)}\n\n${line(2)}\n${line(3).slice(0, 9)}`));
      pipe.connection.take(Buffer.from(line(3).slice(9)));
      await stage.pass(1);
      assert.deepEqual(ids(), ["1", "2"]);
      pipe.connection.take(Buffer.from("\n"));
      await stage.pass(1);
      assert.deepEqual(ids(), ["3"]);
      const large = Buffer.alloc(1024 * 1024, "x");
      for (let at = 0; at < 17; at++) pipe.connection.take(large);
      pipe.connection.take(Buffer.from(`\n${line(4)}\n`));
      await stage.pass(1);
      assert.match(pipe.seen[0]!["error"].message, /it has 17825792 bytes, more than 16777216/);
      assert.deepEqual(ids(), [undefined, "4"]);
    });
  });

test("whoever cancels a request hears no more of it, and the run goes on", async () => {
  await Stage.run(async (stage) => {
    const pipe = stage.pipe();
    await pipe.initialize();
    const yaml = "name: long\njobs:\n  - {id: a, run: sleep 30}\n";
    const { structuredContent: { run } } = await pipe.call("submit_yaml_pipeline", { yaml });
    const args = { name: "wait_run", arguments: { run, timeout_s: 50 } };
    const request = { jsonrpc: "2.0", id: "w", method: "tools/call", params: args };
    pipe.send(request);
    pipe.send(request);
    await stage.pass(100);
    assert.match(pipe.seen.at(-1)!["error"].message, /a request with id w is under way/);
    const cancelled = { requestId: "w", reason: "I have seen enough" };
    pipe.send({ jsonrpc: "2.0", method: "notifications/cancelled", params: cancelled });
    const before = pipe.seen.length;
    await stage.pass(60_000);
    assert.equal(pipe.seen.length, before);
    assert.equal((await stage.titan.status(run)).run.status, "COMPLETED");
    pipe.send(request); // its id is free again
    await stage.pass(100);
    assert.equal(pipe.seen.at(-1)!["id"], "w");
  });
});

test("a subscription begins with an acknowledgement, tells of changes, and ends when it is told",
  async () => {
    await Stage.run(async (stage) => {
      const pipe = stage.pipe();
      pipe.meta = modernMeta();
      const yaml =
        "name: news\njobs:\n  - {id: a, run: sleep 5}\n  - {id: b, run: sleep 5, needs: a}\n";
      const { structuredContent: { run } } = await pipe.call("submit_yaml_pipeline", { yaml });
      const uri = `titan://runs/${run}`;
      const filter = { toolsListChanged: true, resourceSubscriptions: [uri, uri] };
      void pipe.ask("subscriptions/listen", { notifications: filter }, 77);
      const tag = { "io.modelcontextprotocol/subscriptionId": 77 };
      const first = await pipe.next();
      assert.deepEqual(first["params"], {
        _meta: tag,
        notifications: { resourceSubscriptions: [uri] },
      });
      assert.equal(first["method"], "notifications/subscriptions/acknowledged");
      assert.deepEqual((await pipe.next())["params"], { _meta: tag, uri });
      pipe.send({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 77 } });
      const before = pipe.seen.length;
      await stage.pass(30_000);
      assert.equal(pipe.seen.length, before);
      // A run that stands still has no news, and the run as it stands is none.
      const still = await pipe.call("submit_yaml_pipeline", { yaml: GATED });
      const quiet = still["structuredContent"].run;
      await pipe.call("wait_run", { run: quiet });
      const one = { resourceSubscriptions: [`titan://runs/${quiet}`] };
      void pipe.ask("subscriptions/listen", { notifications: one }, 78);
      assert.match((await pipe.next())["method"], /acknowledged$/);
      const heard = pipe.seen.length;
      await stage.pass(5000);
      assert.equal(pipe.seen.length, heard);
      const { error } = await pipe.ask("subscriptions/listen",
        { notifications: { resourceSubscriptions: ["titan://nothing"] } });
      assert.deepEqual([error.code, error.data], [-32_602, { uri: "titan://nothing" }]);
    });
  });

test("whatever comes, each request has one answer, and the server goes on", async () => {
  await Stage.run(async (stage) => {
    const pipe = stage.pipe();
    await pipe.initialize("2025-11-25", { elicitation: {} });
    const seeds = [
      { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "list_runs", arguments: {} } },
      {
        jsonrpc: "2.0",
        id: 1,
        method: "resources/read",
        params: { uri: "titan://runs/x/jobs/y/log" },
      },
      { jsonrpc: "2.0", id: 1, method: "tools/list", params: { _meta: modernMeta() } },
      { jsonrpc: "2.0", id: 1, method: "prompts/get", params: { name: "diagnose_run" } },
    ].map((seed) => JSON.stringify(seed));
    const { random } = stage.world.host("client");
    const pick = (count: number): number => Math.floor(random.unit() * count);
    for (let at = 0; at < 2000; at++) {
      const seed = Buffer.from(seeds[pick(seeds.length)]!);
      for (let hits = 0; hits <= pick(3); hits++) seed[pick(seed.length)] = 32 + pick(224);
      pipe.connection.take(Buffer.concat([seed, Buffer.from("\n")]));
      if (at % 50 === 0) await stage.pass(5);
    }
    await stage.pass(1000);
    assert.ok(pipe.seen.length > 1500, `${pipe.seen.length}`);
    for (const { error, result } of pipe.seen) {
      assert.equal((error === undefined) !== (result === undefined), true);
      assert.ok(error === undefined || error.code !== -32_603, JSON.stringify(error));
    }
    assert.deepEqual((await pipe.ask("ping", {}, "still there"))["result"], {});
  });
});
