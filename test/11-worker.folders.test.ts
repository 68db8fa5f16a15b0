/**
 * Chapter 11: jobs that take their own folders apart, and those around them. None of it may reach
 * anybody else.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync,
  statSync, truncateSync, writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test, type TestContext } from "node:test";
import { createExecutor, type ExecRequest, type LocalExecutor } from "#exec";
import { ensureProject, MAX_PROJECT_BYTES, packProject } from "#project";
import { removeTree } from "#host";
import { nodeWorkerHost } from "#process";
import "./leaks.support.ts";

const host = nodeWorkerHost();
const root = mkdtempSync(join(tmpdir(), "titan-folders-"));
after(() => removeTree(root));
let folders = 0;
const fresh = (): string => join(root, `f${++folders}`);
/** More files than are copied at once. */
const MANY = 40;

function projectOf(files: number): string {
  const folder = fresh();
  mkdirSync(join(folder, "lib"), { recursive: true });
  for (let i = 0; i < files; i++) writeFileSync(join(folder, "lib", `${i}.txt`), String(i));
  return folder;
}

function executorOf(t: TestContext) {
  const notes: string[] = [];
  const workDir = fresh();
  const sharedRoot = fresh();
  const executor = createExecutor({
    host, workDir, sharedRoot, onNote: (text) => notes.push(text),
  });
  t.after(() => executor.close());
  return { executor, workDir, sharedRoot, notes };
}

const cluster = { id: "c", master: "127.0.0.1:1" };
let jobs = 0;

async function run(executor: LocalExecutor, script: string, given: Partial<ExecRequest> = {}) {
  let out = "";
  const outcome = await executor.start({
    run: "r", job: `j${++jobs}`, attempt: 1, worker: "w", env: {}, timeoutMs: 20_000, inputs: [],
    action: { type: "shell", script }, cluster, ...given,
  }, (_stream, bytes) => void (out += bytes)).done;
  return { ...outcome, out };
}

for (const files of [undefined, 3, MANY]) {
  const kind = files === undefined ? "no project" : `a project of ${files} files`;
  test(`a link that a job with ${kind} puts in its folder's place is ` +
    `removed, not followed`, async (t) => {
    const { executor, workDir, notes } = executorOf(t);
    const precious = fresh();
    mkdirSync(precious);
    writeFileSync(join(precious, "kept"), "kept");
    const project = files === undefined ? {} : { project: projectOf(files) };
    const script = `here=$PWD; cd ..; rm -r "$here"; ln -s '${precious}' "$here"`;
    assert.equal((await run(executor, script, project)).status, "ok");
    assert.equal(readFileSync(join(precious, "kept"), "utf8"), "kept");
    assert.deepEqual(readdirSync(join(workDir, "r")), []);
    assert.deepEqual(notes, []);
  });

  test(`jobs with ${kind} may remove, lock or replace all folders of their worker`, async (t) => {
    const { executor, workDir } = executorOf(t);
    const project = files === undefined ? {} : { project: projectOf(files) };
    // Again and again: the worker may be removing something there at the same time.
    const gone = (path: string): string => `until rm -rf '${path}' 2>/dev/null; do :; done`;
    for (const deed of [
      'rm -r "$PWD"',
      'chmod 0 "$PWD"',
      `${gone(workDir)}`,
      `${gone(`${workDir}/.spare`)}; echo >'${workDir}/.spare'`,
      `${gone(`${workDir}/.spare`)}; ln -s /nowhere '${workDir}/.spare'`,
      `${gone(workDir)}; echo >'${workDir}'`,
    ]) {
      const { out } = await run(executor, `${deed}\necho done`, project);
      assert.equal(out, "done\n", deed);
      await run(executor, "true", project); // it may fail; the worker may not
      execFileSync("rm", ["-rf", `${workDir}/.spare`]);
      if (existsSync(workDir) && !existsSync(`${workDir}/.`)) execFileSync("rm", [workDir]);
      assert.equal((await run(executor, "echo on", project)).out, "on\n", deed);
    }
  });
}

