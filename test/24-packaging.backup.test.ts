/**
 * Backups: taken beside a master at work, cut short, damaged, restored, and started on.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, writeFileSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import * as backups from "#backup";
import { nodeHost, type Host, type Storage, type StoredFile } from "#host";
import { verifyLog } from "#log";
import { startMaster, type Master } from "#master";
import { tarball, type TarEntry } from "#packaging";
import { connect, type Client } from "#sdk";
import { ROOT } from "../scripts/bootstrap.mjs";
import { removeTreeSync } from "../scripts/lib/remove-tree.mjs";
import { inProcess } from "./cli.support.ts";

const host = nodeHost();
const folders: string[] = [];
after(() => folders.forEach(removeTreeSync));

function tempFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "titan-backup-test-"));
  folders.push(folder);
  return folder;
}

/**
 * What it cleans up, it waits for: nothing else touches the disk meanwhile, and when it ends,
 * however it ends, all is done. On this disk to close, to remove and to release take a while.
 */
async function cleanly<T>(
  work: (host: Host) => Promise<T>, { storage, ...rest }: Host,
): Promise<T> {
  const underWay = new Set<string>();
  const hasty: string[] = [];
  const slow = async (what: string, act: () => Promise<void>): Promise<void> => {
    underWay.add(what);
    for (let turn = 0; turn < 20; turn++) await new Promise((next) => setImmediate(next));
    await act().finally(() => underWay.delete(what));
  };
  const next = <A extends unknown[], R>(act: (...args: A) => R) => (...args: A): R => {
    hasty.push(...underWay);
    return act(...args);
  };
  const slowStorage: Storage = {
    ...storage,
    list: next(storage.list),
    mkdir: next(storage.mkdir),
    rename: next(storage.rename),
    stat: next(storage.stat),
    syncDirectory: next(storage.syncDirectory),
    open: next(async (path, options) => {
      const file = await storage.open(path, options);
      const close = (): Promise<void> => slow(`close ${path}`, () => file.close());
      return new Proxy(file, {
        get: (_, key: keyof StoredFile) => {
          const value = key === "close" ? close : file[key];
          return typeof value === "function" ? value.bind(file) : value;
        },
      });
    }),
    remove: (path, options) => slow(`remove ${path}`, () => storage.remove(path, options)),
    lock: async (path) => {
      const lock = await storage.lock(path);
      return { release: () => slow(`release ${path}`, () => lock.release()) };
    },
  };
  return work({ ...rest, storage: slowStorage }).finally(() => {
    assert.deepEqual([...hasty, ...underWay], []);
  });
}

const makeBackup: typeof backups.makeBackup = (options) =>
  cleanly((slow) => backups.makeBackup({ ...options, host: slow }), options.host);
const restoreBackup: typeof backups.restoreBackup = (options) =>
  cleanly((slow) => backups.restoreBackup({ ...options, host: slow }), options.host);

interface Running {
  readonly dir: string;
  readonly master: Master;
  readonly client: Client;
  stop(): Promise<void>;
}

async function startIn(dir: string): Promise<Running> {
  const master = await startMaster({ host, dir, listen: { host: "127.0.0.1", port: 0 } });
  const client = await connect({ host, master });
  const stop = async (): Promise<void> => {
    client.close();
    await master.stop();
  };
  return { dir, master, client, stop };
}

const JOB = { id: "a", run: "true" } as const;

async function submit({ client }: Running, name: string): Promise<string> {
  const jobs = [JOB, { id: "b", run: "true", depends_on: ["a"] }];
  return (await client.submit({ name, jobs })).run;
}

async function hashOf(running: Running): Promise<string> {
  return (await running.client.info({ hash: true })).stateHash;
}

