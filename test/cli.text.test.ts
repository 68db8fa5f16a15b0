/**
 * What the command line draws and says, without a cluster: tables, durations, the live view, the
 * tracker behind it.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { renderRun, Tracker } from "#cli";
import { jobJson } from "#rows";
import type { JobInfo, JobStatus, RunInfo } from "#wire";
import { parseAddress, unreachable } from "../src/cli/address.ts";
import { findCommand } from "../src/cli/command.ts";
import { shapeOf } from "../src/cli/commands/validate.ts";
import { describeError, exitCodeOf } from "../src/cli/exit.ts";
import { commandHelp, overview, wrap } from "../src/cli/help.ts";
import { allCommands } from "../src/cli/program.ts";
import {
  bytesText,
  clip,
  durationText,
  meantWord,
  oneLine,
  pad,
  printable,
  table,
  width,
} from "../src/cli/text.ts";
import { Context, hasColors, nameInList } from "../src/cli/context.ts";
import { notBegunText } from "../src/cli/not-begun.ts";
import { findRun } from "../src/cli/refs.ts";
import { remainingMs } from "../src/cli/view.ts";
import { RpcError } from "#rpc";
import type { RunCalls } from "#calls";
import type { Client } from "#sdk";
import { jobLine } from "../src/cli/json.ts";
import { startProgress } from "../src/cli/progress.ts";
import { nextSteps } from "../src/cli/serve.ts";
import { summarize } from "../src/cli/summary.ts";
import { Waits } from "../src/cli/waits.ts";

const run = (status: RunInfo["status"] = "RUNNING"): RunInfo => ({
  id: "r-1",
  name: "r",
  status,
  submittedAt: 1000,
  endedAt: undefined,
  counts: [],
  cancelling: false,
});

function job(index: number, status: JobStatus, more: Partial<JobInfo> = {}): JobInfo {
  return {
    index, id: `j${index}`, status, attempt: 0, worker: "", startedAt: undefined,
    endedAt: undefined, failure: undefined, reason: "", dependsOn: [], result: undefined,
    cancelling: false, decision: undefined, stoppedAt: undefined, retryAt: undefined,
    lostOutput: undefined, ...more,
  };
}

const change = (index: number, status: JobStatus, at: number, attempt = 1) => ({
  type: "job" as const,
  job: `j${index}`,
  change: {
    index, status, attempt, worker: "w1", at, failure: undefined, cancelling: false, reason: "",
    retryAt: undefined,
  },
});

function trackerOf(jobs: JobInfo[]): Tracker {
  const tracker = new Tracker();
  tracker.take({ type: "snapshot", run: run(), jobs });
  return tracker;
}

test("Tracker.take() turns a picture into what changed, and nothing if nothing did", () => {
  const tracker = new Tracker();
  const first = tracker.take({
    type: "snapshot",
    run: run(),
    jobs: [job(0, "PENDING"), job(1, "RUNNING", { attempt: 1, startedAt: 1500, worker: "w1" })],
  });
  assert.deepEqual(
    first.jobs.map(({ id, at }) => [id, at]),
    [["j1", 1500]],
    "a job that waits has not moved",
  );
  assert.equal(first.run?.status, "RUNNING");
  assert.deepEqual(
    tracker.take(change(1, "COMPLETED", 1800)).jobs.map(({ status }) => status),
    ["COMPLETED"],
  );
  const gap = tracker.take({
    type: "snapshot",
    run: run(),
    jobs: [
      job(0, "FAILED", { attempt: 3, endedAt: 2000 }),
      job(1, "COMPLETED", { attempt: 1, endedAt: 1800 }),
    ],
  });
  assert.deepEqual(
    [gap.jobs.map(({ id, status, attempt }) => [id, status, attempt]), gap.run],
    [[["j0", "FAILED", 3]], undefined],
  );
  assert.deepEqual(
    [tracker.count("PENDING"), tracker.count("FAILED"), tracker.count("COMPLETED"), tracker.over],
    [0, 1, 1, 2],
  );
  assert.equal(tracker.take({ type: "run", run: run("FAILED") }).run?.status, "FAILED");
});

test("Tracker.take() counts a job that was added to a run that goes on", () => {
  const tracker = trackerOf([job(0, "RUNNING")]);
  tracker.take(change(1, "RUNNING", 2000));
  assert.deepEqual(
    [tracker.rows.length, tracker.count("RUNNING"), tracker.count("PENDING")],
    [2, 2, 0],
  );
});

test("summarize() warns of output that could not be stored, job by job, and --json " +
  "has the bytes", async () => {
  const tracker = trackerOf(Array.from({ length: 8 }, (_, index) => job(index, "RUNNING")));
  const lostOutput = { bytes: 1234, why: "ENOSPC: no space left on device" };
  for (let index = 0; index < 7; index++) {
    const { change: plain, ...event } = change(index, "COMPLETED", 2000);
    tracker.take({ ...event, change: { ...plain, ...(index > 0 && { lostOutput }) } });
  }
  const notes: string[] = [];
  const context = {
    note: (text: string) => notes.push(text),
    out: () => undefined,
    paint: (_: string, text: string) => text,
  } as unknown as Context;
  const agent = (): Promise<never> => Promise.reject(new RpcError("NOT_FOUND", "no agent run"));
  const client = { agent } as unknown as Client;
  await summarize(run("COMPLETED"), { context, client, tracker, vanishes: false, where: "" });
  const warning =
    "titan: warning: 1234 bytes of output of r-1/j1 could not be stored: ENOSPC: no space left " +
      "on device";
  assert.deepEqual([notes[0], notes.length], [warning, 6]);
  assert.equal(notes[5], "titan: warning: output of 1 more job could not be stored whole");
  const { outputLost, outputProblem } = jobJson(
    job(1, "COMPLETED", { lostOutput }),
    [],
    0,
  ) as Record<string, unknown>;
  assert.deepEqual([outputLost, outputProblem], [1234, lostOutput.why]);
  assert.equal((jobLine("r-1", tracker.row("j1")!) as Record<string, unknown>)["outputLost"], 1234);
  assert.equal("outputLost" in jobLine("r-1", tracker.row("j0")!), false);
  tracker.take(change(1, "RUNNING", 3000, 2));
  assert.equal(tracker.lossy.size, 5, "the next attempt has lost nothing yet");
});

test("renderRun() shows why a job waits, what a gate asks and how to answer, and no person's " +
  "time as a job's", () => {
  const tracker = trackerOf([
    job(0, "RUNNING", { attempt: 1, startedAt: 1000 }),
    job(1, "PENDING", { reason: "no worker has GPU" }),
  ]);
  const draw = (where = "") => renderRun(tracker, {
    width: 120, height: 20, now: 9000, slots: 1, unicode: true, where, paint: (_, text) => text,
  });
  assert.match(draw().join("\n"), /j1 +pending +no worker has GPU/);
  const asks = change(0, "WAITING", 2000);
  tracker.take({ ...asks, change: { ...asks.change, reason: "waits for approval: Ship it?" } });
  assert.match(
    draw(" --master h:1").join("\n"),
    /j0 +waiting +Ship it\? +titan approve --master h:1 r-1\/j0$/m,
  );
  tracker.take(change(0, "COMPLETED", 9000));
  assert.match(draw().join("\n"), /j0 +completed +1\.0s/);
});

test("renderRun() cuts a gate's question and not the command that answers it, if that fits", () => {
  const reason = `waits for approval: ${"Ship it, all of it? ".repeat(9)}`;
  const tracker = trackerOf([job(0, "WAITING", { attempt: 1, reason })]);
  const draw = (width: number) =>
    renderRun(tracker, {
      width, height: 20, now: 9000, slots: 1, unicode: true, where: "", paint: (_, text) => text,
    })[1]!;
  assert.match(draw(99), / {2}Ship it, all of it\? .*… {2}titan approve r-1\/j0$/);
  assert.equal(draw(99).length, 99);
  assert.match(draw(39), /Ship it,.*…$/);
  assert.ok(draw(39).length <= 39);
});

test("Waits.look() tells a reason on its second look, once a job, again when it changes", () => {
  const waits = new Waits();
  const gpu = (job: string, reason = "no worker has GPU") =>
    ({ job, kind: "worker" as const, reason });
  assert.deepEqual(waits.look([gpu("a"), gpu("b")]), [], "it may be over in a moment");
  assert.deepEqual(
    waits.look([gpu("a"), gpu("b")]),
    [{ jobs: "a, b", reason: "no worker has GPU" }],
  );
  assert.deepEqual(waits.look([gpu("a"), gpu("b"), gpu("c")]), []);
  assert.deepEqual(waits.look([gpu("a"), gpu("c")]), [{ jobs: "c", reason: "no worker has GPU" }]);
  const time = (seconds: string) =>
    ({ job: "a", kind: "time" as const, reason: `delayed for another ${seconds} s` });
  waits.look([time("9.0")]);
  assert.deepEqual(waits.look([time("8.5")]).map(({ jobs }) => jobs), ["a"]);
  assert.deepEqual(waits.look([time("8.0")]), [], "less to wait is no other reason");
  const parent = { job: "d", kind: "parents" as const, reason: "waits for a (RUNNING)" };
  assert.deepEqual([waits.look([parent]), waits.look([parent])], [[], []]);
});

test("Waits.look() tells once that all slots are taken, whoever comes to the queue", () => {
  const waits = new Waits();
  const busy = (job: string) =>
    ({ job, kind: "slots" as const, reason: "no free slot on the only worker (4 slots)" });
  const jobs = Array.from({ length: 100 }, (_, n) => busy(`j${n}`));
  waits.look(jobs);
  assert.deepEqual(waits.look(jobs).map((line) => line.jobs), ["j0, j1, j2 and 97 more"]);
  // Those that come stay, so that each is looked at more than once.
  const come: typeof jobs = [];
  for (let turn = 1; turn < 50; turn++) {
    come.push(busy(`k${turn}`));
    assert.deepEqual(waits.look([...jobs.slice(turn), ...come]), []);
  }
  waits.look([]);
  waits.look(jobs);
  assert.equal(waits.look(jobs).length, 1, "it was over, and is so again");
});

test("Tracker.pending() finds those that wait behind any number that are over, and those that " +
  "wait again", () => {
  const jobs = Array.from({ length: 9000 }, (_, n) => job(n, n < 8000 ? "COMPLETED" : "PENDING"));
  const tracker = trackerOf(jobs);
  assert.deepEqual(tracker.pending(2).map(({ index }) => index), [8000, 8001]);
  tracker.take(change(7, "PENDING", 1));
  assert.equal(tracker.pending(1)[0]!.index, 7);
});

test("notBegunText() says that a job has not begun and why, and nothing of one that has", () => {
  const text = (status: JobStatus, more: Partial<JobInfo>, follow = false) =>
    notBegunText("r-1", job(0, status, more), { follow });
  assert.equal(
    text("PENDING", { reason: "no worker has GPU" }),
    "r-1/j0 has not begun: no worker has GPU",
  );
  assert.equal(
    text("PENDING", { reason: "waits for a (RUNNING)" }, true),
    "r-1/j0 has not begun: waits for a (RUNNING); waiting for it",
  );
  assert.equal(
    text("SKIPPED", { reason: "a parent failed: a" }),
    "r-1/j0 has no output, because it never began: it is SKIPPED: a parent failed: a",
  );
  assert.equal(text("RUNNING", { attempt: 1 }), undefined);
});

test("nameInList() finds a user's name by number, and nothing in a list that is not there", () => {
  assert.equal(nameInList(0), "root");
  assert.equal(nameInList(4_000_000_000), undefined);
  assert.equal(nameInList(0, "/nowhere/passwd"), undefined);
});

test("renderRun() fits every terminal, whatever the run", () => {
  const statuses: JobStatus[] = [
    "PENDING",
    "RUNNING",
    "WAITING",
    "COMPLETED",
    "FAILED",
    "DEAD",
    "CANCELLED",
    "SKIPPED",
  ];
  for (const size of [0, 1, 5, 30, 3000]) {
    const failure = {
      kind: "exit" as const,
      message: "a very long message 世界 ".repeat(20),
      exitCode: 1,
      signal: undefined,
    };
    const tracker = trackerOf(
      Array.from({ length: size }, (_, n) =>
        job(n, statuses[n % 8]!, {
          id: `job-${"x".repeat(n % 60)}-${n}`,
          failure,
          attempt: n % 3,
          startedAt: 1000,
        }),
      ),
    );
    for (const height of [1, 2, 3, 10, 50]) {
      for (const columns of [10, 20, 40, 79, 200]) {
        for (const last of [false, true]) {
          const lines = renderRun(tracker, {
            width: columns,
            height,
            now: 5000,
            slots: 4,
            where: "",
            unicode: true,
            last,
            paint: (_, text) => text,
          });
          assert.ok(lines.length <= Math.max(1, height - 1), `${lines.length} lines of ${height}`);
          // Below some twenty columns there is no room for a name and a status; nobody has such a
          // terminal.
          if (columns >= 40) {
            for (const line of lines) {
              assert.ok(width(line) <= columns, `${width(line)} cells of ${columns}: ${line}`);
            }
          }
        }
      }
    }
  }
});

test("a terminal that says that it has 0 columns and 0 rows is drawn on like one of the " +
  "usual size", (t) => {
  let text = "";
  const noSize = { isTTY: true, columns: 0, rows: 0 };
  for (const stream of [process.stdout, process.stderr]) {
    const before = Object.getOwnPropertyDescriptors(stream);
    for (const [name, value] of Object.entries(noSize)) {
      Object.defineProperty(stream, name, { value, configurable: true });
    }
    t.after(() => {
      for (const name of Object.keys(noSize)) {
        Reflect.deleteProperty(stream, name);
        if (name in before) Object.defineProperty(stream, name, before[name]!);
      }
    });
  }
  t.mock.method(process.stderr, "write", (piece: string) => {
    text += piece;
    return true;
  });
  const context = new Context({ TERM: "xterm", NO_COLOR: "1" });
  const tracker = trackerOf([job(0, "RUNNING")]);
  startProgress({ context, tracker, json: false, slots: 1, where: "" }).end();
  t.mock.restoreAll();
  assert.equal(context.columns, undefined);
  assert.match(text, /^r-1 {2}RUNNING .*\r?\n.* j0 +running/m);
  assert.doesNotMatch(text, /Infinity/);
});

test("renderRun() shows what runs, failed or asks before what waits, in the order " +
  "of the jobs", () => {
  const tracker = trackerOf(Array.from({ length: 100 }, (_, n) => job(n, "PENDING")));
  for (const [n, status] of [
    [90, "RUNNING"],
    [80, "FAILED"],
    [70, "WAITING"],
  ] as const) {
    tracker.take(change(n, status, 2000));
  }
  const lines = renderRun(tracker, {
    width: 80,
    height: 9,
    now: 3000,
    slots: 4,
    where: "",
    unicode: false,
    paint: (_, text) => text,
  });
  assert.deepEqual(
    lines.slice(1, -1).map((line) => line.trim().split(/ +/).slice(0, 3).join(" ")),
    [
      ". j0 pending",
      ". j1 pending",
      ". j2 pending",
      "? j70 waiting",
      "x j80 failed",
      "> j90 running",
    ],
  );
  assert.match(
    lines[0]!,
    /^r-1 {2}RUNNING {2}1\/100 done, 1 running, 1 waiting for a person, 1 failed {2}2\.0s$/,
  );
  assert.match(lines.at(-1)!, /and 94 more of 100 jobs/);
});

test("SIGTERM that comes twice at once, as from timeout(1), is one", (t) => {
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  t.after(() => signals.forEach((signal) => process.removeAllListeners(signal)));
  const heard: string[] = [];
  const clock = t.mock.method(performance, "now", () => 1000);
  new Context({}).onInterrupt((signal, times) => heard.push(`${signal} ${times}`));
  process.emit("SIGTERM");
  process.emit("SIGTERM");
  assert.deepEqual(heard, ["SIGTERM 1"]);
  clock.mock.mockImplementation(() => 1250);
  for (const signal of ["SIGTERM", "SIGINT", "SIGINT"] as const) process.emit(signal);
  assert.deepEqual(heard.slice(1), ["SIGTERM 2", "SIGINT 3", "SIGINT 4"]);
});

test("findRun() names the version that a service has now, where several fit", async () => {
  const runs = ["web-1111", "web-2222"].map((id, at) => ({ ...run(), id, submittedAt: at }));
  const version = (id: string, isCurrent: boolean): object =>
    ({ run: id, name: "web", deployed: true, current: isCurrent });
  const asked = (services: readonly object[]): Promise<string> => {
    const client = { runs: async () => runs, services: async () => services };
    return findRun(client as unknown as RunCalls, "web");
  };
  await assert.rejects(asked([version("web-2222", false), version("web-1111", true)]),
    { message: /fits web-2222, web-1111$/, advice: "the service web is web-1111 now" });
  await assert.rejects(asked([]), { advice: "@latest is web-2222" });
});

test("remainingMs() multiplies the mean duration by rounds, and says nothing " +
  "before it knows", () => {
  const tracker = trackerOf(Array.from({ length: 10 }, (_, n) => job(n, "PENDING")));
  assert.equal(remainingMs(tracker, { slots: 4 }), undefined);
  for (const n of [0, 1]) {
    tracker.take(change(n, "RUNNING", 1000));
    tracker.take(change(n, "COMPLETED", 3000));
  }
  assert.equal(
    remainingMs(tracker, { slots: 4 }),
    4000,
    "eight jobs left, four at once, two seconds each",
  );
  assert.equal(remainingMs(tracker, { slots: 0 }), 16_000);
  tracker.take(change(2, "WAITING", 3000));
  assert.equal(
    remainingMs(tracker, { slots: 4 }),
    undefined,
    "nobody knows how long a person takes",
  );
});

test("width() and clip() count cells, not bytes or colours", () => {
  const red = `${String.fromCharCode(27)}[31mred${String.fromCharCode(27)}[0m`;
  assert.deepEqual([width("abc"), width("世界"), width(red)], [3, 4, 3]);
  assert.deepEqual([clip("abcdef", 4), clip("世界世界", 5), clip("abc", 3)], ["abc…", "世界…", "abc"]);
  assert.equal(pad("世", 4), "世  ");
  const accent = "e\u0301"; // two code points, one letter
  assert.deepEqual(
    ["é", accent, "👨‍👩‍👧", "⏰", "❤️", "✓", "🇩🇪", "\u0301"].map(width),
    [1, 1, 2, 2, 2, 1, 2, 0],
  );
  assert.deepEqual(
    [clip(`${accent.repeat(5)}`, 3), clip("👨‍👩‍👧👨‍👩‍👧", 3)],
    [`${accent}${accent}…`, "👨‍👩‍👧…"],
  );
});

test("table() aligns columns and ends lines where their text ends", () => {
  assert.equal(
    table(
      ["A", "LONG"],
      [
        ["wide cell", "x"],
        ["", "y"],
      ],
    ),
    "A          LONG\nwide cell  x\n           y",
  );
});

test("table() fits a narrow terminal: it cuts the last column, or writes paragraphs", () => {
  const rows = [["nightly-7k2m", "RUNNING", "a long reason why it waits"]];
  assert.equal(
    table(["RUN", "STATUS", "WHY"], rows, 40),
    "RUN           STATUS   WHY\nnightly-7k2m  RUNNING  a long reason wh…",
  );
  assert.equal(
    table(["RUN", "STATUS", "WHY"], rows, 30),
    "nightly-7k2m\n  status  RUNNING\n  why     a long reason why it waits",
  );
  assert.equal(table(["RUN", "STATUS", "WHY"], rows), table(["RUN", "STATUS", "WHY"], rows, 200));
});

test("overview() names every command that people type, once", async () => {
  const commands = await allCommands();
  const lines = overview(commands).split("\n");
  const named = lines.flatMap((line) => /^ {2}(\w+)/.exec(line)?.[1] ?? []);
  for (const { name } of commands.filter((command) => command.name !== "__complete")) {
    // "titan run hello.yaml" and "titan help run" below begin with "titan", which is no command.
    assert.equal(named.filter((word) => word === name).length, 1, name);
  }
});

test("overview() and commandHelp() fit a narrow terminal", async () => {
  const commands = await allCommands();
  const limit = {
    type: "string" as const,
    value: "N",
    summary: "at most so many, of however many there may be",
  };
  const command = {
    name: "x",
    summary: "does something that takes many words to say",
    usage: "",
    args: [0, 0] as const,
    flags: { limit },
    examples: [],
    run: async () => 0,
  };
  for (const columns of [36, 40, 60, 80, 120]) {
    for (const line of commandHelp(command, columns).split("\n")) {
      assert.ok(line.length <= columns, `${columns}: ${line}`);
    }
    for (const line of overview(commands, columns).split("\n")) {
      assert.ok(line.length <= columns, `${columns}: ${line}`);
    }
  }
  assert.match(commandHelp(command, 40), /^ {2}--limit N\n {6}at most so many, of however many$/m);
});

test("hasColors() is Node's answer, for a stream of which only we know that it " +
  "is no terminal", () => {
  const cases: [boolean, NodeJS.ProcessEnv, boolean][] = [
    [true, { TERM: "xterm" }, true], [false, { TERM: "xterm" }, false],
    [true, { TERM: "dumb" }, false], [true, { TERM: "xterm", NO_COLOR: "1" }, false],
    [false, { FORCE_COLOR: "1" }, true], [true, { TERM: "xterm", FORCE_COLOR: "0" }, false],
    [true, { TERM: "xterm", CI: "true" }, false],
    [true, { TERM: "xterm", CI: "true", GITHUB_ACTIONS: "true" }, true],
    [true, { TERM: "xterm", CI: "false" }, true], [true, { TERM: "xterm", CI: "" }, true],
  ];
  for (const [isTerminal, env, expected] of cases) {
    assert.equal(hasColors(isTerminal, env), expected, JSON.stringify({ isTerminal, env }));
  }
});

test("durationText() and bytesText() round to what a person would say", () => {
  assert.deepEqual(
    [0, 49, 1234, 99_940, 99_960, 3_599_000, 3_600_000, 90_000_000].map(durationText),
    ["0.0s", "0.0s", "1.2s", "99.9s", "1m 39s", "59m 59s", "1h 00m", "1d 01h"],
  );
  assert.deepEqual([0, 999, 1000, 12_345, 999_499, 999_500, 64 * 2 ** 20].map(bytesText), [
    "0 B",
    "999 B",
    "1.0 kB",
    "12 kB",
    "999 kB",
    "1.0 MB",
    "67 MB",
  ]);
});

test("printable() and oneLine() leave nothing that moves a cursor", () => {
  const evil = `a${String.fromCharCode(27)}[2Jb\r\nc${String.fromCharCode(0x9b)}d\te`;
  assert.equal(printable(evil), "ab\ufffd\nc\ufffdd\te", "what a terminal would obey goes whole");
  assert.equal(
    printable("\u001b[31mred\u001b[0m \u001b]8;;x\u0007link"),
    "red link",
    "as pytest and npm print",
  );
  assert.equal(oneLine(" a \n  b "), "a b");
  const turned = "ok \u202e yb detcejer \u2066x\u2069";
  assert.equal(
    oneLine(turned),
    "ok \ufffd yb detcejer \ufffdx\ufffd",
    "nor what turns a line around",
  );
});

test("meantWord() finds slips and beginnings, and does not guess wildly", async () => {
  const words = ["status", "runs", "workers", "logs"];
  const meant = ["sttus", "work", "log", "frobnicate", "x"].map((word) => meantWord(word, words));
  assert.deepEqual(meant, ["status", "workers", "logs", undefined, undefined]);
});

test("parseAddress() takes every usual form and refuses the rest", () => {
  const found = (text: string) => {
    const { host, port } = parseAddress(text, "--master");
    return `${host} ${port}`;
  };
  assert.deepEqual(["h:1", "h", ":8080", "8080", "[::1]:5", "[::1]", "10.0.0.1:65535"].map(found), [
    "h 1",
    "h 9090",
    "127.0.0.1 8080",
    "127.0.0.1 8080",
    "::1 5",
    "::1 9090",
    "10.0.0.1 65535",
  ]);
  for (const bad of ["h:x", "h:0", "h:65536", "a:b:c", "http://h:1", "[::1", "a b", "h:"]) {
    assert.throws(() => parseAddress(bad, "--master"), /^UsageError: Cannot use --master/, bad);
  }
});

test("unreachable() says of a silent master only that it is silent", () => {
  const silent = Object.assign(new Error("no answer within 5000 ms"), {
    name: "RpcError",
    code: "DEADLINE",
  });
  const found = unreachable({ host: "a", port: 1 }, silent);
  assert.deepEqual(
    [found?.exitCode, found?.message],
    [
      5,
      "Cannot reach the master at a:1: it takes connections, and does not answer (no answer " +
        "within 5000 ms)",
    ],
  );
});

test("findCommand() finds the command behind flags that are for every command", () => {
  assert.deepEqual(findCommand(["--json", "--master", "h:1", "runs", "-x"]), {
    name: "runs",
    rest: ["--json", "--master", "h:1", "-x"],
  });
  assert.deepEqual(findCommand(["--version"]), { name: undefined, rest: ["--version"] });
});

test("shapeOf() counts levels, width and the longest chain", () => {
  const graph = (edges: Record<string, string[]>) =>
    ({ jobs: Object.entries(edges).map(([id, dependsOn]) => ({ id, dependsOn })) }) as never;
  assert.deepEqual(shapeOf(graph({ a: [], b: ["a"], c: ["a"], d: ["b", "c"], e: [] })), {
    levels: 3,
    widest: 2,
    path: ["a", "b", "d"],
  });
  assert.deepEqual(
    shapeOf(graph({ z: ["y"], y: ["x"], x: [] })),
    { levels: 3, widest: 1, path: ["x", "y", "z"] },
    "parents may come later in the file",
  );
});

test("exitCodeOf() maps every kind of error to the contract's codes", () => {
  const rpc = (code: string) =>
    exitCodeOf(Object.assign(new Error("x"), { name: "RpcError", code }));
  assert.deepEqual(
    [
      "UNAUTHORIZED",
      "UNSCHEDULABLE",
      "INVALID",
      "CLOSED",
      "DEADLINE",
      "NOT_FOUND",
      "CONFLICT",
      "INTERNAL",
    ].map(rpc),
    [4, 6, 2, 5, 5, 1, 1, 1],
  );
  assert.equal(exitCodeOf(Object.assign(new Error("x"), { code: "ECONNREFUSED" })), 5);
  assert.equal(exitCodeOf(new Error("x")), 1);
  assert.deepEqual(describeError(new Error("Cannot x: y")), ["titan: Cannot x: y"]);
  assert.equal(
    describeError(new TypeError("x is not a function")).length,
    2,
    "a bug says that it is one",
  );
  assert.match(
    describeError(new Error("x"), { debug: true }).join("\n"),
    /cli\.text\.test/,
    "TITAN_DEBUG=1 shows where",
  );
});

test("describeError() puts a file system's error into words, and leaves others alone", () => {
  const refused = (code: string, syscall: string): Error => {
    const message = `${code}: no, ${syscall} '/a/b'`;
    return Object.assign(new Error(message), { code, syscall, path: "/a/b" });
  };
  const said = (code: string, syscall: string): string[] => describeError(refused(code, syscall));
  assert.deepEqual(
    said("EACCES", "mkdir"),
    ["titan: Cannot make the folder /a/b: permission denied"],
  );
  assert.deepEqual(said("EROFS", "open"), ["titan: Cannot use /a/b: the disk is read-only"]);
  assert.deepEqual(said("ENOENT", "mkdtemp"), [
    "titan: Cannot make the folder /a/b: there is no such file or folder",
  ]);
  assert.deepEqual(said("EMFILE", "open"), ["titan: EMFILE: no, open '/a/b'"]);
  const own = Object.assign(new Error("Cannot x: y"), { code: "EACCES", path: "/a/b" });
  assert.deepEqual(describeError(own), ["titan: Cannot x: y"]);
});

test("wrap() breaks between words", () => {
  assert.deepEqual(wrap("one two three", 8), ["one two", "three"]);
});

test("nextSteps() names the master as it can be dialled, from here and from elsewhere", () => {
  const own = { host: "127.0.0.1", port: 9090 };
  const next = "next: titan run FILE   or: titan workers   Ctrl-C stops";
  assert.deepEqual(nextSteps(own, { workers: 2 }), [next]);
  assert.deepEqual(nextSteps({ ...own, host: "0.0.0.0" }, { workers: 2 }), [
    next, "from another machine: --master HOST:9090, where HOST is this machine's name",
  ]);
  assert.deepEqual(nextSteps({ host: "::", port: 7 }, { workers: 0 }), [
    "next: titan worker --master [::1]:7   then: titan run --master [::1]:7 FILE",
    "from another machine: --master HOST:7, where HOST is this machine's name",
  ]);
});
