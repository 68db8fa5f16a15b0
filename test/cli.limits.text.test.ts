/**
 * Limits of what the command line reads, keeps and shows, each at the limit and one beyond. Numbers
 * among its arguments are in cli.limits.test.ts.
 */
import assert from "node:assert/strict";
import fs, { mkdtempSync, rmSync, type Dirent } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { RunCalls } from "#calls";
import { renderRun, Tracker } from "#cli";
import { Event } from "#core";
import { nodeHost } from "#host";
import { openLog } from "#log";
import { startMaster } from "#master";
import type { RunEvent } from "#sdk";
import type { JobInfo, JobStatus, RunInfo } from "#wire";
import type { Call, Command } from "../src/cli/command.ts";
import { dead } from "../src/cli/commands/dead.ts";
import { kv } from "../src/cli/commands/kv.ts";
import { logs } from "../src/cli/commands/logs.ts";
import { status } from "../src/cli/commands/status.ts";
import { showLog } from "../src/cli/eventlog.ts";
import { followRun } from "../src/cli/follow.ts";
import { commandHelp } from "../src/cli/help.ts";
import { type Line, LineReader, Tail } from "../src/sdk/output-lines.ts";
import { startProgress } from "../src/cli/progress.ts";
import { projectFiles } from "../src/cli/project-files.ts";
import { history, live, Reading } from "../src/sdk/run-output.ts";
import { readPipelineFile } from "../src/cli/submit.ts";
import { summarize } from "../src/cli/summary.ts";
import { Client } from "../src/sdk/client.ts";
import { inWorld, Machine } from "./05-log.support.ts";
import "./leaks.support.ts";

const run: RunInfo = {
  id: "r-1", name: "r", status: "RUNNING", submittedAt: 1000, endedAt: undefined, counts: [],
  cancelling: false,
};

function job(index: number, status: JobStatus, more: Partial<JobInfo> = {}): JobInfo {
  return {
    index, id: `j${index}`, status, attempt: 1, worker: "", startedAt: undefined,
    endedAt: undefined, failure: undefined, reason: "", dependsOn: [], result: undefined,
    cancelling: false, decision: undefined, stoppedAt: undefined, retryAt: undefined,
    lostOutput: undefined, ...more,
  };
}

function trackerOf(jobs: JobInfo[]): Tracker {
  const tracker = new Tracker();
  tracker.take({ type: "snapshot", run, jobs });
  return tracker;
}

const jobs = (count: number, status: JobStatus): JobInfo[] =>
  Array.from({ length: count }, (_, index) => job(index, status));
const chunk = (data: Buffer) => ({ stream: "stdout" as const, at: 1, data });
/** In place of bytes that nobody gets to read. */
const bytes = (length: number): never => ({ length }) as never;

/** A call of a command, and all that it prints and notes. */
class FakeCall {
  readonly said: string[] = [];
  readonly ends: (() => void)[] = [];
  readonly json = false;
  readonly literal = false;
  readonly args: string[];
  readonly context = {
    host: nodeHost() as unknown, master: undefined as string | undefined,
    live: false, columns: undefined,
    setting: (name: string) => (name === "TITAN_MASTER" ? this.context.master : undefined),
    out: (line: string) => void this.said.push(line),
    note: (line: string) => void this.said.push(line),
    pour: async (_: string, text: Buffer) => void this.said.push(String(text)),
    paint: (_: string, text: string) => text, onExit: (end: () => void) => void this.ends.push(end),
  };
  constructor(...args: string[]) {
    this.args = args;
  }
  on = (): boolean => false;
  text = (): string | undefined => undefined;
  count = (): undefined => undefined;
  moment = async (): Promise<undefined> => undefined;
}

const asCall = (call: FakeCall): Call => call as unknown as Call;
const asContext = (call: FakeCall): Call["context"] => asCall(call).context;

