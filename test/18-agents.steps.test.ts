/**
 * Durable steps as a program sees them: a master in a simulated room, programs that are killed at
 * every moment, and a server that counts the calls it gets.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startStep } from "../src/sdk/job-requests.ts";
import { JobProgram } from "../src/sdk/job.ts";
import { StepError, type StepOptions } from "../src/sdk/job-context.ts";
import { jobToken, LEASE_MS, MAX_STEP_BLOB_BYTES, type Assignment } from "#wire";
import { pipeline, refusal, report, Room, spec, usedBytes, type ScriptedWorker } from
  "./10-master.support.ts";

/** The program of one attempt, on a machine of its own. */
function programOf(
  room: Room, worker: ScriptedWorker, assigned: Assignment, how: { hold?: boolean } = {},
): JobProgram {
  const { run, job, attempt, runId, jobId } = assigned;
  const scope = { run, job, attempt, worker: worker.welcome.worker };
  const token = jobToken(worker.welcome.jobKey!, scope);
  const settings = { master: "m:9090", token, run: runId, job: jobId, attempt: String(attempt) };
  return new JobProgram(settings, { host: room.world.host(machineOf(assigned)), ...how });
}

const machineOf = ({ attempt }: Assignment): string => `job${attempt}`;

interface Setting {
  readonly room: Room;
  readonly worker: ScriptedWorker;
  readonly assigned: Assignment;
  readonly job: JobProgram;
  readonly run: string;
}

/** A run of one job that runs. */
async function begun(room: Room): Promise<Setting> {
  await room.start();
  const worker = await room.worker("w1");
  const client = await room.client();
  const { run } = await client.submitSpec(pipeline([spec("agent")]));
  await room.until(() => worker.assigned.length === 1);
  const assigned = worker.assigned[0]!;
  return { room, worker, assigned, run, job: programOf(room, worker, assigned) };
}

/** Its worker and its program die at once; another worker gets the job. */
async function next({ room, worker, assigned, run }: Setting): Promise<Setting> {
  worker.connection.destroy();
  room.world.crash(machineOf(assigned));
  const name = `w${assigned.attempt + 1}`;
  const second = await room.worker(name);
  await room.until(() => second.assigned.length === 1, 3 * LEASE_MS);
  const again = second.assigned[0]!;
  return { room, worker: second, assigned: again, run, job: programOf(room, second, again) };
}

/** The master loses its power, and starts again. The worker comes back with what it runs. */
async function powerCut(setting: Setting): Promise<Setting> {
  const { room, worker, assigned: { run, job, attempt } } = setting;
  await room.restart();
  const running = [{ run, job, attempt }];
  return { ...setting, worker: await room.worker(worker.name, { running }) };
}

// ── the sweep ────────────────────────────────────────────────────────────────────────────────────

const STEPS = 10;
const MOMENTS = ["before", "during", "after"] as const;
type Moment = (typeof MOMENTS)[number];

/** Every call that the server has got, in order: the step, and the key that came with it. */
type Calls = { readonly step: number; readonly key: string }[];

async function tenSteps(
  job: JobProgram, calls: Calls, at: (step: number, moment: Moment) => Promise<void>,
): Promise<number[]> {
  const results: number[] = [];
  for (let step = 1; step <= STEPS; step++) {
    await at(step, "before");
    results.push(await job.step("call", step, async ({ idempotencyKey: key }) => {
      calls.push({ step, key });
      await at(step, "during");
      return step * step;
    }));
    await at(step, "after");
  }
  return results;
}

const SQUARES = Array.from({ length: STEPS }, (_, i) => (i + 1) ** 2);
const never = (): Promise<never> => new Promise(() => undefined);

/** Whoever watches: only the call in flight may come twice, and with the key that it had. */
function checkCalls(calls: Calls, killed: { step: number; moment: Moment }): void {
  for (let step = 1; step <= STEPS; step++) {
    const those = calls.filter((call) => call.step === step);
    const mayRepeat = step === killed.step && killed.moment === "during";
    assert.equal(those.length, mayRepeat ? 2 : 1, `step ${step}, killed ${killed.moment} it`);
    assert.equal(new Set(those.map(({ key }) => key)).size, 1);
  }
}

