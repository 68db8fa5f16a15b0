/**
 * The demo: its picture, its judge, its manners at the end. What it shows is quoted in README.md
 * and recorded in docs/demo.svg.
 */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { after, test } from "node:test";
import { ensureBuilt, ROOT } from "../scripts/bootstrap.mjs";
import { type Evidence, judge } from "../scripts/demo/judge.ts";
import { openScreen } from "../scripts/demo/screen.ts";
import { Timeline } from "../scripts/demo/timeline.ts";
import { countWords, dealText } from "../scripts/demo/words.ts";
import { programArguments } from "../scripts/lib/compiled.mjs";

const read = (path: string): string => readFileSync(path, "utf8");
const PATIENCE_MS = 60_000;
const home = realpathSync(mkdtempSync(join(tmpdir(), "titan demo tést-")));
const started = new Set<ChildProcess>();
after(() => {
  for (const child of started) child.kill("SIGKILL");
  rmSync(home, { recursive: true, force: true, maxRetries: 3 });
});

/** A timeline whose run began at 0, with both workers. */
function picture(): Timeline {
  const timeline = new Timeline();
  timeline.mark("small", "up", 0);
  timeline.expect(["a", "b"], 0);
  return timeline;
}
const plain = { columns: 80, paint: (_style: string, text: string) => text };
const rowOf = (timeline: Timeline, name: string, now: number): string =>
  timeline.lines({ ...plain, now }).find((line) => line.trim().split(" ")[0] === name) ?? "";

test("Timeline draws an attempt that died, the gap, and the attempt that took its place", () => {
  const timeline = picture();
  timeline.take({ job: "a", status: "RUNNING", attempt: 1, worker: "small", at: 0 });
  assert.deepEqual(timeline.runningOn("small"), ["a"]);
  timeline.take({ job: "a", status: "PENDING", attempt: 1, worker: "small", at: 1000 });
  assert.deepEqual(timeline.runningOn("small"), []);
  timeline.take({ job: "a", status: "RUNNING", attempt: 2, worker: "big", at: 2000 });
  timeline.take({ job: "a", status: "COMPLETED", attempt: 2, worker: "big", at: 3000 });
  assert.match(rowOf(timeline, "a", 4000), /^  a {12}▒+✗ +█+ +✓ big, attempt 2$/);
});

test("Timeline draws a process that was killed and came back, and every line of one width", () => {
  const timeline = picture();
  timeline.mark("small", "killed", 1000);
  timeline.mark("small", "up", 3000);
  assert.match(rowOf(timeline, "small", 4000), /^  small {8}▬+✗ +▬+$/);
  for (const now of [0, 4000, 60_000]) {
    for (const columns of [40, 80, 200]) {
      for (const line of timeline.lines({ ...plain, columns, now })) {
        assert.ok(line.length < Math.max(columns, 60), line);
      }
    }
  }
});

test("Timeline.complete() adds an attempt that nobody could see, and repeats none", () => {
  const timeline = picture();
  timeline.take({ job: "a", status: "RUNNING", attempt: 1, worker: "small", at: 0 });
  const rest = { status: "COMPLETED", attempt: 1, worker: "small", startedAt: 0, endedAt: 2000 };
  timeline.complete([{ id: "a", ...rest }, { id: "b", ...rest }]);
  assert.equal(rowOf(timeline, "a", 4000).slice(4), rowOf(timeline, "b", 4000).slice(4));
  assert.match(rowOf(timeline, "b", 4000), /^  b {12}▒+ +✓ small$/);
});

const kept: Evidence = {
  expected: ["count-1", "merge"],
  jobs: [
    { id: "count-1", status: "COMPLETED", attempt: 2 },
    { id: "merge", status: "COMPLETED", attempt: 1 },
  ],
  diary: "begin count-1 1 small\nbegin count-1 2 big\nend count-1 2 big\n",
  found: 7, words: 7, replayed: 20,
};

