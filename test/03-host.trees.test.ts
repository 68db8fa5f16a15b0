import assert from "node:assert/strict";
import fs, {
  appendFileSync, chmodSync, existsSync, linkSync, lstatSync, mkdirSync, mkdtempSync, readdirSync,
  readFileSync, readlinkSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync,
  type Stats,
} from "node:fs";
import promises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, mock, test } from "node:test";
import {
  isUntouched, listTree, makeShared, nodeHost, nodeWorkFolders, removeShared, removeTree, SETTLE_MS,
  stampTree, sweepShared, type ProjectTree, type WorkFolders,
} from "#host";
import { SpareTrees } from "../src/host/spare-trees.ts";

const root = mkdtempSync(join(tmpdir(), "titan-trees-"));
after(() => removeTree(root));
let folders = 0;
const fresh = (): string => join(root, `f${++folders}`);

function folderOf(files: Record<string, string>): string {
  const folder = fresh();
  mkdirSync(folder);
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    if (content.startsWith("->")) symlinkSync(content.slice(2), join(folder, path));
    else writeFileSync(join(folder, path), content);
  }
  return folder;
}

const SMALL = {
  "a.txt": "a", "bin/tool": "tool", "latest": "->bin", "bin/up": "->../a.txt", "empty/.keep": "",
};
const LARGE = {
  ...SMALL,
  ...Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`d${i % 3}/f${i}`, `content ${i}`])),
};

function contents(folder: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const { path, kind, target } of listTree(folder).entries) {
    found[path] =
      kind === "folder" ? "folder"
      : kind === "link" ? `->${target}`
      : readFileSync(join(folder, path), "utf8");
  }
  return found;
}

/** The clock tick in which the files were made is over. */
const settle = (): Promise<void> =>
  new Promise((resolve) => void nodeHost().timers.after(2 * SETTLE_MS, resolve));

for (const [name, files] of Object.entries({ small: SMALL, large: LARGE })) {
  test(`make() copies a ${name} project with its modes and links, and nothing of the job's ` +
    `reaches the original`, async () => {
    const source = folderOf(files);
    chmodSync(join(source, "bin/tool"), 0o755);
    const before = contents(source);
    const work = nodeWorkFolders(fresh());
    const path = join(fresh(), "job.1");
    await work.make(path, { project: listTree(source) });
    assert.deepEqual(contents(path), before);
    assert.deepEqual(
      [lstatSync(join(path, "bin/tool")).mode & 0o777, lstatSync(join(path, "a.txt")).mode & 0o777],
      [0o755, 0o644],
    );
    writeFileSync(join(path, "a.txt"), "changed");
    writeFileSync(join(path, "latest/tool"), "changed");
    writeFileSync(join(path, "bin/up"), "changed");
    assert.deepEqual(contents(source), before);
    if (!work.removeLight(path)) await work.remove(path);
    assert.equal(existsSync(path), false);
    assert.deepEqual(contents(source), before);
  });
}

test("make() gives the next job of a large project the same copy, whatever befell it", async () => {
  const source = folderOf(LARGE);
  const project = listTree(source);
  const expected = contents(source);
  const home = fresh();
  const work = nodeWorkFolders(home);
  const outside = join(root, "kept-link");
  const deeds: ((at: string) => void)[] = [
    () => undefined,
    (at) => writeFileSync(join(at, "a.txt"), "b"), // as long, and in the same tick of the clock
    (at) => {
      writeFileSync(join(at, "d1/new"), "x");
      mkdirSync(join(at, "d1/deep/er"), { recursive: true });
    },
    (at) => {
      const f = join(at, "d0/f0");
      const { atime, mtime } = lstatSync(f);
      writeFileSync(f, "CONTENT 0");
      utimesSync(f, atime, mtime);
    },
    (at) => {
      rmSync(join(at, "d2/f2"));
      rmSync(join(at, "latest"));
      symlinkSync("empty", join(at, "latest"));
    },
    (at) => { renameSync(join(at, "d0/f3"), join(at, "d0/f6")); mkdirSync(join(at, "d0/f3")); },
    (at) => { linkSync(join(at, "d0/f9"), outside); appendFileSync(outside, "!"); },
    (at) => chmodSync(join(at, "bin/tool"), 0),
    (at) => chmodSync(join(at, "d1"), 0),
    (at) => chmodSync(join(at, "d1"), 0o700),
    (at) => chmodSync(at, 0o700),
    (at) => { rmSync(join(at, "d2"), { recursive: true }); symlinkSync(source, join(at, "d2")); },
    (at) => rmSync(at, { recursive: true }),
  ];
  const inodes: number[] = [];
  let modesBefore: number[] | undefined;
  for (const [i, deed] of deeds.entries()) {
    const path = join(home, "run", `job.${i}`);
    await work.make(path, { project });
    assert.deepEqual(contents(path), expected, `after deed ${i - 1}`);
    const modes = [path, join(path, "d1"), join(path, "bin/tool")]
      .map((at) => lstatSync(at).mode & 0o777);
    assert.deepEqual(modes, (modesBefore ??= modes), `after deed ${i - 1}`);
    inodes.push(lstatSync(join(path, "d1/f1")).ino);
    await settle();
    deed(path);
    if (!work.removeLight(path)) await work.remove(path);
    assert.equal(existsSync(path), false);
  }
  assert.equal(inodes[2], inodes[1], "what nobody has touched is not copied again");
  assert.equal(readFileSync(outside, "utf8"), "content 9!");
  await work.remove(home);
  assert.equal(existsSync(home), false);
  assert.deepEqual(contents(source), expected);
});