for (const moment of MOMENTS) {
  test(`killed ${moment} any of ten steps, with its worker: finished steps are called once`,
    async () => {
      for (let step = 1; step <= STEPS; step++) {
        await Room.run(async (room) => {
          const first = await begun(room);
          const calls: Calls = [];
          await new Promise<void>((resolve) => {
            void tenSteps(first.job, calls, (now, when) => {
              if (now !== step || when !== moment) return Promise.resolve();
              resolve();
              return never();
            });
          });
          const second = await next(first);
          const results = await tenSteps(second.job, calls, () => Promise.resolve());
          assert.deepEqual(results, SQUARES);
          checkCalls(calls, { step, moment });
          await second.worker.finish(report(second.assigned));
        });
      }
    });

  test(`the master loses its power ${moment} any of ten steps: the program goes on, and every ` +
    "step is called once", async () => {
    for (let step = 1; step <= STEPS; step++) {
      await Room.run(async (room) => {
        const setting = await begun(room);
        const calls: Calls = [];
        let cut: Promise<Setting> | undefined;
        const results = await tenSteps(setting.job, calls, async (now, when) => {
          if (now === step && when === moment) cut = powerCut(setting);
        });
        await cut;
        assert.deepEqual(results, SQUARES);
        assert.deepEqual(calls.map((call) => call.step), SQUARES.map((_, i) => i + 1));
      }, { seed: step });
    }
  });
}

// ── the ambiguous step ───────────────────────────────────────────────────────────────────────────

/** Killed in the middle of a call; what the next attempt does about it. */
async function ambiguous(
  room: Room, options: StepOptions, how: { hold?: boolean } = {},
): Promise<{
  calls: Calls; again: () => Promise<number>; second: Setting;
}> {
  const first = await begun(room);
  const calls: Calls = [];
  const pay = (job: JobProgram, hang: () => Promise<void>): Promise<number> =>
    job.step("pay", { usd: 5 }, async ({ idempotencyKey: key }) => {
      calls.push({ step: 1, key });
      await hang();
      return 5;
    }, options);
  await new Promise<void>((resolve) => {
    void pay(first.job, () => { resolve(); return never(); });
  });
  const second = await next(first);
  const job = programOf(room, second.worker, second.assigned, how);
  return { calls, second, again: () => pay(job, () => Promise.resolve()) };
}

for (const options of [{ effect: "once", onAmbiguous: "fail" },
  { effect: "read", onAmbiguous: "fail" }] as const) {
  test(`killed in the middle of a call: ${JSON.stringify(options)} is not sent twice`, () =>
    Room.run(async (room) => {
      const { calls, again, second } = await ambiguous(room, options);
      const words = /Step pay#1 of test-\w+\/agent was begun by attempt 1 at .*Z, and nobody knows/;
      await assert.rejects(again(), (error: StepError) =>
        error.code === "AMBIGUOUS" && words.test(error.message));
      assert.equal(calls.length, 1);
      second.job.close();
    }));
}

