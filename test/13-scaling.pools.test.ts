/** Chapter 13: `pools.yaml`, read strictly, with a place for every problem. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { readPools } from "#pipeline";
import { MAX_POOLS } from "#scaling";

/** The lines of the report, without the quoted text. */
function problems(text: string): string[] {
  try {
    readPools(text, { file: "p" });
  } catch (error) {
    assert.ok(error instanceof Error && error.name === "PipelineError", String(error));
    assert.match(error.message, /^Cannot read pools: p:/);
    const report = (error as Error & { format(): string }).format();
    return report.split("\n").filter((line) => line.startsWith("p:"));
  }
  return [];
}

test("readPools() reads every key, and leaves the rest to the defaults", () => {
  const [cloud, web] = readPools(`
pools:
  - name: cloud
    tags: [GPU, HIGH_MEM]
    slots: 8
    min: 1
    max: 20
    up: [sbatch, --parsable, worker.sh]
    down: [scancel]
    up_after: 30s
    idle: 5m
    cooldown: 1h
    start_timeout: 10m
    retry: {delay: 5s, backoff: 3, max_delay: 2m, jitter: 0}
    x-note: for the night
  - name: web
`);
  assert.deepEqual(cloud, {
    name: "cloud",
    tags: ["GPU", "HIGH_MEM"],
    slots: 8,
    min: 1,
    max: 20,
    upAfterMs: 30_000,
    idleMs: 300_000,
    cooldownMs: 3_600_000,
    startTimeoutMs: 600_000,
    retry: { maxAttempts: 1, delayMs: 5000, backoff: 3, maxDelayMs: 120_000, jitter: 0 },
    driver: {
      type: "command", up: ["sbatch", "--parsable", "worker.sh"], down: ["scancel"],
    },
  });
  assert.deepEqual(web?.driver, { type: "process" });
  assert.deepEqual([web?.tags, web?.min, web?.max, web?.idleMs], [[], 0, 5, 45_000]);
});

test("readPools() takes one tag, GENERAL and an idle time for what they mean", () => {
  const [pool] = readPools("pools: [{name: a, tags: GPU, idle: 0}]");
  assert.deepEqual([pool?.tags, pool?.idleMs, pool?.cooldownMs], [["GPU"], 0, 0]);
  assert.deepEqual(readPools("pools: [{name: a, tags: [GENERAL, A, A]}]")[0]?.tags, ["A"]);
  const slow = readPools("pools: [{name: a, retry: {delay: 5m}}]")[0]?.retry;
  assert.deepEqual([slow?.delayMs, slow?.maxDelayMs], [300_000, 300_000]);
});

test("readPools() says all that is wrong at once, each at its place", () => {
  const text = [
    "pools:",
    "  - {name: web, max: 2, min: 4, idel: 3s}",
    "  - {name: web, up: sbatch x.sh, down: [scancel]}",
    "  - {name: gpu, up_after: 3 parsecs, slots: 0, tags: [a b]}",
    "  - {name: -x, min: 6, start_timeout: 0}",
    "  - {max: 4}",
    "  - web",
  ].join("\n");
  const most = "127 letters, digits, \"_\", \".\" or \"-\"";
  assert.deepEqual(problems(text), [
    'p:2:22: "max" in pool "web" must not be below min, which is 4; found 2',
    'p:2:33: unknown key "idel" in pool "web" (did you mean "idle"?)',
    'p:3:12: two pools have the name "web"; the other is in line 2',
    'p:3:21: "up" in pool "web" must be a list of a program and its arguments, ' +
      'found the text "sbatch x.sh": write up: [sbatch, x.sh]',
    'p:4:27: "up_after" in pool "gpu" must be a duration such as 90s, 10m, 1h30m or 500ms, ' +
      'found the text "3 parsecs"',
    'p:4:45: "slots" in pool "gpu" must be 1 to 4096, found 0',
    'p:4:55: "tags" in pool "gpu" must be a tag of letters, digits, "_", ".", ":" or "-", ' +
      'found "a b": write [a, b]',
    `p:5:12: "name" in pool "-x" must begin with a letter or digit and go on with up to ${most}, ` +
      'found "-x" (for example "x")',
    'p:5:21: "min" in pool "-x" must not be above max, which is 5 by default; found 6',
    'p:5:39: "start_timeout" in pool "-x" must be more than 0: no worker could come in time',
    "p:6:5: pool 5 needs a name",
    'p:7:5: pool 6 must be a map with name and max, found the text "web"',
  ]);
});

