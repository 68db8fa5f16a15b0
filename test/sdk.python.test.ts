/**
 * src/sdk/python: against what the TypeScript codec writes, against peers that break the
 * protocol, and against one real cluster, which is killed and started again under its watch. The
 * tests themselves are Python's (test/python); this file gives them goldens and a cluster.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import {
  chmodSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { encodeFrame } from "#framing";
import { packProject } from "#project";
import { definePipeline, nodeHost, parsePipeline, toSpec } from "#sdk";
import * as wire from "#wire";
import { ROOT } from "../scripts/bootstrap.mjs";
import { MAIN, ownPort, tempFolder, up, type Up } from "./cli.support.ts";
import "./leaks.support.ts";

const SDK = join(ROOT, "src", "sdk", "python");
const MAX_LINES = 900;
const MAX_WIDTH = 100;
const PATIENCE_MS = 120_000;

/** Every kind of job, and the pipelines of test/python/test_pipelines.py. */
const PIPELINES: Record<string, unknown>[] = [
  { name: "one", jobs: [{ id: "a", run: "echo" }] },
  { name: "two", version: "1.2", jobs: [{ id: "a", run: "x" }, { id: "b", run: "y", needs: "a" }] },
  {
    name: "shells", shell: "bash",
    jobs: [{ id: "a", run: "x" }, { id: "b", run: "y", shell: "sh" }, {
      id: "c", run: "print(1)", shell: "python3", depends_on: ["b", "a"], env: { A: "ä", B: "" },
    }],
  },
  {
    name: "commands",
    jobs: [{ id: "a", command: ["make", "-j", "4", ""] }, {
      id: "b", file: "b.py", args: "--rows 10 'two words' \"x\"", needs: ["a"], affinity: true,
    }, { id: "c", file: "c.sh", args: ["$HOME", "*"], needs: ["a", "b"], affinity: "b" },
    { id: "d", command: ["x"], needs: ["b", "c"], affinity: true }],
  },
  {
    name: "calls",
    jobs: [{ id: "a", call: "titan:noop" }, { id: "b", call: "titan:echo", input: { n: [1, "é"] } },
      { id: "c", call: "lib/m.js#run", with: null, needs: "a" }],
  },
  {
    name: "numbers",
    jobs: [{ id: "low", run: "x", priority: -1 }, { id: "high", run: "x", priority: 2 ** 31 - 1 },
      { id: "mid", run: "x", priority: 64, delay: 1.5, timeout: "1h30m", when: "always" },
      { id: "least", run: "x", priority: -(2 ** 31 - 1), delay: "500ms", timeout: 90 }],
  },
  {
    name: "retries",
    jobs: [{ id: "a", run: "x", retries: 2 }, { id: "b", run: "x", retry: { max_attempts: 1 } }, {
      id: "c", run: "x", needs: ["a"], when: "failure",
      retry: { max_attempts: 5, delay: "2m", backoff: 1.5, jitter: 0 },
    }],
  },
  {
    name: "gates",
    jobs: [{ id: "a", run: "x", hitl_message: "Go?" },
      { id: "b", run: "x", needs: "a", hitl_message: "On?", max_wait_seconds: "1d" },
      { id: "c", run: "x", hitl: { message: "Ship?" } },
      {
        id: "d", run: "x",
        hitl: {
          message: "Ship?", approvers: ["ada", "bob"], required: 2, timeout: "2h",
          on_timeout: "skip", self_approval: false,
          form: [
            { name: "share", type: "number", default: 10, required: true, label: "Share" },
            { name: "region", choices: ["eu", "us"] },
            { name: "dry", type: "boolean", default: true },
            { name: "why", default: "it's \"fine\"" },
          ],
        },
      },
      { id: "e", run: "x", hitl: { message: "?", notify: { webhook: "https://a.example/b" } } },
      { id: "f", run: "x", hitl: { message: "?", notify: { command: ["./a", "b", "b", ""] } } }],
  },
  {
    name: "tags",
    jobs: [{ id: "a", run: "x", requirement: "GPU" }, { id: "b", run: "x", requirement: "GENERAL" },
      { id: "c", run: "x", requirement: ["GPU", "HIGH_MEM", "GPU"] }],
  },
  {
    name: "services",
    jobs: [{ id: "web", type: "service", run: "exec ./s", replicas: 3, stop_grace: "10s" },
      {
        id: "db", type: "service", command: ["db"], port: 5432, healthcheck: "tcp",
        restart: "never",
      },
      {
        id: "api", type: "service", run: "x", needs: "web", affinity: true,
        healthcheck: { http: "/health", interval: "1s", timeout: 3, healthy_after: 2 },
        restart: { policy: "on-failure", delay: 90, attempts: 3, window: "5m" },
      },
      {
        id: "odd", type: "service", run: "x", restart: { backoff: 1 },
        healthcheck: { command: ["ok", "-q"], unhealthy_after: 5, start_period: 0 },
      },
      { id: "last", run: "x", needs: ["web", "db"] }],
  },
  {
    name: "files",
    jobs: [{ id: "a", run: "x", outputs: ["m.bin", "./logs/t.txt"] }, {
      id: "b", run: "y", needs: "a", outputs: "r.md",
      inputs: [{ job: "a", path: "m.bin" }, { job: "a", path: "./logs/t.txt", as: "data/log" },
        { job: "a", path: "logs/t.txt", as: "./t" }],
    }],
  },
  {
    name: "budget",
    agent: {
      id: "team", budget: {
        jobs: 40, depth: 3, fan_out: 10, steps: 500, tokens: 2_000_000, usd: 0.25, deadline: "2h",
      },
    },
    jobs: [{ id: "a", run: "x" }],
  },
  { name: "agent", agent: { budget: { usd: 5 } }, jobs: [{ id: "a", run: "x" }] },
  { name: "group", agent_run_id: "team", jobs: [{ id: "a", run: "x" }] },
  { name: "plain", agent: { id: "x", budget: {} }, jobs: [{ id: "a", run: "x" }] },
];