/** stdin, with one piece of so many bytes. */
async function withStdin(length: number, body: () => Promise<unknown>): Promise<string> {
  const stdin = Object.getOwnPropertyDescriptor(process, "stdin")!;
  Object.defineProperty(process, "stdin", { value: [bytes(length)], configurable: true });
  try {
    await body();
  } catch (error) {
    return (error as Error).message;
  } finally {
    Object.defineProperty(process, "stdin", stdin);
  }
  return "";
}

test("a pipeline has 24 MiB, and a value from stdin 64 MiB", async () => {
  const pipeline = (size: number): Promise<string> =>
    withStdin(size, () => readPipelineFile("-"));
  const value = (size: number): Promise<string> =>
    withStdin(size, () => kv.run(asCall(new FakeCall("set", "k", "-"))));
  // Bytes that are not there cannot be put together, which comes behind the limit.
  assert.match(await pipeline(25_165_824), /list\[0\]/);
  assert.match(await pipeline(25_165_825), /it is longer than 25165824 bytes/);
  assert.match(await value(67_108_864), /list\[0\]/);
  assert.match(await value(67_108_865), /it is longer than 67108864 bytes/);
});

test("a missing file is looked for among 2,000 names", async (t) => {
  const meant = async (names: Record<string, string[]>, path: string) => {
    const { meantFile } = await projectFiles("/p");
    const list = t.mock.method(fs, "readdirSync", (folder: string) =>
      names[folder]!.map((name) => ({ name, isDirectory: () => name === "zd" }) as Dirent));
    syncBuiltinESMExports();
    try {
      return meantFile(path);
    } finally {
      list.mock.restore();
      syncBuiltinESMExports();
    }
  };
  const files = (count: number): string[] => Array.from({ length: count }, (_, i) => `f${i}`);
  const flat = (count: number) => meant({ "/p": [...files(count), "zz"] }, "no/zz");
  assert.deepEqual([await flat(1999), await flat(2000)], ["zz", undefined]);
  const deep = (count: number) =>
    meant({ "/p": [...files(count), "zd"], "/p/zd": ["zz"] }, "no/zz");
  assert.deepEqual([await deep(1997), await deep(1998)], ["zd/zz", undefined]);
});

test("a line without an end is handed out behind 1 MiB, a tail holds 64 MiB", () => {
  const reader = new LineReader();
  assert.deepEqual(reader.take(chunk(Buffer.alloc(1_048_576, "x"))), []);
  assert.equal(reader.take(chunk(Buffer.from("x")))[0]!.text.length, 1_048_577);
  const tail = new Tail<Line>(9);
  for (const length of [1, 67_108_863]) tail.push({ text: bytes(length) } as never);
  assert.equal(tail.lines().length, 2);
  tail.push({ text: bytes(1) } as never);
  assert.equal(tail.lines().length, 2, "the first has gone");
});

test("64 outputs of a run are open at once, and 512 are followed", async () => {
  let [open, most] = [0, 0];
  const client = {
    async *watch(): AsyncGenerator<RunEvent> {
      yield { type: "snapshot", run, jobs: jobs(514, "RUNNING") };
    },
    async *logs() {
      most = Math.max(most, ++open);
      await new Promise((resolve) => setImmediate(resolve));
      yield chunk(Buffer.from("x\n"));
      open -= 1;
    },
  } as unknown as Client;
  const readings = Array.from({ length: 66 }, (_, n) => new Reading(`j${n}`, 1));
  let lines = 0;
  for await (const _ of history({ client, run: "r", readings, goesOn: () => false })) lines++;
  assert.deepEqual([lines, most, open], [66, 64, 0]);
  [lines, most] = [0, 0];
  await live({ client, run: "r", readings: new Map(), print: async () => void lines++ });
  assert.deepEqual([lines, most, open], [514, 512, 0]);
});

