/** Calls of a program that wait: when it ends to wait, when it goes on, and what it is given. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { nodeHost } from "#host";
import { PipelineError } from "#pipeline";
import { RpcError } from "#rpc";
import { JobFailed, JobWaits, plainJobs, spawnWish, type JobDoor, type JobInput } from "#sdk";
import { Spawn, type Asked, type Gate, type JobInfo, type Spawned, type WaitWish } from "#wire";

/** A master that knows what the test says, and a process that remembers that it has ended. */
class Door implements JobDoor {
  readonly run = "r-1";
  readonly host = nodeHost();
  readonly waits: WaitWish[][] = [];
  readonly spawned: Parameters<JobDoor["client"]["spawn"]>[0][] = [];
  readonly gates = new Map<string, Gate>();
  readonly answers = new Map<string, NonNullable<Asked["decision"]>>();
  readonly jobs = new Map<string, Partial<JobInfo>>();
  refusals: Error[] = [];
  ended: () => void = () => undefined;
  readonly end = (): void => this.ended();
  readonly whenEnded = new Promise<string>((resolve) => {
    this.ended = () => resolve("ended");
  });

  step<T>(_name: string, _input: unknown, fn: () => T): Promise<T> {
    return Promise.resolve(fn());
  }

  readonly client: JobDoor["client"] = {
    spawn: async (wish): Promise<Spawned> => {
      const refused = this.refusals.shift();
      if (refused !== undefined) throw refused;
      this.spawned.push(wish);
      return { from: 1, jobs: wish.jobs.length, existing: false };
    },
    ask: async (key, gate): Promise<Asked> => {
      this.gates.set(key, gate);
      return { gate: `r-1/a:${key}`, deadline: 1, decision: this.answers.get(key) };
    },
    pause: async (waits) => {
      this.waits.push(waits);
      return [...waits.keys()].filter((index) => this.#isMet(waits[index]!));
    },
    status: async (_run, _job, only = []) => {
      const jobs = only.map((id) => ({ id, status: "COMPLETED", ...this.jobs.get(id) }) as JobInfo);
      return { run: undefined as never, jobs, parents: [] };
    },
  };

  #isMet(wait: WaitWish): boolean {
    if (wait.type === "ask") return this.answers.has(wait.key);
    if (wait.type === "budget") return true;
    return wait.type === "jobs" && !wait.jobs.some((id) => this.jobs.get(id)?.status === "RUNNING");
  }
}

const yes = {
  approved: true, by: "ann", comment: "fine", at: 5, already: false, values: { choice: "b" },
};
const program = (): { door: Door; job: JobWaits } => {
  const door = new Door();
  return { door, job: new JobWaits(door) };
};

test("results() of what has ended are there at once; what failed is an error", async () => {
  const { door, job } = program();
  const added = await job.spawn("k", [{ id: "a", run: "true" }, { id: "b", run: "true" }]);
  assert.deepEqual(added, { key: "k", jobs: ["a", "b"] });
  door.jobs.set("a", { result: Buffer.from("[1]") });
  assert.deepEqual(await job.results(added), [[1], undefined]);
  const failure = { kind: "exit", message: "exited with 3" } as const;
  door.jobs.set("b", {
    status: "FAILED", failure: { ...failure, exitCode: 3, signal: undefined },
  });
  await assert.rejects(job.results(added), (error) =>
    error instanceof JobFailed && error.job === "b" && /FAILED: exited with/.test(error.message));
  assert.deepEqual(await job.settled(["b"]), [
    { id: "b", status: "FAILED", result: undefined, failure: "exited with 3" },
  ]);
  assert.deepEqual(await job.settled([]), []);
});

