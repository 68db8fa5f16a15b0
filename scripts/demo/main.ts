/**
 * `npm run demo`: a real pipeline on a real cluster, whose worker and whose master are killed
 * half-way.
 *
 *     boot a master and two workers ─▶ titan run ─▶ kill -9 small, start it again
 *     ─▶ kill -9 the master, start it again
 *     ─▶ the run ends ─▶ check what was promised ─▶ stop and remove everything
 *
 * The kills wait for what they need (jobs that run on the victim) and not for a clock, so they hit
 * on a slow machine too.
 *
 * Invariants: exit code 0 only if the run ended as it does without kills, checked against a count
 * that is made here; needs no network beyond loopback and no program beyond Node; leaves no process
 * behind, however it ends, and no file unless it is killed with -9 itself. A reader who has seen
 * enough (`| head`) ends it, and is no failure.
 * Test: test/demo.test.ts
 */
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { removeTree } from "#host";
import { ROOT } from "../bootstrap.mjs";
import { Cluster, type Ready } from "./cluster.ts";
import { type Checked, judge } from "./judge.ts";
import { endTogether } from "../lib/family.mjs";
import { filesUnder } from "../lib/files.mjs";
import { openScreen } from "./screen.ts";
import { type JobNews, type JobStatus, Timeline } from "./timeline.ts";
import { dealText } from "./words.ts";

const SHARDS = 6;
const COUNTS = Array.from({ length: SHARDS }, (_, index) => `count-${index + 1}`);
const JOBS = [...COUNTS, "stopwords", "merge", "report"];

/**
 * A count takes 1.6 s (scripts/demo/project/count.mjs): after this long it is in the middle of its
 * work.
 */
const HALF_A_JOB_MS = 800;
/** Long enough to see that somebody is missing. */
const WITHOUT_WORKER_MS = 700;
/** Longer than what the running counts still need: they end while nobody is there to be told. */
const WITHOUT_MASTER_MS = 1000;
const REDRAW_MS = 100;
const POLL_MS = 20;
/** The exit code that a shell reports for a program that Ctrl-C ended: 128 + SIGINT. */
const INTERRUPTED = 130;

const home = mkdtempSync(join(tmpdir(), "titan-demo-"));
const state = join(home, "state");
const project = join(home, "wordcount");
const diary = join(home, "diary.txt");

const screen = openScreen({ out: process.stdout, env: process.env });
const { say, paint } = screen;
const cluster = new Cluster({
  cli: join(ROOT, "dist/cli/main.js"),
  env: { ...process.env, TITAN_HOME: state },
});
const timeline = new Timeline();
let runStartedAt = Date.now();

/** Shows a command as a person would type it. */
function typed(args: readonly string[], behind = ""): void {
  say(paint("bold", `$ titan ${args.join(" ").replaceAll(home, "$DEMO")}${behind}`));
}

/** A line about what happens, with the time since the run was submitted. */
function tell(text: string): void {
  say(`[${((Date.now() - runStartedAt) / 1000).toFixed(1)}s] ${text}`);
}

async function startRole(name: string, args: readonly string[]): Promise<Ready> {
  typed(args, " &");
  const ready = await cluster.start(name, args);
  timeline.mark(name, "up", Date.now());
  return ready;
}

const MASTER = (port: number): string[] => ["master", "--port", String(port), "--state", state];
const WORKERS: Readonly<Record<string, readonly string[]>> = {
  small: ["worker", "--name", "small", "--slots", "2"],
  big: ["worker", "--name", "big", "--slots", "2", "--tags", "BIG_MEM"],
};

async function boot(): Promise<number> {
  const { port } = await startRole("master", MASTER(0));
  cluster.master = `127.0.0.1:${port}`;
  await Promise.all(Object.entries(WORKERS).map(([name, args]) => startRole(name, args)));
  return port;
}

/** Watches the run to its end. All news goes into the timeline; in a pipe, into lines as well. */
async function watch(): Promise<string> {
  const args = ["run", join(project, "pipeline.yaml"), "--key", "demo"];
  typed(args);
  let run = "";
  let status = "";
  const redraw = setInterval(() => screen.draw(picture()), REDRAW_MS);
  const { stderr } = await cluster.follow([...args, "--json"], (line) => {
    const news = JSON.parse(line) as { type: string; id: string; status: string } & JobNews;
    if (news.type === "run") [run, status] = [news.id, news.status];
    else {
      timeline.take(news);
      if (!screen.live) tell(`${news.job} ${news.status.toLowerCase()}${newsDetail(news)}`);
    }
  }).finally(() => clearInterval(redraw));
  if (status !== "COMPLETED") throw new Error(`The run ended as ${status || "nothing"}\n${stderr}`);
  return run;
}

function newsDetail({ status, attempt, worker, failure }: JobNews): string {
  const again = attempt > 1 ? `, attempt ${attempt}` : "";
  if (status === "PENDING") return failure ? `  will be tried again: ${failure.message}` : "";
  if (worker === null || status === "FAILED") return "";
  return `  ${status === "COMPLETED" ? "by" : "on"} ${worker}${again}`;
}

function picture(): string[] {
  return ["", ...timeline.lines({ columns: screen.columns, now: Date.now(), paint })];
}

/** Waits until jobs run on each of the workers, and then until they are half done. */
async function untilBusy(workers: readonly string[]): Promise<string[]> {
  while (!workers.every((worker) => timeline.runningOn(worker).length > 0)) await pause(POLL_MS);
  await pause(HALF_A_JOB_MS);
  // On a busy machine a count may have been started and not have come to its first line. Killed
  // now, it would be missing in the diary, and the diary is what the master's account must match.
  while (!workers.every(hasBegunAll)) await pause(POLL_MS);
  return workers.flatMap((worker) => timeline.runningOn(worker));
}