/** Messages as a master sends them: with everything, and with as little as there can be. */
const RUN: wire.RunInfo = {
  id: "nightly-7k2m", name: "nightly", status: "SERVING", submittedAt: 1_700_000_000_000,
  endedAt: 2 ** 53 - 1, counts: [1, 0, 300], cancelling: true,
};
const FAILURE = { kind: "port-taken", message: "größer", exitCode: 3, signal: "SIGKILL" } as const;
const SERVICE = {
  name: "web", phase: "UNHEALTHY", since: 5, reason: "r", host: "h", port: 1, pid: 2, restarts: 3,
} as const;
const DECISION: wire.Decision = {
  approved: true, by: "me", comment: "ok", at: 7, already: true, skipped: false,
  values: { share: "10", region: "größe" }, missing: 2,
};
const RULES: wire.GateRules = {
  form: [{ name: "r", type: "choice", label: "l", choices: ["a"], default: "a", required: true }],
  approvers: ["ada"], required: 2, onTimeout: "skip", selfApproval: false,
  notify: { type: "webhook", url: "https://a.example/b" },
};
const JOB: wire.JobInfo = {
  index: 300, id: "a", status: "SKIPPED", attempt: 2, worker: "w", startedAt: 1, endedAt: 2,
  failure: FAILURE, reason: "why", dependsOn: [0, 1], result: Buffer.from("{}"), cancelling: true,
  decision: DECISION, stoppedAt: 3, retryAt: 4, lostOutput: { bytes: 9, why: "full" },
  service: SERVICE,
};
const BARE_JOB: wire.JobInfo = {
  index: 0, id: "b", status: "PENDING", attempt: 0, worker: "", reason: "", dependsOn: [],
  cancelling: false,
};
const CHANGE: wire.JobChange = {
  index: 1, status: "RUNNING", attempt: 1, worker: "w", at: 5, failure: FAILURE, cancelling: true,
  reason: "r", retryAt: 8, lostOutput: { bytes: 1, why: "w" }, service: SERVICE,
};

interface GoldenMessage { name: string; hex: string; value: unknown }

const of = <T>(
  message: { name: string; encode(value: T): Buffer }, value: T, name = message.name,
): GoldenMessage => ({ name, hex: message.encode(value).toString("hex"), value });