/** A folder with a log of two segments' worth of runs, and the backup of it. */
async function sample(): Promise<{ report: backups.BackupReport; hash: string; runs: string[] }> {
  const running = await startIn(join(tempFolder(), "state"));
  const runs: string[] = [];
  for (let at = 0; at < 5; at++) runs.push(await submit(running, `early-${at}`));
  await running.master.snapshot();
  for (let at = 0; at < 5; at++) runs.push(await submit(running, `late-${at}`));
  const output = join(running.dir, "output", "1");
  mkdirSync(output, { recursive: true });
  writeFileSync(join(output, "0.7"), "of an attempt that the log does not know");
  writeFileSync(join(output, "0.0.12"), "the newest of a service");
  writeFileSync(join(running.dir, "cluster"), "0123456789abcdef01234567\n");
  const hash = await hashOf(running);
  const file = join(tempFolder(), "copy.tar.gz");
  const report = await makeBackup({ host, stateDir: running.dir, file });
  await running.stop();
  return { report, hash, runs };
}

const SAMPLE = await sample();

test("a backup beside a running master restores to the same state", async () => {
  const { report, hash, runs } = SAMPLE;
  assert.equal(report.info.stateHash, hash);
  assert.deepEqual([report.info.runs, report.hasStore, report.missing], [10, false, []]);
  const stateDir = join(tempFolder(), "restored");
  const restored = await restoreBackup({ host, file: report.file, stateDir });
  assert.equal(restored.info.stateHash, hash);
  assert.ok((await verifyLog(host, join(stateDir, "log"))).ok);
  assert.deepEqual(readdirSync(stateDir), ["cluster", "log", "output"]);
  assert.deepEqual(readdirSync(join(stateDir, "output", "1")), ["0.0.12"]);
  const running = await startIn(stateDir);
  try {
    assert.equal(await hashOf(running), hash);
    assert.deepEqual((await running.client.runs()).map(({ id }) => id).sort(), runs.sort());
    await submit(running, "goes-on");
  } finally {
    await running.stop();
  }
});

test("artifacts are in a backup, those of a snapshot as well as later ones", async () => {
  const running = await startIn(join(tempFolder(), "state"));
  const run = await submit(running, "r");
  await running.client.putArtifact("early", "first", { run });
  await running.master.snapshot();
  await running.client.putArtifact("late", "second", { keep: true });
  await running.client.putArtifact("same", "second", { run });
  const file = join(tempFolder(), "copy.tar.gz");
  const { info, missing } = await makeBackup({ host, stateDir: running.dir, file });
  await running.stop();
  assert.deepEqual(missing, []);
  const stateDir = join(tempFolder(), "restored");
  assert.equal((await restoreBackup({ host, file, stateDir })).info.stateHash, info.stateHash);
  const again = await startIn(stateDir);
  try {
    for (const [name, from, text] of [
      ["early", { run }, "first"],
      ["late", {}, "second"],
    ] as const) {
      let found = "";
      for await (const piece of (await again.client.getArtifact(name, from)).bytes) found += piece;
      assert.equal(found, text);
    }
  } finally {
    await again.stop();
  }
});

test("a backup leaves nothing beside it, and the folder as it was", async () => {
  assert.deepEqual(readdirSync(join(SAMPLE.report.file, "..")), ["copy.tar.gz"]);
});

test("every acknowledged run is in a backup that is taken while others come, snapshots are taken " +
  "and segments go", async () => {
  const running = await startIn(join(tempFolder(), "state"));
  const acknowledged: string[] = [];
  let isOver = false;
  const busy = (async () => {
    while (!isOver) {
      acknowledged.push(await submit(running, `r${acknowledged.length}`));
      if (acknowledged.length % 10 === 0) await running.master.snapshot();
    }
  })();
  try {
    for (let round = 0; round < 5; round++) {
      const before = [...acknowledged];
      const file = join(tempFolder(), "copy.tar.gz");
      const { info } = await makeBackup({ host, stateDir: running.dir, file });
      const stateDir = join(tempFolder(), "restored");
      await restoreBackup({ host, file, stateDir });
      const again = await startIn(stateDir);
      const known = new Set((await again.client.runs()).map(({ id }) => id));
      assert.equal(await hashOf(again), info.stateHash);
      await again.stop();
      assert.deepEqual(before.filter((run) => !known.has(run)), [], `round ${round}`);
    }
  } finally {
    isOver = true;
    await busy;
    await running.stop();
  }
});

