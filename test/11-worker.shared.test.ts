import assert from "node:assert/strict";
import {
  chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync,
  symlinkSync, writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test, type TestContext } from "node:test";
import { createExecutor, type ExecRequest, type LocalExecutor, removeSharedRuns } from "#exec";
import { ensureProject, packProject } from "#project";
import { makeShared, removeTree } from "#host";
import { nodeWorkerHost } from "#process";
import { startMaster } from "#master";
import { parsePipeline } from "#pipeline";
import { connect } from "#sdk";
import { HEARTBEAT_MS } from "#wire";
import { startWorker } from "#worker";
import { safeName } from "../src/exec/safe-name.ts";
import "./leaks.support.ts";

const host = nodeWorkerHost();
const root = mkdtempSync(join(tmpdir(), "titan-shared-"));
after(() => removeTree(root));
let folders = 0;
const fresh = (): string => join(root, `f${++folders}`);
const FEW = 3;
/** More than are copied at once. */
const MANY = 200;

function projectOf(files: number): string {
  const folder = fresh();
  mkdirSync(join(folder, "lib"), { recursive: true });
  writeFileSync(join(folder, "lib.sh"), "echo original\n");
  for (let i = 0; i < files; i++) writeFileSync(join(folder, "lib", `${i}.txt`), String(i));
  return folder;
}