test("make() of a large project stops at once when it is told to, and nothing is written " +
  "afterwards", async () => {
  const project = listTree(folderOf(LARGE));
  const home = fresh();
  const work = nodeWorkFolders(home);
  const stop = new AbortController();
  const path = join(home, "run", "job.1");
  const made = work.make(path, { project, signal: stop.signal });
  stop.abort(new Error("enough"));
  await assert.rejects(made as Promise<void>, /enough/);
  await work.remove(path);
  await settle();
  assert.equal(existsSync(path), false);
  await work.remove(home);
});

test("make() copies again what is so young that a change in the same tick of the clock would not " +
  "show", async () => {
  const source = folderOf(LARGE);
  const project = listTree(source);
  const home = fresh();
  const work = nodeWorkFolders(home);
  const path = join(home, "run", "job.1");
  const changed = join(path, "d0/f0");
  // By this clock all files are made after they have been looked at, and so are young.
  const { mock: clock } = mock.method(Date, "now", () => 0);
  await work.make(path, { project });
  clock.restore();
  const before = lstatSync(changed);
  writeFileSync(changed, "CONTENT 0");
  const look = fs.lstatSync as (...args: unknown[]) => Stats;
  const { mock: looks } = mock.method(fs, "lstatSync", (...args: unknown[]) => {
    const info = look(...args);
    return info?.ino === before.ino ? before : info;
  });
  syncBuiltinESMExports();
  try {
    assert.equal(work.removeLight(path), true);
    await work.make(join(home, "run", "job.2"), { project });
  } finally {
    looks.restore();
    syncBuiltinESMExports();
  }
  assert.deepEqual(contents(join(home, "run", "job.2")), contents(source));
  await work.remove(home);
});

test("make() gives a job a copy of its own project, looked at again since it became " +
  "a spare one", async () => {
  const home = fresh();
  const work = nodeWorkFolders(home);
  const one = listTree(folderOf(LARGE));
  const other = listTree(folderOf({ ...LARGE, "a.txt": "other" }));
  const last = one.entries.filter(({ kind }) => kind === "file").at(-1)!.path;
  const job = async (project: ProjectTree, deed: (path: string) => void): Promise<void> => {
    const path = join(home, "run", `job.${++folders}`);
    await work.make(path, { project });
    assert.deepEqual(contents(path), contents(project.folder));
    deed(path);
    assert.equal(work.removeLight(path), true);
  };
  const spare = join(home, ".spare", "tree-0");
  await job(one, (path) => writeFileSync(join(path, last), "changed"));
  const deadline = performance.now() + 15_000;
  while (readFileOr(join(spare, last)) !== readFileSync(join(one.folder, last), "utf8")) {
    assert.ok(performance.now() < deadline, "it is mended");
    await new Promise<void>((resolve) => void nodeHost().timers.after(1, resolve));
  }
  writeFileSync(join(spare, "a.txt"), "changed");
  await job(other, () => undefined);
  await job(one, () => undefined);
  await work.remove(home);
});

test("nodeWorkFolders() keeps a bounded number of copies", async () => {
  const files = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`f${i}`, ""]));
  const project = listTree(folderOf(files));
  const home = fresh();
  const work = nodeWorkFolders(home);
  const paths = Array.from({ length: 20 }, (_, i) => join(home, "run", `job.${i}`));
  await Promise.all(paths.map((path) => work.make(path, { project })));
  for (const path of paths) assert.equal(work.removeLight(path), true);
  const deadline = performance.now() + 15_000;
  while (readdirSync(join(home, ".spare")).length > 16) {
    assert.ok(performance.now() < deadline, "the others are removed");
    await new Promise<void>((resolve) => void nodeHost().timers.after(1, resolve));
  }
  await work.remove(home);
});

