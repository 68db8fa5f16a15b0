/**
 * Chapter 17: the keys of services: what they give, and how mistakes in them are told.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  definePipeline, limits, parsePipeline, PipelineError, toYaml, type JobDefinition,
} from "#pipeline";
import { toSpec } from "#sdk";
import { MAX_CHECK_PATH_BYTES, MAX_REPLICAS, MAX_RESTART_ATTEMPTS, PipelineSpec } from "#wire";

/** A pipeline of one service, with these lines in it. */
const web = (...lines: string[]): string =>
  ["name: n", "jobs:", "  - id: web", "    type: service", "    run: ./serve",
    ...lines.map((line) => `    ${line}`)].join("\n");

const read = (...lines: string[]): NonNullable<JobDefinition["service"]> =>
  parsePipeline(web(...lines)).jobs[0]!.service!;

/** The first problem of a pipeline, from its place on. */
function problem(text: string): string {
  try {
    parsePipeline(text, { file: "p.yaml" });
  } catch (error) {
    assert.ok(error instanceof PipelineError, String(error));
    return error.format().split("\n")[0]!;
  }
  throw new Error(`no problem in\n${text}`);
}

test("a service has every default", () => {
  assert.deepEqual(read(), {
    health: limits.DEFAULT_HEALTH, restart: limits.DEFAULT_RESTART, replicas: 1, stopGraceMs: 5000,
  });
  assert.equal(parsePipeline("{name: n, jobs: [{id: a, run: ls}]}").jobs[0]!.service, undefined);
});

test("every key of a service is read", () => {
  const service = read(
    "port: 8080", "replicas: 3", "stop_grace: 30s",
    "healthcheck: {http: /up?x=1, interval: 5s, timeout: 1s, healthy_after: 2, " +
      "unhealthy_after: 4, start_period: 1m}",
    "restart: {policy: on-failure, delay: 500ms, backoff: 3, max_delay: 10s, attempts: 5, " +
      "window: 10m}",
  );
  assert.deepEqual(service, {
    port: 8080, replicas: 3, stopGraceMs: 30_000,
    health: {
      check: { type: "http", path: "/up?x=1" }, intervalMs: 5000, timeoutMs: 1000,
      healthyAfter: 2, unhealthyAfter: 4, startPeriodMs: 60_000,
    },
    restart: {
      policy: "on-failure", delayMs: 500, backoff: 3, maxDelayMs: 10_000, attempts: 5,
      windowMs: 600_000,
    },
  });
});

test("short forms: tcp, a command, a bare policy", () => {
  const check = (line: string): unknown => read(line).health.check;
  assert.deepEqual(check("healthcheck: tcp"), { type: "tcp" });
  assert.deepEqual(check("healthcheck: {tcp: true, interval: 1s}"), { type: "tcp" });
  assert.deepEqual(check("healthcheck: {tcp: , interval: 1s}"), { type: "tcp" });
  assert.deepEqual(check("healthcheck: {interval: 1s}"), { type: "tcp" });
  const argv = ["curl", "-f", "http://localhost"];
  assert.deepEqual(check(`healthcheck: {command: ${JSON.stringify(argv)}}`), {
    type: "command", argv,
  });
  for (const policy of ["always", "on-failure", "never"] as const) {
    assert.deepEqual(read(`restart: ${policy}`).restart, { ...limits.DEFAULT_RESTART, policy });
  }
  assert.equal(read("restart: {delay: 5m}").restart.maxDelayMs, 300_000, "the cap gives way");
});