test("the process ends when only waits are left, and tells the master all of them", async () => {
  const { door, job } = program();
  door.jobs.set("a", { status: "RUNNING" });
  let stepEnded = false;
  const step = job.track(async () => {
    await new Promise((resolve) => setTimeout(resolve, 30));
    stepEnded = true;
  });
  const all = Promise.all([
    step, job.settled(["a"]), job.ask("q", { message: "?" }), job.sleep("s", 60_000),
  ]);
  assert.equal(await Promise.race([door.whenEnded, all]), "ended");
  assert.ok(stepEnded, "not in the middle of a step");
  assert.deepEqual(door.waits.at(-1)!.map(({ type }) => type).sort(), ["ask", "jobs", "time"]);
});

test("a wait that is met while the others are not lets the program go on", async () => {
  const { door, job } = program();
  door.answers.set("q", yes);
  door.jobs.set("a", { status: "RUNNING" });
  void job.settled(["a"]);
  const { approved } = await job.ask("q", { message: "?" });
  assert.ok(approved);
  assert.equal(await door.whenEnded, "ended");
  assert.deepEqual(door.waits.at(-1), [{ type: "jobs", jobs: ["a"] }]);
});

test("a call that begins while the master is asked waits for what it says", async () => {
  const { door, job } = program();
  door.jobs.set("a", { status: "RUNNING" });
  const { pause } = door.client;
  let began = false;
  Object.assign(door.client, {
    pause: async (waits: WaitWish[]) => {
      void job.track(() => { began = true; });
      return pause(waits);
    },
  });
  void job.settled(["a"]);
  await door.whenEnded;
  assert.equal(began, false, "the process has ended");
});

test("ask() reads the rules of a question as those of a gate, and types the answer", async () => {
  const { door, job } = program();
  door.answers.set("q", yes);
  const answer = await job.ask("q", {
    message: "Which?", choices: ["a", "b"], approvers: ["ann"], timeout: "1h", onTimeout: "skip",
    form: [{ name: "share", type: "number" }], selfApproval: false,
  });
  assert.deepEqual(answer, {
    outcome: "approved", approved: true, by: "ann", comment: "fine", at: 5,
    fields: { choice: "b" }, choice: "b",
  });
  const { maxWaitMs, rules } = door.gates.get("q")!;
  assert.equal(maxWaitMs, 3_600_000);
  assert.deepEqual(rules!.form.map(({ name, type }) => [name, type]), [
    ["share", "number"], ["choice", "choice"],
  ]);
  assert.deepEqual(
    [rules!.approvers, rules!.onTimeout, rules!.selfApproval], [["ann"], "skip", false],
  );
  await assert.rejects(job.ask("q", { message: "?", choices: [] }), /choices/);
});

test("what a budget does not allow waits for more, with all that it needs", async () => {
  const { door, job } = program();
  door.refusals = [new RpcError("BUDGET", "used up")];
  await job.spawn("k", [{ id: "a", run: "true" }]);
  assert.deepEqual(door.waits, [
    [{ type: "budget", need: { jobs: 1, steps: 0, tokens: 0, usdMicros: 0 } }],
  ]);
  door.refusals = [new RpcError("LIMIT", "too deep")];
  await assert.rejects(job.spawn("l", [{ id: "b", run: "true" }]), /too deep/);
});

test("hold keeps the slot: the master is told nothing, and asked again and again", async () => {
  const { door, job } = program();
  door.jobs.set("a", { status: "RUNNING" });
  const waiting = job.settled(["a"], { hold: true });
  setTimeout(() => door.jobs.delete("a"), 20);
  assert.equal((await waiting)[0]!.status, "COMPLETED");
  const asked = job.ask("q", { message: "?" }, { hold: true });
  setTimeout(() => door.answers.set("q", yes), 20);
  assert.equal((await asked).by, "ann");
  await job.sleep("s", 1, { hold: true });
  assert.deepEqual(door.waits, []);
});

test("a wait that the master refuses is an error of the call", async () => {
  const { door, job } = program();
  const refused = new RpcError("CONFLICT", "neither would go on");
  Object.assign(door.client, { pause: () => Promise.reject(refused) });
  await assert.rejects(job.settled(["a"]), /neither would go on/);
});

