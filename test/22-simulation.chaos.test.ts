/**
 * Real processes, for a few seconds: the short form of `npm run chaos`. The master and its workers
 * are killed, a worker is frozen for longer than its lease, connections are cut; then what was
 * promised is compared with what the jobs did.
 */
import assert from "node:assert/strict";
import { createServer, connect as dial, type AddressInfo, type Socket } from "node:net";
import {
  closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { Prng } from "#simulation";
import type { JobSpec } from "#wire";
import { ensureBuilt } from "../scripts/bootstrap.mjs";
import {
  attemptsOnce,
  endedOnce,
  parentsFirst,
  readEffects,
  reportsAreTrue,
} from "../scripts/chaos/effects.ts";
import { GROWTH, heldBy, nothingAccumulates, type Held } from "../scripts/chaos/held.ts";
import { readHistory, type Attempt, type History } from "../scripts/chaos/history.ts";
import { bigPipeline, chaosPlan } from "../scripts/chaos/plan.ts";
import { processesOf } from "../scripts/chaos/processes.ts";
import { shellJob } from "../scripts/chaos/programs.ts";
import { Proxy } from "../scripts/chaos/proxy.ts";
import { runChaos } from "../scripts/chaos/run.ts";
import { eventually } from "./processes.support.ts";
import { spec as anySpec } from "./spec.support.ts";

/** It reads /proc, and its jobs ask `date` for nanoseconds, which not every `date` knows. */
const linux =
  process.platform === "linux" &&
  /^\d{9}\s*$/.test(spawnSync("date", ["+%N"], { encoding: "utf8" }).stdout)
    ? false
    : "only on Linux, with a date that counts nanoseconds";

// ── the checks can say no ────────────────────────────────────────────────────────────────────────

const spec = (id: string, fields: Partial<JobSpec> = {}): JobSpec =>
  anySpec(id, { action: { type: "shell", script: "" }, ...fields });
const succeeded = (attempt: number, worker = "m1"): Attempt => ({
  attempt,
  worker,
  startedAt: 1,
  end: "succeeded",
  endedAt: 2,
});
const lost = (attempt: number, worker = "m1"): Attempt => ({
  attempt,
  worker,
  startedAt: 1,
  end: "lost",
  endedAt: 2,
});

/** A run `r` whose jobs have these attempts in the log. */
function historyOf(jobs: readonly [JobSpec, Attempt[]][]): History {
  return {
    runs: new Map([
      [
        "r",
        {
          id: "r",
          key: undefined,
          retried: false,
          jobs: jobs.map(([one, attempts]) => ({ spec: one, attempts })),
        },
      ],
    ]),
    losses: [],
  };
}

/** Lines `attempt what ns [pid] [worker]` of each job of run `r`. */
function effectsOf(t: { after(fn: () => void): void }, files: Record<string, readonly string[]>) {
  const folder = mkdtempSync(join(tmpdir(), "titan-chaos-test-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const [job, lines] of Object.entries(files)) {
    const text = lines.map((line) => {
      const [attempt, what, ns = "", pid = "7", worker = "m1"] = line.split(" ");
      return `r ${job} ${attempt} ${worker} ${pid} ${what} ${ns.padStart(19, "1")}\n`;
    });
    writeFileSync(join(folder, `r.${job}`), text.join(""));
  }
  return readEffects(folder);
}

test("endedOnce() finds a completed job whose work was not done, or twice by one attempt", (t) => {
  const history = historyOf([
    [spec("a"), [lost(1), succeeded(2)]],
    [spec("b"), [succeeded(1)]],
    [spec("c"), [succeeded(1)]],
  ]);
  const good = effectsOf(t, {
    a: ["1 begin 1", "1 end 2", "2 begin 3", "2 end 4"],
    b: ["1 begin 1", "1 end 2"],
    c: ["1 begin 1", "1 end 2"],
  });
  assert.deepEqual(endedOnce(history, good.effects), {
    looked: 3,
    what: "completed jobs",
    wrong: [],
  });
  const bad = effectsOf(t, {
    a: ["1 begin 1", "1 end 2", "2 begin 3"],
    b: ["1 begin 1", "1 end 2", "1 end 3"],
  });
  assert.deepEqual(endedOnce(history, bad.effects).wrong, [
    "r/a: the log says that attempt 2 succeeded, its file has 0 ends of it",
    "r/b: the log says that attempt 1 succeeded, its file has 2 ends of it",
    "r/c: the log says that attempt 1 succeeded, its file has 0 ends of it",
  ]);
});

test("attemptsOnce() finds an attempt that ran twice, elsewhere, or without " +
  "the log's knowledge", (t) => {
  const history = historyOf([
    [spec("a"), [succeeded(1)]],
    [spec("b"), [succeeded(1, "m2")]],
    [spec("c"), [succeeded(1)]],
  ]);
  const { effects } = effectsOf(t, {
    a: ["1 begin 1 7", "1 begin 2 8", "1 end 3 8"],
    b: ["1 begin 1", "1 end 2"],
    c: ["1 begin 1", "1 end 2", "2 begin 3"],
  });
  assert.deepEqual(attemptsOnce(history, effects).wrong, [
    "r/a#1: its file says: begin begin end",
    "r/a#1: ran as processes 7, 8, 8",
    "r/b#1: ran on m1, the log says m2",
    "r/c#2: ran on m1, and the log does not know it",
  ]);
});

test("reportsAreTrue() finds a report of what never began", (t) => {
  const { effects } = effectsOf(t, { a: ["1 begin 1"] });
  assert.deepEqual(
    reportsAreTrue(historyOf([[spec("a"), [lost(1), succeeded(2)]]]), effects).wrong,
    ["r/a#2: the log says that it succeeded, and it never began"],
  );
  const missing = spec("a", { action: { type: "file", file: "missing.sh", args: [] } });
  const history = historyOf([[missing, [{ ...lost(1), end: "failed" }]]]);
  assert.deepEqual(reportsAreTrue(history, new Map()).wrong, []);
});

test("parentsFirst() finds a child that began too early, or for the wrong reason", (t) => {
  const failed: Attempt = { attempt: 1, worker: "m1", startedAt: 1, end: "failed", endedAt: 2 };
  const child = (id: string, when: JobSpec["when"]): [JobSpec, Attempt[]] => [
    spec(id, { dependsOn: [0], when }),
    [succeeded(1)],
  ];
  const fine = effectsOf(t, {
    p: ["1 begin 1", "1 end 5"],
    early: ["1 begin 4", "1 end 9"],
    late: ["1 begin 6", "1 end 9"],
    odd: ["1 begin 6", "1 end 9"],
  });
  const history = historyOf([
    [spec("p"), [succeeded(1)]],
    child("early", "success"),
    child("late", "always"),
    child("odd", "failure"),
  ]);
  assert.deepEqual(parentsFirst(history, fine.effects).wrong, [
    "r/early#1 began 0 ms before p#1 had ended",
    "r/odd#1 ran, although p completed",
  ]);
  const after = historyOf([
    [spec("p"), [failed]],
    child("early", "success"),
    child("late", "always"),
    child("odd", "failure"),
  ]);
  assert.deepEqual(parentsFirst(after, fine.effects).wrong, [
    "r/early#1 ran, although p did not complete",
  ]);
  after.runs.get("r")!.retried = true;
  assert.deepEqual(parentsFirst(after, fine.effects).wrong, []);
});

test("parentsFirst() knows reasons for a failure beside a parent that completed", (t) => {
  const { effects } = effectsOf(t, {
    p: ["1 begin 1", "1 end 2"],
    q: ["1 begin 1", "1 fail 2"],
    odd: ["1 begin 6", "1 end 9"],
  });
  const odd = (parents: number[]): [JobSpec, Attempt[]] => [
    spec("odd", { dependsOn: parents, when: "failure" }),
    [succeeded(1)],
  ];
  const failed: Attempt = { ...lost(1), end: "failed" };
  const both = [[spec("p"), [succeeded(1)]], [spec("q"), [failed]]] as [JobSpec, Attempt[]][];
  assert.deepEqual(parentsFirst(historyOf([...both, odd([0, 1])]), effects).wrong, []);
  assert.deepEqual(parentsFirst(historyOf([...both, odd([0])]), effects).wrong, [
    "r/odd#1 ran, although p completed",
  ]);
  const gate = { message: "Go on?", maxWaitMs: 1 };
  const rejected = historyOf([[spec("p", { gate }), [succeeded(1)]], odd([0])]);
  assert.deepEqual(parentsFirst(rejected, effects).wrong, []);
});

test("readEffects() finds a line that was not written in one piece", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "titan-chaos-test-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, "r.a"), "r a 1 m1 7 begin 1111111111111111111\nr a 1 m1 7 en");
  assert.deepEqual(readEffects(folder).torn, ['r.a: "r a 1 m1 7 en"']);
});

test("readHistory() knows attempts by their workers' names, and who was given up when", () => {
  const { runs, losses } = readHistory([
    {
      type: "RunSubmitted",
      run: 1,
      id: "r",
      key: "k",
      at: 1,
      spec: { name: "r", version: undefined, project: undefined, jobs: [spec("a")] },
    },
    {
      type: "WorkerJoined",
      worker: 4,
      instance: "i",
      name: "m1",
      tags: [],
      slots: 1,
      at: 2,
      version: "",
      knows: [],
    },
    { type: "JobStarted", run: 1, job: 0, attempt: 1, worker: 4, at: 3 },
    { type: "WorkerLost", worker: 4, reason: "silent", at: 9 },
  ]);
  assert.deepEqual(runs.get("r")?.jobs[0]?.attempts, [{ attempt: 1, worker: "m1", startedAt: 3 }]);
  assert.deepEqual(losses, [{ at: 9, what: "m1: silent", neverArrived: false }]);
});

test("readHistory() knows jobs that were added, and that a person has retried a run", () => {
  const jobs = [spec("a")];
  const pipeline = { name: "r", version: undefined, project: undefined, jobs };
  const { runs } = readHistory([
    { type: "RunSubmitted", run: 1, id: "r", key: "k", at: 1, spec: pipeline },
    { type: "RunSubmitted", run: 2, id: "s", key: undefined, at: 1, spec: pipeline },
    { type: "JobsAdded", run: 1, at: 2, jobs: [spec("b")] },
    { type: "RunRetried", run: 1, at: 3, jobs: [0] },
  ]);
  const told = [...runs.values()].map((run) => [
    run.retried,
    ...run.jobs.map((job) => job.spec.id),
  ]);
  assert.deepEqual(told, [[true, "a", "b"], [false, "a"]]);
});

// ── what breaks things ───────────────────────────────────────────────────────────────────────────

test("chaosPlan() is the same for the same seed, with as many kills as were asked for", () => {
  const options = {
    seed: 7, jobs: 300, kills: 30, workers: 4, slots: 2, paceMs: 3000, freezes: 6,
    freezeMaster: true,
  };
  const plan = chaosPlan(options);
  assert.deepEqual(chaosPlan(options), plan);
  assert.notDeepEqual(chaosPlan({ ...options, seed: 8 }), plan);
  const count = (what: RegExp): number =>
    plan.faults.filter(({ kind, target }) => what.test(`${kind} ${target}`)).length;
  assert.deepEqual(
    [/^kill m/, /^(?:kill|crash) w/, /^pause w/, /^pause m/].map(count),
    [30, 30, 6, 1],
  );
  assert.ok(plan.faults.every((fault) => fault.kind !== "pause" || fault.forMs > 4000));
  assert.ok(
    plan.faults.every((fault) => fault.kind !== "crash" || !fault.torn),
    "disks stay whole",
  );
  const asked = new Set(plan.steps.map((step) => step.do));
  assert.ok(asked.has("retry") && asked.has("add") && asked.has("gate") && !asked.has("snapshot"));
});

test("bigPipeline() has the size that was asked for and parents only before their children", () => {
  const { jobs } = bigPipeline(new Prng(7), 300);
  assert.equal(jobs.length, 300);
  assert.equal(new Set(jobs.map(({ id }) => id)).size, 300);
  for (const [index, { dependsOn = [], gateMs }] of jobs.entries()) {
    for (const parent of dependsOn) assert.ok(parent < index, `job ${index} depends on ${parent}`);
    assert.equal(gateMs, undefined);
  }
  assert.ok(jobs.filter(({ dependsOn = [] }) => dependsOn.length === 0).length < 30);
  // A part has eight jobs at most, and begins after the fourth part before it.
  const back = jobs.map(({ dependsOn = [] }, index) =>
    Math.max(0, ...dependsOn.map((at) => index - at)),
  );
  assert.ok(Math.max(...back) > 8 && Math.max(...back) < 5 * 8, `${Math.max(...back)} back`);
  assert.equal(new Set(jobs.map(({ when }) => when)).size, 3);
  assert.ok(jobs.some(({ timeoutMs = 0 }) => timeoutMs > 0));
  assert.ok(jobs.some(({ retry }) => retry !== undefined));
});

test("shellJob() does with a shell what a simulated program does", () => {
  const scriptOf = (does: string): string => {
    const { action } = shellJob({ id: "a", does, timeoutMs: 20 }, "/effects");
    assert.ok(action.type === "shell");
    return action.script.slice(action.script.indexOf("say begin"));
  };
  assert.equal(scriptOf("ms=1500"), "say begin\nsleep 1.5\nsay end");
  assert.equal(scriptOf("ms=20 exit=3"), "say begin\nsleep 0.02\nsay fail; exit 3");
  assert.match(scriptOf("ms=20 fails=2"), /-le 2 \]; then say fail; exit 1; fi\nsay end$/);
  assert.match(scriptOf("ms=20 result=7"), /printf %s 7 > "\$TITAN_OUTPUT"\nsay end$/);
  assert.match(scriptOf("forever ignore-term"), /trap '' TERM\nsleep 3600\nsay end$/);
  assert.match(scriptOf("ms=20 print=3"), /-lt 3 \]; do echo "line/);
  assert.match(scriptOf("ms=20 leaves-daemon"), /setsid sleep 3600 .* &\nsleep 0.02/);
  assert.throws(() => scriptOf("ms=20 dances"), /does not know "dances"/);
  const { env, timeoutMs } = shellJob({ id: "a", does: "ms=1", timeoutMs: 20 }, "/effects");
  assert.deepEqual([env, timeoutMs], [{ EFFECTS: "/effects" }, 1020]);
  const missing = shellJob({ id: "a", does: "missing" }, "/effects");
  assert.equal(missing.action.type, "file");
});