test("ensureProject() gives the original whatever a job has put in the places " +
  "of the cache", async () => {
  const { bytes, hash } = await packProject(host, projectOf(3));
  const cache = fresh();
  const ensure = (): Promise<string> => ensureProject(host, cache, hash, async () => bytes);
  const target = join(cache, hash);
  await ensure();
  for (const deed of [
    'rm -r "$CACHE"',
    'rm -r "$HERE"; echo >"$HERE"',
    'rm -r "$HERE"; ln -s /nowhere "$HERE"',
    'mv "$HERE" "$HERE-moved"; ln -s "$HERE-moved" "$HERE"; echo x >"$HERE/lib/0.txt"',
    'rm "$HERE.pack"; mkfifo "$HERE.pack"; rm -r "$HERE/lib"',
    'rm "$HERE.pack"; mkdir "$HERE.pack"; echo >"$HERE.pack/x"; rm -r "$HERE/lib"',
    'truncate -s 1T "$HERE.pack"; rm -r "$HERE/lib"',
    'rm "$HERE/lib/0.txt"; mkfifo "$HERE/lib/0.txt"',
    'ln "$HERE/lib/0.txt" "$CACHE/other"; echo x >"$CACHE/other"',
    'rm -r "$CACHE/users"',
  ]) {
    execFileSync("sh", ["-ec", deed], {
      env: { ...process.env, HERE: target, CACHE: cache },
    });
    assert.equal(readFileSync(join(await ensure(), "lib", "0.txt"), "utf8"), "0", deed);
    assert.deepEqual(readdirSync(join(target, "lib")), ["0.txt", "1.txt", "2.txt"], deed);
  }
});

test("ensureProject() removes what killed workers had half unpacked, and nothing " +
  "of those alive", async () => {
  const { bytes, hash } = await packProject(host, projectOf(3));
  const cache = fresh();
  const other = "0".repeat(64);
  const living = "1".repeat(64);
  mkdirSync(join(cache, "users"), { recursive: true });
  writeFileSync(join(cache, "users", `${other}.dead`), "999999999 0 0\n");
  const lock = await host.storage.lock(join(cache, "users", `${living}.alive`));
  const strays = [`${other}.part-aa`, `${other}.gone-bb`, `${hash}.part-cc`];
  for (const name of [...strays, `${living}.part-dd`]) {
    mkdirSync(join(cache, name, "d"), { recursive: true });
  }
  writeFileSync(join(cache, `${other}.pack-ee`), "half");
  await ensureProject(host, cache, hash, async () => bytes);
  const left = (): string[] => readdirSync(cache).filter((name) => /-..$/.test(name));
  const deadline = performance.now() + 15_000;
  while (left().length > 1 && performance.now() < deadline) {
    await new Promise<void>((resolve) => void host.timers.soon(resolve));
  }
  assert.deepEqual(left(), [`${living}.part-dd`]);
  await lock.release();
});

test("ensureProject() leaves no half an archive behind when the disk is full", async () => {
  const { bytes, hash } = await packProject(host, projectOf(3));
  const cache = fresh();
  const full = Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
  const writeFile = async (path: string, content: Uint8Array): Promise<void> => {
    writeFileSync(path, content.subarray(0, 5));
    throw full;
  };
  const remove = async (path: string): Promise<void> => {
    for (let i = 0; i < 1000; i++) await new Promise(setImmediate);
    await host.storage.remove(path);
  };
  const poor = { ...host, storage: { ...host.storage, writeFile, remove } };
  await assert.rejects(ensureProject(poor, cache, hash, async () => bytes), full);
  assert.deepEqual(readdirSync(cache), ["users"]);
});

test("ensureProject() uses a folder that another process has left whole, and says " +
  "nothing of it", async () => {
  const { bytes, hash } = await packProject(host, projectOf(3));
  const notes: string[] = [];
  const onNote = (text: string) => notes.push(text);
  const [ours, theirs] = [fresh(), fresh()];
  const made = await ensureProject(host, ours, hash, async () => bytes);
  const { ino } = statSync(made);
  renameSync(ours, theirs); // which this process has never heard of
  const unasked = () => Promise.reject(new Error("everything is here"));
  const found = await ensureProject(host, theirs, hash, unasked, { onNote });
  assert.deepEqual([found, statSync(found).ino, notes], [join(theirs, hash), ino, []]);
});

test("ensureProject() says once that a folder was changed, if that has an archive", async () => {
  const { bytes, hash } = await packProject(host, projectOf(3));
  for (const withArchive of [true, false]) {
    const cache = fresh();
    mkdirSync(join(cache, hash), { recursive: true });
    writeFileSync(join(cache, hash, "other"), "x");
    if (withArchive) writeFileSync(join(cache, `${hash}.pack`), bytes);
    const notes: string[] = [];
    let fetches = 0;
    const fetch = async () => (fetches++, bytes);
    await ensureProject(host, cache, hash, fetch, { onNote: (text) => notes.push(text) });
    const changed = `the project ${hash.slice(0, 12)} in the cache was changed by somebody; ` +
      "it is unpacked again";
    assert.deepEqual([notes, fetches], withArchive ? [[changed], 0] : [[], 1]);
  }
});

