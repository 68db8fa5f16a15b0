/** A job's own credential: what it opens, what it does not, and when it ends. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { HANDLERS } from "../src/master/handlers.ts";
import { connect, type Client } from "#sdk";
import {
  JobRef, jobToken, LEASE_MS, Op, readJobToken, SECRET_BYTES, workerKey, type JobScope,
} from "#wire";
import {
  hello, MASTER, pipeline, refusal, report, Room, spec, type ScriptedWorker,
} from "./10-master.support.ts";
import { ADDRESS, job, pipeline as ofJobs, SimCluster } from "./11-worker.cluster.ts";

const SECRET = Buffer.alloc(SECRET_BYTES, 7);
const SCOPE: JobScope = { run: 3, job: 0, attempt: 1, worker: 12 };

test("readJobToken() reads what jobToken() made, and nothing that differs in one character", () => {
  const token = jobToken(workerKey(SECRET, SCOPE.worker), SCOPE);
  assert.deepEqual(readJobToken(SECRET, token), SCOPE);
  for (let at = 0; at < token.length; at++) {
    const other = token[at] === "1" ? "2" : "1";
    const changed = token.slice(0, at) + other + token.slice(at + 1);
    assert.equal(readJobToken(SECRET, changed), undefined, changed);
  }
  for (const wrong of ["", "titan-job.", `${token}0`, ` ${token}`, token.toUpperCase(),
    token.replace("3.", "03."), token.replace("3.", "1e0.")]) {
    assert.equal(readJobToken(SECRET, wrong), undefined, wrong);
  }
  assert.equal(readJobToken(Buffer.alloc(SECRET_BYTES, 8), token), undefined, "another cluster");
});

test("the key of a worker makes no credential in the name of another worker", () => {
  const forged = jobToken(workerKey(SECRET, 13), SCOPE);
  assert.equal(readJobToken(SECRET, forged), undefined);
});

function credential({ welcome }: ScriptedWorker, scope: JobScope): string {
  return jobToken(welcome.jobKey!, scope);
}

/** A run of one job, which runs on a scripted worker; and a client with the job's credential. */
async function running(
  room: Room, { name = "w1", token }: { name?: string; token?: string | undefined } = {},
): Promise<{ run: string; scope: JobScope; worker: ScriptedWorker; asJob: Client }> {
  const worker = await room.worker(name, { token });
  const client = await room.client(token);
  const { run } = await client.submitSpec(pipeline([spec("a")]));
  await room.until(() => worker.assigned.length === 1);
  const { run: number, job: index, attempt } = worker.assigned[0]!;
  const scope = { run: number, job: index, attempt, worker: worker.welcome.worker };
  return { run, scope, worker, asJob: await room.client(credential(worker, scope)) };
}

for (const token of [undefined, "s3cret"]) {
  test(`with its credential a job reads its own run and no other (token: ${token})`, () =>
    Room.run(async (room) => {
      await room.start(token === undefined ? {} : { token });
      const { run, asJob } = await running(room, { token });
      const person = await room.client(token);
      const other = await person.submitSpec({ ...pipeline([spec("b")]), name: "other" });
      assert.equal((await asJob.status(run)).jobs[0]!.status, "RUNNING");
      await asJob.ping();
      await assert.rejects(asJob.status(other.run),
        refusal("UNAUTHORIZED", /other-.* is another run than that of this job/));
      await assert.rejects(asJob.runs(), refusal("UNAUTHORIZED", /Cannot serve RUNS: a job may/));
      await assert.rejects(asJob.cancel(run), refusal("UNAUTHORIZED", /Cannot serve CANCEL/));
      await assert.rejects(asJob.info({ hash: true }), refusal("UNAUTHORIZED", /the hash/));
      assert.equal((await asJob.info()).runs, 2);
    }));
}

test("a job may ask for what is in the table of scope.ts, and for nothing else", () =>
  Room.run(async (room) => {
    await room.start();
    const { run, scope, worker } = await running(room);
    const raw = await room.raw();
    await raw.request(Op.HELLO, hello({ token: credential(worker, scope) }));
    const opened: string[] = [];
    for (const [name, opcode] of Object.entries(Op)) {
      if (HANDLERS[opcode] === undefined) continue;
      const asked = raw.request(opcode, JobRef.encode({ run, job: "none" }), { deadlineMs: 50 });
      const code = await asked.then(() => "", (error: { code: string }) => error.code);
      if (code !== "UNAUTHORIZED") opened.push(name);
    }
    assert.deepEqual(opened.sort(), [
      "ADD_JOBS", "ARTIFACTS", "ARTIFACT_GET", "ARTIFACT_PUT", "ASK", "BLOB_GET", "BLOB_HAS",
      "BLOB_PUT", "GATES", "INFO", "KV", "LOGS", "PING", "REMOVE_ARTIFACTS", "SPAWN", "STATUS",
      "STEPS", "STEP_END", "STEP_START", "WAIT", "WATCH", "WHY",
    ]);
  }));