test("2,000 rows are searched for those that wait; 200 that are over are kept", () => {
  const found = (behind: number): [drawn: boolean, asked: number] => {
    const rows = jobs(behind, "COMPLETED");
    // The first is not over, so the search begins there.
    rows[0] = job(0, "WAITING");
    const tracker = trackerOf([...rows, job(behind, "PENDING")]);
    const lines = renderRun(tracker, {
      width: 80, height: 20, now: 1, slots: 1, unicode: false, last: true, where: "",
      paint: (_, text) => text,
    });
    return [lines.some((line) => line.includes("pending")), tracker.pending(9).length];
  };
  assert.deepEqual([found(1999), found(2000)], [[true, 1], [false, 0]]);
  const recent = (count: number): number => trackerOf(jobs(count, "COMPLETED")).recent.length;
  assert.deepEqual([recent(200), recent(201)], [200, 101]);
});

test("the master is asked why jobs wait, 100 at a time", async () => {
  const asked = async (pending: number): Promise<number> => {
    let hear: (count: number) => void = () => undefined;
    const heard = new Promise<number>((resolve) => (hear = resolve));
    const client = {
      async *watch(): AsyncGenerator<RunEvent> {
        yield { type: "snapshot", run, jobs: jobs(pending, "PENDING") };
        await heard;
        yield { type: "run", run: { ...run, status: "COMPLETED" } };
      },
      async reasons(_run: string, indices: number[]) {
        hear(indices.length);
        return [];
      },
    } as unknown as Client;
    const tracker = new Tracker();
    const progress = startProgress({
      context: asContext(new FakeCall()), tracker, json: false, slots: 1, where: "",
    });
    await followRun({ client, redial: async () => client, run: "r-1", tracker, progress });
    return heard;
  };
  assert.deepEqual(await Promise.all([asked(100), asked(101)]), [100, 100]);
});

test("with 1,000 jobs each change is a line, with one more only 20 failures", () => {
  const said = (count: number, failures: number): number => {
    const call = new FakeCall();
    const rows = jobs(count, "PENDING");
    const tracker = trackerOf(rows);
    const progress = startProgress({
      context: asContext(call), tracker, json: false, slots: 1, where: "",
    });
    const changed = rows.map((row) =>
      job(row.index, row.index < failures ? "FAILED" : "COMPLETED"));
    progress.news(tracker.take({ type: "snapshot", run, jobs: changed }));
    return call.said.filter((line) => / j\d+ /.test(line)).length;
  };
  assert.deepEqual([said(1000, 0), said(1001, 19), said(1001, 20), said(1001, 21)],
    [1000, 19, 20, 20]);
});

/** The end of a run with so many failures, each with this output. */
async function summaryOf(failures: number, output: Buffer | undefined): Promise<string> {
  const call = new FakeCall();
  const client = {
    async *logs() {
      if (output !== undefined) yield chunk(output);
    },
  } as unknown as Client;
  const tracker = trackerOf(jobs(failures, "FAILED"));
  await summarize(run, {
    context: asContext(call), client, tracker, vanishes: false, where: "",
  });
  return call.said.join("\n");
}

test("a summary tells of five failures, and of the last 10 lines of each", async () => {
  const told = async (failures: number): Promise<[number, string | undefined]> => {
    const text = await summaryOf(failures, undefined);
    return [text.match(/no reason was given/g)!.length, /\d more .*/.exec(text)?.[0]];
  };
  assert.deepEqual(await told(5), [5, undefined]);
  assert.deepEqual(await told(6), [5, "1 more job failed: titan status r-1"]);
  const line = async (length: number): Promise<string> =>
    /\| (…?)x+$/m.exec(await summaryOf(1, Buffer.alloc(length, "x")))![0];
  assert.deepEqual(
    [await line(400), await line(401)], [`| ${"x".repeat(400)}`, `| …${"x".repeat(400)}`],
  );
  const before = async (count: number): Promise<boolean> =>
    / 1 line before/.test(await summaryOf(1, Buffer.from("x\n".repeat(count))));
  assert.deepEqual([await before(10), await before(11)], [false, true]);
  const isTooLong = async (length: number): Promise<boolean> =>
    /too long to show/.test(await summaryOf(1, bytes(length)));
  assert.deepEqual([await isTooLong(33_554_432), await isTooLong(33_554_433)], [false, true]);
});

