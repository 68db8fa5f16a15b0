/** The pure parts behind a run's view: jobs with numbers, the address, the old facts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Fact, Job, JobStatus, Run } from "../src/dashboard/page/rows.ts";
import { ApiError } from "../src/dashboard/page/api.ts";
import { eventRow } from "../src/dashboard/page/run/events.ts";
import { allFacts, readHistory } from "../src/dashboard/page/run/history.ts";
import { jobName, runJobs } from "../src/dashboard/page/run/jobs.ts";
import { whyOf } from "../src/dashboard/page/run/table.ts";
import { sceneOf } from "../src/dashboard/page/run/scene.ts";
import { addressOf, selectionOf } from "../src/dashboard/page/run/selection.ts";
import { EMPTY, type State } from "../src/dashboard/page/state.ts";
import type { VNode } from "../src/dashboard/page/vdom.ts";
import { run as runView } from "../src/dashboard/page/views/run.ts";
import type { Context } from "../src/dashboard/page/views/view.ts";

const row = (id: string, status: JobStatus = "PENDING", dependsOn: Job["dependsOn"] = []): Job => ({
  id, status, attempt: 0, worker: null, startedAt: null, endedAt: null, tookMs: null,
  waitedMs: null, retryAt: null, reason: "", cancelling: false, dependsOn, decision: null,
  failure: null, result: null, outputLost: 0, outputProblem: null,
});
const mapOf = (rows: readonly Job[]): Map<string, Job> => new Map(rows.map((job) => [job.id, job]));
const runOf = (): Run => ({
  id: "r-1",
  name: "r",
  status: "RUNNING",
  submittedAt: 0,
  endedAt: null,
  cancelling: false,
  jobs: {},
});

test("runJobs() numbers jobs, and keeps the structure while only states change", () => {
  const first = runJobs(mapOf([row("a"), row("b", "PENDING", ["a"]), row("c", "PENDING", [0, 1])]));
  assert.deepEqual(first.structure.map(({ parents }) => parents), [[], [0], [0, 1]]);
  const changed = mapOf([
    row("a", "RUNNING"), row("b", "PENDING", ["a"]), row("c", "PENDING", [0, 1]),
  ]);
  const second = runJobs(changed, first);
  assert.equal(second.structure, first.structure);
  assert.equal(second.rows[0]!.status, "RUNNING");
  const others = [
    [row("a"), row("b", "PENDING", ["a"])],
    [row("a"), row("b"), row("c", "PENDING", [0, 1])],
    [row("a"), row("x", "PENDING", ["a"]), row("c", "PENDING", [0, 1])],
  ];
  for (const rows of others) {
    assert.notEqual(runJobs(mapOf(rows), first).structure, first.structure);
  }
  // A parent that is not here is left out.
  assert.deepEqual(runJobs(mapOf([row("a", "PENDING", ["gone", 7])])).structure[0]!.parents, []);
  assert.equal(jobName(row("a b", "WAITING")), "a b, waiting");
});

test("the address has the selection, and nothing of it is believed unseen", () => {
  const url = (query: string): URL => new URL(`http://t/runs/r-1${query}`);
  assert.deepEqual(selectionOf(url("?view=timeline&job=a%26b&tab=inputs&attempt=2&line=12")), {
    view: "timeline", job: "a&b", tab: "inputs", attempt: 2, line: 11,
  });
  assert.deepEqual(selectionOf(url("?view=evil&tab=x&attempt=0&line=-1")), {
    view: "graph", job: undefined, tab: "log", attempt: undefined, line: undefined,
  });
  const selected = url("?job=a&attempt=2&line=5&tab=about");
  assert.equal(addressOf(selected, { line: 8 }), "/runs/r-1?job=a&attempt=2&line=9&tab=about");
  // Another job has other attempts and lines; the tab stays.
  assert.equal(addressOf(selected, { job: "b" }), "/runs/r-1?job=b&tab=about");
  assert.equal(addressOf(selected, { job: undefined, tab: "log" }), "/runs/r-1");
  assert.equal(addressOf(selected, { view: "table" }),
    "/runs/r-1?job=a&attempt=2&line=5&tab=about&view=table");
});

const fact = (seq: number, more: object = {}): Fact =>
  ({ seq, at: seq, type: "JobStarted", run: "r-1", ...more }) as Fact;

test("whyOf() says why a job waits, also after it has failed", () => {
  const failure = { message: "exited with code 2" } as Job["failure"];
  const job = { ...row("a"), reason: "no free slot", failure };
  assert.equal(whyOf(job), "no free slot; before that: exited with code 2");
  assert.equal(whyOf({ ...job, failure: null }), "no free slot");
  const again = { ...job, status: "RUNNING" as const, reason: "" };
  assert.equal(whyOf(again), "runs again; before that: exited with code 2");
  for (const other of [{ ...job, status: "FAILED" as const }, { ...job, reason: "" }]) {
    assert.equal(whyOf(other), "exited with code 2");
  }
});

test("readHistory() reads all pages of the log, and says what is missing", async () => {
  const submitted = fact(3, { type: "RunSubmitted" });
  type Read = [asked: string[], count: number, note: string];
  const read = async (pages: readonly object[], run = "r-1"): Promise<Read> => {
    const asked: string[] = [];
    const get = async (path: string): Promise<never> => {
      asked.push(path);
      const page = pages[asked.length - 1];
      if (page === undefined) throw new ApiError(0, "Cannot reach it");
      return page as never;
    };
    const { facts, note } = await readHistory(run, { get });
    return [asked, facts.length, note];
  };
  const two = [{ facts: [submitted], next: 9 }, { facts: [fact(9)], next: null }];
  const path = "history/facts?run=r%2F1&from=";
  assert.deepEqual(await read(two, "r/1"), [[`${path}1&limit=5000`, `${path}9&limit=5000`], 2, ""]);
  assert.match((await read([{ facts: [fact(9)], next: null }]))[2], /has been compacted/);
  assert.match((await read([{ facts: [], next: null }]))[2], /has been compacted/);
  assert.deepEqual((await read(two.slice(0, 1))).slice(1), [1, "Cannot reach it"]);
  const many = { facts: Array.from({ length: 5_000 }, () => submitted), next: 7 };
  const [asked, count, note] = await read(Array.from({ length: 9 }, () => many));
  assert.deepEqual([asked.length, count], [4, 20_000]);
  assert.match(note, /^The first 20,000 events, and those since/);
});

test("allFacts() has each fact once, of this run alone", () => {
  const history = { facts: [fact(1), fact(2, { run: "other" }), fact(3)], note: "" };
  const live = [fact(2), fact(3), fact(5)];
  assert.deepEqual(allFacts("r-1", history, live).map(({ seq }) => seq), [1, 3, 5]);
  assert.deepEqual(allFacts("r-1", undefined, live).map(({ seq }) => seq), [2, 3, 5]);
});

test("sceneOf() opens the stack of the job that the address names, and keeps it the same", () => {
  const parts = Array.from({ length: 200 }, (_, at) => row(`p${at}`, "PENDING", ["a"]));
  const rows = mapOf([row("a"), ...parts]);
  let went = "";
  const context = {
    url: new URL("http://t/runs/r-1?job=p7"), navigate: (url: string) => (went = url),
  } as unknown as Context;
  const scene = sceneOf(EMPTY, context, { run: runOf(), rows });
  assert.deepEqual([scene.chosen, scene.opened.size], [8, 1]);
  const again = sceneOf({ ...EMPTY, now: 5 }, context, { run: runOf(), rows: new Map(rows) });
  assert.equal(again.opened, scene.opened);
  assert.equal(again.jobs.structure, scene.jobs.structure);
  scene.choose(8);
  assert.equal(went, "");
  scene.choose(9);
  assert.equal(went, "/runs/r-1?job=p8");
  const none = { ...context, url: new URL("http://t/runs/r-1?job=nobody") };
  assert.equal(sceneOf(EMPTY, none, { run: runOf(), rows }).chosen, undefined);
});

/** All texts and names of a tree, in their order. */
function words(tree: VNode | string): string[] {
  if (typeof tree === "string") return [tree];
  const label = tree.props["aria-label"];
  return [...(label === undefined ? [] : [`(${String(label)})`]), ...tree.children.flatMap(words)];
}

