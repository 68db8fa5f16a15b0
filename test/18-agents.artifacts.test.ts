/** `job.artifact`: files of a job's run, over its own session, in a simulated machine room. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Client } from "#sdk";
import { jobToken } from "#wire";
import { jobArtifacts, type ArtifactDoor } from "../src/sdk/job-artifacts.ts";
import { JobProgram } from "../src/sdk/job.ts";
import { pipeline, refusal, report, Room, spec } from "./10-master.support.ts";

const text = async (bytes: AsyncIterable<Buffer>): Promise<string> => {
  const pieces: Buffer[] = [];
  for await (const piece of bytes) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces).toString();
};

test("job.artifact puts, gets, lists and removes files of its run, and keeps some by their names",
  () => Room.run(async (room) => {
    await room.start();
    const worker = await room.worker("w1");
    const client = await room.client();
    const { run } = await client.submitSpec(pipeline([spec("a")]));
    await room.until(() => worker.assigned.length === 1);
    const assigned = worker.assigned[0]!;
    const { attempt } = assigned;
    const scope = { run: assigned.run, job: assigned.job, attempt, worker: worker.welcome.worker };
    const token = jobToken(worker.welcome.jobKey!, scope);
    const settings = { master: "m:9090", token, run, job: "a", attempt: String(attempt) };
    const { artifact } = new JobProgram(settings, { host: room.world.host("job") });

    const { info } = await artifact.put("r.md", "of the run");
    assert.deepEqual([info.run, info.byJob, info.byAttempt], [run, "a", 1]);
    const kept = await artifact.put("r.md", Buffer.from("kept"), { keep: true });
    assert.deepEqual([kept.info.run, kept.info.byRun], ["", run]);
    await artifact.put("kept.md", (async function* () { yield Buffer.from("piece"); })(),
      { keep: true });
    assert.equal(await text((await artifact.get("r.md")).bytes), "of the run");
    assert.equal(await text((await artifact.get("r.md", { keep: true })).bytes), "kept");
    assert.equal(await text((await artifact.get("kept.md")).bytes), "piece", "or else a kept one");
    assert.deepEqual((await artifact.list()).map(({ name }) => name), ["r.md"]);
    assert.equal((await artifact.list({ keep: true })).length, 2);
    assert.equal((await artifact.rm("r.md")).artifacts[0]!.size, 10);
    assert.equal(await text((await artifact.get("r.md")).bytes), "kept");

    await worker.finish(report(assigned));
    await assert.rejects(artifact.put("r.md", "too late"), refusal("CONFLICT"));
  }));

test("bytes that are given up end their stream, before the first of them and between two; those " +
  "that are awaited hold the process", async () => {
  const events: string[] = [];
  const client = {
    getArtifact: async () => {
      async function* bytes(): AsyncGenerator<Buffer, void> {
        try {
          for (;;) yield Buffer.from("a piece");
        } finally {
          events.push("ended");
        }
      }
      const own = bytes();
      await own.next();
      return { info: { name: "a" }, bytes: own };
    },
  } as unknown as Client;
  const hold: ArtifactDoor["hold"] = async (work) => {
    events.push("held");
    return work();
  };
  const artifact = jobArtifacts(() =>
    ({ run: "r", job: "j", attempt: 1, ask: (request) => request(client), hold }));
  await (await artifact.get("a")).bytes.return();
  assert.deepEqual(events.splice(0), ["ended"]);
  for await (const piece of (await artifact.get("a")).bytes) {
    assert.equal(String(piece), "a piece");
    break;
  }
  assert.deepEqual(events.splice(0), ["held", "ended"]);
  const { bytes } = await artifact.get("a");
  await assert.rejects(bytes.throw(new Error("no")), /^Error: no$/);
  assert.deepEqual(events, ["ended"]);
});

test("a source that can be read again is sent again, and another one is an error in words",
  async () => {
    let sent = 0;
    const client = {
      putArtifact: async () => {
        sent += 1;
        if (sent % 2 === 1) throw new Error("the connection broke");
        return { info: { name: "a" } };
      },
    } as unknown as Client;
    const twice: ArtifactDoor["ask"] = (request) =>
      request(client).catch(() => request(client));
    const door = { run: "r", job: "j", attempt: 1, ask: twice, hold: async () => assert.fail() };
    const artifact = jobArtifacts(() => door as ArtifactDoor);
    assert.equal((await artifact.put("a", "text")).info.name, "a");
    assert.equal((await artifact.put("a", { file: "/x" })).info.name, "a");
    const pieces = (async function* () { yield Buffer.from("x"); })();
    await assert.rejects(artifact.put("a", pieces), /its source cannot be read again/);
  });