/** The real disk, with some of its calls answered by a test. */
function hostWith(change: (storage: Storage) => Partial<Storage>): Host {
  return { ...host, storage: { ...host.storage, ...change(host.storage) } };
}

test("a compaction between the manifest and its files is noticed, and the copy begins again",
  async () => {
    const running = await startIn(join(tempFolder(), "state"));
    await submit(running, "one");
    await running.master.snapshot();
    await submit(running, "two");
    let rounds = 0;
    const slow = hostWith((storage) => ({
      readFile: async (path) => {
        const bytes = await storage.readFile(path);
        if (path.endsWith("/log/MANIFEST") && !path.includes("store") && rounds++ === 0) {
          await running.master.snapshot(); // replaces the snapshot that we have just read of
        }
        return bytes;
      },
    }));
    const file = join(tempFolder(), "copy.tar.gz");
    const { info } = await makeBackup({ host: slow, stateDir: running.dir, file });
    assert.equal(info.stateHash, await hashOf(running));
    assert.ok(rounds > 1, "the first round found a file missing");
    await running.stop();
  });

/** A run with a project, in a folder whose blob a test can remove. */
async function withProject(): Promise<Running & { blob: string }> {
  const running = await startIn(join(tempFolder(), "state"));
  const project = tempFolder();
  writeFileSync(join(project, "a.txt"), "hello");
  await running.client.submit({ name: "p", project: true, jobs: [JOB] }, { projectDir: project });
  const [blob = ""] = readdirSync(join(running.dir, "blobs"));
  return { ...running, blob };
}

test("a project that is removed in the middle makes the copy begin again", async () => {
  const running = await withProject();
  let looks = 0;
  const forgetful = hostWith((storage) => ({
    open: async (path, options) => {
      if (path.includes("/blobs/") && looks++ === 0) {
        throw Object.assign(new Error("gone"), { code: "ENOENT" });
      }
      return await storage.open(path, options);
    },
  }));
  const file = join(tempFolder(), "copy.tar.gz");
  const { missing } = await makeBackup({ host: forgetful, stateDir: running.dir, file });
  assert.deepEqual([missing, looks], [[], 2]);
  const stateDir = join(tempFolder(), "restored");
  await restoreBackup({ host, file, stateDir });
  assert.deepEqual(readdirSync(join(stateDir, "blobs")), [running.blob]);
  await running.stop();
});

test("a project that the folder does not have is told, and the rest is copied", async () => {
  const running = await withProject();
  await host.storage.remove(join(running.dir, "blobs", running.blob));
  const file = join(tempFolder(), "copy.tar.gz");
  const { missing } = await makeBackup({ host, stateDir: running.dir, file });
  assert.deepEqual(missing, [running.blob]);
  await running.stop();
});

// ── refusals ─────────────────────────────────────────────────────────────────────────────────────

/** A disk on which so many bytes fit. */
function fullAfter(room: number): Host {
  return hostWith((storage) => ({
    open: async (path, options) => {
      const file = await storage.open(path, options);
      if (options?.readOnly === true) return file;
      const append = file.append.bind(file);
      file.append = async (parts) => {
        room -= parts.reduce((sum, part) => sum + part.length, 0);
        if (room < 0) throw Object.assign(new Error("write"), { code: "ENOSPC" });
        await append(parts);
      };
      return file;
    },
  }));
}