function shown(state: State, query = ""): string {
  const context = {
    url: new URL(`http://t/runs/r-1${query}`), params: { run: "r-1" },
    navigate: () => undefined, dispatch: () => undefined,
  } as unknown as Context;
  return words(runView.render(state, context)).join(" ");
}

const knowing = (rows: readonly Job[], more: Partial<Run> = {}): State => ({
  ...EMPTY, runs: new Map([["r-1", { ...runOf(), ...more }]]),
  jobs: new Map([["r-1", mapOf(rows)]]),
});

test("a run is loading, unknown, there, or forgotten while somebody looks", () => {
  assert.match(shown(EMPTY), /r-1 .*Loading/);
  const error = { status: 404, message: "There is no run r-1" };
  assert.match(shown({ ...EMPTY, loaded: new Map([["runs/r-1", { error }]]) }), /There is no run/);
  const there = knowing([row("a", "RUNNING")]);
  assert.match(shown(there), /\(graph of r-1\)/);
  assert.doesNotMatch(shown(there), /forgotten/);
  const gone = shown({ ...there, runs: new Map() }, "?job=a");
  assert.match(gone, /has forgotten this run/);
  assert.match(gone, /\(graph of r-1\).*\(job a\)/);
});

test("the page offers what can be done: cancel what goes on, retry what did not complete", () => {
  const open = shown(knowing([row("a", "RUNNING")]), "?job=a");
  assert.match(open, /\(Cancel the whole run\).*\(Submit the same pipeline again\).*\(Cancel a\)/);
  assert.doesNotMatch(open, /Retry/);
  const over = shown(knowing([row("a", "FAILED")], { status: "FAILED", jobs: { FAILED: 1 } }),
    "?job=a");
  assert.match(over, /\(Retry what did not complete\).*\(Retry a and all that comes after it\)/);
  assert.doesNotMatch(over, /Cancel/);
  const asked = shown({ ...knowing([row("a", "RUNNING")]), ui: { "run.sure": "cancel" } });
  assert.match(asked, /\(Yes, Cancel the whole run\).*\(No, go on\)/);
});

