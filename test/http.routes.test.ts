/** Routes of agents, artifacts and the store; each answer fits what openapi.json says of it. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { mismatch } from "#rows";
import { scene, type Scene } from "./http.events.support.ts";
import { memoryStore } from "./http.store.support.ts";
import "./leaks.support.ts";

let world: Scene;
let described: any;
const store = memoryStore();
before(async () => {
  world = await scene({ store });
  described = await (await fetch(`${world.door.url}/api/v1/openapi.json`)).json();
});
after(async () => {
  await world.end();
  store.close();
});

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly json: any;
}

async function ask(path: string, body?: object): Promise<Answer> {
  const headers = {
    connection: "close", "titan-request": "1",
    ...(body !== undefined && { "content-type": "application/json" }),
  };
  const found = await fetch(`${world.door.url}/api/v1/${path}`, {
    headers, ...(body !== undefined && { method: "POST", body: JSON.stringify(body) }),
  });
  const text = await found.text();
  const isJson = found.headers.get("content-type")?.startsWith("application/json") ?? false;
  const json: unknown = isJson ? JSON.parse(text) : undefined;
  return { status: found.status, headers: found.headers, text, json };
}

/** Asks, and compares the answer with the schema of this path. */
async function fits(pattern: string, path: string, body?: object): Promise<any> {
  const { status, json } = await ask(path, body);
  assert.equal(status, 200, JSON.stringify(json));
  const operation = described.paths[`/api/v1/${pattern}`][body === undefined ? "get" : "post"];
  const { schema } = operation.responses["200"].content["application/json"];
  assert.equal(mismatch(schema, json), undefined);
  return json;
}

test("agent runs are listed, shown, given more, and cancelled", async () => {
  const budget = { jobs: 5, usd: 2.5 };
  const jobs = [{ id: "plan", run: "x" }, { id: "write", run: "y", needs: ["plan"] }];
  const { run } = await world.titan.submit({
    name: "research_PLAN", agent: { id: "r1", budget }, jobs,
  });
  const [agent] = await fits("agents", "agents");
  assert.deepEqual([agent.id, agent.runs, agent.limits.usd], ["r1", 1, 2.5]);
  const report = await fits("agents/{agent}", `agents/${run}`);
  assert.deepEqual(report.tasks.map((task: any) => [task.id, task.stage]),
    [["plan", "PLAN"], ["write", "PLAN"]]);
  assert.deepEqual(await fits("runs/{run}/steps", `runs/${run}/steps`), []);
  const raise = (changes: object[]): Promise<Answer> =>
    ask("agents/r1/budget", { changes, by: "ann" });
  const more = await fits("agents/{agent}/budget", "agents/r1/budget", {
    changes: [{ what: "usd", amount: 0.5, add: true }, { what: "jobs", amount: 9 }],
  });
  assert.deepEqual([more.id, more.limits.usd, more.limits.jobs], ["r1", 3, 9]);
  assert.equal((await raise([{ what: "jobs", amount: 1.5 }])).status, 400);
  assert.equal((await raise([{ what: "luck", amount: 1 }])).status, 400);
  assert.equal((await ask(`runs/${run}/fork`, { from: "none#1" })).status, 404);
  const cancelled = await fits("agents/{agent}/cancel", "agents/r1/cancel", {});
  assert.deepEqual(cancelled, { id: "r1", runs: 1, jobs: 2 });
  assert.equal((await ask("agents/nobody")).status, 404);
});

test("artifacts are listed, downloaded as they are, and removed", async () => {
  const page = "<script>alert(1)</script>";
  await world.titan.putArtifact("a&b.html", page, { keep: true, by: "ada" });
  const [info] = await fits("artifacts", "artifacts?kept=1");
  assert.deepEqual([info.name, info.run, info.by, info.size], ["a&b.html", null, "ada", 25]);
  const path = `artifacts/${encodeURIComponent("a&b.html")}`;
  const { text, headers } = await ask(path);
  assert.equal(text, page);
  assert.equal(headers.get("content-type"), "application/octet-stream");
  assert.equal(headers.get("content-disposition"), 'attachment; filename="a_b.html"');
  assert.equal(headers.get("x-content-type-options"), "nosniff");
  assert.equal((await ask(`${path}?run=nobody`)).status, 404);
  const gone = await fits("artifacts/{name}/remove", `${path}/remove`, { by: "ada" });
  assert.deepEqual(gone.removed.map(({ name }: any) => name), ["a&b.html"]);
  assert.deepEqual((await ask("artifacts")).json, []);
  assert.equal((await ask(path)).status, 404);
});

test("keys of the store: by prefix, with their values, written and deleted", async () => {
  const { titan } = world;
  await Promise.all([
    titan.kv("SET", "a*1", "one"), titan.kv("SET", "ab", "two", "PX", "60000"),
    titan.kv("RPUSH", "list", "x", "y"), titan.kv("HSET", "hash", "k", "v", "l", "w"),
    titan.kv("SADD", "set", "m"), titan.kv("SET", "bytes", Buffer.from([255, 0])),
    titan.kv("SET", "long", "x".repeat(70_000)),
  ]);
  const page = await fits("store/keys", `store/keys?prefix=${encodeURIComponent("a*")}`);
  assert.deepEqual(page,
    { store: true, keys: [{ key: "a*1", type: "string", ttlMs: null }], cursor: "0" });
  assert.equal((await ask("store/keys")).json.keys.length, 7);
  const show = (key: string): Promise<any> =>
    fits("store/keys/{key}", `store/keys/${encodeURIComponent(key)}`);
  const timed = await show("ab");
  assert.ok(timed.ttlMs > 50_000 && timed.value === "two" && timed.whole);
  const values = await Promise.all(["list", "hash", "set", "bytes"].map(show));
  assert.deepEqual(values.map(({ value }) => value),
    [["x", "y"], { k: "v", l: "w" }, ["m"], { base64: "/wA=" }]);
  const long = await show("long");
  assert.deepEqual([long.value.length, long.length, long.whole], [65_536, 70_000, false]);
  const path = "store/keys/new%2Fkey";
  await fits("store/keys/{key}", path, { value: "v", ttlMs: 60_000 });
  assert.equal((await ask(path)).json.value, "v");
  await ask(path, { value: "v", keepTtl: true });
  assert.ok((await ask(path)).json.ttlMs > 50_000);
  for (const [was, value, status] of [
    ["x", "w", 409], [null, "w", 409], ["v", "w", 200], ["v", "x", 409], ["w", "x", 200],
  ] as const) {
    const { status: found, json } = await ask(path, { value, was });
    assert.deepEqual([found, json.error?.code], [status, status === 409 ? "CONFLICT" : undefined]);
  }
  assert.equal((await ask(path)).json.value, "x");
  assert.deepEqual(await fits("store/keys/{key}/delete", `${path}/delete`, {}),
    { key: "new/key", deleted: true });
  assert.deepEqual(await fits("store/keys/{key}", path),
    { key: "new/key", type: "none", ttlMs: null, value: null, length: 0, whole: true });
  assert.equal((await ask(path, { value: "n", was: "x" })).status, 409);
  assert.equal((await ask(path, { value: "n", was: null })).status, 200);
  const wrong = await ask("store/keys?cursor=x");
  assert.deepEqual([wrong.status, wrong.json.error.code], [422, "STORE"]);
});
