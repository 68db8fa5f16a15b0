/**
 * What takes a second process: locks that die with their holder, and a peer that does not answer.
 */
import assert from "node:assert/strict";
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { after, before, test } from "node:test";
import { lockHolder, nodeHost, type Socket } from "#host";

const host = nodeHost();
const folder = mkdtempSync(join(tmpdir(), "titan-lock-"));
const path = join(folder, "titan.lock");
let child: ChildProcess;
let port = 0;

before(async () => {
  child = fork(join(import.meta.dirname, `03-host.lock-child${extname(import.meta.filename)}`), [
    path,
  ]);
  const [message] = (await once(child, "message")) as [{ port: number }];
  port = message.port;
});
after(async () => {
  if (child.exitCode === null && child.signalCode === null) {
    child.kill("SIGKILL");
    await once(child, "exit");
  }
  rmSync(folder, { recursive: true });
});

test("lock() names the other process that holds it, frozen or not", async () => {
  const held = { code: "ELOCKED", message: `Cannot lock ${path}: held by process ${child.pid}` };
  await assert.rejects(host.storage.lock(path), held);
  child.kill("SIGSTOP");
  await assert.rejects(host.storage.lock(path), held);
});

test("dial() gives up with ETIMEDOUT on a peer that does not answer", async () => {
  // The child is stopped and its queue holds two; the kernel ignores whoever comes after them.
  const open: Socket[] = [];
  const failures: unknown[] = [];
  for (let i = 0; i < 6 && failures.length === 0; i++) {
    await host.network.dial({ host: "127.0.0.1", port }, { timeoutMs: 60 }).then(
      (socket) => open.push(socket),
      (error) => failures.push(error),
    );
  }
  for (const socket of open) socket.destroy();
  if (process.platform !== "linux") return; // others answer for a stopped process
  assert.equal((failures[0] as { code?: string } | undefined)?.code, "ETIMEDOUT");
});

test("lock() succeeds after kill -9 of the holder, once for any number of racers", async () => {
  child.kill("SIGKILL");
  await once(child, "exit");
  const corpse = readFileSync(path);
  for (let round = 0; round < 20; round++) {
    writeFileSync(path, corpse);
    const results = await Promise.allSettled(
      Array.from({ length: 8 }, () => host.storage.lock(path)),
    );
    const won = results.filter((result) => result.status === "fulfilled");
    const codes = results.flatMap((result) =>
      result.status === "rejected" ? [(result.reason as { code?: string }).code] : [],
    );
    assert.equal(won.length, 1, `round ${round}`);
    assert.deepEqual(new Set(codes), new Set(["ELOCKED"]));
    await won[0]!.value.release();
    assert.deepEqual(await host.storage.list(folder), []);
  }
});

test("lock() is not fooled by a process that was given the dead holder's number", async () => {
  const lock = await host.storage.lock(path);
  const mine = readFileSync(path, "utf8");
  await lock.release();
  if (mine.includes(" - ")) return; // a system that does not tell when a process started
  const [pid, start, boot] = mine.trim().split(" ");
  for (const other of [
    `${pid} ${Number(start) - 1} ${boot}\n`,
    `${pid} ${start} another-boot\n`,
    `1 ${start} ${boot}\n`,
    "",
    "garbage",
  ]) {
    writeFileSync(path, other);
    await (await host.storage.lock(path)).release();
  }
  // As older versions wrote it.
  writeFileSync(path, `${pid} ${start} ${boot}\n`);
  await assert.rejects(host.storage.lock(path), { code: "ELOCKED" });
  rmSync(path);
});

test("lock() tells a copy of a held lock from another name of it", async () => {
  const [original, copy, name] = ["original", "copy", "name"].map((folderName) =>
    join(folder, folderName),
  ) as [string, string, string];
  for (const at of [original, name]) mkdirSync(at);
  const held = await host.storage.lock(join(original, "lock"));
  cpSync(original, copy, { recursive: true, preserveTimestamps: true });
  linkSync(join(original, "lock"), join(name, "lock"));
  assert.equal(await lockHolder(join(copy, "lock")), undefined);
  assert.equal(await lockHolder(join(original, "lock")), process.pid);
  for (const at of [original, name]) {
    await assert.rejects(host.storage.lock(join(at, "lock")), { code: "ELOCKED" });
  }
  const beside = await host.storage.lock(join(copy, "lock"));
  await assert.rejects(host.storage.lock(join(copy, "lock")), { code: "ELOCKED" });
  renameSync(original, `${original}-moved`);
  await assert.rejects(host.storage.lock(join(`${original}-moved`, "lock")), { code: "ELOCKED" });
  await beside.release();
  await held.release();
  for (const at of [`${original}-moved`, copy, name]) rmSync(at, { recursive: true });
});

test("what storage makes is its owner's alone, whatever the umask", async () => {
  const before = process.umask();
  try {
    for (const umask of [0o000, 0o022, 0o077]) {
      process.umask(umask);
      const top = join(folder, `umask-${umask}`);
      await host.storage.mkdir(join(top, "deep", "er"));
      await host.storage.writeFile(join(top, "written"), Buffer.from("x"));
      await (await host.storage.open(join(top, "opened"), { create: true })).close();
      const held = await host.storage.lock(join(top, "lock"));
      const modes = ["", "deep", "deep/er", "written", "opened", "lock"].map(
        (name) => statSync(join(top, name)).mode & 0o777,
      );
      assert.deepEqual(modes, [0o700, 0o700, 0o700, 0o600, 0o600, 0o600]);
      await held.release();
      rmSync(top, { recursive: true });
    }
  } finally {
    process.umask(before);
  }
});

test("lock() does not stop at a racer that died while it was removing a dead lock", async () => {
  writeFileSync(path, "999999999 1 x\n");
  writeFileSync(`${path}.steal`, "999999998 1 x\n");
  await (await host.storage.lock(path)).release();
  assert.deepEqual(await host.storage.list(folder), []);
});