async function until(what: string, isTrue: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!(await isTrue())) {
    if (performance.now() > deadline) assert.fail(`still not so after 20 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function executorOf(t: TestContext, options: { sharedRoot?: string } = {}) {
  const notes: string[] = [];
  const workDir = fresh();
  const executor = createExecutor({
    host, workDir, onNote: (text) => notes.push(text), ...options,
  });
  t.after(() => executor.close());
  return { executor, workDir, notes };
}

function start(executor: LocalExecutor, script: string, given: Partial<ExecRequest> = {}) {
  let out = "";
  const running = executor.start(
    {
      run: "r", job: `j${++folders}`, attempt: 1, worker: "w", env: {}, timeoutMs: 20_000,
      inputs: [], action: { type: "shell", script }, ...given,
    },
    (_stream, bytes) => void (out += bytes),
  );
  return { running, done: running.done.then((outcome) => ({ ...outcome, out })) };
}

// ── a job's files are its own ────────────────────────────────────────────────────────────────────

for (const files of [FEW, MANY]) {
  test(`a job with ${files} project files may change them all, and the next job sees the ` +
    `originals`, async (t) => {
    const { executor } = executorOf(t);
    const { bytes, hash } = await packProject(host, projectOf(files));
    const cache = fresh();
    const job = async (script: string) => {
      const project = await ensureProject(host, cache, hash, async () => bytes);
      const { status, out } = await start(executor, script, { project }).done;
      return [status, out];
    };
    const look =
      "sh lib.sh; cat lib/0.txt; ls | tr '\\n' ' '; ls lib | wc -l; test -w lib.sh && test -w lib";
    const expected = ["ok", `original\n0lib lib.sh ${files}\n`];
    assert.deepEqual(await job(look), expected);
    const change =
      "echo 'echo changed!' >lib.sh; echo x >lib/0.txt; echo new >lib/new; " +
      "rm lib/1.txt; chmod 0 lib";
    assert.deepEqual(await job(change), ["ok", ""]);
    assert.deepEqual(await job(look), expected);
  });

  test(`a job that changes the cache by its path cannot change what the next job of ${files} ` +
    `files gets`, async (t) => {
    const { executor } = executorOf(t);
    const { bytes, hash } = await packProject(host, projectOf(files));
    const cache = fresh();
    const notes: string[] = [];
    let fetches = 0;
    const onNote = (text: string) => notes.push(text);
    const fetch = async () => (fetches++, bytes);
    const ensure = () => ensureProject(host, cache, hash, fetch, { onNote });
    const job = async (script: string, more: Partial<ExecRequest> = {}) => {
      const project = await ensure();
      const { out, status, message } = await start(executor, script, { project, ...more }).done;
      assert.equal(status, "ok", message);
      return out;
    };
    const target = join(cache, hash);
    for (const deed of [
      `echo 'echo changed!' >'${target}/lib.sh'`,
      `echo x >'${target}/lib/new'`,
      `rm '${target}/lib/0.txt'`,
      `chmod 755 '${target}/lib.sh'`,
      `rm -r '${target}/lib'; ln -s / '${target}/lib'`,
      `rm -r '${target}'`,
    ]) {
      await job(deed);
      const now = await job("sh lib.sh; cat lib/0.txt; ls lib | wc -l");
      assert.equal(now, `original\n0${files}\n`, deed);
    }
    assert.equal(fetches, 1, "the archive is here");
    const changed = `the project ${hash.slice(0, 12)} in the cache was changed`;
    assert.ok(
      notes.length >= 5 && notes.every((note) => note.includes(changed)),
      notes.join("\n"),
    );
    await job(`echo garbage >'${target}.pack'; echo 'echo changed!' >'${target}/lib.sh'`);
    assert.equal(await job("sh lib.sh"), "original\n");
    assert.equal(fetches, 2, "an archive that was changed is fetched again");
  });
}

test("ensureProject() trusts no folder that another process has left without comparing it with " +
  "the archive", async () => {
  const { bytes, hash } = await packProject(host, projectOf(FEW));
  for (const withArchive of [true, false]) {
    const cache = fresh();
    mkdirSync(join(cache, hash), { recursive: true });
    if (withArchive) writeFileSync(join(cache, `${hash}.pack`), bytes);
    writeFileSync(join(cache, hash, "lib.sh"), "echo changed!\n");
    chmodSync(join(cache, hash, "lib.sh"), 0o444);
    const folder = await ensureProject(host, cache, hash, async () => bytes);
    assert.equal(readFileSync(join(folder, "lib.sh"), "utf8"), "echo original\n");
    assert.equal(readdirSync(folder).length, 2);
  }
});

test("the cache can be removed by a plain rm -rf, and nobody else may look into it", async () => {
  const cache = fresh();
  const { bytes, hash } = await packProject(host, projectOf(FEW));
  const folder = await ensureProject(host, cache, hash, async () => bytes);
  assert.equal((await host.storage.stat(cache))?.mode, 0o700);
  assert.equal((await host.storage.stat(join(folder, "lib")))?.mode, 0o755);
  rmSync(cache, { recursive: true });
});

test("cancel(), a timeout and close() end a job while its project is copied: nothing starts, " +
  "nothing stays", async (t) => {
  const project = projectOf(MANY);
  const { executor, workDir } = executorOf(t);
  const began = join(root, "began");
  type End = (running: { cancel(why: string): void }) => unknown;
  const ends: [string, End, Partial<ExecRequest>][] = [
    ["cancelled", (running) => running.cancel("by a test"), {}],
    ["timeout", () => undefined, { timeoutMs: 1 }],
    ["cancelled", () => executor.close(), {}],
  ];
  for (const [kind, end, more] of ends) {
    const { running, done } = start(executor, `echo >'${began}'`, { project, ...more });
    assert.equal(running.pid, undefined, "it is copied beside the event loop");
    const ended = end(running);
    assert.deepEqual([(await done).status, (await done).kind], ["failed", kind]);
    assert.deepEqual(
      [existsSync(began), existsSync(join(workDir, "r", `j${folders}.1`))],
      [false, false],
    );
    await ended;
  }
  assert.equal(existsSync(workDir), false);
});

test("pauseOutput() while the project is copied holds the output back", async (t) => {
  const { executor } = executorOf(t);
  let bytes = 0;
  const running = executor.start(
    {
      run: "r", job: "j", attempt: 1, worker: "w", env: {}, timeoutMs: 20_000, inputs: [],
      action: { type: "shell", script: "cat /dev/zero" }, project: projectOf(MANY),
    },
    (_stream, chunk) => void (bytes += chunk.length),
  );
  running.pauseOutput();
  await until("the program runs", () => running.pid !== undefined);
  const bystander = await start(executor, "head -c 3000000 /dev/zero | wc -c").done;
  assert.equal(bystander.out.trim(), "3000000");
  assert.ok(bytes < 500_000, `${bytes} bytes although nobody reads`);
  running.cancel();
  assert.equal((await running.done).kind, "cancelled");
});

test("a work folder that cannot be removed is noted, and fails neither the job nor the end of " +
  "the run", async () => {
  const notes: string[] = [];
  const refuse = () => Promise.reject(new Error("no"));
  const made = fresh();
  mkdirSync(made);
  const folders = {
    make() {}, write() {}, read: () => undefined, isFile: () => true, removeLight: () => false,
    remove: refuse,
  };
  const executor = createExecutor({
    host, workDir: made, folders, onNote: (text) => notes.push(text),
  });
  const request = {
    run: "r", job: "j", attempt: 1, worker: "w", env: {}, timeoutMs: 0, inputs: [],
  };
  mkdirSync(join(made, "r", "j.1"), { recursive: true });
  const action = { type: "shell", script: "true" } as const;
  assert.equal((await executor.start({ ...request, action }, () => {}).done).status, "ok");
  await executor.endRun("r");
  await executor.close();
  assert.deepEqual(
    notes,
    ["r/j.1", "r", ""].map((path) => `Cannot remove ${join(made, path)}: no`),
  );
});

test("a project stays in the cache while a job has it, and may leave it afterwards", async (t) => {
  const { executor } = executorOf(t);
  const [cache, go] = [fresh(), fresh()];
  const ensure = async (files: number) => {
    const { bytes, hash } = await packProject(host, projectOf(files));
    return ensureProject(host, cache, hash, async () => bytes, { maxProjects: 1 });
  };
  const project = await ensure(2);
  const job = start(executor, `until [ -e '${go}' ]; do sleep 0.01; done`, { project });
  await ensure(3);
  assert.ok(existsSync(project), "a job has it");
  writeFileSync(go, "");
  assert.equal((await job.done).status, "ok");
  await ensure(4);
  assert.equal(existsSync(project), false);
});

test("what a run has shared behind a link is not removed, and that is noted", async (t) => {
  const sharedRoot = fresh();
  const { executor, notes } = executorOf(t, { sharedRoot });
  const shares = { cluster: { id: "c", master: "m:1" } };
  await start(executor, 'echo x >"$TITAN_SHARED/x"', shares).done;
  const folder = join(sharedRoot, readdirSync(sharedRoot)[0]!);
  renameSync(folder, `${folder}.moved`);
  symlinkSync(`${folder}.moved`, folder);
  await executor.endRun("r", "c");
  assert.equal(notes.length, 1, notes.join());
  assert.match(notes[0]!, /^Cannot remove what the jobs of r shared: /);
  rmSync(folder);
  renameSync(`${folder}.moved`, folder);
  await executor.endRun("r", "c");
  assert.equal(existsSync(sharedRoot), false);
});

// ── TITAN_SHARED ─────────────────────────────────────────────────────────────────────────────────

const cluster = { id: "c1", master: "127.0.0.1:1" };

test("two executors of one machine share the files of a run, and of no other " +
  "run or cluster", async (t) => {
  const sharedRoot = fresh();
  const [a, b] = [executorOf(t, { sharedRoot }), executorOf(t, { sharedRoot })];
  await start(a.executor, 'echo x >"$TITAN_SHARED/x"', { cluster }).done;
  const look = 'ls "$TITAN_SHARED"';
  assert.equal((await start(b.executor, look, { cluster }).done).out, "x\n");
  assert.equal((await start(b.executor, look, { cluster, run: "other" }).done).out, "");
  assert.equal((await start(b.executor, look, { cluster: { ...cluster, id: "c2" } }).done).out, "");
  assert.deepEqual(a.executor.sharedRuns("c1").sort(), ["other", "r"]);
  await a.executor.endRun("r", "c1");
  await b.executor.endRun("r", "c1");
  assert.deepEqual(b.executor.sharedRuns("c1"), ["other"]);
  await Promise.all(
    [a, b].flatMap(({ executor }) => [executor.endRun("other", "c1"), executor.endRun("r", "c2")]),
  );
  assert.equal(existsSync(sharedRoot), false);
  assert.deepEqual([...a.notes, ...b.notes], []);
});

test("removeSharedRuns() has removed what ended runs shared when it is done, " +
  "and nothing else", async () => {
  const sharedRoot = fresh();
  for (const run of ["over", "a/b", "runs"]) {
    const folder = join(sharedRoot, "c1", safeName(run));
    makeShared(folder);
    writeFileSync(join(folder, "x"), "x");
  }
  makeShared(join(sharedRoot, "c2", "over"));
  await removeSharedRuns(sharedRoot, "c1", (run) => run !== "runs");
  assert.deepEqual(readdirSync(join(sharedRoot, "c1")), ["runs"]);
  await removeSharedRuns(sharedRoot, "c1", () => true);
  assert.deepEqual(readdirSync(sharedRoot), ["c2"]);
});

test("sharedRuns() yields every id as it was, and ids never leave the shared folder", async (t) => {
  const sharedRoot = fresh();
  const { executor } = executorOf(t, { sharedRoot });
  const ids = ["../../escape", "a/b", "..", "ü", "a%2fb", "p-x1", "%41"];
  for (const run of ids) {
    const { done } = start(executor, "true", { cluster: { ...cluster, id: "../c" }, run });
    assert.equal((await done).status, "ok");
  }
  for (const foreign of ["%zz", `%${"a".repeat(64)}`]) {
    makeShared(join(sharedRoot, readdirSync(sharedRoot)[0]!, foreign));
  }
  assert.deepEqual(executor.sharedRuns("../c").sort(), [...ids].sort());
  assert.equal(readdirSync(sharedRoot).length, 1);
});

test("a job is told why it has no shared folder", async (t) => {
  const sharedRoot = fresh();
  writeFileSync(sharedRoot, "");
  const { executor } = executorOf(t, { sharedRoot });
  const { kind, message } = await start(executor, "true", { cluster }).done;
  assert.deepEqual([kind, message], [
    "internal",
    `Cannot make the work folder: Cannot use ${sharedRoot} for TITAN_SHARED: ` +
      "it is no folder; TMPDIR names another place",
  ]);
});

test("stop() asks once more: what an ended run shared goes with the last worker, not with the " +
  "next", async (t) => {
  const sharedRoot = fresh();
  const listen = { host: "127.0.0.1", port: 0 };
  const master = await startMaster({ host, dir: fresh(), listen, cluster: "c1" });
  t.after(() => master.stop());
  const executor = createExecutor({ host, workDir: fresh(), sharedRoot });
  const worker = startWorker({ host, master, slots: 1, executor, cacheDir: fresh() });
  t.after(() => worker.stop());
  await worker.ready;
  const client = await connect({ host, master });
  t.after(() => client.close());
  const yaml = "name: p\njobs:\n  - { id: a, run: 'echo x >\"$TITAN_SHARED/x\"' }\n";
  const { run } = await client.submit(parsePipeline(yaml, { file: "p.yaml" }));
  // It ends with the run, which is before the next beat.
  for await (const _news of client.watch(run));
  await worker.stop();
  assert.equal(existsSync(sharedRoot), false);
});

test("workers of one cluster share a run's files; the files go when it is over, and those of a " +
  "dead worker, too", async (t) => {
  const sharedRoot = fresh();
  const listen = { host: "127.0.0.1", port: 0 };
  const master = await startMaster({ host, dir: fresh(), listen, cluster: "c1" });
  t.after(() => master.stop());
  makeShared(join(sharedRoot, "c1", "left-by-a-killed-worker"));
  for (const name of ["w1", "w2"]) {
    const executor = createExecutor({ host, workDir: fresh(), sharedRoot });
    const worker = startWorker({
      host, master, name, tags: [name], slots: 1, executor, cacheDir: fresh(),
    });
    t.after(() => worker.stop());
    await worker.ready;
  }
  const client = await connect({ host, master });
  t.after(() => client.close());
  const { run } = await client.submit(parsePipeline(`name: p
jobs:
  - { id: a, requirement: w1, run: 'echo x >"$TITAN_SHARED/x"' }
  - { id: b, requirement: w2, depends_on: a, run: 'cat "$TITAN_SHARED/x"' }
`, { file: "p.yaml" }));
  await until("the run is over", async () => (await client.status(run)).run.status !== "RUNNING");
  assert.equal((await client.status(run)).run.status, "COMPLETED");
  assert.equal(master.isOver(run), true);
  const what = `nothing is left, ${HEARTBEAT_MS} ms after the end or so`;
  await until(what, () => !existsSync(sharedRoot));
});
