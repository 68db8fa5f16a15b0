/** A pipeline that a master keeps, as a person would write it, and once more. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { definitionJson } from "#rows";
import { parsePipeline, toSpec, type Client } from "#sdk";
import { CHANGES } from "../src/http/changes.ts";
import type { Asked } from "../src/http/route.ts";

test("definitionJson() has the keys of a pipeline file, and no value of a variable", () => {
  const spec = toSpec(parsePipeline(`
    name: nightly
    version: "3"
    jobs:
      - {id: a, run: echo hi, env: {KEY: s3cret}, outputs: out.txt}
      - id: b
        command: [ls, -l]
        needs: a
        requirement: GPU
        priority: 5
        timeout: 90s
        when: always
        inputs: [{job: a, path: out.txt, as: in.txt}]
      - id: c
        call: "mod#run"
        input: {n: 1}
        needs: [a, b]
        affinity: b
        delay: 250ms
        retry: {max_attempts: 3, delay: 1s}
        hitl: {message: "Ship?", approvers: [ada], form: [{name: region, choices: [eu]}]}
      - {id: web, type: service, run: serve, port: 80}
  `));
  const made = definitionJson(spec) as { jobs: Record<string, unknown>[] };
  assert.doesNotMatch(JSON.stringify(made), /s3cret/);
  const [a, b, c, web] = made.jobs;
  assert.deepEqual(a, { id: "a", run: "echo hi", env: { KEY: "…" }, outputs: ["out.txt"] });
  assert.deepEqual(b, {
    id: "b", command: ["ls", "-l"], depends_on: ["a"], requirement: ["GPU"], priority: 5,
    when: "always", timeout: "90s", inputs: [{ job: "a", path: "out.txt", as: "in.txt" }],
  });
  assert.deepEqual([c!["call"], c!["input"], c!["affinity"], c!["delay"]],
    ["mod#run", { n: 1 }, "b", "250ms"]);
  assert.deepEqual((c!["retry"] as object as { max_attempts: number }).max_attempts, 3);
  assert.match(JSON.stringify(c!["hitl"]), /"message":"Ship\?".*"approvers":\["ada"\].*"region"/);
  assert.deepEqual([web!["type"], web!["port"], web!["restart"]], ["service", 80, "always"]);
});

test("a duplicate is the same pipeline, values of variables included", async () => {
  const spec = toSpec(parsePipeline("name: x\njobs: [{id: a, run: echo, env: {K: v}}]"));
  const submitted: unknown[] = [];
  const client = {
    definition: async (run: string) => (run === "x-1" ? spec : undefined),
    submitSpec: async (...args: unknown[]) => (submitted.push(...args), { run: "x-2" }),
  } as unknown as Client;
  const route = CHANGES.find(({ path }) => path.endsWith("/duplicate"))!;
  const asked = { client, path: { run: "x-1" }, body: { by: "ada" } } as unknown as Asked;
  assert.deepEqual(await route.run(asked), { run: "x-2" });
  assert.deepEqual(submitted, [spec, { by: "ada" }]);
});