test("mistakes in a service are told with their place and the way out", () => {
  const table: readonly (readonly [string, string])[] = [
    ["port: 0", 'p.yaml:6:11: "port" in job "web" must be 1 to 65535, found 0'],
    ["port: 70000", 'p.yaml:6:11: "port" in job "web" must be 1 to 65535, found 70000'],
    ["replicas: 0", 'p.yaml:6:15: "replicas" in job "web" must be 1 to 100, found 0'],
    [
      "healthcheck: /up",
      'p.yaml:6:18: "healthcheck" in job "web" must be a map with tcp, http, command, interval, ' +
        'timeout, healthy_after, unhealthy_after, start_period, found the text "/up": write ' +
        "{http: /up}",
    ],
    [
      "healthcheck: {http: http://localhost:80/up}",
      'p.yaml:6:25: "http" in "healthcheck" in job "web" must be a path that begins with / and ' +
        'has no blanks, found "http://localhost:80/up": write /up',
    ],
    [
      "healthcheck: {http: /a, tcp: true}",
      'p.yaml:6:19: "http" in "healthcheck" in job "web" is one check too many: "tcp" is there',
    ],
    [
      "healthcheck: {tcp: 80}",
      'p.yaml:6:24: "tcp" in "healthcheck" in job "web" takes no value: the port is the ' +
        "service's own, found the number 80",
    ],
    [
      "healthcheck: {command: []}",
      'p.yaml:6:19: "command" in "healthcheck" in job "web" names no program',
    ],
    [
      "healthcheck: {interval: 0}",
      'p.yaml:6:29: "interval" in "healthcheck" in job "web" must be more than 0',
    ],
    [
      "healthcheck: {intervall: 1}",
      'p.yaml:6:19: unknown key "intervall" in "healthcheck" in job "web" (did you mean ' +
        '"interval"?)',
    ],
    [
      "restart: unless-stopped",
      'p.yaml:6:14: "restart" in job "web" must be always or on-failure or never, found the text ' +
        '"unless-stopped": write restart: always',
    ],
    [
      "restart: {window: 1m}",
      'p.yaml:6:15: "window" in "restart" in job "web" has no "attempts" to count',
    ],
    [
      "restart: {delay: 10s, max_delay: 1s}",
      'p.yaml:6:38: "max_delay" in "restart" in job "web" is shorter than the first delay',
    ],
    [
      "retries: 2",
      'p.yaml:6:5: "retries" in job "web" is not for services: a service is started again by its ' +
        '"restart"',
    ],
    [
      "timeout: 1m",
      'p.yaml:6:5: "timeout" in job "web" is not for services: a service has no end to wait for ' +
        "(its health check has a timeout of its own)",
    ],
    [
      "hitl_message: go?",
      'p.yaml:6:5: "hitl_message" in job "web" is not for services: a gate waits for the end of ' +
        "its job, and a service has none",
    ],
  ];
  for (const [line, expected] of table) assert.equal(problem(web(line)), expected);
});

test("keys of services in a job that ends are refused", () => {
  const job = (line: string): string => `name: n\njobs:\n  - id: a\n    run: ls\n    ${line}`;
  for (const key of ["port", "replicas"]) {
    assert.equal(problem(job(`${key}: 1`)),
      `p.yaml:5:5: "${key}" in job "a" is for services: add "type: service"`);
  }
  assert.equal(problem(job("restart: always")),
    'p.yaml:5:5: "restart" in job "a" is for services: add "type: service" (a job that ends has ' +
      '"retries")');
});

test("the id of a replica is no other job's", () => {
  const text = "name: n\njobs:\n  - {id: web, type: service, run: ./a, replicas: 3}\n" +
    "  - {id: web.3, run: ls}";
  assert.match(problem(text), /^p\.yaml:4:10: the id "web\.3" is that of a replica of "web"; the /);
});

test("toYaml() writes a service that is read as the same", () => {
  const lines: readonly string[][] = [
    [], ["port: 80"], ["healthcheck: tcp"], ["healthcheck: {http: /up}"],
    ["healthcheck: {command: [a, b], interval: 90s}"], ["restart: never"],
    ["restart: {delay: 2s}"], ["restart: {policy: on-failure, attempts: 3, window: 1m}"],
    ["replicas: 2", "stop_grace: 1m"], ["stop_grace: 0"],
  ];
  for (const some of lines) {
    const definition = parsePipeline(web(...some));
    assert.deepEqual(parsePipeline(toYaml(definition)), definition, some.join());
  }
  const text = toYaml(parsePipeline(web("restart: on-failure", "port: 80")));
  assert.equal(text, "name: \"n\"\njobs:\n  - id: web\n    type: service\n    run: \"./serve\"\n" +
    "    port: 80\n    restart: on-failure\n");
});

test("toSpec() makes a job of each replica, and those that depend on it wait for all", () => {
  const definition = definePipeline({
    name: "n",
    jobs: [
      { id: "first", run: "ls" },
      { id: "web", type: "service", run: "./serve", replicas: 3, needs: "first" },
      { id: "last", run: "ls", needs: ["web", "first"], affinity: "web" },
    ],
  });
  const { jobs } = toSpec(definition, { deploy: true });
  assert.deepEqual(jobs.map(({ id, dependsOn, affinity }) => [id, dependsOn, affinity]), [
    ["first", [], undefined],
    ["web", [0], undefined], ["web.2", [0], undefined], ["web.3", [0], undefined],
    ["last", [1, 2, 3, 0], 1],
  ]);
  assert.deepEqual(jobs.map(({ service }) => service?.name), [
    undefined, "web", "web", "web", undefined,
  ]);
  assert.equal(jobs[1]!.service!.deployed, true);
  const plain = PipelineSpec.encode(toSpec(definition));
  assert.deepEqual(PipelineSpec.encode(PipelineSpec.decode(plain)), plain);
});

test("the limits of services fit the wire", () => {
  assert.equal(limits.MAX_REPLICAS, MAX_REPLICAS);
  assert.equal(limits.MAX_RESTARTS, MAX_RESTART_ATTEMPTS);
  assert.equal(limits.MAX_PATH_CHARS, MAX_CHECK_PATH_BYTES);
});