for (const [choice, calls] of [["run it again", 2], ["it happened", 1], ["give up", 1]] as const) {
  test(`killed in the middle of a call that must happen once: a person says "${choice}"`, () =>
    Room.run(async (room) => {
      const found = await ambiguous(room, { effect: "once" }, { hold: true });
      const person = await room.client();
      const again = found.again().catch((error: StepError) => error.code);
      while ((await person.gates()).length === 0) await room.sleep(100);
      const [gate] = await person.gates();
      assert.match(gate!.id, /\/agent:step:pay#1$/);
      assert.match(gate!.message, /Step pay#1 of test-\w+\/agent was begun by attempt 1/);
      const values = { choice, ...(choice === "it happened" && { result: "7" }) };
      await person.decide(gate!.id, { approve: true, by: "ada", values });
      const expected = { "run it again": 5, "it happened": 7, "give up": "GIVEN_UP" }[choice];
      assert.equal(await again, expected);
      assert.equal(found.calls.length, calls);
      found.second.job.close();
    }));
}

test("killed in the middle of a call that does no harm twice: it is sent again, with its key", () =>
  Room.run(async (room) => {
    const { calls, again } = await ambiguous(room, { effect: "idempotent" });
    assert.equal(await again(), 5);
    assert.deepEqual(calls, [calls[0], calls[0]]);
  }));

// ── the fence ────────────────────────────────────────────────────────────────────────────────────

test("a zombie that wakes up begins nothing and ends nothing, and the other one's result stands",
  () => Room.run(async (room) => {
    const first = await begun(room);
    let wake = (): void => undefined;
    const asleep = new Promise<void>((resolve) => { wake = resolve; });
    const calls: string[] = [];
    let inCall = (): void => undefined;
    const entered = new Promise<void>((resolve) => { inCall = resolve; });
    const zombie = first.job.step("s", 1, async () => {
      calls.push("zombie");
      inCall();
      await asleep;
      return "late";
    }).catch((error: Error) => error);
    await entered;
    first.worker.connection.destroy();
    const worker = await room.worker("w2");
    await room.until(() => worker.assigned.length === 1, 3 * LEASE_MS);
    const job = programOf(room, worker, { ...worker.assigned[0]!, attempt: 2 });
    assert.equal(await job.step("s", 1, () => { calls.push("second"); return "good"; }), "good");
    wake();
    const error = await zombie as Error;
    assert.match(error.message, /attempt 1 of .*\/agent is over, attempt 2 runs/);
    await assert.rejects(first.job.step("more", 1, () => calls.push("more")),
      refusal("CONFLICT", /attempt 2 runs/));
    assert.deepEqual(calls, ["zombie", "second"]);
    const [step] = await (await room.client()).steps(first.run);
    assert.equal(step!.result!.toString(), '"good"');
  }));

// ── values ───────────────────────────────────────────────────────────────────────────────────────

test("a step gives the same value in the attempt that ran it and in the next one", () =>
  Room.run(async (room) => {
    const first = await begun(room);
    const values = [
      { a: [1, null, "é"], at: new Date(0) }, undefined, null, "", 0, "x".repeat(200_000),
    ];
    const all = (job: JobProgram, calls: number[]) => Promise.all(values.map((value, i) =>
      job.step(`v${i}`, i, () => { calls.push(i); return value as unknown; })));
    const calls: number[] = [];
    const now = await all(first.job, calls);
    assert.equal(calls.length, values.length);
    assert.deepEqual(now[0], { a: [1, null, "é"], at: "1970-01-01T00:00:00.000Z" });
    const second = await next(first);
    assert.deepEqual(await all(second.job, calls), now);
    assert.equal(calls.length, values.length, "nothing ran again");
  }));

test("a large result is a blob, which is there as long as its run, and no longer", () =>
  Room.run(async (room) => {
    const first = await begun(room);
    const result = "x".repeat(200_000);
    await first.job.step("big", 1, () => result);
    assert.equal(await usedBytes(room, "/state/blobs"), 200_002);
    const cut = await powerCut(first);
    const [step] = await (await room.client()).steps(first.run);
    assert.deepEqual([step!.blob!.size, step!.result], [200_002, undefined]);
    const second = await next(cut);
    assert.equal(await second.job.step("big", 1, () => ""), result);
  }));

test("steps of one name are told apart by the order of their calls", () =>
  Room.run(async (room) => {
    const { job, run } = await begun(room);
    assert.equal(await job.step("s", "a", () => 1), 1);
    assert.equal(await job.step("s", "b", () => 2), 2);
    const [one, two] = await Promise.all([
      job.step("p", 1, () => "p1"), job.step("p", 2, () => "p2"),
    ]);
    assert.deepEqual([one, two], ["p1", "p2"]);
    const steps = await (await room.client()).steps(run, "agent");
    assert.deepEqual(steps.map(({ name, ordinal }) => `${name}#${ordinal}`),
      ["s#1", "s#2", "p#1", "p#2"]);
  }));

test("a step's input is the same in whatever order its members were written; another one is " +
  "STEP_CHANGED, with both hashes", () =>
  Room.run(async (room) => {
    const first = await begun(room);
    await first.job.step("s", { a: 1, b: { c: 2, d: 3 } }, () => 1);
    const second = await next(first);
    assert.equal(await second.job.step("s", { b: { d: 3, c: 2 }, a: 1 }, () => 2), 1);
    const third = await next(second);
    const changed = third.job.step("s", { a: 2 }, () => 2);
    await assert.rejects(changed, (error: StepError) => {
      assert.equal(error.code, "STEP_CHANGED");
      assert.match(error.message, /^STEP_CHANGED: step s#1 .* the input [0-9a-f]{64}, and now/);
      assert.match(error.message, /--accept-changed lets stand what is done/);
      return true;
    });
    const client = await room.client();
    const failure = { kind: "exit", message: "1", exitCode: 1, signal: undefined } as const;
    await third.worker.finish(report(third.assigned, { failure }));
    await client.retry(first.run, undefined, { acceptChanged: true });
    await room.until(() => third.worker.assigned.length === 2);
    const fourth = programOf(room, third.worker, third.worker.assigned[1]!);
    assert.equal(await fourth.step("s", { a: 2 }, () => 2), 1, "what is done stands");
  }));

test("a step that fails has failed in the journal, and runs again in the next attempt", () =>
  Room.run(async (room) => {
    const first = await begun(room);
    await assert.rejects(first.job.step("s", 1, () => { throw new Error("status 500"); }),
      /status 500/);
    const [step] = await (await room.client()).steps(first.run);
    assert.deepEqual([step!.status, step!.failure], ["FAILED", "status 500"]);
    const second = await next(first);
    assert.equal(await second.job.step("s", 1, () => "better"), "better");
  }));

test("what cannot be kept is said in words, and a step that must happen once stays begun", () =>
  Room.run(async (room) => {
    const { job, run } = await begun(room);
    const unfit = (words: RegExp) => (error: StepError): boolean =>
      error.code === "UNFIT" && words.test(error.message);
    await assert.rejects(job.step("in", 1n, () => 1), unfit(/its input is no JSON: .*BigInt/));
    await assert.rejects(job.step("f", 1, () => () => 1), unfit(/f#1: a function is no JSON/));
    const once = { effect: "once" } as const;
    await assert.rejects(job.step("o", 1, () => 1n, once), unfit(/o#1: it is no JSON/));
    const large = "x".repeat(MAX_STEP_BLOB_BYTES);
    await assert.rejects(job.step("l", 1, () => large), unfit(/67108866 bytes are more than/));
    const steps = await (await room.client()).steps(run);
    assert.deepEqual(steps.map(({ name, status }) => `${name} ${status}`),
      ["f FAILED", "o STARTED", "l FAILED"]);
  }));

test("usage is added up, and is in the journal", () =>
  Room.run(async (room) => {
    const { job, run } = await begun(room);
    await job.step("s", 1, ({ usage }) => {
      usage({ model: "m", tokensIn: 10, usdMicros: 7 });
      usage({ tokensIn: 1, tokensOut: 5 });
    });
    const [step] = await (await room.client()).steps(run);
    assert.deepEqual(step!.usage,
      { model: "m", tokensIn: 11, tokensOut: 5, usdMicros: 7, ms: 0 });
  }));

test("only a job has steps; and a program that is no job is told so", () =>
  Room.run(async (room) => {
    const { run } = await begun(room);
    const client = await room.client();
    const step = {
      name: "s", ordinal: 1, inputHash: Buffer.alloc(32), effect: "read", onAmbiguous: "retry",
      call: 1, again: false, reserve: undefined,
    } as const;
    await assert.rejects(startStep(client, step), refusal("UNAUTHORIZED", /only a job may/));
    await assert.rejects(client.steps(run, "none"), refusal("NOT_FOUND"));
    const settings = { master: "m:9090", token: undefined, run: undefined, job: undefined };
    const host = room.world.host("none");
    const none = new JobProgram({ ...settings, attempt: undefined }, { host });
    await assert.rejects(none.step("s", 1, () => 1), /does not run as a job of Titan/);
    assert.throws(() => none.run, /TITAN_RUN is not set: this is no job of Titan/);
    await assert.rejects(none.output(1), /TITAN_OUTPUT is not set/);
    assert.deepEqual(none.input(), {});
    assert.equal(none.store, none.store, "one connection, however often it is asked for");
    await assert.rejects(none.store, /TITAN_STORE is not set/);
  }));

// ── fork ─────────────────────────────────────────────────────────────────────────────────────────

test("a run that is forked at 7 of its 10 steps makes 3 calls, and may be given another " +
  "result", () =>
  Room.run(async (room) => {
    const first = await begun(room);
    const calls: Calls = [];
    await tenSteps(first.job, calls, () => Promise.resolve());
    await first.worker.finish(report(first.assigned));
    const client = await room.client();
    const forked = await client.fork(first.run, "call#7", { set: { "call#2": 400 } });
    assert.equal(forked.steps, 7);
    await room.until(() => first.worker.assigned.length === 2);
    const job = programOf(room, first.worker, first.worker.assigned[1]!);
    const results = await tenSteps(job, calls, () => Promise.resolve());
    assert.deepEqual(results, [1, 400, 9, 16, 25, 36, 49, 64, 81, 100]);
    assert.deepEqual(calls.slice(10).map(({ step }) => step), [8, 9, 10]);
    assert.notEqual(calls[10]!.key, calls[7]!.key, "its own steps have keys of their own");
    const before = await client.steps(first.run);
    assert.equal(before[1]!.result!.toString(), "4", "the run itself is as it was");
    await assert.rejects(client.fork(first.run, "none"), refusal("NOT_FOUND", /no step "none"/));
  }));

test("inside a step there is no other step, and no wait", () => Room.run(async (room) => {
  const { job, worker, assigned } = await begun(room);
  const nested = { code: "NESTED", message: /inside step outer/ };
  const tried = await job.step("outer", 1, async () => {
    await Promise.resolve();
    await assert.rejects(job.step("inner", 1, () => 2), nested);
    await assert.rejects(job.sleep("nap", 1000), nested);
    await assert.rejects(job.ask("q", { message: "Go on?" }), nested);
    return "refused";
  });
  assert.equal(tried, "refused");
  assert.deepEqual(await (await room.client()).gates(), [], "nobody was asked");
  // Beside it there may be others.
  const both = [job.step("a", 1, () => "a"), job.step("b", 1, () => "b")];
  assert.deepEqual(await Promise.all(both), ["a", "b"]);
  job.close();
  await worker.finish(report(assigned));
}));
