/**
 * The older dialect against a whole cluster: the recorded exchanges, byte for byte, and what its
 * clients do besides.
 */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  exchange, frame, fresh, pause, startMemoryStore, startOldCluster, task,
} from "./dialect.support.ts";
import { eventually } from "./processes.support.ts";
import { zipOf } from "./dialect.zip.ts";

const RECORD = join(import.meta.dirname, "data", "titan-v1", "exchanges.jsonl");

/** Exchanges that are not repeated byte for byte, by line: the answer of ours, and the reason. */
const DIFFERENT: Readonly<Record<number, { text: string; why: string }>> = {
  23: { text: "CANCELLED", why: "the record says NOT_FOUND of a job that it has cancelled (24)" },
  27: {
    text: "CANCELLED",
    why: "the record says PENDING, for ever, of a job whose parent is dead; clients would wait",
  },
};
/** Durations and times of day are those of the recording. */
const WITH_TIMES = 21;
/** The state that these ask for comes a moment later. */
const LATER = new Set([8, 9, 10, 11, 14, 21, 22, 26, 27, 28]);

const shapeOf = (json: Buffer): string =>
  json.toString("utf8").replace(/"time": "\d+ms"/g, '"time": "_"')
    .replace(/"completed_at": \d+/g, '"completed_at": _');

test("all recorded exchanges are repeated, byte for byte but for two, and one with times in " +
  "it", async (t) => {
  const { port } = await startOldCluster(t);
  const lines = readFileSync(RECORD, "utf8").trim().split("\n");
  assert.equal(lines.length, 29);
  for (const [at, line] of lines.entries()) {
    const { request_hex: request, response_hex: response } = JSON.parse(line) as {
      request_hex: string; response_hex: string;
    };
    const number = at + 1;
    const different = DIFFERENT[number]?.text;
    const want = different === undefined ? Buffer.from(response, "hex") : frame(0x50, different);
    const isRight = (got: Buffer): boolean => number === WITH_TIMES
      ? shapeOf(got.subarray(8)) === shapeOf(want.subarray(8)) : got.equals(want);
    let got = await exchange(port, Buffer.from(request, "hex"));
    for (let tries = 0; tries < 1500 && LATER.has(number) && !isRight(got); tries++) {
      await pause();
      got = await exchange(port, Buffer.from(request, "hex"));
    }
    const [found, expected] = [got.toString("utf8", 8), want.toString("utf8", 8)];
    assert.ok(isRight(got), `exchange ${number}: ${found}, and not ${expected}`);
  }
});

test("jobs of a DAG share a folder, find the dialect, and get their arguments, semicolons " +
  "included", async (t) => {
  const { ask, until, port, client } = await startOldCluster(t);
  const first = "import os, sys; open('x', 'w').write('kept'); "
    + "print(sys.argv[1:], os.environ['TITAN_HOST'], os.environ['TITAN_PORT'])";
  const python = { file: "a.py" };
  const jobs = [
    task("one", first, { ...python, args: "a;b ; c" }),
    task("two", "cat x; echo; echo $0 $1", { args: "$HOME", parents: ["one"] }),
  ];
  assert.equal((await ask(0x04, jobs.join(" ; "))).text, "DAG_ACCEPTED");
  await until("DAG-two", "COMPLETED");
  const { text } = await ask(0x16, "DAG-one");
  assert.equal(text, `['a;b', ';', 'c'] 127.0.0.1 ${port}`);
  assert.match((await ask(0x16, "DAG-two")).text, /^kept\n\/.*\/scripts\/a\.sh \$HOME$/);
  const [run] = await client.runs();
  assert.deepEqual([run?.name, run?.status], ["one", "COMPLETED"]);
});