test("a full disk refuses a backup and a restore, and nothing is left of them", async () => {
  const stateDir = join(tempFolder(), "restored");
  await restoreBackup({ host, file: SAMPLE.report.file, stateDir });
  const folder = tempFolder();
  const file = join(folder, "copy.tar.gz");
  // The time is in it, so no two copies have quite the same size.
  for (const room of [0, 100, SAMPLE.report.bytes - 64]) {
    await assert.rejects(makeBackup({ host: fullAfter(room), stateDir, file }),
      /^BackupError: Cannot back up .* to .*copy\.tar\.gz: the disk is full$/);
    assert.deepEqual(readdirSync(folder), [], `${room} bytes`);
  }
  const target = join(folder, "new");
  for (const room of [0, 300]) {
    await assert.rejects(
      restoreBackup({ host: fullAfter(room), file: SAMPLE.report.file, stateDir: target }),
      /Cannot restore .*: the disk is full$/);
    assert.deepEqual(readdirSync(folder), []);
  }
});

test("a restore is refused in a folder that is in use, or not empty", async () => {
  const { file } = SAMPLE.report;
  const running = await startIn(join(tempFolder(), "state"));
  const names = readdirSync(running.dir);
  await assert.rejects(restoreBackup({ host, file, stateDir: running.dir }),
    /: the folder is in use \(Cannot lock .*: held by process \d+\)$/);
  await running.stop();
  await assert.rejects(restoreBackup({ host, file, stateDir: running.dir }),
    /: the folder is not empty: it holds log$/);
  assert.deepEqual(readdirSync(running.dir), names.filter((name) => name !== "lock"));
  const killed = tempFolder();
  mkdirSync(join(killed, ".restore-0123456789ab"));
  await assert.rejects(restoreBackup({ host, file, stateDir: killed }),
    /it holds \.restore-0123456789ab, which a restore left that was killed$/);
});

test("an empty folder that is there is used, and stays when the backup is bad", async () => {
  const [empty, bad] = [tempFolder(), join(tempFolder(), "bad.tar.gz")];
  writeFileSync(bad, "no backup");
  await assert.rejects(
    restoreBackup({ host, file: bad, stateDir: empty }),
    /: it is no gzip file$/,
  );
  assert.deepEqual(readdirSync(empty), []);
  await restoreBackup({ host, file: SAMPLE.report.file, stateDir: empty });
  assert.deepEqual(readdirSync(empty), ["cluster", "log", "output"]);
});

async function refused(bytes: Buffer): Promise<string> {
  const folder = tempFolder();
  const file = join(folder, "wrong.tar.gz");
  writeFileSync(file, bytes);
  const stateDir = join(folder, "state");
  const error = await restoreBackup({ host, file, stateDir }).then(
    () => undefined,
    (e: Error) => e,
  );
  assert.deepEqual(readdirSync(folder), ["wrong.tar.gz"], "nothing is left of a refused restore");
  return error?.message.replace(`Cannot restore ${file} to ${stateDir}: `, "") ?? "taken";
}

test("a backup that is cut short is refused, wherever it was cut, with where that is", async () => {
  const bytes = readFileSync(SAMPLE.report.file);
  for (let end = 20; end < bytes.length; end += 61) {
    assert.match(await refused(bytes.subarray(0, end)), /^it is cut short, behind \S/, `${end}`);
  }
  assert.match(await refused(bytes.subarray(0, bytes.length - 9)), /cut short, behind SHA256SUMS$/);
});

test("a backup with a wrong byte is refused, wherever that is", async () => {
  const bytes = readFileSync(SAMPLE.report.file);
  for (let at = 12; at < bytes.length; at += 83) {
    const wrong = Buffer.from(bytes);
    wrong[at]! ^= 0x10;
    assert.notEqual(await refused(wrong), "taken", `byte ${at}`);
  }
});

