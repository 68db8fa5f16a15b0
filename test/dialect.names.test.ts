/** What global ids mean, and the pages about the cluster. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { OldNames, VERSIONS, type NamedRun } from "../src/dialect/names.ts";
import { portOf, statsJson, statsText, type OldStats } from "../src/dialect/stats.ts";

function run(number: number, version: string | undefined, ...jobs: string[]): NamedRun {
  const spec = { name: `n${number % 2}`, version, jobs: jobs.map((id) => ({ id })) };
  return { id: `r${number}`, number, spec };
}

function namesOf(runs: NamedRun[]): OldNames {
  return new OldNames((number) => runs.filter((run) => run.number > number));
}

test("OldNames finds the newest run that has a job, and tells jobs of DAGs from jobs alone", () => {
  const runs = [run(1, VERSIONS.dag, "a", "b"), run(2, VERSIONS.alone, "a"),
    run(4, undefined, "a", "c")];
  const names = namesOf(runs);
  assert.deepEqual(names.find("DAG-a"), { run: "r1", job: "a", isRun: false });
  assert.deepEqual(names.find("a"), { run: "r2", job: "a", isRun: false });
  assert.deepEqual([names.find("b"), names.find("DAG-c"), names.find("r4")],
    [undefined, undefined, undefined]);
  assert.deepEqual(names.find("DAG-n0"), { run: "r4", job: "a", isRun: true });
  assert.deepEqual([names.idOf("r1", "a"), names.idOf("r2", "a"), names.idOf("r4", "a")],
    ["DAG-a", "a", undefined]);
  runs.push(run(7, VERSIONS.dag, "b"), run(8, undefined, "x"));
  assert.deepEqual(names.find("DAG-b"), { run: "r7", job: "b", isRun: false });
  assert.deepEqual(names.find("DAG-n0"), { run: "r8", job: "x", isRun: true });
  assert.deepEqual(names.find("DAG-a"), { run: "r1", job: "a", isRun: false });
  assert.equal(names.newest, 8);
});

test("OldNames forgets runs that are forgotten, and reads each run once until then", () => {
  let runs: NamedRun[] = [];
  let read = 0;
  const names = new OldNames((number) => {
    const found = runs.filter((run) => run.number > number);
    read += found.length;
    return found;
  });
  for (let number = 1; number <= 25_000; number++) {
    runs.push(run(number, VERSIONS.dag, `j${number}`));
    if (number % 1000 === 0) {
      assert.equal(names.find(`DAG-j${number}`)?.run, `r${number}`);
      runs = [runs[0]!, ...runs.slice(-10)];
    }
  }
  assert.ok(read < 28_000, `${read} runs were read`);
  assert.equal(names.find("DAG-j1")?.run, "r1", "it goes on");
  assert.equal(names.find("DAG-j2"), undefined);
  assert.equal(names.find("DAG-j15000"), undefined);
  assert.notEqual(names.find("DAG-j25000"), undefined);
});

const STATS: OldStats = {
  queue: 1, delayed: 2, blocked: 3, dead: 4,
  workers: [{
    port: portOf(1), capabilities: ["GENERAL", "GPU"], running: 1, slots: 3,
    history: [
      { id: 'DAG-"x', status: "RUNNING", ms: 5, endedAt: undefined },
      { id: "DAG-y", status: "DEAD", ms: 7, endedAt: 99 },
    ],
    services: ["DAG-api"],
  }],
};

test("statsText() and statsJson() have the shape of the original's", () => {
  assert.equal(statsText(STATS), [
    "", "--- TITAN SYSTEM MONITOR ---", "Active Workers:    1", "Execution Queue:   1 jobs",
    "Delayed (Time):    2 jobs", "Blocked (DAG):     3 jobs", "Dead Letter (DLQ): 4 jobs",
    "-------------------------------", "Worker Status:",
    " • [8080] Load: 1/3 (33%)    | Skills: [GENERAL, GPU]",
    "    └── [SVC] Service ID: DAG-api", "",
  ].join("\n"));
  assert.equal(statsJson(STATS), '{"active_workers": 1,"queue_size": 1,"workers": [{"port": 8080,'
    + '"capabilities": "[GENERAL, GPU]","load": "1/3","active_job": "DAG-\\"x", "history": '
    + '[{"id": "DAG-\\"x", "status": "RUNNING", "time": "5ms"},{"id": "DAG-y", "status": "DEAD", '
    + '"time": "7ms", "completed_at": 99}],"services": ["DAG-api"]}]}');
  const none = { ...STATS, workers: [] };
  assert.match(statsText(none), /\[INFO\] No workers currently connected\.\n$/);
  assert.equal(statsJson(none), '{"active_workers": 0,"queue_size": 1,"workers": []}');
});