test("an id means the newest run that has it; a job of its own has another one", async (t) => {
  const { ask, until } = await startOldCluster(t);
  await ask(0x04, task("a", "echo 1"));
  await until("DAG-a", "COMPLETED");
  await ask(0x04, task("DAG-a", "exit 2"));
  await until("DAG-a", "DEAD");
  const code = Buffer.from("echo alone").toString("base64");
  assert.equal((await ask(0x03, `a|RUN_PAYLOAD|a.sh||${code}|GENERAL|1|0`)).text, "JOB_ACCEPTED");
  await until("a", "COMPLETED");
  assert.equal((await ask(0x16, "a")).text, "alone");
  assert.equal((await ask(0x55, "DAG-a")).text, "DEAD");
  // A parent in another DAG has completed, or the job is refused: it would wait for ever.
  await ask(0x04, task("b", "echo 2"));
  await until("DAG-b", "COMPLETED");
  assert.equal((await ask(0x04, task("c", "echo 3", { parents: ["b"] }))).text, "DAG_ACCEPTED");
  const refused = await ask(0x04, task("d", "echo 3", { parents: ["a"] }));
  assert.equal(refused.opcode, 0x51);
  assert.match(refused.text, /^ERROR: Cannot run job "d": it waits for "a", which is not in this/);
});

test("a native run is known by its pipeline's name, and is cancelled as a whole", async (t) => {
  const { ask, until, client } = await startOldCluster(t);
  const jobs = [{ id: "a", call: "titan:noop" }, { id: "b", call: "titan:sleep", input: 60_000 }];
  await client.submit({ name: "nightly", project: false, jobs });
  await until("DAG-nightly", "RUNNING");
  assert.equal((await ask(0x55, "DAG-b")).text, "NULL", "its jobs are not old clients' jobs");
  assert.equal((await ask(0x16, "DAG-nightly")).text, "");
  assert.equal((await ask(0x56, "DAG-nightly")).text, "CANCELLED");
  await until("DAG-nightly", "CANCELLED");
  assert.equal((await ask(0x56, "DAG-nightly")).text, "NOT_FOUND");
  await client.submit({ name: "nightly", jobs: [{ id: "a", call: "titan:fail" }] });
  await until("DAG-nightly", "DEAD");
});

test("the last hundred lines of a log are shown, over all attempts", async (t) => {
  const { ask, until, client } = await startOldCluster(t);
  const script = "seq 0 69; exit 1";
  await ask(0x04, task("long", script));
  await until("DAG-long", "DEAD");
  const lines = (await ask(0x16, "DAG-long")).text.split("\n");
  assert.equal(lines.length, 100);
  assert.deepEqual([lines[0], lines[29], lines[30], lines[99]], ["40", "69", "0", "69"]);
  assert.equal((await ask(0x16, "DAG-nobody")).text, "");
  // Of a long one the master sends no more than the end.
  await ask(0x04, task("longer", "seq 400000"));
  await until("DAG-longer", "COMPLETED");
  assert.match((await ask(0x16, "DAG-longer")).text, /^399901\n[^]*\n400000$/);
  const run = (await client.runs()).find(({ name }) => name === "longer")!.id;
  let bytes = 0;
  for await (const { data } of client.logs(run, "longer", { lastBytes: 1000 })) {
    bytes += data.length;
  }
  assert.ok(bytes >= 1000 && bytes < 600_000, `${bytes} of 2,688,895 bytes`);
});