/** The sample, unpacked, changed, and packed again. */
function repacked(change: (entries: Map<string, Buffer>) => void): Buffer {
  const tar = gunzipSync(readFileSync(SAMPLE.report.file));
  const entries = new Map<string, Buffer>();
  for (let at = 0; tar[at] !== 0;) {
    const path = tar.toString("utf8", at, at + 100).replace(/\0[^]*/, "");
    const size = Number.parseInt(tar.toString("latin1", at + 124, at + 135), 8);
    entries.set(path, tar.subarray(at + 512, at + 512 + size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  change(entries);
  // Not `tarball(all)`: the order is part of the format.
  const parts = [...entries].map(([path, content]): TarEntry => ({ path, content }));
  const bodies = parts.map((entry) => tarball([entry]).subarray(0, -1024));
  return gzipSync(Buffer.concat([...bodies, Buffer.alloc(1024)]));
}

const SNAPSHOT = /^log\/\d{16}\.snap$/;

test("a backup is refused for a file that is wrong, missing or strange, by its name", async () => {
  const cases: readonly (readonly [RegExp, (entries: Map<string, Buffer>) => void])[] = [
    [
      /^log\/\d+\.snap is damaged$/,
      (all) => {
        for (const path of all.keys()) if (SNAPSHOT.test(path)) all.set(path, Buffer.alloc(64));
      },
    ],
    [/^cluster is missing$/, (all) => all.delete("cluster")],
    [
      /^SHA256SUMS lacks blobs\/0{64}$/,
      (all) => {
        const sums = all.get("SHA256SUMS")!;
        all.delete("SHA256SUMS");
        all.set(`blobs/${"0".repeat(64)}`, Buffer.alloc(1)).set("SHA256SUMS", sums);
      },
    ],
    [/^it has no SHA256SUMS$/, (all) => all.delete("SHA256SUMS")],
    [/^its SHA256SUMS is damaged$/, (all) => all.set("SHA256SUMS", Buffer.from("no sums\n"))],
    [/^it holds \.\.\/evil, which no backup has$/, (all) => all.set("../evil", Buffer.alloc(1))],
    [/^it holds log\/\.\.\/x, which/, (all) => all.set("log/../x", Buffer.alloc(1))],
    [/^it begins with \S+, not with titan-backup\.json$/, (all) => all.delete("titan-backup.json")],
    [
      /^its titan-backup\.json cannot be read$/,
      (all) => all.set("titan-backup.json", Buffer.from("{")),
    ],
    [
      /^it has format 2, this Titan reads 1$/,
      (all) => {
        const info = JSON.parse(String(all.get("titan-backup.json"))) as object;
        all.set("titan-backup.json", Buffer.from(JSON.stringify({ ...info, format: 2 })));
      },
    ],
  ];
  for (const [expected, change] of cases) assert.match(await refused(repacked(change)), expected);
});

test("a backup whose log gives another state is refused", async () => {
  const { createHash } = await import("node:crypto");
  const message = await refused(repacked((all) => {
    const info = JSON.parse(String(all.get("titan-backup.json"))) as object;
    const bytes = Buffer.from(JSON.stringify({ ...info, stateHash: "0".repeat(64) }));
    all.set("titan-backup.json", bytes);
    const sum = createHash("sha256").update(bytes).digest("hex");
    const sums = String(all.get("SHA256SUMS")).replace(/^\w{64}(?= {2}titan-backup)/m, sum);
    all.set("SHA256SUMS", Buffer.from(sums));
  }));
  assert.match(message, /^its state has the hash [0-9a-f]{16}…, not 0{16}…$/);
});

test("a damaged log is not backed up, and the message names the place", async () => {
  const stateDir = join(tempFolder(), "state");
  await restoreBackup({ host, file: SAMPLE.report.file, stateDir });
  const [segment = ""] = readdirSync(join(stateDir, "log")).filter((name) => name.endsWith(".seg"));
  const path = join(stateDir, "log", segment);
  const bytes = readFileSync(path);
  bytes[40]! ^= 1;
  writeFileSync(path, bytes);
  const file = join(tempFolder(), "copy.tar.gz");
  await assert.rejects(makeBackup({ host, stateDir, file }), /\.seg: offset 32: record \d+: /);
});

test("a torn tail is left out of a backup, as a start would cut it", async () => {
  const stateDir = join(tempFolder(), "state");
  await restoreBackup({ host, file: SAMPLE.report.file, stateDir });
  const segment = readdirSync(join(stateDir, "log"))
    .filter((name) => name.endsWith(".seg"))
    .at(-1)!;
  const path = join(stateDir, "log", segment);
  writeFileSync(path, Buffer.concat([readFileSync(path), Buffer.alloc(20, 3)]));
  const file = join(tempFolder(), "copy.tar.gz");
  const { info } = await makeBackup({ host, stateDir, file });
  assert.equal(info.stateHash, SAMPLE.hash);
});

test("a backup that is stopped leaves nothing", async () => {
  const stateDir = join(tempFolder(), "state");
  await restoreBackup({ host, file: SAMPLE.report.file, stateDir });
  const folder = tempFolder();
  const stopped = (): boolean => true;
  await assert.rejects(
    makeBackup({ host, stateDir, file: join(folder, "x.gz"), stopped }), /: it was stopped$/);
  await assert.rejects(
    restoreBackup({ host, stateDir: join(folder, "s"), file: SAMPLE.report.file, stopped }),
    /: it was stopped$/);
  assert.deepEqual(readdirSync(folder), []);
});

// ── for ever ─────────────────────────────────────────────────────────────────────────────────────

/** test/data/logs: files of an earlier version, and what they mean. */
const KEPT: readonly (readonly [file: string, stateHash: string, runs: string[]])[] = [
  [
    "0.1.0-events.tar.gz",
    "1628ced04979ecaf17217ebb0bb2ab6f087150e2818d35538e530f911c756ab1",
    ["COMPLETED 3", "FAILED 2", "CANCELLED 1", "RUNNING 1"],
  ],
  [
    "0.1.0-snapshot.tar.gz",
    "18287b0c3bc82c14ef56e9e6774d7ea7a57b6da51647b809a49270c14e86c961",
    ["COMPLETED 3", "FAILED 2", "CANCELLED 2", "RUNNING 2"],
  ],
];

for (const [file, stateHash, statuses] of KEPT) {
  test(`${file} restores to the state that it had, and a master goes on from it`, async () => {
    const stateDir = join(tempFolder(), "state");
    const kept = join(ROOT, "test", "data", "logs", file);
    const { info } = await restoreBackup({ host, file: kept, stateDir });
    assert.equal(info.stateHash, stateHash);
    const running = await startIn(stateDir);
    const counts = new Map<string, number>();
    for (const { status } of await running.client.runs()) {
      counts.set(status, (counts.get(status) ?? 0) + 1);
    }
    assert.deepEqual([...counts].map((pair) => pair.join(" ")).sort(), statuses.sort());
    await submit(running, "goes-on");
    await running.stop();
  });
}

// ── the commands ─────────────────────────────────────────────────────────────────────────────────

test("titan backup and titan restore say what they did, and refuse in words", async () => {
  const folder = tempFolder();
  const [state, file] = [join(folder, "state"), join(folder, "copy.tar.gz")];
  const none = await inProcess(["backup", file, "--state", state]);
  assert.equal(none.code, 1);
  assert.match(none.stderr, /^titan: Cannot back up .*state to .*: there is no log in /);
  const restored = await inProcess(["restore", SAMPLE.report.file, "--state", state]);
  assert.match(restored.stdout, /state: \d files, 10 runs up to event 10, as of 20\d\d-/);
  const made = await inProcess(["backup", file, "--state", state]);
  assert.match(made.stdout, /copy\.tar\.gz: [\d.]+ kB, 10 runs up to event 10\n$/);
  const again = await inProcess(["backup", file, "--state", state]);
  assert.deepEqual(
    [again.code, /the file exists\n {2}give it another name/.test(again.stderr)],
    [1, true],
  );
  const json = await inProcess(["restore", file, "--json"], { TITAN_HOME: join(folder, "other") });
  assert.equal((JSON.parse(json.stdout) as { runs: number }).runs, 10);
});