test("a list is on its way before the next one is read, and a wrong one stops none", async () => {
  const { door, job } = program();
  const told: string[] = [];
  const { spawn } = door.client;
  Object.assign(door.client, {
    spawn: (wish: Parameters<typeof spawn>[0]) => {
      told.push(`sent ${wish.key}`);
      return spawn(wish);
    },
  });
  const list = (id: string) => [{
    get id(): string {
      if (told.at(-1) !== `read ${id}`) told.push(`read ${id}`);
      return id;
    },
    run: "true",
  }];
  const [a, wrong, b] = await Promise.allSettled([
    job.spawn("a", list("a")), job.spawn("none", []), job.spawn("b", list("b")),
  ]);
  assert.deepEqual([a!.status, wrong!.status, b!.status], ["fulfilled", "rejected", "fulfilled"]);
  assert.deepEqual(told.filter((text) => /^sent/.test(text)), ["sent a", "sent b"]);
  assert.ok(told.indexOf("sent a") < told.indexOf("read b"), told.join(", "));
});

test("spawnWish() means jobs of the list, and else jobs of the run, by their names", () => {
  const wish = spawnWish("k", [
    { id: "a", run: "true", needs: ["old", "b"] }, { id: "b", run: "true", depends_on: "older" },
    { id: "s", type: "service", run: "true", replicas: 2, affinity: "old", needs: "old" },
  ], { before: ["late", "later"], stage: "ITER" });
  assert.deepEqual(wish.jobs.map(({ id }) => id), ["a", "b", "s", "s.2"]);
  assert.deepEqual(wish.parents, ["old", "older"]);
  assert.deepEqual(wish.jobs.map(({ dependsOn }) => dependsOn), [[4, 1], [5], [4], [4]]);
  assert.equal(wish.jobs[2]!.affinity, 4);
  assert.equal(wish.before.length, 8);
  assert.deepEqual(wish.before.slice(0, 2), [
    { job: 0, child: "late" }, { job: 0, child: "later" },
  ]);
  assert.equal(wish.stage, "ITER");
  assert.throws(() => spawnWish("k", []), /jobs/);
});

// ── lists of jobs to add ─────────────────────────────────────────────────────────────────────────

const encoded = (key: string, jobs: readonly JobInput[]): string =>
  Spawn.encode(spawnWish(key, jobs)).toString("hex");

/** The same list for the reader of pipelines: `priority` is no key of a plain job. */
const forReader = (jobs: readonly JobInput[]): JobInput[] =>
  jobs.map((job) => ({ ...job, priority: 1 }));

test("a plain list is read in short, and is what the reader of pipelines makes of it", () => {
  const lists: JobInput[][] = [
    [{ id: "a", command: ["true"] }],
    [{ id: "a", run: "echo ä\n😀" }, { id: "b", command: ["x", "", "y z"], needs: "a" }],
    [{ id: "a", run: "x", needs: ["o", "p"] }, { id: "b", run: "x", depends_on: ["a", "o"] }],
    [{ id: "a", run: "x", needs: [] }, { id: "b", run: "x", needs: "late" }],
    [Object.assign(Object.create(null) as object, { id: "a", run: "x" }) as JobInput],
    [{ id: "a", run: "x", command: undefined, needs: undefined } as unknown as JobInput],
  ];
  for (const jobs of lists) {
    assert.notEqual(plainJobs("k", jobs), undefined);
    const read = forReader(jobs);
    assert.equal(plainJobs("k", read), undefined);
    assert.equal(encoded("k", jobs), encoded("k", read));
  }
});