test("a gate holds no slot, is known by its four keys, and the first decision stays", async (t) => {
  const { ask, until, client } = await startOldCluster(t, { slots: 1 });
  const gate = (id: string, words: string): string =>
    task(id, "echo never run", { file: "hitl_gate.py", args: `${id} ${words}` });
  const dag = [gate("hitl-gate-a", "3600 Look at this"),
    task("b", "echo after", { parents: ["hitl-gate-a"] })];
  await ask(0x04, dag.join(" ; "));
  const key = "titan:hitl:status:hitl-gate-a";
  const waits = (id: string): Promise<void> => eventually(`${id} waits`, async () =>
    (await client.gates()).some((gate) => gate.id.endsWith(id)));
  await waits("hitl-gate-a");
  assert.equal((await ask(0x61, key)).text, "WAITING");
  assert.equal((await ask(0x55, "DAG-hitl-gate-a")).text, "RUNNING");
  assert.equal((await ask(0x61, "titan:hitl:message:hitl-gate-a")).text, "Look at this");
  assert.match((await ask(0x61, "titan:hitl:ts:hitl-gate-a")).text, /^\d{13}$/);
  assert.equal((await ask(0x63, "titan:hitl:queue")).text, "hitl-gate-a");
  // The only slot is free.
  await ask(0x04, task("other", "echo 1"));
  await until("DAG-other", "COMPLETED");
  assert.equal((await ask(0x60, `${key}|APPROVED`)).text, "OK");
  await until("DAG-b", "COMPLETED");
  assert.equal((await ask(0x61, key)).text, "APPROVED");
  assert.equal((await ask(0x60, `${key}|REJECTED`)).text,
    "ERROR: hitl-gate-a was APPROVED before, by titan 1");

  await ask(0x04, [gate("no", "x"), task("n", "echo 1", { parents: ["no"] })].join(";"));
  await waits("no");
  await ask(0x60, "titan:hitl:status:no|REJECTED");
  await until("DAG-no", "DEAD");
  await until("DAG-n", "CANCELLED");
  assert.equal((await ask(0x61, "titan:hitl:status:no")).text, "REJECTED");

  await ask(0x04, gate("late", "0 Too late"));
  await until("DAG-late", "DEAD");
  assert.equal((await ask(0x61, "titan:hitl:status:late")).text, "TIMEOUT");

  // Another name than its own: the script runs as it did.
  await ask(0x04, task("g", "print('ran')", { file: "hitl_gate.py", args: "other-name 5" }));
  await until("DAG-g", "COMPLETED");
});

test("a decision counts that is written before its gate opens, and none from before its " +
  "submission", async (t) => {
  const { ask, until, client } = await startOldCluster(t);
  const key = "titan:hitl:status:hitl-gate-x";
  await ask(0x60, `${key}|APPROVED`);
  const go = fresh();
  const slow = task("x", `while [ ! -e '${go}' ]; do sleep 0.02; done`);
  const gate = { file: "hitl_gate.py", args: "hitl-gate-x 3600 Go?", parents: ["x"] };
  await ask(0x04, [slow, task("hitl-gate-x", "", gate)].join(" ; "));
  assert.equal((await ask(0x61, key)).text, "CLEARED");
  assert.equal((await ask(0x60, `${key}|APPROVED`)).text, "OK");
  assert.equal((await ask(0x55, "DAG-hitl-gate-x")).text, "PENDING");
  writeFileSync(go, "");
  await until("DAG-hitl-gate-x", "COMPLETED");
  const [run] = await client.runs();
  const { jobs } = await client.status(run!.id, "hitl-gate-x");
  assert.equal(jobs[0]?.decision?.by, "titan 1");
});

test("the keys of a gate are about the newest run that has it", async (t) => {
  const { ask, until, client } = await startOldCluster(t);
  const gate = { file: "hitl_gate.py", args: "g 3600 Go?", parents: ["x"] };
  const dag = (seconds: number): string => [
    task("x", `while [ ! -e '${folder}/${seconds}' ]; do sleep 0.02; done`), task("g", "", gate),
  ].join(";");
  const folder = fresh();
  mkdirSync(folder);
  await ask(0x04, dag(1));
  assert.equal((await ask(0x60, "titan:hitl:status:g|APPROVED")).text, "OK");
  await ask(0x04, dag(2));
  assert.equal((await ask(0x60, "titan:hitl:status:g|APPROVED")).text, "OK");
  writeFileSync(join(folder, "1"), "");
  await eventually("the older gate opens", async () => (await client.gates()).length > 0);
  const [older] = await client.gates();
  writeFileSync(join(folder, "2"), "");
  await until("DAG-g", "COMPLETED");
  const still = await client.gates();
  assert.deepEqual(still.map(({ id }) => id), [older?.id], "the older one waits on");
});

