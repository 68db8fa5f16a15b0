/** Chapter 20: the tools: what they answer, refuse, and ask people, in virtual time. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Host } from "#host";
import { KNOWN_KEYS } from "#pipeline";
import { mismatch, type Schema } from "#rows";
import { linePattern } from "../src/mcp/line-pattern.ts";
import { Stage, type Json, type Pipe } from "./20-mcp.stage.ts";

const SHOP = `
name: shop
jobs:
  - {id: build, run: print building; result 7, hitl_message: "Ship it?"}
  - {id: ship, run: print shipped, needs: build}
`;

/** Calls a tool, and compares its answer with what the list says of it. */
async function fits(pipe: Pipe, name: string, args: Json = {}): Promise<Json> {
  const { result } = await pipe.ask("tools/list");
  const tool = result.tools.find((each: Json) => each["name"] === name) as Json;
  const { structuredContent, content, isError } = await pipe.call(name, args);
  assert.equal(isError, undefined, content[0].text);
  const wrong = mismatch(tool["outputSchema"] as Schema, structuredContent);
  assert.equal(wrong, undefined, `${name}: ${wrong}`);
  assert.ok(content[0].text.length > 0, name);
  return structuredContent;
}

/** The words of a refusal. */
async function refused(pipe: Pipe, name: string, args: Json = {}): Promise<string> {
  const { isError, content, structuredContent } = await pipe.call(name, args);
  assert.equal(isError, true, JSON.stringify(content));
  assert.equal(structuredContent, undefined);
  return content[0].text;
}

async function greeted(stage: Stage, options = {}, capabilities = {}): Promise<Pipe> {
  const pipe = stage.pipe(options);
  await pipe.initialize("2025-11-25", capabilities);
  return pipe;
}

test("each tool has a title, words, strict schemas and four hints", async () => {
  await Stage.run(async (stage) => {
    const { result } = await (await greeted(stage)).ask("tools/list");
    assert.equal(result.tools.length, 23);
    for (const tool of result.tools) {
      const { name, title, description, inputSchema, outputSchema, annotations } = tool;
      assert.match(name, /^[a-z_]+$/);
      assert.ok(title.length > 3 && description.length > 20, name);
      assert.equal(inputSchema.additionalProperties, false, name);
      assert.equal(outputSchema.type, "object", name);
      const hints = ["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"];
      assert.deepEqual(hints.map((hint) => typeof annotations[hint]), hints.map(() => "boolean"));
      assert.equal(annotations.title, title);
    }
  });
});

test("a client that cannot ask is told what the person types; with a form it asks", async () => {
  await Stage.run(async (stage) => {
    const plain = await greeted(stage, { master: "m:9090" });
    const { run } = await fits(plain, "submit_yaml_pipeline", { yaml: SHOP });
    const waited = await fits(plain, "wait_run", { run });
    assert.deepEqual([waited.over, waited.waiting_for_person], [false, [`${run}/build`]]);
    for (const gate_id of [`${run}/build`, "hitl-gate-build", "build"]) {
      assert.match(await refused(plain, "approve_hitl_gate", { gate_id }),
        new RegExp(`titan approve ${run}/build --master m:9090$`));
    }
    const asking = await greeted(stage, {}, { elicitation: {} });
    const decided = asking.ask("tools/call", {
      name: "approve_hitl_gate", arguments: { gate_id: "build" },
    });
    const question = await asking.next();
    assert.equal(question["method"], "elicitation/create");
    assert.match(question["params"].message, /Ship it\?\nGate: shop-\w+\/build/);
    asking.send({ jsonrpc: "2.0", id: question["id"], result: { action: "accept" } });
    const { result } = await decided;
    assert.deepEqual([result.structuredContent.status, result.structuredContent.decision.by],
      ["approved", "mcp:reader"]);
    assert.match(await refused(plain, "approve_hitl_gate", { gate_id: "build" }),
      /was approved by mcp:reader at .*that stands/);
  });
});

