/** Chapter 20: the tools: what they answer, refuse, and ask people, in virtual time. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { mismatch, type Schema } from "#rows";
import { Stage, type Json, type Pipe } from "./20-mcp.stage.ts";

const SHOP = `
name: shop
jobs:
  - {id: build, run: print building; result 7, hitl_message: "Ship it?"}
  - {id: ship, run: print shipped, needs: build}
`;

/** Calls a tool, and compares its answer with what the list says of it. */
export async function fits(pipe: Pipe, name: string, args: Json = {}): Promise<Json> {
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
export async function refused(pipe: Pipe, name: string, args: Json = {}): Promise<string> {
  const { isError, content, structuredContent } = await pipe.call(name, args);
  assert.equal(isError, true, JSON.stringify(content));
  assert.equal(structuredContent, undefined);
  return content[0].text;
}

export async function greeted(stage: Stage, options = {}, capabilities = {}): Promise<Pipe> {
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