function messages(): GoldenMessage[] {
  const { Hello, Submit, StatusPage, WatchPage } = wire;
  return [
    of(Hello, {
      protocol: 2, role: "client", token: "s3cret", version: "python", instance: "", name: "",
      tags: [], slots: 1, running: [], knows: [],
    }),
    of(wire.EncodedSubmit, { spec: Buffer.from("0a"), key: "k", strict: true }, "Submit"),
    of(Submit, { specBlob: "ab", strict: false }),
    of(wire.Submitted, {
      run: "r", existing: true, warnings: ["w", "ä"], forgotten: false, replaces: "q",
    }),
    of(StatusPage, { run: RUN, jobs: [JOB, BARE_JOB], parents: ["x"] }),
    of(WatchPage, { reset: true, run: undefined, jobs: [BARE_JOB], changes: [] }),
    of(WatchPage, { reset: false, run: RUN, jobs: [], changes: [CHANGE] }),
    of(wire.OutputRequest, { run: "r", job: "j", attempt: 3, follow: true }),
    of(wire.OutputPage, { chunks: [{ stream: "stderr", at: 9, data: Buffer.from([0, 255]) }] }),
    of(wire.RunList, { runs: [RUN, { ...RUN, endedAt: undefined, counts: [] }] }, "RunPage"),
    of(wire.WorkerList, {
      workers: [{
        id: 1, name: "w", tags: ["GPU"], slots: 4, running: 2, remote: "h:1", joinedAt: 3,
        connected: true, version: "0", draining: false, beatLateMs: 1, beatLateMaxMs: 2,
        heardMs: 7, jobs: [
          { run: "r", job: "j", attempt: 2, startedAt: 5 },
          { run: "r", job: "web", attempt: 1, startedAt: 6, service: "web", phase: "READY" },
        ],
      }],
    }, "WorkerPage"),
    of(wire.GateList, {
      gates: [
        { id: "r/a", message: "?", openedAt: 1, deadline: 2, votes: [], submitter: "" },
        {
          id: "r/b", message: "?", openedAt: 1, deadline: 2, rules: RULES, submitter: "eve",
          votes: [{ by: "ada", comment: "", values: { r: "a" }, at: 3 }], result: Buffer.from("1"),
        },
      ],
    }, "GatePage"),
    of(wire.DecideGate, {
      gate: "r/a", approve: false, by: "me", comment: "no", values: { a: "1" },
    }),
    of(wire.Decision, DECISION),
    of(wire.RetryRun, { run: "r", from: "a", acceptChanged: true }),
    of(wire.Affected, { jobs: 4_294_967_295 }),
    of(wire.ServiceRef, { name: "web", by: "" }),
    of(wire.ServicesMeant, {
      run: "r", services: ["web"], replicas: 2, calledOff: "s", letGo: true,
    }),
    of(wire.ServicePage, {
      rows: [{
        name: "web", run: "r", job: "web.2", deployed: true, status: "RUNNING", worker: "w",
        attempt: 2, service: SERVICE, reason: "r", lastFailure: FAILURE, startedAt: 5, version: 2,
        current: false, leaving: true,
      }],
    }),
    of(wire.KvRequest, { args: [Buffer.from("SET"), Buffer.from([0, 1])] }),
    of(wire.KvReply, { resp: Buffer.from("+OK\r\n") }),
    of(wire.BlobPut, { hash: "ab", total: 10, offset: 5, data: Buffer.from("hello") }),
    of(wire.BlobHas, { present: false }),
    ...clusterMessages(), ...agentMessages(), ...jobMessages(), ...artifactMessages(),
  ];
}