test("refusals name the value and say what to do next; nothing is changed", async () => {
  await Stage.run(async (stage) => {
    const pipe = await greeted(stage);
    const { run } = await fits(pipe, "submit_yaml_pipeline", { yaml: SHOP });
    await fits(pipe, "wait_run", { run });
    const rows: [string, Json, RegExp][] = [
      ["get_run", {}, /^Cannot use the arguments of get_run: run: is missing$/],
      ["get_run", { run: 7 }, /run: must be string, found integer/],
      ["get_run", { run: "x", more: 1 }, /more: is not known \(run\)/],
      ["get_run", { run: `${run}x` }, /did you mean shop-/],
      ["get_run", { run: "" }, /Cannot find run ""/],
      ["list_runs", { limit: 0 }, /limit: must be from 1 to 200, found 0/],
      ["list_runs", { status: "DONE" }, /status: must be one of RUNNING/],
      ["wait_run", { run, timeout_s: 51 }, /timeout_s: must be from 1 to 50, found 51/],
      ["get_job_status", { job_id: "none" }, /Cannot find job "none": no run has such a job/],
      ["get_job_status", { job_id: run }, /it is a run: name a job of it as RUN\/JOB/],
      ["get_job_logs", { job_id: "build", grep: "(" }, /Cannot use grep "\("/],
      ["get_job_logs", { job_id: "build", attempt: 9 }, /attempt/],
      [
        "approve_hitl_gate",
        { gate_id: "none" },
        /Cannot find gate "none": open are shop-\w+\/build/,
      ],
      ["approve_hitl_gate", { gate_id: `${run}/ship` }, /is PENDING, and waits for nobody/],
      ["submit_yaml_pipeline", {}, /give one of yaml_path and yaml/],
      ["submit_yaml_pipeline", { yaml: "x", yaml_path: "y" }, /give one of yaml_path and yaml/],
      ["submit_yaml_pipeline", { yaml: "name: x\njobz: []" },
        /"jobz" \(did you mean "jobs"\?\)/],
      ["submit_yaml_pipeline", { yaml: "name: x\njobs: [{id: a, file: a.py}]" }, /job "a" names a/],
      ["submit_yaml_pipeline", { yaml_path: "no.yaml" }, /this server has other files than you/],
      ["submit_dag_pipeline", { dag_name: "d", jobs_json: "{" }, /jobs_json: it is no JSON/],
      ["submit_dag_pipeline", { dag_name: "d", jobs_json: "[]" }, /at least one job/],
      [
        "submit_dag_pipeline",
        { dag_name: "d", jobs_json: '[{"id": "a"}]' },
        /jobs_json: job_id: is missing/,
      ],
      [
        "submit_dag_pipeline",
        {
          dag_name: "d",
          jobs_json: '[{"job_id":"a","parents":["b"]},{"job_id":"b","parents":["a"]}]',
        },
        /circle|cycle/,
      ],
      ["cancel_run", { run: "none" }, /list_runs lists the runs/],
      ["retry_run", { run, from: "none" }, /none/],
      ["agent_budget", { agent_run_id: "none" }, /Cannot find agent run "none"/],
      ["get_artifact", { name: "none" }, /No files are kept by name/],
      ["deploy_script", { script_name: "../x.py", script_content: "" }, /and no folder/],
      ["store_get", { key: "k" }, /store/],
      ["explain_pending", { run: "none/x" }, /Cannot find run/],
    ];
    for (const [name, args, words] of rows) {
      assert.match(await refused(pipe, name, args), words, `${name} ${JSON.stringify(args)}`);
    }
    assert.equal((await stage.titan.runs()).length, 1);
  });
});

test("--read-only and --allow leave tools out, from the list and from calls", async () => {
  await Stage.run(async (stage) => {
    const only = await greeted(stage, { readOnly: true });
    const names = async (pipe: Pipe): Promise<string[]> =>
      (await pipe.ask("tools/list"))["result"].tools.map(({ name }: Json) => name);
    const reads = await names(only);
    assert.ok(
      reads.includes("get_run") && !reads.some((name) => /submit|approve|put|cancel/.test(name)),
    );
    const { error } = await only.ask("tools/call", { name: "cancel_run", arguments: { run: "x" } });
    assert.deepEqual([error.code, /switched off/.test(error.message)], [-32_602, true]);
    const two = await greeted(stage, { allow: ["list_runs", "cancel_run"], readOnly: true });
    assert.deepEqual(await names(two), ["list_runs"]);
  });
});