test("judge() finds nothing wrong with a run that kept its promises", () => {
  assert.deepEqual(judge(kept).filter(({ holds }) => !holds), []);
});

test("judge() knows an attempt that died with the master before any worker had it", () => {
  const jobs = [{ id: "count-1", status: "COMPLETED", attempt: 3 }, kept.jobs[1]!] as const;
  const diary = "begin count-1 1 small\nbegin count-1 3 big\nend count-1 3 big\n";
  assert.deepEqual(judge({ ...kept, jobs, diary }).filter(({ holds }) => !holds), []);
  const twice = diary.replace("1 small", "3 big");
  assert.equal(judge({ ...kept, jobs, diary: twice }).filter(({ holds }) => !holds).length, 1);
});

test("judge() notices a missing job, a wrong sum, an unknown attempt and an empty log", () => {
  const broken: Partial<Evidence>[] = [
    { jobs: [kept.jobs[0]!, { id: "merge", status: "SKIPPED", attempt: 0 }] },
    { jobs: kept.jobs.slice(0, 1) },
    { found: 8 },
    { diary: "begin count-1 2 big\nend count-1 2 big\n" },
    { diary: "begin count-1 1 small\nbegin count-1 2 big\n" },
    {
      jobs: [{ id: "count-1", status: "COMPLETED", attempt: 1 }, kept.jobs[1]!],
      diary: "begin count-1 1 big\nend count-1 1 big\n",
    },
    { replayed: 0 },
  ];
  for (const wrong of broken) {
    const found = judge({ ...kept, ...wrong }).filter(({ holds }) => !holds);
    assert.equal(found.length, 1, JSON.stringify(wrong));
  }
});

test("dealText() leaves no word out and none in two shards", () => {
  const folder = join(home, "text");
  const text = dealText(ROOT, folder, 3);
  const shards = readdirSync(folder).map((name) => read(join(folder, name)));
  assert.equal(shards.length, 3);
  assert.equal(shards.reduce((sum, shard) => sum + countWords(shard), 0), text.words);
  assert.ok(text.files > 100 && text.words > 100_000);
  assert.equal(countWords("Two words, a b 3 no-more"), 4);
});

/** A terminal of 40 columns that remembers what was written. */
function terminal(): { out: NodeJS.WriteStream; text: () => string } {
  const look = { isTTY: true, columns: 40, hasColors: () => false };
  const stream = Object.assign(new PassThrough(), look);
  const chunks: string[] = [];
  stream.on("data", (chunk: Buffer) => chunks.push(chunk.toString()));
  return { out: stream as unknown as NodeJS.WriteStream, text: () => chunks.join("") };
}

test("a line that is said goes above the drawing, which is drawn again and never wraps", () => {
  const { out, text } = terminal();
  const screen = openScreen({ out, env: {} });
  screen.draw(["one", "x".repeat(60)]);
  screen.say("hello");
  screen.close();
  const long = `${"x".repeat(38)}…`;
  const drawing = `one\x1b[K\n${long}\x1b[K\n\x1b[J`;
  assert.equal(text(), `\x1b[?25l\r${drawing}\r\x1b[2Ahello\x1b[K\n${drawing}\x1b[?25h`);
});