function clusterMessages(): GoldenMessage[] {
  const letter = {
    run: "r", job: "j", attempts: 4, failures: 3, losses: 1, failure: FAILURE, endedAt: 9,
    forgotten: true,
  };
  const pool: wire.PoolInfo = {
    name: "gpu", tags: ["GPU"], slots: 2, min: 0, max: 3, wanted: 2, running: 1, starting: 1,
    leaving: 0, why: "jobs wait", driver: "command", failures: 1, lastFailure: "no",
  };
  const launch = {
    name: "gpu-1", state: "starting", orderedAt: 5, handle: "h", reason: "r", pool: "gpu",
  } as const;
  return [
    of(wire.StatusRequest, { run: "r", job: undefined, only: ["a", "b"] }),
    of(wire.Why, { run: "r", jobs: [0, 300] }),
    of(wire.Reasons, { reasons: [{ index: 1, kind: "person", reason: "a gate" }] }),
    of(wire.DeadPage, { letters: [letter] }),
    of(wire.Info, {
      version: "0", pid: 1, startedAt: 2, state: "/s", nextSeq: 3, runs: 4, workers: 5,
      stateHash: "ab", now: 6, refused: 7, full: "f", lettersDropped: 8,
    }),
    of(wire.DrainWorker, { worker: "w", undo: true }),
    of(wire.Drained, { id: 1, name: "w", running: 2 }),
    of(wire.PoolPage, { pools: [pool], launches: [launch] }),
    of(wire.LaunchWorker, { pool: "gpu", by: "me" }),
    of(wire.Launched, { name: "gpu-1" }),
    of(wire.RetireWorker, { worker: "gpu-1", by: "me" }),
    of(wire.Retired, { name: "gpu-1", pool: "gpu", running: 1 }),
    of(wire.ScaleService, { name: "web", replicas: 3, by: "me" }),
    of(wire.Scaled, {
      run: "r", service: "web", before: 1, replicas: 3, added: ["web.2"], stopped: ["web.3"],
    }),
    of(wire.RollbackService, { name: "web", updateMs: 5, by: "me", key: "k" }),
    of(wire.RolledBack, { run: "r", replaces: "q", like: "p" }),
  ];
}

const USAGE = { model: "m", tokensIn: 1, tokensOut: 2, usdMicros: 3, ms: 4 };
const BLOB = { sha256: "ab", size: 5 };
const HASH = Buffer.alloc(32, 7);

function agentMessages(): GoldenMessage[] {
  const limits = {
    jobs: 1, depth: 2, fanOut: 3, steps: 4, tokens: 5, usdMicros: 6, deadlineAt: 7,
  };
  const agent: wire.AgentInfo = {
    id: "team", status: "PAUSED", startedAt: 1, endedAt: 2, limits,
    used: { jobs: 1, steps: 2, tokens: 3, usdMicros: 4 }, reserved: { tokens: 1, usdMicros: 2 },
    runs: 3, counts: [1, 2], questions: 1, reason: "usd",
  };
  const job = {
    run: "r", index: 1, id: "a", status: "RUNNING", attempt: 2, startedAt: 3, endedAt: 4,
    spawner: 0, stage: "PLAN", reason: "why", steps: 5, tokens: 6, usdMicros: 7,
  } as const;
  const step = {
    name: "s", ordinal: 2, job: "a", status: "DONE", effect: "once", attempt: 3, startedAt: 4,
    endedAt: 5, inputHash: "ab", result: Buffer.from("1"), blob: BLOB, failure: "f", usage: USAGE,
    order: 6,
  } as const;
  return [
    of(wire.AgentList, { agents: [agent] }),
    of(wire.AgentPage, { agent, runs: [RUN], jobs: [job] }),
    of(wire.RaiseBudget, {
      group: "team", changes: [{ what: "usd", amount: 5, add: true }], by: "me",
    }),
    of(wire.BudgetNow, { group: "team", limits }),
    of(wire.AgentCancelled, { group: "team", runs: 1, jobs: 2 }),
    of(wire.StepPage, { steps: [step] }),
    of(wire.ForkRun, {
      run: "r", from: "s#2", set: [{ step: "p", result: Buffer.from("[]") }], by: "me",
    }),
    of(wire.Forked, { run: "q", steps: 3 }),
  ];
}