test("a job that is tried again asks another question: an answer to the first one opens nothing",
  async () => {
    await Stage.run(async (stage) => {
      const pipe = await greeted(stage, {}, { elicitation: {} });
      const { run } = await fits(pipe, "submit_yaml_pipeline", { yaml: SHOP });
      await fits(pipe, "wait_run", { run });
      const decided = pipe.call("approve_hitl_gate", { gate_id: "build" });
      const { id, params } = await pipe.next();
      assert.match(params.message, /Result: 7/);
      await stage.titan.cancel(run);
      await fits(pipe, "retry_run", { run, from: "build" });
      await fits(pipe, "wait_run", { run });
      pipe.send({ jsonrpc: "2.0", id, result: { action: "accept" } });
      const { isError, content } = await decided;
      assert.deepEqual(
        [isError, /the job was tried again since/.test(content[0].text)],
        [true, true],
      );
      assert.equal((await fits(pipe, "list_gates")).gates.length, 1);
      assert.equal((await fits(pipe, "reject_hitl_gate", { gate_id: "build" })).status, "rejected");
    });
  });

test("a form is shown to the person, and their values count", async () => {
  await Stage.run(async (stage) => {
    const yaml = SHOP.replace('hitl_message: "Ship it?"', `hitl: {message: "Ship it?", form: [
      {name: share, type: number, default: 10, required: true}, {name: region, choices: [eu, us]},
      {name: loud, type: boolean, default: yes}, {name: note, label: A word}]}`);
    const pipe = await greeted(stage, {}, { elicitation: {} });
    const { run } = await fits(pipe, "submit_yaml_pipeline", { yaml });
    await fits(pipe, "wait_run", { run });
    const decided = pipe.call("approve_hitl_gate", { gate_id: "build", fields: { region: "us" } });
    const { id, params: { requestedSchema } } = await pipe.next();
    assert.deepEqual(requestedSchema, {
      type: "object", required: ["share"], properties: {
        share: { type: "number", default: 10 },
        region: { type: "string", enum: ["eu", "us"], default: "us" },
        loud: { type: "boolean", default: true }, note: { type: "string", title: "A word" },
      },
    });
    const content = { share: 25, region: "eu", loud: false };
    pipe.send({ jsonrpc: "2.0", id, result: { action: "accept", content } });
    const { structuredContent: { decision } } = await decided;
    assert.deepEqual(decision.fields, { share: "25", region: "eu", loud: "false" });
  });
});

test("logs: the last lines, from a cursor on, those that match, never more than fit", async () => {
  await Stage.run(async (stage) => {
    const pipe = await greeted(stage);
    const rest = "of many that are as long as this one";
    const prints = Array.from({ length: 900 }, (_, at) => `print line ${at} ${rest}`).join("; ");
    const long = `print ${"é".repeat(5000)}`;
    const yaml = JSON.stringify({ name: "logs", jobs: [
      { id: "many", run: prints }, { id: "long", run: long }, { id: "none", run: "sleep 0" },
      { id: "trap", run: `print ${"a".repeat(40)}!` },
    ] });
    const { run } = await fits(pipe, "submit_yaml_pipeline", { yaml });
    await fits(pipe, "wait_run", { run });
    const logs = (args: Json): Promise<Json> =>
      fits(pipe, "get_job_logs", { job_id: "many", ...args });
    const tail = await logs({ tail: 2 });
    assert.deepEqual([tail["logs"], tail["truncated"], tail["next_cursor"]],
      [`line 898 ${rest}\nline 899 ${rest}`, false, 900]);
    const full = await logs({ tail: 10_000 });
    assert.ok(full["logs"].length <= 20_000 && full["truncated"]);
    assert.ok(full["logs"].endsWith(`line 899 ${rest}`));
    const read: string[] = [];
    let cursor = 0;
    for (let pages = 0; pages < 5 && cursor < 900; pages++) {
      const page = await logs({ cursor });
      assert.ok(page["logs"].length <= 20_000);
      read.push(...page["logs"].split("\n"));
      cursor = page["next_cursor"];
    }
    assert.deepEqual(read, Array.from({ length: 900 }, (_, at) => `line ${at} ${rest}`));
    const found = await logs({ grep: "^line 8(7|8)7 " });
    assert.equal(found["logs"], `line 877 ${rest}\nline 887 ${rest}`);
    const cut = await fits(pipe, "get_job_logs", { job_id: "long" });
    assert.match(cut["logs"], /^é{4000}… \[1000 characters more\]$/);
    assert.equal(cut["truncated"], true);
    assert.equal(
      (await fits(pipe, "get_job_logs", { job_id: "none" }))["logs"],
      "(no logs available)",
    );
    const whole = await pipe.ask("tools/call",
      { name: "get_job_logs", arguments: { job_id: "many", tail: 10_000 } });
    assert.ok(Buffer.byteLength(JSON.stringify(whole)) < 100_000);
    assert.equal(whole["result"].content.at(-1).uri, `titan://runs/${run}/jobs/many/log`);
    assert.match(
      await refused(pipe, "get_job_logs", { job_id: "trap", grep: "^(a+)+$" }),
      /too long/,
    );
  });
});

