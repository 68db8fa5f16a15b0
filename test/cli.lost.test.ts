/**
 * A log that has lost its beginning, as a person meets it: refused by name, accepted on demand, and
 * not forgotten.
 */
import assert from "node:assert/strict";
import { appendFileSync, chmodSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { nodeHost } from "#host";
import { openLog } from "#log";
import { startMaster } from "#master";
import { inProcess, tempFolder, titan } from "./cli.support.ts";

const host = nodeHost();
const state = tempFolder();
const segment = join(state, "log", "0000000000000001.seg");
const listen = { host: "127.0.0.1", port: 0 };

async function write(): Promise<void> {
  const log = await openLog({ host, dir: join(state, "log") });
  await log.durable();
  await log.close();
}

test("titan master refuses a log without its header and says what to " +
  "do; verify fails", async () => {
  await write();
  truncateSync(segment, 10);
  const { code, stderr } = await titan(["master", "--state", state, "--port", "0"], { cwd: state });
  assert.equal(code, 1);
  assert.match(
    stderr,
    new RegExp(
      String.raw`0000000000000001\.seg: offset 0: its header is gone ` +
        String.raw`\(10 of its 32 bytes are there\), ` +
        "and any records with it, which may have been acknowledged",
    ),
  );
  assert.match(
    stderr,
    new RegExp(
      [
        "titan eventlog repair DIR --dry-run says what a repair would do",
        String.raw`  titan master --accept-loss \(or up\) starts without it`,
      ].join("\n"),
    ),
  );
  const verified = await inProcess(["log", "verify", state]);
  assert.equal(verified.code, 1);
});

test("a master with acceptLoss starts and hands on what it ignored; verify " +
  "and doctor remember", async () => {
  const master = await startMaster({ host, dir: state, listen, acceptLoss: true });
  assert.equal(master.recovered.ignored.length, 1);
  assert.match(master.recovered.ignored[0]!, /its header is gone/);
  assert.deepEqual([master.recovered.events, master.recovered.tornBytes], [0, 10]);
  await master.stop();
  appendFileSync(segment, Buffer.alloc(44, "t"));
  const again = await startMaster({ host, dir: state, listen });
  assert.deepEqual([again.recovered.ignored, again.recovered.tornBytes], [[], 44]);
  await again.stop();
  const { code, stdout } = await inProcess(["log", "verify", state]);
  assert.equal(code, 0);
  const lines = stdout
    .trimEnd()
    .split("\n")
    .slice(1)
    .map((line) => line.replace(/\d{4}-\d\d-\d\d [\d:]{8}/, "WHEN"));
  assert.deepEqual(lines, [
    "2 earlier recoveries:",
    "  WHEN  lost what 0000000000000001.seg held: its header is gone (10 of its 32 bytes are " +
      "there), and any records with it, which may have been acknowledged",
    "  WHEN  cut 44 bytes of 0000000000000001.seg, with no record before them",
  ]);
  const modes = [
    "",
    "lock",
    "log",
    "log/MANIFEST",
    "log/RECOVERIES",
    "log/0000000000000001.seg",
  ].map((name) => statSync(join(state, name), { throwIfNoEntry: false })?.mode);
  assert.deepEqual(
    modes.map((mode) => (mode === undefined ? 0 : mode & 0o077)),
    [0, 0, 0, 0, 0, 0],
  );
  chmodSync(state, 0o755);
  const doctor = await inProcess(["doctor", "--state", state, "--master", "127.0.0.1:1"]);
  assert.match(
    doctor.stdout,
    /^warn  log +on \S+ \S+ a start of .*log lost what 0000000000000001\.seg held/m,
  );
  assert.match(doctor.stdout, /titan eventlog verify .* lists all 2/);
  assert.match(
    doctor.stdout,
    /^warn  access +.+ is open to other users of this machine \(mode 0755\).*\n +chmod -R go= '/m,
  );
});
