/** More jobs, questions and pauses over the session of a job, with its own credential. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { RpcConnection } from "#rpc";
import {
  Ask, Asked, jobToken, Op, Spawn, Spawned, WaitReply, WaitRequest, type WaitWish,
} from "#wire";
import {
  hello, pipeline, refusal, report, Room, spec, type ScriptedWorker,
} from "./10-master.support.ts";

interface Running {
  readonly run: string;
  readonly worker: ScriptedWorker;
  readonly raw: RpcConnection;
}

/** The session of a job: of the attempt that the worker was assigned last. */
async function sessionOf(room: Room, worker: ScriptedWorker): Promise<RpcConnection> {
  const raw = await room.raw();
  const { run, job, attempt } = worker.assigned.at(-1)!;
  const scope = { run, job, attempt, worker: worker.welcome.worker };
  await raw.request(Op.HELLO, hello({ token: jobToken(worker.welcome.jobKey!, scope) }));
  return raw;
}

async function running(room: Room): Promise<Running> {
  await room.start();
  const worker = await room.worker("w1");
  const client = await room.client();
  const { run } = await client.submitSpec(pipeline([spec("plan")]));
  await room.until(() => worker.assigned.length === 1);
  return { run, worker, raw: await sessionOf(room, worker) };
}

const spawnOf = (ids: string[]): Buffer => Spawn.encode({
  key: "k", jobs: ids.map((id) => spec(id)), parents: [], before: [], stage: "",
});
const waitsOf = (...waits: WaitWish[]): Buffer => WaitRequest.encode({ waits });
const question = { message: "Go on?", maxWaitMs: 60_000, rules: undefined };

test("over its session a job adds jobs, asks, waits, and finds all of it in its next attempt", () =>
  Room.run(async (room) => {
    const { run, worker, raw } = await running(room);
    const spawned = Spawned.decode(await raw.request(Op.SPAWN, spawnOf(["a"])));
    assert.deepEqual(spawned, { from: 1, jobs: 1, existing: false });
    const asked = Asked.decode(await raw.request(Op.ASK, Ask.encode({ key: "q", gate: question })));
    assert.equal(asked.gate, `${run}/plan:q`);
    const waits = waitsOf({ type: "jobs", jobs: ["a"] });
    assert.deepEqual(WaitReply.decode(await raw.request(Op.WAIT, waits)).met, []);
    await worker.finish(report(worker.assigned[0]!));
    await room.until(() => worker.assigned.length === 2);
    const person = await room.client();
    const { jobs } = await person.status(run);
    assert.deepEqual(jobs.map(({ id, status, paused }) => [id, status, paused]), [
      ["plan", "WAITING", "jobs"], ["a", "RUNNING", undefined],
    ]);
    assert.match(jobs[0]!.reason, /^waits for a \(RUNNING\)$/);
    await assert.rejects(
      raw.request(Op.SPAWN, spawnOf(["b"])),
      refusal("CONFLICT", /attempt 1 of .*\/plan is over, it is WAITING/),
    );
    const [gate] = await person.gates();
    assert.deepEqual([gate!.id, gate!.message], [`${run}/plan:q`, "Go on?"]);
    assert.equal((await person.decide(gate!.id, { approve: true, by: "ann" })).approved, true);
    await worker.finish(report(worker.assigned[1]!));
    await room.until(() => worker.assigned.length === 3);
    const again = await sessionOf(room, worker);
    const known = Spawned.decode(await again.request(Op.SPAWN, spawnOf(["a"])));
    assert.deepEqual(known, { from: 1, jobs: 1, existing: true });
    const { decision } = Asked.decode(
      await again.request(Op.ASK, Ask.encode({ key: "q", gate: question })),
    );
    assert.equal(decision!.by, "ann");
    await worker.finish(report(worker.assigned[2]!));
    assert.equal((await person.wait(run)).status, "COMPLETED");
  }));

test("a person's session is no job, and an answer is not the job's to give", () =>
  Room.run(async (room) => {
    const { run, raw } = await running(room);
    const person = await room.raw();
    await person.request(Op.HELLO, hello({}));
    for (const [opcode, body] of [
      [Op.SPAWN, spawnOf(["a"])], [Op.WAIT, waitsOf({ type: "time", at: 1 })],
      [Op.ASK, Ask.encode({ key: "q", gate: question })],
    ] as const) {
      await assert.rejects(
        person.request(opcode, body), refusal("CONFLICT", /is not that of a running job/),
      );
    }
    await raw.request(Op.ASK, Ask.encode({ key: "q", gate: question }));
    await assert.rejects(
      raw.request(Op.DECIDE, Buffer.alloc(0)), refusal("UNAUTHORIZED", /DECIDE/),
    );
    assert.equal((await (await room.client()).gates())[0]!.id, `${run}/plan:q`);
  }));

test("more jobs at once than may be are refused with the code LIMIT", () =>
  Room.run(async (room) => {
    const { raw } = await running(room);
    const ids = Array.from({ length: 1001 }, (_, n) => `c${n}`);
    await assert.rejects(
      raw.request(Op.SPAWN, spawnOf(ids)), refusal("LIMIT", /1001 jobs are more than 1000/),
    );
  }));