test("a drawing that is taller than the terminal loses its last lines", () => {
  const { out, text } = terminal();
  const screen = openScreen({ out: Object.assign(out, { rows: 3 }), env: {} });
  screen.draw(["one", "two", "three"]);
  screen.draw(["one", "two", "three"]);
  assert.equal(text().split("three").length, 1);
  assert.match(text(), /\x1b\[2A/);
});

test("a screen in a pipe or under CI shows no drawing but the last, and no escape sequence", () => {
  for (const env of [{ CI: "true" }, { TERM: "dumb" }]) {
    const { out, text } = terminal();
    const screen = openScreen({ out, env });
    screen.draw(["one"]);
    screen.say(screen.paint("red", "hello"));
    screen.leave(["two   "]);
    screen.close();
    assert.equal(text(), "hello\ntwo\n");
  }
});

interface Demo {
  readonly child: ChildProcess;
  readonly temp: string;
  text(): string;
  until(pattern: RegExp): Promise<void>;
}

/** The demo in a pipe, with a folder for temporary files that nobody else uses. */
async function startDemo(name: string): Promise<Demo> {
  await ensureBuilt();
  const temp = join(home, name);
  mkdirSync(temp);
  const { NODE_TEST_CONTEXT: _, TITAN_TOKEN: __, ...env } = process.env;
  const child = spawn(process.execPath, programArguments(ROOT, "scripts/demo/main.ts"), {
    cwd: ROOT, env: { ...env, TMPDIR: temp }, stdio: ["ignore", "pipe", "pipe"],
  });
  started.add(child);
  let text = "";
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  }
  return {
    child, temp, text: () => text,
    until: async (pattern) => {
      const timeout = AbortSignal.timeout(PATIENCE_MS);
      while (!pattern.test(text)) await once(child.stdout!, "data", { signal: timeout });
    },
  };
}

/**
 * Processes whose environment or command line names the folder: the roles, their reapers, their
 * jobs.
 */
function processesOf(temp: string): string[] {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.filter((pid) => Number(pid) !== process.pid).filter((pid) => {
    try {
      const texts = ["environ", "cmdline"].map((file) => read(`/proc/${pid}/${file}`));
      return texts.some((text) => text.includes(temp));
    } catch {
      return false; // gone meanwhile, or another user's
    }
  });
}

async function untilNoProcess(temp: string): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (processesOf(temp).length > 0) {
    assert.ok(performance.now() < deadline, `still there: ${processesOf(temp).join(", ")}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const linux = process.platform === "linux" ? {} : { skip: "only on Linux, which has /proc" };
/** The demo's own folders: what is left of them. */
const leftIn = (temp: string): string[] =>
  readdirSync(temp).filter((name) => name.startsWith("titan-demo-"));

test("the demo kills a worker and the master, and keeps its promises", linux, async () => {
  const demo = await startDemo("äll of it");
  const [code] = await once(demo.child, "close");
  assert.equal(code, 0, demo.text());
  for (const pattern of [
    /✗ kill -9 \d+: the worker small is dead, and with it count-\d/, /small is back/,
    /✗ kill -9 \d+: the master is dead; its \d jobs go on without it/,
    /the master is back: it read \d+ events/, /✓ all 9 jobs are COMPLETED/,
    /✓ the counts were begun \d+ times for 6 results/,
    /✓ each result counted once/, /✓ nothing was lost/,
    /\n {2}lessons\/00-tour\/README\.md +the book begins here\n$/,
  ]) assert.match(demo.text(), pattern);
  assert.doesNotMatch(demo.text(), /\x1b|NOT SO/);
  await untilNoProcess(demo.temp);
  assert.deepEqual(leftIn(demo.temp), []);
});

test("Ctrl-C in the middle of the demo is exit code 130; nothing is left", linux, async () => {
  const demo = await startDemo("interrupted");
  await demo.until(/count-1 running/);
  demo.child.kill("SIGINT");
  const [code] = await once(demo.child, "close");
  assert.equal(code, 130, demo.text());
  await untilNoProcess(demo.temp);
  assert.deepEqual(leftIn(demo.temp), []);
});

test("a reader who has seen enough ends the demo without a word", linux, async () => {
  const demo = await startDemo("head");
  await demo.until(/titan run/);
  demo.child.stdout!.destroy();
  const [code] = await once(demo.child, "exit");
  assert.equal(code, 0);
  assert.doesNotMatch(demo.text(), /Error|EPIPE/);
  await untilNoProcess(demo.temp);
  assert.deepEqual(leftIn(demo.temp), []);
});

test("roles end with the demo even when it is killed", linux, async () => {
  const demo = await startDemo("killed");
  await demo.until(/count-1 running/);
  demo.child.kill("SIGKILL");
  await once(demo.child, "exit");
  await untilNoProcess(demo.temp);
});
