import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync,
} from "node:fs";
import promises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, mock, test } from "node:test";
import { removeTree } from "#host";

const root = mkdtempSync(join(tmpdir(), "titan-remove-"));
after(() => rmSync(root, { recursive: true, force: true }));
let folders = 0;
const fresh = (): string => join(root, `f${++folders}`);
const inFolder = (folder: string, script: string): void => {
  mkdirSync(folder);
  execFileSync("sh", ["-ec", script], { cwd: folder });
};

test("removeTree() removes folders without permissions, every time", async () => {
  const script = `for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
      mkdir -p d$i/deep; touch d$i/deep/a d$i/deep/b d$i/deep/c
      case $((i % 3)) in 0) chmod 555 d$i/deep ;; 1) chmod 000 d$i/deep ;; 2) chmod 600 d$i ;; esac
    done; chmod 500 .`;
  for (let round = 0; round < 8; round++) {
    const folder = fresh();
    inFolder(folder, script);
    await removeTree(folder);
    assert.equal(existsSync(folder), false);
  }
});

test("removeTree() removes links and does not follow them", async () => {
  const folder = fresh();
  const outside = fresh();
  mkdirSync(join(folder, "d"), { recursive: true });
  mkdirSync(outside, { mode: 0o500 });
  writeFileSync(join(root, "kept"), "kept");
  symlinkSync(outside, join(folder, "out"));
  symlinkSync("../../kept", join(folder, "d", "file"));
  symlinkSync("nowhere", join(folder, "d", "broken"));
  await removeTree(folder);
  symlinkSync(outside, folder);
  await removeTree(folder);
  const kept = readFileSync(join(root, "kept"), "utf8");
  assert.deepEqual([existsSync(folder), existsSync(outside), kept], [false, true, "kept"]);
});

test("removeTree() takes what is missing for removed, and removes a single file", async () => {
  const path = fresh();
  await removeTree(path);
  await removeTree(join(path, "below"));
  writeFileSync(path, "x");
  await removeTree(path);
  assert.equal(existsSync(path), false);
});

test("removeTree() removes names that are no text, pipes, and a tree deeper " +
  "than any path", async () => {
  const folder = fresh();
  inFolder(folder, `
    mkdir "$(printf 'a\\377b')" && touch "$(printf 'a\\377b/\\200')" "$(printf 'n\\nl')" ./-rf
    mkfifo pipe
    i=0; name=$(printf '%0200d' 7)
    while [ $i -lt 60 ]; do
      mkdir $name && cd -P $name && touch f && chmod 755 . && i=$((i + 1))
    done
    chmod 500 .
  `);
  await removeTree(folder);
  assert.equal(existsSync(folder), false);
});

test("removeTree() removes 8,000 files in one folder, and lets the event loop " +
  "go on meanwhile", async () => {
  const folder = fresh();
  mkdirSync(folder);
  for (let i = 0; i < 8_000; i++) writeFileSync(join(folder, String(i)), "");
  let turns = 0;
  const tick = setInterval(() => turns++, 1);
  await removeTree(folder);
  clearInterval(tick);
  assert.ok(turns > 10, `${turns} turns`);
  assert.equal(existsSync(folder), false);
});

test("removeTree() called by several at once, on one tree, fails for none of them", async () => {
  for (let round = 0; round < 8; round++) {
    const folder = fresh();
    inFolder(
      folder,
      "for i in $(seq 10); do mkdir -p a$i/b/c; touch a$i/1 a$i/b/2 a$i/b/c/3; done; " +
        "chmod 500 a1/b a2",
    );
    await Promise.all(Array.from({ length: 12 }, () => removeTree(folder)));
    assert.equal(existsSync(folder), false);
  }
});

test("removeTree() by several at once, on one folder of many files, fails for none", async () => {
  const folder = fresh();
  mkdirSync(folder);
  for (let i = 0; i < 1_000; i++) writeFileSync(join(folder, String(i)), "");
  await Promise.all([1, 2, 3, 4].map(() => removeTree(folder)));
  assert.equal(existsSync(folder), false);
});

type Call = "unlink" | "rmdir" | "rename" | "opendir";

/**
 * While `work` runs, something else has a say in each of these calls: it throws, or goes on with
 * the real one.
 */