test("help has 100 columns at most, on any terminal", () => {
  const flags = {};
  const command = (notes: string): Command => ({
    name: "x", summary: "", usage: "", args: [0, 0], flags, notes: [notes], examples: [],
    run: async () => 0,
  });
  const longest = (letters: number): number =>
    Math.max(...commandHelp(command(`a ${"x".repeat(letters)}`), 200).split("\n")
      .filter((line) => line.endsWith("x")).map((line) => line.length));
  assert.deepEqual([longest(98), longest(99)], [100, 99]);
});

test("titan eventlog show has room for 120 cells of a comment, 60 of a key", inWorld(async () => {
  const host = new Machine();
  const shown = async (dir: string, body: Buffer): Promise<string> => {
    const log = await openLog({ host, dir });
    log.append(body);
    await log.close();
    const call = new FakeCall();
    call.context.host = host;
    await showLog(asCall(call), dir);
    return call.said.join("");
  };
  const comment = (letters: number): Promise<string> => shown(`/c${letters}`, Event.encode({
    type: "GateDecided", at: 1, run: 1, job: 1, approve: true, by: "ada",
    comment: "x".repeat(letters),
  }));
  const key = (letters: number): Promise<string> => shown(`/k${letters}`, Buffer.from(
    `*2\r\n$3\r\nGET\r\n$${letters}\r\n${"x".repeat(letters)}\r\n`,
  ));
  assert.match(await comment(120), /x{120}\n/);
  assert.match(await comment(121), / x{119}…\n/);
  assert.match(await key(60), / x{60}\n/);
  assert.match(await key(61), / x{59}…\n/);
}));

test("reasons have 100 cells, those of the dead 80, results 2,000, names 32", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "titan-cli-"));
  const host = nodeHost();
  const master = await startMaster({ host, dir, listen: { host: "127.0.0.1", port: 0 } });
  t.after(() => master.stop().then(() => rmSync(dir, { recursive: true })));
  let found: JobInfo;
  const letter = (message: string) => ({
    run: "r-1", job: "j", attempts: 1, failures: 1, losses: 0, endedAt: 1, forgotten: false,
    failure: { kind: "exit" as const, message, exitCode: 1, signal: undefined },
  });
  t.mock.method(RunCalls.prototype, "status", async () => ({ run, jobs: [found], parents: [] }));
  t.mock.method(RunCalls.prototype, "deadLetters", async () => [letter(found.reason)]);
  t.mock.method(Client.prototype, "logs", async function* () {
    yield chunk(Buffer.from("said\n"));
  });
  const said = async (command: Command, letters: number, arg = "r-1"): Promise<string> => {
    const text = "x".repeat(letters);
    found = job(0, "PENDING", { reason: text, id: text, result: Buffer.from(`"${text}"`) });
    const call = new FakeCall(arg);
    call.context.master = `127.0.0.1:${master.port}`;
    await command.run(asCall(call));
    for (const end of call.ends) end();
    return call.said.join("\n");
  };
  assert.match(await said(status, 100), / {2}x{100}$/);
  assert.match(await said(status, 101), / {2}x{99}…$/);
  assert.match(await said(dead, 80), / {2}x{80}$/m);
  assert.match(await said(dead, 81), / {2}x{79}…$/m);
  assert.match(await said(status, 2000, "r-1/j"), /^result {8}x{2000}$/m);
  assert.match(await said(status, 2001, "r-1/j"), /^result {8}x{1999}…$/m);
  assert.match(await said(logs, 32), /^x{32} \| said/);
  assert.match(await said(logs, 33), /^x{31}… \| said/);
});

test("a name in a drawing has 40 cells", () => {
  const name = (letters: number): string => renderRun(
    trackerOf([job(0, "PENDING", { id: "x".repeat(letters) })]), {
      width: 200, height: 20, now: 1, slots: 1, unicode: false, where: "",
      paint: (_, text) => text,
    },
  )[1]!;
  assert.match(name(40), / x{40} /);
  assert.match(name(41), / x{39}… /);
});