test("the chosen job says why it waits, in the latest words, and a job that is not there", () => {
  const waits = { ...row("b", "PENDING", ["a"]), reason: "waits for a" };
  const state = knowing([{ ...row("a", "COMPLETED"), result: { rows: 12 } }, waits]);
  assert.match(shown(state, "?job=b"), /waits for a/);
  const value = { job: { ...waits, reason: "all workers are busy" } };
  const later = { ...state, loaded: new Map([["runs/r-1/jobs/b", { value }]]) };
  assert.match(shown(later, "?job=b"), /all workers are busy/);
  assert.match(shown(state, "?job=b&tab=inputs"), /may read the results of.* a .*"rows": 12/s);
  assert.match(shown(state, "?job=a&tab=result"), /"rows": 12/);
  assert.match(shown(state, "?job=zzz"), /has no job "zzz"/);
  const tried = knowing([{ ...row("a", "DEAD"), attempt: 12,
    failure: { kind: "exit", message: "exited with code 3", exitCode: 3 } }]);
  const text = shown(tried, "?job=a");
  assert.match(text, /exited with code 3.*Attempt 5 .*Attempt 12/);
  assert.doesNotMatch(text, /Attempt 4 /);
  assert.match(shown(tried, "?job=a&tab=about"), /Exit code 3/);
});

test("each job of a large run is named in all views; of a small one, in those without", () => {
  const many = knowing(Array.from({ length: 101 }, (_, at) => row(`j${at}`)));
  const few = knowing([row("a")]);
  for (const view of ["graph", "timeline", "table"]) {
    assert.match(shown(many, `?view=${view}`), /\(jobs of r-1\)/);
    assert.equal(/\(jobs of r-1\)/.test(shown(few, `?view=${view}`)), view === "table");
  }
  for (const view of ["log", "definition", "events"]) {
    assert.match(shown(few, `?view=${view}`), /\(jobs of r-1\)/);
  }
});

test("a fact looks the same whether it was read from the log or came while one looks", () => {
  const fact: Fact = { seq: 7, at: 0, type: "JobStarted", run: "r-1", job: "a", attempt: 2 };
  assert.match(words(eventRow(fact)).join(" "), /^7 .* JobStarted a attempt 2$/);
  const failure = { kind: "exit", message: "exited with code 2" };
  assert.match(words(eventRow({ ...fact, failure })).join(" "), /failure exited with code 2$/);
  assert.match(words(eventRow({ ...fact, at: Date.UTC(2026, 0, 5, 17, 3) })).join(" "),
    /^7 (?:[01]\d|2[0-3]):[0-5]3:00 JobStarted/);
  // A time is one, and what is not so has no words.
  const retry = { retryAt: Date.UTC(2026, 0, 5, 17, 3), dead: false, final: true };
  assert.match(words(eventRow({ ...fact, ...retry })).join(" "),
    / attempt 2, retry at \d\d:[0-5]3:00, final$/);
  assert.deepEqual(eventRow({ ...fact, text: "#7 JobStarted r-1/a#2" }), eventRow(fact));
});