function readFileOr(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/** How many files `work` has copied beside the event loop by the time it ends. */
async function copiesOf(work: () => Promise<unknown>): Promise<number> {
  const { mock: counter } = mock.method(promises, "copyFile");
  syncBuiltinESMExports();
  try {
    await work();
    return counter.callCount();
  } finally {
    counter.restore();
    syncBuiltinESMExports();
  }
}

test("make() of a large project stops in the midst of its files, and rejects when none is being " +
  "copied", async () => {
  const project = listTree(folderOf(LARGE));
  const home = fresh();
  const work = nodeWorkFolders(home);
  const stop = new AbortController();
  const copy = promises.copyFile as (...args: unknown[]) => Promise<void>;
  const calls = { begun: 0, ended: 0 };
  const { mock: control } = mock.method(promises, "copyFile", async (...args: unknown[]) => {
    if (++calls.begun === 20) stop.abort(new Error("enough"));
    // The one that is told of it first ends last.
    if (calls.begun === 20) for (let turn = 0; turn < 20; turn++) await promises.lstat(root);
    await copy(...args);
    calls.ended++;
  });
  syncBuiltinESMExports();
  try {
    const made = work.make(join(home, "run", "job.1"), { project, signal: stop.signal });
    await assert.rejects(made as Promise<void>, /enough/);
    assert.deepEqual(calls, { begun: 20, ended: 20 });
  } finally {
    control.restore();
    syncBuiltinESMExports();
  }
  await work.remove(home);
});

/** A copy of a large project in which a job has changed each file, on its way to be a spare one. */
async function spoiled(work: WorkFolders, project: ProjectTree, path: string): Promise<void> {
  await work.make(path, { project });
  for (const { path: name, kind } of project.entries) {
    if (kind === "file") appendFileSync(join(path, name), "!");
  }
  assert.equal(work.removeLight(path), true);
}

test("remove() of all folders does not wait until copies are mended that " +
  "nobody will want", async () => {
  const project = listTree(folderOf(LARGE));
  const home = fresh();
  const work = nodeWorkFolders(home);
  await spoiled(work, project, join(home, "run", "job.1"));
  const copies = await copiesOf(() => work.remove(home));
  assert.ok(copies <= 1, `${copies} files`);
  assert.equal(existsSync(home), false);
});

test("make() of a large project stops at once while a copy is mended for it, which others get " +
  "then", async () => {
  const source = folderOf(LARGE);
  const project = listTree(source);
  const home = fresh();
  const work = nodeWorkFolders(home);
  await spoiled(work, project, join(home, "run", "job.1"));
  const stop = new AbortController();
  const copies = await copiesOf(async () => {
    const made = work.make(join(home, "run", "job.2"), { project, signal: stop.signal });
    stop.abort(new Error("enough"));
    await assert.rejects(made as Promise<void>, /enough/);
  });
  assert.ok(copies <= 1, `${copies} files`);
  assert.deepEqual(readdirSync(join(home, "run")), []);
  await work.make(join(home, "run", "job.3"), { project });
  assert.deepEqual(contents(join(home, "run", "job.3")), contents(source));
  assert.deepEqual(readdirSync(join(home, ".spare")), [], "it was the spare one");
  await work.remove(home);
});

/**
 * What the next job gets after one that has changed so many files, and made so many: the copy that
 * the job has had, or another. The files are there by name only.
 */
async function afterJob(changed: number, made: number): Promise<"mended" | "copied"> {
  const names = Array.from({ length: Math.max(1, changed) }, (_, i) => `f${i}`);
  const entries = names.map((path) => ({ path, kind: "file" as const, size: 1 }));
  const extras = Array.from({ length: made }, (_, i) => `made${i}`);
  let isOver = false;
  const [file, folder] = [false, true].map((isFolder) => ({
    ino: 1, size: 1, mode: 0, ctimeMs: 0, isDirectory: () => isFolder,
  } as Stats));
  const changedFile = { ...file, ino: 2 } as Stats;
  const stats = (path: string): Stats => {
    if (!["f", "m"].includes(path[path.lastIndexOf("/") + 1]!)) return folder!;
    return isOver && changed > 0 ? changedFile : file!;
  };
  const real = { ...promises, lstatSync: fs.lstatSync };
  const fake = {
    lstat: async (path: Buffer) => stats(String(path)), unlink: async () => undefined,
    readdir: async () => [...names, ...(isOver ? extras.splice(0) : [])],
    copyFile: async () => undefined,
  };
  const home = fresh();
  const trees = new SpareTrees(join(home, "spare"));
  mkdirSync(home);
  Object.assign(promises, fake);
  Object.assign(fs, { lstatSync: stats });
  syncBuiltinESMExports();
  try {
    const take = (job: string): Promise<void> =>
      trees.take({ folder: "/none", entries }, join(home, job), new AbortController().signal);
    await take("1");
    writeFileSync(join(home, "1", "mark"), "");
    isOver = true;
    trees.keep(join(home, "1"));
    await take("2");
  } finally {
    const { lstat, unlink, readdir, copyFile, lstatSync } = real;
    Object.assign(promises, { lstat, unlink, readdir, copyFile });
    Object.assign(fs, { lstatSync });
    syncBuiltinESMExports();
  }
  await trees.close();
  return existsSync(join(home, "2", "mark")) ? "mended" : "copied";
}

test("make() mends a copy with 1,000 changed or new files, and none with 1,001", async () => {
  const cases: [changed: number, made: number][] = [[1000, 0], [1001, 0], [0, 1000], [0, 1001]];
  const found: string[] = [];
  for (const [changed, made] of cases) found.push(await afterJob(changed, made));
  assert.deepEqual(found, ["mended", "copied", "mended", "copied"]);
});

test("make() never copies a file that has changed since it was stamped", async () => {
  for (const files of [SMALL, LARGE]) {
    const folder = folderOf(files);
    const { entries } = listTree(folder);
    const stamp = (await stampTree(folder, entries))!;
    await settle();
    writeFileSync(join(folder, "a.txt"), "b");
    const work = nodeWorkFolders(fresh());
    const make = async (): Promise<void> =>
      work.make(join(fresh(), "job"), { project: { folder, entries, stamp } });
    await assert.rejects(make, /Cannot copy a\.txt: somebody has changed it in the project cache/);
  }
});

test("isUntouched() sees a content, a mode, a new entry, a missing one and " +
  "a swapped one", async () => {
  const deeds: ((at: string) => void)[] = [
    (at) => writeFileSync(join(at, "a.txt"), "b"),
    (at) => chmodSync(join(at, "a.txt"), 0o600),
    (at) => writeFileSync(join(at, "bin/new"), ""),
    (at) => writeFileSync(join(at, "new"), ""),
    (at) => rmSync(join(at, "bin/up")),
    (at) => { rmSync(join(at, "a.txt")); writeFileSync(join(at, "a.txt"), "a"); },
    (at) => { renameSync(at, `${at}-old`); folderOf({}); },
  ];
  for (const [i, deed] of deeds.entries()) {
    const tree = listTree(folderOf(SMALL));
    const stamp = (await stampTree(tree.folder, tree.entries))!;
    assert.equal(await isUntouched(tree, stamp), true);
    await settle();
    assert.equal(await isUntouched(tree, stamp), true);
    deed(tree.folder);
    assert.equal(await isUntouched(tree, stamp), false, `deed ${i}`);
  }
});

test("isUntouched() compares each number of a stamp", async () => {
  const tree = listTree(folderOf(SMALL));
  const stamp = (await stampTree(tree.folder, tree.entries))!;
  for (let at = 0; at < stamp.length; at++) {
    stamp[at] = stamp[at]! + 1;
    assert.equal(await isUntouched(tree, stamp), false, `number ${at}`);
    stamp[at] = stamp[at]! - 1;
  }
  assert.equal(await isUntouched(tree, stamp), true);
});

test("makeShared() makes folders that nobody else may enter, and refuses what " +
  "is not ours", async () => {
  const tmp = fresh();
  mkdirSync(tmp);
  const user = join(tmp, "titan-1");
  const run = join(user, "cluster", "run");
  makeShared(run);
  for (const path of [user, dirname(run), run]) assert.equal(lstatSync(path).mode & 0o777, 0o700);
  writeFileSync(join(run, "kept"), "");
  makeShared(run);
  assert.deepEqual(readdirSync(run), ["kept"]);
  chmodSync(user, 0o777);
  makeShared(run);
  assert.equal(lstatSync(user).mode & 0o777, 0o700);
  for (const [at, why] of [
    [user, "link"], [dirname(run), "link"], [run, "link"], [user, "file"],
  ] as const) {
    await removeTree(tmp);
    mkdirSync(dirname(at), { recursive: true });
    const trap = fresh();
    mkdirSync(join(trap, "cluster", "run"), { recursive: true });
    if (why === "link") symlinkSync(at === user ? trap : join(trap, "cluster"), at);
    else writeFileSync(at, "");
    const expected = why === "link"
      ? /TITAN_SHARED: it is a symbolic link; TMPDIR/
      : /TITAN_SHARED: it is no folder/;
    assert.throws(() => makeShared(run), expected, at);
    assert.deepEqual(
      [readlinkOr(at) !== undefined, sweepShared(dirname(run))],
      [why === "link", at === run ? ["run"] : []],
    );
  }
});

function readlinkOr(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

test("removeShared() by several at once fails for none, and the folders above go with the last " +
  "run", async () => {
  const tmp = fresh();
  mkdirSync(tmp);
  const cluster = join(tmp, "titan-1", "cluster");
  for (const run of ["one", "two"]) makeShared(join(cluster, run));
  writeFileSync(join(cluster, "one", "x"), "");
  mkdirSync(join(cluster, ".removed-by-a-dead-worker"));
  await Promise.all([1, 2, 3].map(() => removeShared(join(cluster, "one"))));
  assert.deepEqual(sweepShared(cluster), ["two"]);
  await Promise.all([
    removeShared(join(cluster, "two")), removeTree(join(cluster, ".removed-by-a-dead-worker")),
  ]);
  await removeShared(join(cluster, "two"));
  assert.deepEqual(readdirSync(tmp), []);
});

test("makeShared() makes again what another worker has just removed, or says why not", () => {
  const tmp = fresh();
  mkdirSync(tmp);
  const run = join(tmp, "titan-1", "cluster", "run");
  const make = fs.mkdirSync as (...args: unknown[]) => unknown;
  let removals = 0;
  const { mock: control } = mock.method(fs, "mkdirSync", (...args: unknown[]) => {
    // The folder above was empty, so somebody has removed it.
    if (args[0] === run && removals-- > 0) rmSync(dirname(run), { recursive: true });
    return make(...args);
  });
  syncBuiltinESMExports();
  try {
    removals = 1;
    makeShared(run);
    assert.equal(existsSync(run), true);
    rmSync(run, { recursive: true });
    removals = 1_000;
    assert.throws(() => makeShared(run), /for TITAN_SHARED: its folders are removed as fast as/);
    rmSync(tmp, { recursive: true });
    assert.throws(() => makeShared(run), new RegExp(`there is no folder ${tmp}; TMPDIR names`));
  } finally {
    control.restore();
    syncBuiltinESMExports();
  }
});

test("makeShared() opens again what a job has closed to us", () => {
  const run = join(fresh(), "titan-1", "cluster", "run");
  mkdirSync(dirname(dirname(dirname(run))));
  makeShared(run);
  const all = [run, dirname(run), dirname(dirname(run))];
  for (const path of all) chmodSync(path, 0o500);
  for (const path of all.slice(1)) chmodSync(path, 0);
  makeShared(run);
  for (const path of all.reverse()) assert.equal(lstatSync(path).mode & 0o777, 0o700);
});

test("removeShared() removes a link or a file that a job put in the folder's place, and follows " +
  "none", async () => {
  const tmp = fresh();
  mkdirSync(tmp);
  const run = join(tmp, "titan-1", "cluster", "run");
  const outside = fresh();
  mkdirSync(outside);
  writeFileSync(join(outside, "kept"), "");
  for (const put of [() => symlinkSync(outside, run), () => writeFileSync(run, "")]) {
    makeShared(run);
    rmSync(run, { recursive: true });
    put();
    assert.deepEqual(sweepShared(dirname(run)), ["run"]);
    await removeShared(run);
    assert.deepEqual([readdirSync(tmp), readdirSync(outside)], [[], ["kept"]]);
  }
});

test("makeShared() and removeShared() keep away from a folder of another user", async () => {
  const run = join(fresh(), "titan-1", "cluster", "run");
  mkdirSync(dirname(dirname(dirname(run))));
  makeShared(run);
  const { uid } = lstatSync(run);
  const user = process as unknown as { getuid(): number };
  const { mock: somebody } = mock.method(user, "getuid", () => uid + 1);
  try {
    const refused =
      new RegExp(`TITAN_SHARED: it belongs to user ${uid}; TMPDIR names another place`);
    assert.throws(() => makeShared(run), refused);
    await assert.rejects(removeShared(run), refused);
    assert.deepEqual(sweepShared(dirname(run)), []);
  } finally {
    somebody.restore();
  }
  assert.equal(existsSync(run), true);
});