async function interfering<T>(
  name: Call,
  how: (real: () => Promise<unknown>, path: string) => unknown,
  work: () => Promise<T>,
): Promise<T> {
  const real = promises[name] as (...args: unknown[]) => Promise<unknown>;
  const { mock: control } = mock.method(promises, name, (...args: unknown[]) => {
    return how(() => real(...args), String(args[0]));
  });
  syncBuiltinESMExports();
  try {
    return await work();
  } finally {
    control.restore();
    syncBuiltinESMExports();
  }
}

const failed = (code: string): Error => Object.assign(new Error(code), { code });

test("removeTree() tries again while a folder is being filled, and does not do " +
  "so for ever", async () => {
  const folder = fresh();
  mkdirSync(folder);
  let calls = 0;
  const filled = (times: number) => async (real: () => Promise<unknown>): Promise<unknown> => {
    if (++calls <= times) throw failed("ENOTEMPTY");
    return real();
  };
  await assert.rejects(interfering("rmdir", filled(1_000), () => removeTree(folder)), /ENOTEMPTY/);
  assert.ok(calls > 2 && calls < 100, `${calls} times`);
  calls = 0;
  await interfering("rmdir", filled(2), () => removeTree(folder));
  assert.equal(existsSync(folder), false);
});

test("removeTree() finds another name for what it moves up, and minds nothing that has vanished " +
  "meanwhile", async () => {
  const deep = `i=0; name=$(printf '%0200d' 7)
    while [ $i -lt 15 ]; do mkdir $name && cd -P $name && touch f && i=$((i + 1)); done`;
  for (const code of ["ENOTEMPTY", "EEXIST", "ENOENT"]) {
    const folder = fresh();
    inFolder(folder, deep);
    let calls = 0;
    await interfering("rename", async (real, path) => {
      if (++calls > 1) return real();
      if (code === "ENOENT") rmSync(path, { recursive: true });
      throw failed(code);
    }, () => removeTree(folder));
    assert.deepEqual([existsSync(folder), calls >= 1], [false, true], code);
  }
});

test("removeTree() goes on when a folder is removed while it is read", async () => {
  const folder = fresh();
  inFolder(folder, "mkdir d; touch d/f");
  await interfering("opendir", async (real, path) => {
    const names = await real() as { read(): Promise<unknown> };
    if (path.endsWith("/d")) {
      rmSync(path, { recursive: true });
      names.read = () => Promise.reject(failed("ENOENT"));
    }
    return names;
  }, () => removeTree(folder));
  assert.equal(existsSync(folder), false);
});

test("removeTree() rejects when what it has begun is over, and not before", async () => {
  const folder = fresh();
  mkdirSync(folder);
  for (let i = 0; i < 100; i++) writeFileSync(join(folder, String(i)), "");
  let underWay = 0;
  const slow = async (real: () => Promise<unknown>, path: string): Promise<void> => {
    underWay++;
    if (path.endsWith("/50")) {
      underWay--;
      throw failed("EPERM");
    }
    for (let turn = 0; turn < 5; turn++) await promises.lstat(root);
    await real().finally(() => underWay--);
  };
  await interfering("unlink", slow, async () => {
    await assert.rejects(removeTree(folder), /EPERM/);
    assert.equal(underWay, 0);
  });
  await removeTree(folder);
  assert.equal(existsSync(folder), false);
});

test("removeTree() ends though something writes there, and works once that is over", async (t) => {
  const folder = fresh();
  mkdirSync(folder);
  const fill = "while :; do mkdir -p d/e; : >d/e/f; : >g; done 2>/dev/null";
  const writer = spawn("sh", ["-c", `cd '${folder}'; echo up; ${fill}`]);
  const ended = once(writer, "exit");
  t.after(() => writer.kill("SIGKILL"));
  await once(writer.stdout, "data");
  await removeTree(folder).catch((error: { code?: string }) =>
    assert.equal(error.code, "ENOTEMPTY"),
  );
  writer.kill("SIGKILL");
  await ended;
  await removeTree(folder);
  assert.deepEqual(readdirSync(root).filter((name) => name === folder), []);
  assert.equal(existsSync(folder), false);
});
