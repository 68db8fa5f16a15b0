/** Routes of time travel; each answer fits what openapi.json says of it. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { mismatch } from "#rows";
import { scene, type Scene } from "./http.events.support.ts";
import "./leaks.support.ts";

let world: Scene;
let described: any;
before(async () => {
  world = await scene();
  described = await (await fetch(`${world.door.url}/api/v1/openapi.json`)).json();
});
after(() => world.end());

async function ask(path: string): Promise<{ status: number; json: any }> {
  const found = await fetch(`${world.door.url}/api/v1/history${path}`, {
    headers: { connection: "close" },
  });
  return { status: found.status, json: await found.json() };
}

/** Asks, and compares the answer with the schema of this path. */
async function fits(path: string): Promise<any> {
  const { status, json } = await ask(path);
  assert.equal(status, 200, JSON.stringify(json));
  const operation = described.paths[`/api/v1/history${path.replace(/\?.*/, "")}`].get;
  const { schema } = operation.responses["200"].content["application/json"];
  assert.equal(mismatch(schema, json), undefined);
  return json;
}

test("the past of a cluster is told: its span, a moment, facts and a step", async () => {
  assert.deepEqual(await fits(""), { first: 0, last: 0, firstAt: null, lastAt: null });
  const jobs = [{ id: "a", run: "x" }, { id: "b", run: "y", needs: ["a"] }];
  const { run } = await world.titan.submit({ name: "shop", jobs });
  await world.titan.cancel(run);
  const { first, last, firstAt } = await fits("");
  assert.deepEqual([first, last], [0, 2]);
  const then = await fits(`/at?seq=1&run=${run}`);
  assert.deepEqual([then.seq, then.at, then.run], [1, firstAt, run]);
  assert.deepEqual(then.jobs.map((job: any) => [job.id, job.status, job.dependsOn]), [
    ["a", "PENDING", []], ["b", "PENDING", ["a"]],
  ]);
  assert.deepEqual(then.queue, [{ need: "GENERAL", ready: 1, waiting: 1, running: 0 }]);
  const now = await fits(`/at?at=${new Date(Date.now() + 1000).toISOString()}&run=shop`);
  assert.deepEqual([now.seq, now.runs[0].status, now.queue], [2, "CANCELLED", []]);
  assert.deepEqual((await fits("/at?seq=0")).runs, []);
  const { facts, next } = await fits(`/facts?from=1&limit=1&run=${run}`);
  assert.deepEqual([facts[0].seq, facts[0].type, facts[0].run, next], [1, "RunSubmitted", run, 2]);
  assert.match(facts[0].text, new RegExp(`^#1 RunSubmitted ${run} with 2 jobs`));
  const step = await fits("/step?seq=2");
  assert.deepEqual([step.append.type, step.fact.type], ["JobsCancelled", "JobsCancelled"]);
  assert.deepEqual([step.decide.commands, step.effects], [["Cancel", "CancelGroup"], []]);
  assert.deepEqual(step.apply.slice(0, 2), [
    { what: `run ${run}`, before: "RUNNING: 2 PENDING", after: "CANCELLED: 2 CANCELLED" },
    { what: "queue", before: "1 ready", after: "0 ready" },
  ]);
});

test("what cannot be told is refused, in words", async () => {
  const refused = async (path: string): Promise<[number, string]> => {
    const { status, json } = await ask(path);
    return [status, json.error.message];
  };
  assert.deepEqual(await refused("/at?seq=99"), [
    404, "Cannot go back to fact 99: the log ends with fact 2",
  ]);
  assert.deepEqual(await refused("/at?seq=1&run=nope"), [
    404, 'Cannot find run "nope" in the log: no run in it begins so',
  ]);
  assert.match((await refused("/at?at=yesterday"))[1], /^Cannot go back: .*found "yesterday"$/);
  assert.match((await refused("/at"))[1], /neither is there$/);
  assert.equal((await refused("/step?seq=3"))[0], 404);
});