/** What a job asks about itself: those of titan_job.py. */
function jobMessages(): GoldenMessage[] {
  const { StepAnswer, StepStart, StepEnd, WaitRequest } = wire;
  const answers: wire.StepAnswer[] = [
    { type: "done", result: Buffer.from("1"), blob: BLOB, usage: USAGE },
    { type: "run", idempotencyKey: "k" },
    { type: "ambiguous", startedAt: 1, attempt: 2 },
    { type: "changed", was: HASH, now: HASH, words: "w" },
  ];
  const gate = { message: "?", maxWaitMs: 5, rules: RULES };
  return [
    of(StepStart, {
      name: "s", ordinal: 2, inputHash: HASH, effect: "once", onAmbiguous: "ask", call: 7,
      reserve: { tokens: 1, usdMicros: 2 }, again: true,
    }),
    of(StepEnd, {
      name: "s", ordinal: 2, result: Buffer.from("1"), blob: BLOB, failure: "f", usage: USAGE,
      told: true,
    }),
    of(wire.Ask, { key: "k", gate }),
    of(wire.Asked, { gate: "r/a:k", deadline: 9, decision: DECISION }),
    of(WaitRequest, {
      waits: [
        { type: "jobs", jobs: ["a", "b"] }, { type: "ask", key: "k" }, { type: "time", at: 5 },
        { type: "budget", need: { jobs: 1, steps: 2, tokens: 3, usdMicros: 4 } },
      ],
    }),
    of(wire.WaitReply, { met: [0, 300] }),
    of(wire.Spawned, { from: 1, jobs: 2, existing: true }),
    of(wire.Spawn, {
      key: "k", jobs: [], parents: ["x"], before: [{ job: 0, child: "y" }], stage: "ITER",
    }),
    // A union is no message of its own: it travels inside one.
    ...answers.map((value) => ({
      name: "StepAnswer", hex: StepAnswer.encode(value).toString("hex"), value,
    })),
  ];
}

function artifactMessages(): GoldenMessage[] {
  const info = {
    name: "a", sha256: "ab", size: 1, at: 2, byRun: "r", byJob: "j", byAttempt: 3, by: "me",
    run: "r",
  };
  const head = {
    name: "a", run: "r", job: "j", attempt: 2, keep: true, by: "me", size: 9,
  };
  const { ArtifactPut, RemoveArtifacts } = wire;
  return [
    of(ArtifactPut, {
      upload: 1, offset: 2, head: { ...head, output: false }, sha256: "ab", last: true,
      data: Buffer.from([1]),
    }),
    of(wire.ArtifactPutAnswer, { done: info, replaced: info }),
    of(wire.ArtifactRef, { name: "a", run: "r", orKept: true }),
    of(wire.ArtifactItem, { info, data: Buffer.from([1]) }),
    of(wire.ArtifactsAsked, { run: "r", kept: true }),
    of(wire.ArtifactPage, { artifacts: [info] }),
    of(RemoveArtifacts, {
      ref: { name: "a", run: "r", orKept: false }, olderMs: 0, kept: false, dryRun: false, by: "me",
    }),
    of(wire.ArtifactsRemoved, {
      artifacts: [info], more: true, freedBytes: 1, usedBytes: 2, maxBytes: 3,
    }),
  ];
}

/** A project with what an archive can hold, and with files that stay out of it. */
async function project(): Promise<{ folder: string; archive: string }> {
  const folder = tempFolder({
    "a.py": "print(1)\n", "run.sh": "echo\n", "big.log": "no", "x1y": "no", "ä": "last",
    ".titanignore": "*.log\n/out/\nx?y\n",
  });
  const folders = ["lib", "lib/out", "out", ".git", "node_modules"];
  for (const name of folders) mkdirSync(join(folder, name));
  for (const name of ["lib/m.py", "lib/out/kept", "out/gone", ".git/gone"]) {
    writeFileSync(join(folder, name), name);
  }
  chmodSync(join(folder, "run.sh"), 0o755);
  symlinkSync("lib/m.py", join(folder, "link"));
  const { bytes } = await packProject(nodeHost(), folder);
  return { folder, archive: gunzipSync(bytes).toString("hex") };
}

