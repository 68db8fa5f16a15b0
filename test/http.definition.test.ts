/** A pipeline that a master keeps, as a person would write it, and once more. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { definitionJson } from "#rows";
import { definePipeline } from "#pipeline";
import { parsePipeline, toSpec, type Client } from "#sdk";
import { PipelineSpec } from "#wire";
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

test("definitionJson() is the same pipeline again: services, gates, budgets and all", () => {
  const spec = toSpec(parsePipeline(`
    name: whole
    agent: {id: x, budget: {jobs: 40, fan_out: 10, usd: 1.5, deadline: 2h}}
    jobs:
      - id: web
        type: service
        command: [serve]
        replicas: 3
        healthcheck: {http: /ready, interval: 500ms, timeout: 1s, healthy_after: 2,
                      unhealthy_after: 5, start_period: 90s}
        restart: {policy: on-failure, delay: 0, backoff: 1.5, attempts: 3, window: 1m}
        stop_grace: 250ms
      - {id: db, type: service, command: [db], healthcheck: {command: [ping, "-c1"]}}
      - {id: plain, type: service, run: serve, healthcheck: tcp, restart: never}
      - id: use
        call: "mod#run"
        needs: [web, db]
        hitl: {message: ok, timeout: 1h, notify: {command: [tell, all]}}
      - id: last
        run: "true"
        needs: use
        hitl: {message: sure, notify: {webhook: $TITAN_NOTIFY_OPS}}
  `));
  const made = definitionJson(spec) as { jobs: Record<string, unknown>[] };
  assert.deepEqual(made.jobs[0], {
    id: "web", command: ["serve"], type: "service", replicas: 3, stop_grace: "250ms",
    healthcheck: {
      http: "/ready", interval: "500ms", timeout: "1s", healthy_after: 2, unhealthy_after: 5,
      start_period: "90s",
    },
    restart: {
      policy: "on-failure", delay: "0s", max_delay: "60s", backoff: 1.5, attempts: 3, window: "60s",
    },
  });
  assert.deepEqual(made.jobs[1]!["healthcheck"], { command: ["ping", "-c1"] });
  assert.deepEqual(made.jobs[2], { id: "plain", run: "serve", type: "service", restart: "never" });
  assert.deepEqual(made.jobs[3]!["depends_on"], ["web", "db"], "a service, and not its replicas");
  const again = toSpec(definePipeline(JSON.parse(JSON.stringify(made))));
  assert.deepEqual(
    PipelineSpec.decode(PipelineSpec.encode(again)), PipelineSpec.decode(PipelineSpec.encode(spec)),
  );
});

test("definitionJson() takes the input of any client, and no address that may be a secret", () => {
  const { jobs: [job], ...head } = toSpec(parsePipeline(`
    name: other
    jobs:
      - {id: a, call: "m#f", hitl: {message: ok, notify: {webhook: "https://hooks.example.org/T0"}}}
  `));
  const inputs = ["", "{", '"x"'].map((text, at) => ({
    ...job!, id: `a${at}`, action: { ...job!.action, input: Buffer.from(text) } as never,
  }));
  const made = definitionJson({ ...head, jobs: inputs }) as { jobs: Record<string, unknown>[] };
  assert.deepEqual(made.jobs.map(({ input }) => input), [undefined, "{", "x"]);
  assert.match(JSON.stringify(made), /"webhook":"https:\/\/hooks.example.org\/…"/);
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