const LONG = "x".repeat(129);
const IDS = ["a", "b", "A.1_-", "-a", "", "a b", LONG, LONG.slice(1), "\ud800", 7, null, undefined];
const TEXTS = ["true", "", "a\0b", "\udc00", "ö", 7, null, undefined, ["x"]];
const COMMANDS = [
  undefined, null, [], ["x", ""], [""], ["a\0"], ["\ud800"], [7], [, "x"],
  "true", ["x".repeat(400_000)], ["x".repeat(1024 * 1024 + 1)],
];
const NEEDS = [
  undefined, null, [], "a", "old", ["old"], ["a", "b"], ["a", "a"], "", ["a b"], [7],
  [, "a"], { a: 1 }, LONG,
];
const OTHERS = [{ when: "always" }, { nedds: "a" }, { env: {} }, { shell: "sh" }];

test("whatever is read in short has passed the reader of pipelines, with the same result", () => {
  let state = 1;
  const pick = <T>(from: readonly T[]): T => {
    state = (state * 48_271) % 2_147_483_647;
    return from[Math.floor(state / 1000) % from.length]!;
  };
  const seen = { short: 0, refused: 0 };
  const often = <T>(usual: T, others: readonly T[]): T =>
    pick([usual, usual, usual, usual, pick(others)]);
  for (let round = 0; round < 1000; round++) {
    const jobs = Array.from({ length: 1 + (round % 3) }, (_, at) => ({
      id: often<unknown>(`j${at}`, IDS), command: often<unknown>(["true"], COMMANDS),
      run: often<unknown>(undefined, TEXTS), needs: often<unknown>(undefined, NEEDS),
      depends_on: often<unknown>(undefined, NEEDS), ...often<object>({}, OTHERS),
    })) as unknown as JobInput[];
    const key = often("k", ["a b", "", LONG]);
    const short = plainJobs(key, jobs);
    if (short === undefined) {
      seen.refused += 1;
      continue;
    }
    seen.short += 1;
    assert.equal(encoded(key, jobs), encoded(key, forReader(jobs)), JSON.stringify(jobs));
  }
  assert.ok(seen.short > 70 && seen.refused > 70, JSON.stringify(seen));
});

test("a list that is not plain is read by the one who says what is wrong with it", () => {
  const job = { id: "a", run: "x" };
  const mistakes: [unknown[], RegExp][] = [
    [[{ ...job, needs: "a" }], /depends on itself/],
    [[{ ...job, needs: "b" }, { id: "b", run: "x", needs: "a" }], /wait for each other/],
    [[job, job], /two jobs have the id "a"/],
    [[{ ...job, command: ["y"] }], /exactly one of/],
    [[{ ...job, needs: "b", depends_on: "b" }], /is another name for/],
    [[{ id: "a" }], /nothing to do/],
    [[new (class { id = "a"; run = "x"; })()], /an object that is not plain/],
    [[{ ...job, nedds: "b" }], /unknown key "nedds"/],
    [[{ ...job, run: "\ud800" }], /half of a character/],
    [[{ id: "a", command: ["x\0"] }], /the character NUL/],
    [[{ id: "a", command: ["x".repeat(1024 * 1024 + 1)] }], /longer than 1048576 bytes/],
  ];
  for (const [jobs, wrong] of mistakes) {
    assert.throws(() => spawnWish("k", jobs as JobInput[]), (error) => {
      return error instanceof PipelineError && wrong.test(error.message);
    });
  }
  // Legal, and in an order that the master refuses.
  const late = spawnWish("k", [{ ...job, needs: "b" }, { id: "b", run: "x" }]);
  assert.deepEqual(late.jobs.map(({ dependsOn }) => dependsOn), [[1], []]);
});

test("the same list is the same bytes in every version: a retry finds what was added", () => {
  const wish = spawnWish("k", [
    { id: "a", command: ["true", ""], needs: "old" }, { id: "b", run: "ö", needs: ["a", "older"] },
  ], { before: ["late", "later"], stage: "ITER" });
  const hash = createHash("sha256").update(Spawn.encode(wish)).digest("hex");
  assert.equal(hash.slice(0, 16), "6c53c9879442b0b5");
});
