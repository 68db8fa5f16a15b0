/**
 * The bytes of every event, with all its fields set. A log outlives the version that wrote it, so a
 * number of a field or of a variant, once given, stays: a line of test/data/events.txt that changes
 * is a log that the next version misreads. `TITAN_RECORD=1` writes the file; lines may be added.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Event, type EventOf } from "#core";
import type { JobSpec } from "#wire";

const FILE = join(import.meta.dirname, "data/events.txt");
const at = 1_800_000_000_000;
const attempt = { run: 7, job: 2, attempt: 3 };

const step = { ...attempt, name: "plan", ordinal: 1 };
const usage = { model: "scripted", tokensIn: 900, tokensOut: 120, usdMicros: 4200, ms: 1800 };

const job: JobSpec = {
  id: "train", action: { type: "command", argv: ["python3", "train.py"] }, dependsOn: [0, 1],
  requirement: ["GPU"], priority: 9, delayMs: 250, affinity: 1, when: "always", timeoutMs: 60_000,
  retry: { maxAttempts: 4, delayMs: 100, backoff: 1.5, maxDelayMs: 5000, jitter: 0.25 },
  env: { EPOCHS: "3" }, service: undefined,
  files: undefined,
  gate: { message: "Ship it?", maxWaitMs: 3600_000, rules: undefined },
};
const bare = {
  dependsOn: [], requirement: [], priority: 1, delayMs: 0, affinity: undefined, timeoutMs: 0,
  when: "success", retry: undefined, env: {}, gate: undefined, service: undefined,
  files: undefined,
} as const;
const jobs: JobSpec[] = [
  { ...bare, id: "f", action: { type: "file", file: "a.py", args: ["-v"] } },
  { ...bare, id: "s", action: { type: "shell", script: "echo hi", shell: "bash" } },
  { ...bare, id: "c", action: { type: "call", target: "m#f", input: Buffer.from("{}") } },
  job,
  {
    ...bare, id: "asks", action: { type: "command", argv: ["true"] },
    gate: { message: "Ship it?", maxWaitMs: 3600_000, rules: {
      form: [
        { name: "share", type: "number", label: "Percent", choices: [], default: "10",
          required: true },
        { name: "region", type: "choice", label: "", choices: ["eu", "us"], default: undefined,
          required: false },
      ],
      approvers: ["ada", "bob"], required: 2, onTimeout: "skip", selfApproval: false,
      notify: undefined,
    } },
  },
] as unknown as JobSpec[];

/** Checked by the compiler: an event that is added and not listed here does not compile. */
const EXAMPLES: { readonly [T in Event["type"]]: EventOf<T> } = {
  RunSubmitted: {
    type: "RunSubmitted", run: 7, id: "nightly-7k2m", key: "night 1", at,
    spec: {
      name: "nightly", version: "2", project: "ab".repeat(32), jobs, agent: undefined,
    },
    by: "ada@desk",
  },
  JobsAdded: { type: "JobsAdded", run: 7, at, jobs: [job] },
  TimePassed: { type: "TimePassed", at },
  JobStarted: { type: "JobStarted", ...attempt, worker: 5, at },
  JobSucceeded: { type: "JobSucceeded", ...attempt, at, result: Buffer.from("42") },
  JobFailed: {
    type: "JobFailed", ...attempt, at, retryAt: at + 1000, dead: true,
    failure: { kind: "exit", message: "exited with code 3", exitCode: 3, signal: "SIGTERM" },
  },
  JobLost: { type: "JobLost", ...attempt, at, dead: true, blamed: false },
  JobsMarked: { type: "JobsMarked", run: 7, at, jobs: [1, 2], whole: true },
  JobStopped: { type: "JobStopped", ...attempt, at },
  GateDecided: {
    type: "GateDecided", run: 7, job: 2, approve: true, by: "ada", comment: "looks good", at,
  },
  GateApproved: {
    type: "GateApproved", run: 7, job: 2, by: "ada", comment: "half of it", values: { share: "10" },
    at,
  },
  GateClosed: {
    type: "GateClosed", run: 7, job: 2, outcome: "skipped", by: "titan", comment: "nobody answered",
    values: { share: "10" }, at,
  },
  NoticeSent: { type: "NoticeSent", run: 7, job: 2, attempt: 1, at, key: "region" },
  NoticeFailed: {
    type: "NoticeFailed", run: 7, job: 2, attempt: 1, at, key: undefined,
    why: "https://hooks.example.org/… answered 503", retryAt: at + 2000,
  },
  RunRetried: { type: "RunRetried", run: 7, at, jobs: [1, 2] },
  WorkerJoined: {
    type: "WorkerJoined", worker: 5, instance: "f00d", name: "w5", tags: ["GPU"], slots: 4, at,
    version: "0.1.0", knows: [], permanent: undefined,
  },
  WorkerKnows: { type: "WorkerKnows", worker: 5, knows: ["services"], at },
  WorkerLost: { type: "WorkerLost", worker: 5, reason: "silent for 4 s", at },
  RunsForgotten: { type: "RunsForgotten", runs: [1, 2, 3], at },
  WorkerDrained: { type: "WorkerDrained", worker: 5, on: true, at },
  JobsCancelled: { type: "JobsCancelled", run: 7, at, jobs: [1, 2], whole: true },
  OutputLost: { type: "OutputLost", ...attempt, at, bytes: 4096, why: "the disk is full" },
  RunsLetGo: { type: "RunsLetGo", runs: [1, 2], at, keys: [{ run: 1, request: "q".repeat(44) }] },
  JobsInserted: { type: "JobsInserted", run: 7, at, jobs: [job], edges: [{ parent: 9, child: 1 }] },
  ServiceHealth: {
    type: "ServiceHealth", ...attempt, at, phase: "UNHEALTHY", host: "10.0.0.1", port: 20_001,
    pid: 4711, reason: "no answer within 2 s",
  },
  ServicesStopped: { type: "ServicesStopped", run: 7, at, jobs: [1, 2], by: "ada" },
  ServicesRestarted: { type: "ServicesRestarted", run: 7, at, jobs: [1, 2], by: "ada" },
  LaunchOrdered: {
    type: "LaunchOrdered", name: "gpu-3", at, pool: "gpu", reason: "2 jobs have waited 1.0s",
    down: ["scancel", "--quiet"],
  },
  LaunchAnswered: { type: "LaunchAnswered", name: "gpu-3", at, handle: "4711" },
  LaunchRetired: { type: "LaunchRetired", name: "gpu-3", at, reason: "idle for 45.0s" },
  LaunchStopped: {
    type: "LaunchStopped", name: "gpu-3", at, reason: "did not register", failed: true,
  },
  LaunchEnded: { type: "LaunchEnded", name: "gpu-3", at, reason: "exit code 1", failed: true },
  UpdateSubmitted: {
    type: "UpdateSubmitted", run: 8, id: "web-9x2k", key: "v2", at, replaces: 7, deadline: at + 1,
    by: "ada",
    spec: {
      name: "web", version: "2", project: "cd".repeat(32), jobs,
      agent: {
        id: "shop", budget: {
          jobs: 40, depth: 3, fanOut: 10, steps: 500, tokens: 2_000_000, usdMicros: 5_000_000,
          deadlineMs: 7_200_000,
        },
      },
    },
  },
  BudgetReached: {
    type: "BudgetReached", group: "research-7k2m", at, what: "usd", percent: 80,
    words: "4.10 of 5.00 USD are used",
  },
  BudgetRaised: {
    type: "BudgetRaised", group: "research-7k2m", at, by: "ada", limits: {
      jobs: 40, depth: 3, fanOut: 10, steps: 500, tokens: 2_000_000, usdMicros: 10_000_000,
      deadlineAt: at + 1,
    },
  },
  UpdateDone: { type: "UpdateDone", run: 8, at },
  UpdateFailed: { type: "UpdateFailed", run: 8, at, reason: "web is not ready in time" },
  ReplicasRetired: {
    type: "ReplicasRetired", run: 7, at, jobs: [1, 2], by: "ada", how: "drain",
  },
  NameLetGo: { type: "NameLetGo", name: "web", at, by: "ada" },
  JobsSpawned: {
    type: "JobsSpawned", ...attempt, at, key: "research", digest: Buffer.alloc(32, 7), jobs: [job],
    edges: [{ parent: 9, child: 1 }], stage: "ITER",
  },
  WaitAsked: {
    type: "WaitAsked", ...attempt, at,
    waits: [
      { type: "jobs", jobs: [3, 4] }, { type: "ask", key: "deploy" }, { type: "time", at: at + 5 },
      { type: "budget", need: { jobs: 1, steps: 0, tokens: 0, usdMicros: 0 } },
    ],
  },
  JobPaused: { type: "JobPaused", ...attempt, at },
  AskOpened: {
    type: "AskOpened", ...attempt, at, key: "deploy",
    gate: { message: "Ship it?", maxWaitMs: 60_000, rules: undefined },
  },
  AskApproved: {
    type: "AskApproved", run: 7, job: 2, by: "ada", comment: "half of it", values: { share: "10" },
    at, key: "deploy",
  },
  AskClosed: {
    type: "AskClosed", run: 7, job: 2, outcome: "approved", by: "bob", comment: "",
    values: { share: "10" }, at, key: "deploy",
  },
  ServiceScaled: { type: "ServiceScaled", run: 7, at, jobs: [job], drained: [1, 2], by: "ada" },
  StepStarted: {
    type: "StepStarted", ...step, inputHash: Buffer.alloc(32, 7), effect: "once", at, call: 4711,
    reserve: { tokens: 4000, usdMicros: 30_000 }, again: true,
  },
  StepDone: {
    type: "StepDone", ...step, at, result: Buffer.from('{"plan":1}'),
    blob: { sha256: "ab".repeat(32), size: 70_000 }, usage,
  },
  StepFailed: { type: "StepFailed", ...step, at, message: "status 500", usage },
  RunForked: {
    type: "RunForked", run: 9, id: "nightly-8x3n", key: undefined, at, by: "ada", from: 7, step: 3,
    spec: { name: "nightly", version: "2", project: "ab".repeat(32), jobs, agent: undefined },
    set: [{ job: 2, name: "plan", ordinal: 1, result: Buffer.from("[]") }], carries: true,
  },
  ChangesAccepted: { type: "ChangesAccepted", run: 7, at },
  ArtifactPut: {
    type: "ArtifactPut", name: "train/model.bin", sha256: "ef".repeat(32), size: 2 ** 33, at,
    byRun: "nightly-7k2m", byJob: "train", byAttempt: 2, by: "ada@desk", run: 7,
  },
  ArtifactsRemoved: {
    type: "ArtifactsRemoved", at, reason: "others needed the room",
    gone: [{ run: 7, name: "train/model.bin" }, { run: undefined, name: "model.bin" }],
  },
};

test("Event.encode() writes the bytes that it always wrote, for every kind of event", () => {
  const lines = Object.values(EXAMPLES).map(
    (event) => `${event.type} ${Event.encode(event).toString("hex")}`,
  );
  const text = `${lines.join("\n")}\n`;
  if (process.env["TITAN_RECORD"] === "1") writeFileSync(FILE, text);
  assert.equal(text, readFileSync(FILE, "utf8"));
});

test("Event.decode() reads the bytes of every kind of event, with all that was in them", () => {
  const read = readFileSync(FILE, "utf8").trim().split("\n").map((line) => {
    const [type, hex] = line.split(" ");
    return [type, Event.decode(Buffer.from(hex!, "hex"))];
  });
  assert.deepEqual(Object.fromEntries(read), EXAMPLES);
});