test("a decision for a gate that is not open survives a restart", async (t) => {
  const [dir, store] = [fresh(), await startMemoryStore(t)];
  await t.test("before", async (t) => {
    const { ask } = await startOldCluster(t, { dir, store });
    const gate = { file: "hitl_gate.py", args: "g 3600 Go?", parents: ["x"] };
    const jobs = [task("x", "", { tag: "GPU" }), task("g", "", gate)];
    assert.equal((await ask(0x04, jobs.join(";"))).text, "DAG_ACCEPTED");
    assert.equal((await ask(0x60, "titan:hitl:status:g|APPROVED")).text, "OK");
    assert.equal((await ask(0x55, "DAG-g")).text, "PENDING");
  });
  const { until } = await startOldCluster(t, { dir, store, tags: ["GPU"] });
  await until("DAG-g", "COMPLETED");
});

test("without a store, a key is refused in words; gates are answered by people", async (t) => {
  const { ask, client, until } = await startOldCluster(t, { withStore: false });
  const refused = await ask(0x60, "k|v");
  assert.deepEqual([refused.opcode, /^ERROR: .*has none/.test(refused.text)], [0x51, true]);
  const gate = { file: "hitl_gate.py", args: "g 3600 Go?" };
  assert.equal((await ask(0x04, task("g", "", gate))).text, "DAG_ACCEPTED");
  await until("DAG-g", "RUNNING");
  const status = async (): Promise<string> => (await ask(0x61, "titan:hitl:status:g")).text;
  await eventually("the gate opens", async () => (await status()) === "WAITING");
  const [open] = await client.gates();
  await client.decide(open!.id, { approve: true, by: "ada" });
  assert.equal(await status(), "APPROVED");
});

test("an uploaded zip runs in the folder of its entry, with arguments; files come back as they " +
  "went", async (t) => {
  const { ask, until } = await startOldCluster(t);
  const zip = zipOf({
    "src/main.py": {
      text: "import sys, helper; print(helper.X, sys.argv[1], open('d.txt').read())",
    },
    "src/helper.py": { text: "X = 42" }, "src/d.txt": { text: "data", stored: true },
    ".gitignore": { text: "*.txt" },
  });
  const job = "z|RUN_ARCHIVE|p.zip/src/main.py|hi|GENERAL|1|0|[]";
  assert.equal((await ask(0x04, job)).text,
    "ERROR: Cannot find p.zip among the uploads: upload it first");
  assert.equal((await ask(0x53, `p.zip|${zip.toString("base64")}`)).text, "UPLOAD_SUCCESS");
  assert.equal((await ask(0x54, "p.zip")).text, zip.toString("base64"));
  assert.equal((await ask(0x54, "../log")).text, "ERROR_NOT_FOUND");
  assert.equal((await ask(0x04, job)).text, "DAG_ACCEPTED");
  await until("DAG-z", "COMPLETED", "DEAD");
  assert.equal((await ask(0x16, "DAG-z")).text, "42 hi data");
  assert.match((await ask(0x04, job.replace("main", "none"))).text, /p\.zip has no file src\/none/);
  for (const name of ["../x", "a/b", "", ".part-1"]) {
    assert.equal((await ask(0x53, `${name}|YQ==`)).text,
      "ERROR: Invalid asset name (path traversal rejected)");
  }
  assert.equal((await ask(0x53, "x")).text, "ERROR: Invalid Upload Payload");
  assert.equal((await ask(0x57, "x|*")).text, "DEPLOY_FAILED: the content is not base64");
});

