/** Scripts and what they start end together: scripts/lib/family.mjs. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { eventually, isAlive } from "./processes.support.ts";

const FAMILY = new URL("../scripts/lib/family.mjs", import.meta.url).href;
const folder = mkdtempSync(join(tmpdir(), "titan-family-test-"));
const all: number[] = [];
after(() => {
  for (const pid of all.filter(isAlive)) process.kill(pid, "SIGKILL"); // of a test that failed
  rmSync(folder, { recursive: true, force: true });
});

/** Knows nothing of families, and would stay for ever. */
const ROLE = file(
  "role.mjs",
  `
  process.stdout.write("ready " + process.pid + "\\n");
  setInterval(() => {}, 1000);
`,
);

/** As ROLE, and writes for as long as it lives. */
const TALKER = file(
  "talker.mjs",
  `
  process.stdout.write("ready " + process.pid + "\\n");
  setInterval(() => console.log("still here"), 10);
`,
);

/** Starts a role in a process group of its own, and leaves a mark when it tidies up. */
const MIDDLE = file(
  "middle.mjs",
  `
  import { writeFileSync } from "node:fs";
  import { endTogether, startMember } from ${JSON.stringify(FAMILY)};
  endTogether(() => writeFileSync(process.argv[2], "tidy"));
  const role = startMember(
    [${JSON.stringify(ROLE)}],
    { stdio: ["ignore", "pipe", "inherit"], detached: true },
  );
  role.stdout.on("data", (text) => process.stdout.write(text));
  process.stdout.write("ready " + process.pid + "\\n");
  setInterval(() => console.log("still here"), 10);
`,
);

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

/** A script that starts `program` as its member, on its own terminal. */
function script(program: string, ...args: string[]): string {
  return file(
    `script-${Math.random()}.mjs`,
    `
    import { startMember } from ${JSON.stringify(FAMILY)};
    startMember(${JSON.stringify([program, ...args])}, { stdio: "inherit" })
      .on("exit", (code) => process.exit(code ?? 1));
  `,
  );
}

/** Runs a script until so many of its family have said who they are. */
async function family(path: string, members: number) {
  const child = spawn(process.execPath, [path], { stdio: ["ignore", "pipe", "pipe"] });
  all.push(child.pid!);
  let [stdout, stderr] = ["", ""];
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  const pids = (): number[] =>
    [...stdout.matchAll(/ready (\d+)\n/g)].map((match) => Number(match[1]));
  const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
  await eventually("the family is there", () => pids().length === members);
  all.push(...pids());
  return { child, closed, pids: [child.pid!, ...pids()], stderr: () => stderr };
}

const gone = (pids: readonly number[]) =>
  eventually(`none of ${pids.join(", ")} lives`, () => !pids.some(isAlive));

test("startMember() ends a program that nobody reads, without a complaint", async () => {
  const { child, closed, pids, stderr } = await family(script(TALKER), 1);
  child.stdout.destroy();
  await gone(pids);
  await closed;
  assert.equal(stderr(), "");
});

test("startMember() ends a program whose parent was killed, which it does not know", async () => {
  const { child, pids } = await family(script(ROLE), 1);
  child.kill("SIGKILL");
  await gone(pids);
});

test("endTogether() tidies up and ends three generations when nobody reads " +
  "what they write", async () => {
  const mark = join(folder, "unread");
  const { child, closed, pids, stderr } = await family(script(MIDDLE, mark), 2);
  child.stdout.destroy();
  await gone(pids);
  await closed;
  assert.deepEqual([readFileSync(mark, "utf8"), stderr()], ["tidy", ""]);
});

test("endTogether() tidies up and ends three generations when the first is killed", async () => {
  const mark = join(folder, "killed");
  const { child, pids } = await family(script(MIDDLE, mark), 2);
  child.kill("SIGKILL");
  await gone(pids);
  assert.ok(existsSync(mark));
});

test("startMember() ends a grandchild whose parent was killed and could not tidy up", async () => {
  const { pids } = await family(script(MIDDLE, join(folder, "never")), 2);
  const middle = pids.find((pid) => pid !== pids[0] && commandLine(pid).includes("middle.mjs"))!;
  process.kill(middle, "SIGKILL");
  await gone(pids);
  assert.ok(!existsSync(join(folder, "never")));
});

function commandLine(pid: number): string {
  return readFileSync(`/proc/${pid}/cmdline`, "utf8");
}