test("readPools() wants both commands or none, each with a program", () => {
  const one = (fields: string): string[] => problems(`pools: [{name: a, ${fields}}]`);
  assert.deepEqual(one("up: [x]"), [
    'p:1:19: "up" in pool "a" needs "down" beside it: nothing could end a worker',
  ]);
  assert.deepEqual(one("down: [x]"), [
    'p:1:19: "down" in pool "a" needs "up" beside it: nothing would start',
  ]);
  assert.deepEqual(one("up: [], down: ['']"), [
    'p:1:23: "up" in pool "a" must begin with a program',
    'p:1:33: "down" in pool "a" must begin with a program',
  ]);
  assert.deepEqual(one("up: [x, ''], down: [y]"), [], "an argument may be empty");
  assert.deepEqual(one("up: 'x \"two words\"', down: {a: b}"), [
    'p:1:23: "up" in pool "a" must be a list of a program and its arguments, ' +
      'found the text "x \\"two words\\""',
    'p:1:46: "down" in pool "a" must be a list of texts, found a map',
  ]);
});

test("readPools() refuses retries that would end, or shrink", () => {
  const one = (fields: string): string[] => problems(`pools: [{name: a, retry: ${fields}}]`);
  assert.deepEqual(one("{max_attempts: 3}"), [
    'p:1:27: unknown key "max_attempts" in "retry" in pool "a"',
  ]);
  assert.deepEqual(one("{delay: 10s, max_delay: 5s}"), [
    'p:1:39: "max_delay" in "retry" in pool "a" is shorter than the first delay',
  ]);
  assert.deepEqual(one("{max_delay: 500ms}").length, 1, "shorter than the usual first delay");
  assert.deepEqual(one("{backoff: 0.5, jitter: 2}").length, 2);
  assert.match(
    one("3")[0]!,
    /must be a map with delay, backoff, max_delay, jitter, found the number/,
  );
});

test("readPools() refuses a file that is something else", () => {
  const first = (text: string): string | undefined => problems(text)[0];
  assert.equal(
    first(""),
    "p:1:1: a file of pools must be a map with a list of pools, found nothing",
  );
  assert.equal(
    first("[]"),
    "p:1:1: a file of pools must be a map with a list of pools, found a list",
  );
  assert.equal(first("pools: 3"), 'p:1:8: "pools" must be a list, found the number 3');
  assert.equal(first("pools: []"), 'p:1:8: "pools" must not be empty');
  assert.deepEqual(problems("pool: []"), ['p:1:1: unknown key "pool" (did you mean "pools"?)']);
  assert.deepEqual(problems("jobs: []"), [
    'p:1:1: unknown key "jobs"', "p:1:1: the file needs pools",
  ]);
  assert.deepEqual(problems("x-a: 1"), ["p:1:1: the file needs pools"]);
  assert.match(first("pools: [")!, /^p:1:8: this bracket has no closing/);
  const many = (count: number): string => {
    return `pools:\n${Array.from({ length: count }, (_, i) => `- name: p${i}\n`).join("")}`;
  };
  assert.deepEqual(problems(many(MAX_POOLS)), []);
  assert.deepEqual(problems(many(MAX_POOLS + 1)), [`p:2:1: more than ${MAX_POOLS} pools`]);
  assert.match(first(`pools: [{name: ${"a".repeat(65)}}]`)!, /is longer than 64 characters/);
});