test("nothingAccumulates() finds what grew beyond its bound, at the bound and one more", () => {
  const before: Held = { descriptors: 20, children: 0, threads: 11, mebibytes: 60 };
  const grownBy = (more: Partial<Held>): Held =>
    Object.fromEntries(
      Object.entries(before).map(([kind, count]) => [
        kind,
        count + (more[kind as keyof Held] ?? 0),
      ]),
    ) as unknown as Held;
  for (const [kind, bound] of Object.entries(GROWTH)) {
    const judged = (more: number) =>
      nothingAccumulates([{ name: "m1", before, after: grownBy({ [kind]: more }) }]);
    assert.deepEqual(judged(bound).wrong, []);
    const had = before[kind as keyof Held];
    assert.deepEqual(judged(bound + 1).wrong, [
      `m1 has ${had + bound + 1} ${kind} and had ${had}: ${bound + 1} more, the bound is ${bound}`,
    ]);
  }
});

test(
  "heldBy() counts what a process has, and nothing of one that has ended",
  { skip: linux },
  async () => {
    const mine = heldBy(process.pid)!;
    const file = openSync(import.meta.filename, "r");
    const child = spawn("sleep", ["60"], { stdio: "ignore" });
    const { descriptors, children, threads, mebibytes } = heldBy(process.pid)!;
    assert.ok(descriptors > mine.descriptors && children > mine.children);
    assert.ok(threads > 1 && mebibytes > 20, `${threads} threads, ${mebibytes} MiB`);
    closeSync(file);
    child.kill("SIGKILL");
    await once(child, "exit");
    assert.equal(heldBy(child.pid!), undefined);
  },
);