test("scripts that were sent before run by their names, as jobs and as services", async (t) => {
  const { ask, until } = await startOldCluster(t);
  const code = (text: string): string => Buffer.from(text).toString("base64");
  assert.equal((await ask(0x06, "job.sh")).text,
    "ERROR: File not found recursively in perm_files");
  await ask(0x57, `job.sh|${code("echo ran")}`);
  const { text } = await ask(0x06, "job.sh|GENERAL");
  const [, id] = /^JOB_QUEUED(TSK-[0-9a-f-]{36}) on GENERAL$/.exec(text) ?? [];
  await until(id!, "COMPLETED");
  assert.equal((await ask(0x16, id!)).text, "ran");
  const serve = "echo $TITAN_PORT; sleep 60";
  const job = `api|DEPLOY_PAYLOAD|api.sh|${code(serve)}|0|GENERAL|1|0|[]`;
  await ask(0x04, [job, task("then", "echo 1", { parents: ["api"] })].join(";"));
  await until("DAG-then", "COMPLETED");
  assert.equal((await ask(0x55, "DAG-api")).text, "COMPLETED");
  assert.match((await ask(0x08)).text, /└── \[SVC\] Service ID: DAG-api\n/);
  assert.equal((await ask(0x07, "x")).text,
    "ERROR: Service x not found in liveServiceMap. Current keys: [DAG-api]");
  assert.equal((await ask(0x07, "DAG-api")).text, "STOPPED: DAG-api");
  assert.equal((await ask(0x07)).text, "ERROR: Missing Service ID");
  assert.equal((await ask(0x05, "none.py")).text, "ERROR: File not found in perm_files");
  await ask(0x57, "w.jar|YQ==");
  assert.match((await ask(0x05, "w.jar")).text, /^ERROR: Cannot run job ".*w\.jar is a program of/);
});

test("values are any bytes, keys live apart from all others, and data is no error", async (t) => {
  const { ask, client } = await startOldCluster(t);
  for (const value of ["é|x\ny", "", "ERROR: but only a text"]) {
    assert.equal((await ask(0x60, `k|${value}`)).text, "OK");
    assert.deepEqual(await ask(0x61, "k"), { opcode: 0x50, text: value });
  }
  assert.equal(await client.kv("GET", "k"), null);
  const many = await Promise.all(Array.from({ length: 200 }, (_, n) => ask(0x60, `n${n}|${n}`)));
  assert.ok(many.every(({ text }) => text === "OK"));
  await ask(0x62, "s|a");
  await ask(0x62, "s|b");
  assert.deepEqual((await ask(0x63, "s")).text.split(",").sort(), ["a", "b"]);
  assert.equal((await ask(0x63, "none")).text, "");
  const wrong = await ask(0x61, "s");
  assert.deepEqual([wrong.opcode, /^ERROR: /.test(wrong.text)], [0x51, true]);
  for (const opcode of [0x60, 0x62]) {
    assert.equal((await ask(opcode, "nothing")).text, "ERROR: Invalid Format");
  }
});

test("what nobody serves is said in words", async (t) => {
  const { ask } = await startOldCluster(t);
  assert.deepEqual(await ask(0x71), { opcode: 0x51, text: "UNKNOWN_OPCODE: 113" });
  assert.deepEqual(await ask(0xff), { opcode: 0x51, text: "UNKNOWN_OPCODE: -1" });
  assert.match((await ask(0x02, "8080||GPU||true")).text, /^ERROR: this master has no workers of/);
  assert.equal((await ask(0x11, "h|8080")).text,
    "ERROR: Cannot auto-shutdown PERMANENT worker h:8080");
  assert.equal((await ask(0x11, "h|9")).text, "ERROR: Worker node 9 not found in registry.");
  assert.equal((await ask(0x11, "h")).text, "ERROR: Payload must be HOST|PORT");
  assert.equal((await ask(0x11, "h|x")).text, "ERROR: Invalid Port Format");
  assert.equal((await ask(0x56, "DAG-none")).text, "NOT_FOUND");
  assert.match((await ask(0x0b)).text, /^Stats Map Cleared\./);
  const bad = await ask(0x04, `${task("a", "")} ; b|TEST|x|1|0|[]`);
  assert.ok(bad.text.startsWith('ERROR: Cannot read job 2 (b|TEST|x|1|0|[]): "TEST" is none of'));
  assert.equal((await ask(0x55, "DAG-a")).text, "NULL", "nothing of it has run");
});

test("a circle is accepted, as it was, and its jobs are dead and say why", async (t) => {
  const { ask, until } = await startOldCluster(t);
  const jobs = [task("x", "", { parents: ["y"] }), task("y", "", { parents: ["x"] })];
  assert.equal((await ask(0x04, jobs.join(" ; "))).text, "DAG_ACCEPTED");
  await until("DAG-x", "DEAD");
  assert.match((await ask(0x16, "DAG-x")).text, /cycle x → y → x/);
});