test("a job has artifacts of its own run, reads kept ones, and puts while its attempt runs", () =>
  Room.run(async (room) => {
    await room.start();
    const { run, asJob, worker } = await running(room);
    const person = await room.client();
    const { run: other } = await person.submitSpec(pipeline([spec("o", { delayMs: 1e6 })]));
    await person.putArtifact("theirs", "x", { run: other });
    await person.putArtifact("kept", "x", { keep: true });
    await asJob.putArtifact("own", "x", { run });
    await asJob.putArtifact("more", "x", { run, keep: true });
    assert.deepEqual(
      (await asJob.artifacts({ run })).map(({ name }) => name),
      ["own"],
    );
    assert.equal((await asJob.artifacts({ kept: true })).length, 2);
    await (await asJob.getArtifact("kept", { run, orKept: true })).bytes.return();
    await (await asJob.getArtifact("own", { run })).bytes.return();
    await asJob.removeArtifact("own", { run });
    const refused = (asked: Promise<unknown>, why: RegExp): Promise<void> =>
      assert.rejects(asked, refusal("UNAUTHORIZED", why));
    await refused(asJob.putArtifact("x", "x", { run: other }), /another run than that of this/);
    await refused(asJob.getArtifact("theirs", { run: other }), /another run/);
    await refused(asJob.artifacts({ run: other }), /another run/);
    await refused(asJob.artifacts(), /it names no run/);
    await refused(asJob.removeArtifact("theirs", { run: other }), /another run/);
    await refused(asJob.removeArtifact("kept"), /a job removes artifacts of its own run/);
    await refused(asJob.collectArtifacts(), /a job removes artifacts of its own run/);
    await worker.finish(report(worker.assigned[0]!));
    const late = asJob.putArtifact("x", "x", { run, keep: true });
    await assert.rejects(late, refusal("CONFLICT", /attempt 1 of .* is over/));
    await person.cancel(other);
    await person.removeArtifact("theirs", { run: other });
  }));

test("a job sees the gates of its own run", () =>
  Room.run(async (room) => {
    await room.start();
    const gate = { message: "go?", maxWaitMs: 60_000, rules: undefined };
    const { run, asJob, worker } = await running(room);
    const person = await room.client();
    await person.submitSpec(pipeline([spec("g", { gate })]));
    await worker.finish(report(worker.assigned[0]!));
    await room.until(() => worker.assigned.length === 2);
    await worker.finish(report(worker.assigned[1]!));
    assert.equal((await person.gates()).length, 1);
    assert.deepEqual(await asJob.gates(), []);
    assert.equal((await asJob.status(run)).jobs[0]!.status, "COMPLETED", "it still reads");
  }));

test("what is no credential of this cluster opens nothing, even where everybody may come in", () =>
  Room.run(async (room) => {
    await room.start();
    const { scope, worker } = await running(room);
    const forged = jobToken(workerKey(SECRET, scope.worker), scope);
    await assert.rejects(room.client(forged), refusal("UNAUTHORIZED", /not of this cluster/));
    const raw = await room.raw();
    const asWorker = hello({ role: "worker", token: credential(worker, scope), instance: "x" });
    await assert.rejects(raw.request(Op.HELLO, asWorker),
      refusal("UNAUTHORIZED", /a worker cannot come with the token of a job/));
  }));

test("a change by an attempt that is over is refused, and says which attempt runs", () =>
  Room.run(async (room) => {
    await room.start();
    const { run, worker, asJob } = await running(room, { name: "gone" });
    await asJob.addJobs(run, [spec("b")]);
    worker.connection.destroy();
    const second = await room.worker("second", { slots: 4 });
    await room.until(() => second.assigned.length === 2, 2 * LEASE_MS);
    await assert.rejects(asJob.addJobs(run, [spec("c")]),
      refusal("CONFLICT", new RegExp(`attempt 1 of ${run}/a is over, attempt 2 runs`)));
    await second.finish(...second.assigned.map((each) => report(each)));
    await assert.rejects(asJob.addJobs(run, [spec("c")]),
      refusal("CONFLICT", /attempt 1 of .*\/a is over, it is COMPLETED/));
  }));

test("a change in the name of another worker than the one that runs the attempt is refused", () =>
  Room.run(async (room) => {
    await room.start();
    const { run, scope } = await running(room);
    const other = await room.worker("w2");
    const theirs = { ...scope, worker: other.welcome.worker };
    const asOther = await room.client(credential(other, theirs));
    await assert.rejects(asOther.addJobs(run, [spec("b")]),
      refusal("CONFLICT", /attempt 1 of .*\/a runs on another worker/));
  }));

test("a credential outlives the master's process: the secret is durable before it is used", () =>
  Room.run(async (room) => {
    await room.start();
    const { run, scope, worker } = await running(room);
    const token = credential(worker, scope);
    await room.restart();
    const asJob = await connect({ host: room.world.host("job"), master: MASTER, token });
    assert.equal((await asJob.status(run)).run.id, run);
  }));

test("the worker hands a credential to programs, and none to calls", async () => {
  const cluster = new SimCluster();
  await cluster.startMaster();
  const { executor } = cluster.startWorker("w1");
  const client = await cluster.connect();
  const action = { type: "call", target: "m#f", input: Buffer.from("null") } as const;
  const jobs = [job("program"), job("call", { action })];
  const { run } = await cluster.world.settle(client.submitSpec(ofJobs(jobs)));
  await cluster.until(() => executor.jobs.length === 2);
  const tokenOf = (id: string): string | undefined =>
    executor.jobs.find(({ request }) => request.job === id)!.request.token;
  assert.equal(tokenOf("call"), undefined);
  const asJob = await cluster.world.settle(
    connect({ host: cluster.world.host("job"), master: ADDRESS, token: tokenOf("program") }),
  );
  const { run: info } = await cluster.world.settle(asJob.status(run));
  assert.equal(info.id, run);
  await assert.rejects(cluster.world.settle(asJob.runs()), refusal("UNAUTHORIZED"));
  client.close();
  asJob.close();
  for (const each of executor.jobs) each.end();
});