/** A host on which a project's folder cannot be made `times` times: somebody else is quicker. */
function contended(times: number) {
  const tries: string[] = [];
  const rename = async (from: string, to: string): Promise<void> => {
    const isUnpacked = from.includes(".part-");
    if (isUnpacked) tries.push(to);
    if (!isUnpacked || tries.length > times) return host.storage.rename(from, to);
    mkdirSync(to);
    throw Object.assign(new Error("directory not empty"), { code: "ENOTEMPTY" });
  };
  return { tries, host: { ...host, storage: { ...host.storage, rename } } };
}

test("ensureProject() unpacks three times where others get in its way, and not " +
  "a fourth time", async () => {
  const { bytes, hash } = await packProject(host, projectOf(3));
  for (const times of [2, 3]) {
    const cache = fresh();
    const busy = contended(times);
    const asked = ensureProject(busy.host, cache, hash, async () => bytes);
    if (times < 3) assert.equal(await asked, join(cache, hash));
    else await assert.rejects(asked, /directory not empty/);
    assert.equal(busy.tries.length, 3);
    const locks = readdirSync(join(cache, "users"));
    assert.equal(locks.length, times < 3 ? 1 : 0, "who has given up holds nothing");
    assert.deepEqual(readdirSync(cache).filter((name) => /\.(part|gone)-/.test(name)), []);
  }
});

test("ensureProject() says that a folder is being changed when no look at it " +
  "finds it whole", async () => {
  const { bytes, hash } = await packProject(host, projectOf(3));
  const cache = fresh();
  const deeds: string[] = [];
  const rename = async (from: string, to: string): Promise<void> => {
    // However slow it is to put the folder aside, nothing new is made before.
    if (to.includes(".gone-")) for (let i = 0; i < 50; i++) await new Promise(setImmediate);
    await host.storage.rename(from, to);
    if (to.includes(".gone-")) deeds.push("aside");
    if (!from.includes(".part-")) return;
    deeds.push("made");
    rmSync(join(to, "lib", "0.txt"));
  };
  const mkdir = async (path: string): Promise<void> => {
    await host.storage.mkdir(path);
    if (/\.part-[0-9a-f]+$/.test(path)) deeds.push("begun");
  };
  const changing = { ...host, storage: { ...host.storage, rename, mkdir } };
  const project = ensureProject(changing, cache, hash, async () => bytes);
  const message = `Cannot unpack the project ${hash}: its folder is being changed`;
  await assert.rejects(project, { message });
  const one = ["begun", "made"];
  assert.deepEqual(deeds, [...one, "aside", ...one, "aside", ...one]);
});

test("ensureProject() reads no archive larger than any can be", async () => {
  const { bytes, hash } = await packProject(host, projectOf(3));
  for (const [more, reads] of [[0, 1], [1, 0]] as const) {
    const cache = fresh();
    mkdirSync(join(cache, hash), { recursive: true });
    const pack = join(cache, `${hash}.pack`);
    writeFileSync(pack, "");
    truncateSync(pack, 2 * MAX_PROJECT_BYTES + more);
    const read: string[] = [];
    const readFile = async (path: string): Promise<Buffer> => {
      if (path === pack) read.push(path);
      return path === pack ? bytes : host.storage.readFile(path);
    };
    const lean = { ...host, storage: { ...host.storage, readFile } };
    await ensureProject(lean, cache, hash, async () => bytes);
    assert.equal(read.length > 0, reads > 0, `${more} bytes more`);
  }
});

test("ensureProject() fails when an archive cannot be put in its place, and " +
  "leaves none behind", async () => {
  const { bytes, hash } = await packProject(host, projectOf(3));
  const cache = fresh();
  const no = new Error("no");
  const rename = (from: string, to: string): Promise<void> =>
    (to.endsWith(".pack") ? Promise.reject(no) : host.storage.rename(from, to));
  const poor = { ...host, storage: { ...host.storage, rename } };
  await assert.rejects(ensureProject(poor, cache, hash, async () => bytes), no);
  assert.deepEqual(readdirSync(cache), ["users"]);
});
