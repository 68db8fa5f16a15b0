/**
 * src/sdk/python/titan.py: against what the TypeScript codec writes, against peers that break the
 * protocol, and against one real cluster, which is killed and started again under its watch. The
 * tests themselves are Python's (test/python); this file gives them goldens and a cluster.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { encodeFrame } from "#framing";
import { packProject } from "#project";
import { definePipeline, nodeHost, parsePipeline, toSpec } from "#sdk";
import * as wire from "#wire";
import { ROOT } from "../scripts/bootstrap.mjs";
import { MAIN, tempFolder, up, type Up } from "./cli.support.ts";
import "./leaks.support.ts";

const SDK = join(ROOT, "src", "sdk", "python");
const FILE = readFileSync(join(SDK, "titan.py"), "utf8");
const MAX_LINES = 900;
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
      }],
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

function messages(): { name: string; hex: string; value: unknown }[] {
  const of = <T>(message: { name: string; encode(value: T): Buffer }, value: T, name?: string) =>
    ({ name: name ?? message.name, hex: message.encode(value).toString("hex"), value });
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
    of(wire.RetryRun, { run: "r", from: "a" }, "JobRef"),
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
  module: string, env: Record<string, string>, serve?: () => Promise<void>,
): Promise<void> {
  const child = spawn("python3", ["-B", "-m", "unittest", "-v", module], {
    cwd: join(ROOT, "test", "python"),
    env: { ...process.env, PYTHONPATH: SDK, PYTHONWARNINGS: "error", ...env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (errors += text));
  createInterface({ input: child.stdout }).on("line", () => {
    void serve?.().then(() => child.stdin.write("done\n"));
  });
  const code = await new Promise((resolve) => child.once("close", resolve));
  clearTimeout(timer);
  assert.equal(code, 0, errors);
  assert.match(errors, /^Ran [1-9]\d* tests? in [^]*\nOK\n$/m, errors);
}

let golden: string;
const folder = tempFolder();
const env = { TITAN_TOKEN: "s3cret" };
let cluster: Up;

before(async () => {
  golden = join(folder, "golden.json");
  writeFileSync(golden, JSON.stringify(await goldens()));
});
after(async () => {
  await cluster?.kill("SIGTERM");
});

test("titan.py is one file of Python 3.9, and not too long", async () => {
  assert.ok(FILE.split("\n").length - 1 <= MAX_LINES, `${FILE.split("\n").length - 1} lines`);
  await unittest("test_language", {});
});

test("titan.py writes and reads what the TypeScript codec does, and refuses all else", () =>
  unittest("test_wire", { TITAN_GOLDEN: golden }));

test("titan.py makes the specs that the TypeScript reader makes, and packs the same folder", () =>
  unittest("test_pipelines", { TITAN_GOLDEN: golden }));

test("titan.py knows a peer that is none, that is full, or that goes away", () =>
  unittest("test_peers", {}));

test("titan.py works with a cluster, which is killed and comes back", async () => {
  const args = ["--workers", "1", "--slots", "4", "--state", "state"];
  cluster = await up(args, { cwd: folder, env });
  const again = async (): Promise<void> => {
    const { port } = cluster.ready;
    await cluster.kill("SIGKILL");
    // The last flag of a kind counts, so this port and not a free one.
    cluster = await up([...args, "--port", String(port)], { cwd: folder, env });
  };
  const titan = `'${process.execPath}' '${MAIN}'`;
  const { master } = cluster.ready;
  await unittest("test_cluster", { ...env, TITAN_MASTER: master, TITAN_CLI: titan }, again);
});