async function goldens(): Promise<object> {
  const frames = [
    { opcode: 2, flags: 0, requestId: 1, body: Buffer.from("hello") },
    { opcode: 0, flags: 32, requestId: 0xffffffff, body: Buffer.from([0, 4, 0, 0]) },
    { opcode: 255, flags: 5, requestId: 7, body: Buffer.alloc(0) },
    { opcode: 5, flags: 1, requestId: 300, body: Buffer.alloc(300, 0xa5) },
  ];
  return {
    frames: frames.map((frame) => ({ ...frame, hex: encodeFrame(frame).toString("hex") })),
    messages: messages(),
    specs: PIPELINES.map((input) => {
      const spec = toSpec(definePipeline(input));
      return { input, spec, hex: wire.PipelineSpec.encode(spec).toString("hex") };
    }),
    project: await project(),
    deployed: wire.PipelineSpec.encode(toSpec(
      parsePipeline("name: d\njobs: [{id: web, type: service, run: x}]"),
      { deploy: true, project: "ab" },
    )).toString("hex"),
  };
}

/** Runs one file of test/python. A line on its stdout is a wish, which `serve` fulfils. */
async function unittest(
  module: string, env: Record<string, string>, serve?: (wish: string) => Promise<void>,
): Promise<void> {
  const child = spawn("python3", ["-m", "unittest", "-v", module], {
    cwd: join(ROOT, "test", "python"),
    env: { ...process.env, ...PYTHON, PYTHONWARNINGS: "error", ...env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (errors += text));
  createInterface({ input: child.stdout }).on("line", (wish) => {
    void serve?.(wish).then(() => child.stdin.write("done\n"));
  });
  const code = await new Promise((resolve) => child.once("close", resolve));
  clearTimeout(timer);
  assert.equal(code, 0, errors);
  assert.match(errors, /^Ran [1-9]\d* tests? in [^]*\nOK\n$/m, errors);
}

let golden: string;
const folder = tempFolder();
const env = { TITAN_TOKEN: "s3cret" };
/** Compiled once for all processes, and not beside the sources. */
const PYTHON = {
  PYTHONPATH: SDK, PYTHONPYCACHEPREFIX: join(folder, "pycache"), PYTHONDONTWRITEBYTECODE: "",
};
const UP = ["--workers", "1", "--slots", "4", "--state", "state"];
let cluster: Up;

before(async () => {
  golden = join(folder, "golden.json");
  writeFileSync(golden, JSON.stringify(await goldens()));
  // The last flag of a kind counts, so this port and not a free one, each time.
  UP.push("--port", String(await ownPort()));
  cluster = await up(UP, { cwd: folder, env });
});
after(() => cluster.kill("SIGTERM"));

test("each file is Python 3.9 of the standard library, and not too long", async () => {
  const names = readdirSync(SDK).filter((name) => name.endsWith(".py"));
  assert.deepEqual(names, ["titan.py", "titan_job.py", "titan_wire.py"]);
  for (const name of names) {
    const lines = readFileSync(join(SDK, name), "utf8").split("\n");
    assert.ok(lines.length - 1 <= MAX_LINES, `${name}: ${lines.length - 1} lines`);
    assert.deepEqual(lines.filter((line) => [...line].length > MAX_WIDTH), [], name);
  }
  await unittest("test_language", {});
});

test("titan.py writes and reads what the TypeScript codec does, and refuses all else", () =>
  unittest("test_wire", { TITAN_GOLDEN: golden }));

test("titan.py makes the specs that the TypeScript reader makes, and packs the same folder", () =>
  unittest("test_pipelines", { TITAN_GOLDEN: golden }));

test("titan.py knows a peer that is none, that is full, or that goes away", () =>
  unittest("test_peers", {}));

async function withCluster(module: string): Promise<void> {
  const serve = async (wish: string): Promise<void> => {
    if (wish === "kill worker") {
      for (const pid of cluster.ready.workerPids) process.kill(pid, "SIGKILL");
      return;
    }
    await cluster.kill("SIGKILL");
    cluster = await up(UP, { cwd: folder, env });
  };
  const titan = `'${process.execPath}' '${MAIN}'`;
  const { master } = cluster.ready;
  const settings = { TITAN_MASTER: master, TITAN_CLI: titan, TITAN_FOLDER: folder };
  await unittest(module, { ...env, ...settings }, serve);
}

test("titan.py works with a cluster, which is killed and comes back", () =>
  withCluster("test_cluster"));

test("titan_job.py keeps what a job has done, whoever is killed", () => withCluster("test_job"));

test("the programs in Python of the documentation run", () => withCluster("test_docs"));
