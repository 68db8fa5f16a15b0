/** Chapter 17: the keys of an agent run and of its budget, read, refused and written back. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { definePipeline, limits, parsePipeline, PipelineError, toYaml } from "#pipeline";
import { toSpec } from "#sdk";
import * as wire from "#wire";

const JOBS = "jobs: [{id: plan, run: ls}]";

function read(keys: string) {
  return parsePipeline(`name: research\n${keys}\n${JOBS}\n`);
}

/** The first problem, without its place. */
function problem(keys: string): string {
  try {
    read(keys);
  } catch (error) {
    assert.ok(error instanceof PipelineError);
    return error.problems[0]!.message;
  }
  return assert.fail(`${keys} is read`);
}

test("parsePipeline() reads an agent run, its group and its budget", () => {
  const all = "agent: {id: r1, budget: {jobs: 40, depth: 3, fan_out: 10, steps: 500, " +
    "tokens: 2e6, usd: 0.25, deadline: 2h}}";
  const budget = {
    jobs: 40, depth: 3, fanOut: 10, steps: 500, tokens: 2_000_000, usdMicros: 250_000,
    deadlineMs: 7_200_000,
  };
  assert.deepEqual(read(all).agent, { id: "r1", budget });
  assert.deepEqual(read("agent: {}").agent, { budget: {} });
  assert.deepEqual(read("agent_run_id: research-7k2m").agent, { id: "research-7k2m", budget: {} });
  assert.equal(read("version: 1").agent, undefined);
});

test("the pipeline that travels has the agent, and is as it was without one", () => {
  const { agent } = toSpec(read("agent: {id: r1, budget: {usd: 5}}"));
  assert.deepEqual(agent, { id: "r1", budget: { usdMicros: 5_000_000 } });
  assert.deepEqual(toSpec(read("agent_run_id: r1")).agent, { id: "r1", budget: undefined });
  const bare = wire.PipelineSpec.encode({ name: "n", jobs: [] });
  assert.equal(bare.toString("hex"), "0a016e00");
  const known = wire.PipelineSpec.decode(wire.PipelineSpec.encode(toSpec(read("agent: {id: r1}"))));
  assert.equal(known.agent?.id, "r1");
});

test("toYaml() writes an agent so that it is read as the same again", () => {
  const keys = [
    "agent: {}", "agent_run_id: r1", "agent: {id: r1, budget: {jobs: 1}}",
    "agent: {budget: {usd: 0.000001, deadline: 90s, fan_out: 2}}",
    "agent: {budget: {usd: 1000000, tokens: 1000000000000, depth: 8, steps: 7}}",
  ];
  for (const each of keys) {
    const definition = read(each);
    assert.deepEqual(parsePipeline(toYaml(definition)), definition, toYaml(definition));
  }
});

test("parsePipeline() refuses in words what is no limit, or no name of a group", () => {
  const cases: [string, RegExp][] = [
    ["agent: {budget: {usd: -1}}", /^"usd" in "budget" in "agent" must be 0 to 1000000, found -1$/],
    ["agent: {budget: {usd: 0}}", /must be more than 0, found the number 0: leave the key out/],
    ["agent: {budget: {usd: .nan}}", /^"usd" in "budget" in "agent" must be a number: \.nan is/],
    ["agent: {budget: {usd: 1e400}}", /^"usd" in "budget" in "agent" must be a number/],
    ["agent: {budget: {usd: 1e9}}", /must be 0 to 1000000, found 1000000000$/],
    ["agent: {budget: {usd: 0.0000001}}", /cannot be finer than a millionth, found the number/],
    ["agent: {budget: {usd: 0.1234567}}", /cannot be finer than a millionth, found the number/],
    ["agent: {budget: {usd: five}}", /must be a number, found the text "five"$/],
    ["agent: {budget: {jobs: 0}}", /^"jobs" in "budget" in "agent" must be 1 to 1000000000/],
    ["agent: {budget: {steps: 1.5}}", /must be a whole number/],
    ["agent: {budget: {tokens: -7}}", /must be 1 to 1000000000000, found -7$/],
    ["agent: {budget: {depth: 9}}", /^"depth" in "budget" in "agent" must be 1 to 8, found 9$/],
    ["agent: {budget: {fan_out: 0}}", /must be 1 to/],
    ["agent: {budget: {deadline: 0}}", /must be more than 0: nothing could run$/],
    ["agent: {budget: {deadline: -5s}}", /cannot be negative/],
    ["agent: {budget: {dollars: 5}}", /^unknown key "dollars" in "budget" in "agent"/],
    ["agent: {budget: 5}", /^"budget" in "agent" must be a map with jobs, depth/],
    ["agent: true", /^"agent" must be a map with id, budget, found the boolean true$/],
    ["agent: {}\nagent_run_id: x", /^"agent_run_id" stands beside "agent": write id there$/],
    [`agent_run_id: ${"x".repeat(300)}`, /^"agent_run_id" is longer than 160 bytes$/],
    ["agent_run_id: a/b", /must begin with a letter or digit and go on with letters/],
    ['agent: {id: ""}', /^"id" in "agent" must not be empty$/],
  ];
  for (const [keys, expected] of cases) assert.match(problem(keys), expected, keys);
  const jobs = [{ id: "a", run: "x" }];
  const infinite = { name: "n", agent: { budget: { usd: Infinity } }, jobs };
  assert.throws(() => definePipeline(infinite), /Infinity at agent.budget.usd/);
});

test("a valid agent fits the wire, at the very limits, too", () => {
  const names = [
    "MAX_DEPTH_BUDGET", "MAX_COUNT_BUDGET", "MAX_TOKENS_BUDGET", "MAX_USD_BUDGET", "MICROS_PER_USD",
  ] as const;
  for (const name of names) assert.equal(limits[name], wire[name], name);
  assert.equal(limits.MAX_GROUP_CHARS, wire.MAX_GROUP_BYTES);
  assert.ok(limits.MAX_DURATION_MS <= wire.MAX_DEADLINE_MS);
});