test("Proxy holds back what it stalls, delivers it in order, and cuts", async (t) => {
  const echo = createServer((socket) => socket.on("error", () => undefined).pipe(socket)).listen(
    0,
    "127.0.0.1",
  );
  await once(echo, "listening");
  const proxy = await Proxy.listen();
  t.after(async () => {
    await proxy.close();
    echo.close();
  });
  proxy.target = (echo.address() as AddressInfo).port;
  const near = dial(proxy.port, "127.0.0.1");
  let text = "";
  near
    .setEncoding("utf8")
    .on("data", (chunk: string) => {
      text += chunk;
    })
    .on("error", () => undefined);
  const until = async (length: number): Promise<void> => {
    while (text.length < length) await once(near, "data");
  };
  near.write("one ");
  await until(4);
  const begun = performance.now();
  proxy.stall("down", 100);
  near.write("two ");
  near.write("three");
  await until(13);
  assert.equal(text, "one two three");
  assert.ok(performance.now() - begun > 90, "it was held back");
  proxy.delay(() => 50);
  const slow = performance.now();
  near.write("four");
  await until(17);
  proxy.delay();
  assert.ok(performance.now() - slow > 90, "both ways were slow");
  const closed = (socket: Socket): Promise<void> =>
    new Promise((resolve) => socket.on("error", () => undefined).once("close", () => resolve()));
  const cut = closed(near);
  proxy.cut(true);
  await cut;
  proxy.target = undefined;
  await closed(dial(proxy.port, "127.0.0.1"));
});