function hasBegunAll(worker: string): boolean {
  const lines = readFileSync(diary, "utf8").split("\n").map((line) => line.split(" "));
  const mine = lines.filter(([what, , , on]) => what === "begin" && on === worker);
  const begun = mine.map(([, job]) => job);
  const counts = timeline.runningOn(worker).filter((job) => COUNTS.includes(job));
  return counts.every((job) => begun.includes(job));
}

async function kill(name: string, what: string): Promise<void> {
  const pid = cluster.pidOf(name);
  await cluster.kill(name);
  timeline.mark(name, "killed", Date.now());
  tell(paint("red", `✗ kill -9 ${pid}: ${what}`));
}

/** The two murders. Resolves with how many events the master had to read again. */
async function trouble(port: number): Promise<number> {
  const lost = await untilBusy(["small"]);
  await kill("small", `the worker small is dead, and with it ${list(lost)}`);
  await pause(WITHOUT_WORKER_MS);
  await startRole("small", WORKERS["small"]!);
  tell("small is back; what it had lost is begun again, wherever there is room");

  const going = await untilBusy(["small", "big"]);
  await kill("master", `the master is dead; its ${going.length} jobs go on without it`);
  await pause(WITHOUT_MASTER_MS);
  const { recovered } = await startRole("master", MASTER(port));
  tell(`the master is back: it read ${recovered.events} events from its log and is where it was`);
  return recovered.events;
}

/** "a, b and c" */
function list(jobs: readonly string[]): string {
  return jobs.length < 2 ? jobs.join() : `${jobs.slice(0, -1).join(", ")} and ${jobs.at(-1)}`;
}

/** A copy of scripts/demo/project, in which $DEMO has become a path. */
function writeProject(): void {
  const from = join(ROOT, "scripts/demo/project");
  for (const file of filesUnder(from)) {
    const to = join(project, relative(from, file));
    mkdirSync(dirname(to), { recursive: true });
    writeFileSync(to, readFileSync(file)); // and not its mode: a checkout may be read-only
  }
  const pipeline = join(project, "pipeline.yaml");
  // Inside a quoted text of YAML, as in one of JSON: the path of a temporary folder may hold
  // anything.
  const path = JSON.stringify(home).slice(1, -1);
  writeFileSync(pipeline, readFileSync(pipeline, "utf8").replaceAll("$DEMO", () => path));
}

async function demo(): Promise<boolean> {
  writeProject();
  writeFileSync(diary, "");
  const text = dealText(ROOT, join(project, "text"), SHARDS);
  const size = `${(text.bytes / 1e6).toFixed(1)} MB`;
  say(`Titan counts the words of ${text.files} files (${size}: this checkout),`);
  say("on a master and two workers. Half-way a worker is killed, then the master.");
  say("Each is a process of its own; $DEMO is a temporary folder.\n");
  const port = await boot();
  say();
  runStartedAt = Date.now();
  timeline.expect(JOBS, runStartedAt);
  // Should one of the two fail, the other is no longer waited for.
  const [run, replayed] = await Promise.all([watch(), trouble(port)]);
  return show(run, { replayed, words: text.words });
}

async function ask(what: string): Promise<unknown> {
  return JSON.parse((await cluster.titan("status", what, "--json")).stdout);
}

/** The promises, whether they held, and the result of the run. */
async function show(run: string, known: { replayed: number; words: number }): Promise<boolean> {
  const { jobs } = (await ask(run)) as { jobs: JobStatus[] };
  const merge = (await ask(`${run}/merge`)) as { job: { result: { words: number } | null } };
  timeline.complete(jobs);
  screen.leave(picture());
  say();
  const checks = judge({
    ...known, expected: JOBS, jobs, found: merge.job.result?.words ?? 0,
    diary: readFileSync(diary, "utf8"),
  });
  for (const { holds, text } of checks) {
    say(`${holds ? paint("green", "✓") : paint("red", "✗ NOT SO:")} ${text}`);
  }
  say();
  typed(["logs", `${run}/report`]);
  say((await cluster.titan("logs", `${run}/report`)).stdout.trimEnd());
  return checks.every(({ holds }: Checked) => holds);
}

const FURTHER = `
Everything is stopped and removed. Look further:

  npm run -s titan -- up                     a cluster of your own
  npm run -s titan -- run lessons/17-pipelines/examples/hello.yaml
  npm run -s sim -- --seeds 100              a hundred lives with more trouble than this
  lessons/00-tour/README.md                  the book begins here`;

let ending: Promise<void> | undefined;
function tidy(): Promise<void> {
  ending ??= (async () => {
    screen.close();
    await cluster.stop();
    await removeTree(home);
  })();
  return ending;
}

async function finish(code: number): Promise<never> {
  await tidy();
  if (code === 0) say(FURTHER);
  process.exit(code);
}

// The last reader of our output has gone, or the process that started us.
endTogether(tidy);
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => void finish(INTERRUPTED));
}

try {
  const held = await demo();
  if (!held) say("\nThe demo failed: something above is not so.");
  await finish(held ? 0 : 1);
} catch (error) {
  // A signal that ends us brings its exit code; a failure meanwhile is a consequence of that.
  if (ending === undefined) {
    screen.leave([]);
    process.stderr.write(`demo: ${(error as Error).message}\n`);
    await finish(1);
  }
}