test("why jobs wait: each with its reason", async () => {
  await Stage.run(async (stage) => {
    const pipe = await greeted(stage);
    const yaml = "name: why\njobs:\n  - {id: gpu, run: print x, requirement: GPU}\n" +
      "  - {id: next, run: print y, needs: gpu}\n";
    const { run, warnings } = await fits(pipe, "submit_yaml_pipeline", { yaml });
    assert.equal(warnings.length, 1);
    await stage.pass(100);
    const { waiting } = await fits(pipe, "explain_pending", { run });
    assert.deepEqual(waiting.map(({ job, kind }: Json) => [job, kind]),
      [["gpu", "worker"], ["next", "parents"]]);
    assert.match(waiting[0].reason, /GPU/);
    const { status } = await fits(pipe, "cancel_run", { run });
    assert.match(status, /CANCELLED|RUNNING/);
  });
});

test("titan://pipelines/schema has the keys that the reader of pipelines knows", async () => {
  await Stage.run(async (stage) => {
    const pipe = await greeted(stage);
    const { result } = await pipe.ask("resources/read", { uri: "titan://pipelines/schema" });
    const { properties } = JSON.parse(result.contents[0].text);
    const keys = (of: Json): string[] => Object.keys(of).sort();
    assert.deepEqual(keys(properties), [...KNOWN_KEYS.pipeline].sort());
    assert.deepEqual(keys(properties.jobs.items.properties), [...KNOWN_KEYS.job].sort());
    const { agent } = properties;
    assert.deepEqual(keys(agent.properties), [...KNOWN_KEYS.agent].sort());
    assert.deepEqual(keys(agent.properties.budget.properties), [...KNOWN_KEYS.budget].sort());
    const { retry } = properties.jobs.items.properties;
    assert.deepEqual(keys(retry.properties), [...KNOWN_KEYS.retry].sort());
  });
});

test("prompts are for people: what they need, and what they say then", async () => {
  await Stage.run(async (stage) => {
    const pipe = await greeted(stage);
    const { result: { prompts } } = await pipe.ask("prompts/list");
    for (const { name, arguments: wanted } of prompts) {
      const given = Object.fromEntries(wanted.map(({ name }: Json) => [name, `the ${name}`]));
      const { result } = await pipe.ask("prompts/get", { name, arguments: given });
      for (const value of Object.values(given) as string[]) {
        assert.ok(result.messages[0].content.text.includes(value), name);
      }
      const { error } = await pipe.ask("prompts/get", { name });
      assert.deepEqual([error.code, /is missing/.test(error.message)], [-32_602, true]);
    }
    assert.equal((await pipe.ask("prompts/get", { name: "none" }))["error"].code, -32_602);
  });
});

test("linePattern() tries a second time, for a machine that gave it no time at first", () => {
  let tries = 0;
  const slow = (times: number): readonly string[] => {
    tries = 0;
    const map = (): boolean[] => {
      tries += 1;
      if (tries <= times) for (;;);
      return [true];
    };
    return { map } as unknown as readonly string[];
  };
  const host = { clock: { monotonic: () => 0 } } as unknown as Host;
  assert.deepEqual(linePattern("a", host)(slow(1)), [true]);
  assert.equal(tries, 2);
  assert.throws(() => linePattern("a", host)(slow(5)), /it takes too long; write it simpler/);
  assert.equal(tries, 2);
  let now = 0;
  const late = { clock: { monotonic: () => (now += 1500) } } as unknown as Host;
  assert.throws(() => linePattern("a", late)(["a"]), /it takes too long/, "of all batches");
});