test("processesOf() finds a process by its environment and by its folder, " +
  "and no other", { skip: linux }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "titan-chaos-test-"));
  mkdirSync(join(folder, "in"));
  const sleep = (options: { cwd: string; env: Record<string, string> }) =>
    spawn("sleep", ["60"], { stdio: "ignore", ...options });
  const env = { PATH: process.env["PATH"] ?? "" };
  const children = [
    sleep({ cwd: "/", env: { ...env, NAMES: `${folder}/x` } }),
    sleep({ cwd: join(folder, "in"), env }),
    sleep({ cwd: "/", env }),
  ];
  t.after(() => {
    for (const child of children) child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  });
  // In the middle of its exec a process has no environment.
  await eventually("all show their environment", () => children.every(({ pid }) =>
    readFileSync(`/proc/${pid}/environ`, "latin1") !== ""));
  assert.deepEqual(
    processesOf(folder)
      .map(({ pid }) => pid)
      .sort(),
    [children[0]!.pid, children[1]!.pid].sort(),
  );
});

// ── the whole ────────────────────────────────────────────────────────────────────────────────────

/** It plays half a minute of a cluster's life. A test of a reader's code gets less time. */
const WHOLE_MS = 240_000;

test("runChaos() finds every promise kept by a cluster that is killed, " +
  "frozen and cut", { skip: linux, timeout: WHOLE_MS }, async () => {
  await ensureBuilt();
  const seed = Math.floor(Math.random() * 1e6);
  const progress: string[] = [];
  const outcome = await runChaos({
    seed,
    jobs: 40,
    kills: 3,
    workers: 3,
    slots: 2,
    paceMs: 1500,
    freezes: 1,
    freezeMaster: false,
    healMs: 60_000,
    onProgress: (text) => progress.push(text),
  }).catch((error: Error) => {
    throw new Error(`seed ${seed}: ${error.message}\n${progress.join("\n")}`, { cause: error });
  });
  const broken = outcome.checks.filter(({ ok }) => !ok);
  assert.deepEqual(
    broken,
    [],
    `seed ${seed}; the files are in ` +
      `${outcome.dir}\n${progress.join("\n")}\n${outcome.figures.join("\n")}`,
  );
  const looked = Object.fromEntries(outcome.checks.map((check) => [check.name, check.looked]));
  // The plan is another one each time, and a plan may cancel most of its jobs.
  for (const name of ["completed-ended-once", "runs-once", "parents-ended-first"]) {
    assert.ok(looked[name]! > 0, `seed ${seed}, ${name}: ${JSON.stringify(looked)}`);
  }
});
