/**
 * What a worker leaves running when it and its reaper are killed, and who may be killed for it.
 * Real processes, of Linux.
 */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import fs, {
  closeSync, existsSync, fstatSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync,
  readlinkSync, realpathSync, rmSync, statSync, symlinkSync, writeFileSync,
  writeSync,
} from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, test, type TestContext } from "node:test";
import { nodeProcesses, removalsDone, takeProcessFolder } from "#process";
import {
  bootId,
  isWasteful,
  journalProcesses,
  noteGone,
  noteGroup,
  parseJournal,
  readJournal,
} from "../src/process/journal.ts";
import { endOrphans, orphansOf, type Witness } from "../src/process/orphans.ts";
import { readEntry } from "../src/process/sweep.ts";
import { lock } from "../src/host/lock.ts";
import "./leaks.support.ts";
import { EVAL } from "./processes.support.ts";

const PATH = process.env["PATH"] ?? "/usr/bin:/bin";
const temp = realpathSync(mkdtempSync(join(tmpdir(), "titan-orphans-")));
const boot = bootId()!;
const started = new Set<ChildProcess>();
afterEach(async () => {
  for (const child of started) {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  }
  started.clear();
});
after(() => {
  // Nothing, if all went well. The folder and the sleepers' times are nobody else's.
  for (const pid of [...pidsThatName(temp), ...pidsThatName(`${3_000_000 + process.pid}.`)]) {
    if (isAlive(pid)) process.kill(pid, "SIGKILL");
  }
  // A folder that was renamed away is removed in the background.
  rmSync(temp, { recursive: true, force: true, maxRetries: 5 });
});

async function until(what: string, isTrue: () => boolean): Promise<void> {
  const deadline = performance.now() + 15_000;
  while (!isTrue()) {
    if (performance.now() > deadline) assert.fail(`still not so after 15 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5)); // Looking costs more than waiting.
  }
}

/** Living processes whose environment or command line contains this text, ourselves excepted. */
function pidsThatName(text: string): number[] {
  return readdirSync("/proc").map(Number).filter((pid) => {
    if (!(pid > 0) || pid === process.pid || !isAlive(pid)) return false;
    try {
      return ["environ", "cmdline"].some((file) =>
        readFileSync(`/proc/${pid}/${file}`, "utf8").includes(text),
      );
    } catch {
      return false; // it ended while we looked
    }
  });
}

const isAlive = (pid: number): boolean => readEntry(pid)?.zombie === false;
const commandOf = (pid: number): string | undefined =>
  existsSync(`/proc/${pid}/comm`) ? readFileSync(`/proc/${pid}/comm`, "utf8").trim() : undefined;
let homes = 0;
const newHome = (): string => join(temp, `home-${++homes}`);
let marks = 0;
/** A number of seconds for `sleep` that nothing else uses. */
const mark = (): string => `${3_000_000 + process.pid}.${++marks}`;

/** A living process in a group of its own that has nothing to do with any worker. */
function innocent(env: Record<string, string> = {}): { pid: number; start: number } {
  const child = spawn("sleep", [mark()], {
    detached: true,
    stdio: "ignore",
    env: { PATH, ...env },
  });
  started.add(child);
  return { pid: child.pid!, start: readEntry(child.pid!)!.start };
}

/** The folder of a worker that is dead, as it would have left it. */
function deadFolder(
  home: string,
  files: { live?: string; owner?: string; name?: string } = {},
): string {
  const name = files.name ?? "999999999";
  const folder = join(home, name);
  mkdirSync(join(folder, "jobs"), { recursive: true });
  writeFileSync(join(folder, "host"), hostname());
  writeFileSync(join(folder, "owner"), files.owner ?? `${name} 1 ${boot}\n`);
  if (files.live !== undefined) writeFileSync(join(folder, "live"), files.live);
  return folder;
}

/** Takes a folder as a process that starts would, and says what it said. */
async function takeAsNew(home: string): Promise<string[]> {
  const notes: string[] = [];
  await takeProcessFolder(home, { onNote: (text) => notes.push(text) });
  rmSync(join(home, String(process.pid)), { recursive: true });
  return notes;
}

interface TestWorker {
  readonly pid: number;
  readonly folder: string;
  readonly child: ChildProcess;
}

/**
 * A process that takes a folder and runs jobs, each of them a shell script. Resolves when every job
 * has printed a line.
 */
async function startWorker(
  home: string,
  jobs: readonly { script: string; env?: Record<string, string> }[],
): Promise<TestWorker> {
  const text = `
    import { join } from "node:path";
    import { nodeProcesses, takeProcessFolder } from "#process";
    const onNote = (text) => console.log("note " + text);
    const folder = await takeProcessFolder(${JSON.stringify(home)}, { onNote });
    for (const [i, { script, env }] of ${JSON.stringify(jobs)}.entries()) {
      const own = {
        TITAN_RUN: "r",
        TITAN_JOB: "j" + i,
        TITAN_ATTEMPT: "1",
        TITAN_WORKDIR: join(folder, "jobs", "r", "j" + i + ".1"),
      };
      nodeProcesses().spawn({
        argv: ["sh", "-c", script],
        cwd: "/",
        env: { PATH: process.env.PATH, ...(env ?? own) },
        onOutput: (_, bytes) => process.stdout.write(bytes),
        onExit: () => {},
      });
    }
    console.log("folder " + folder);
    setInterval(() => {}, 1000);`;
  const args = [...EVAL, text];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  started.add(child);
  let out = "";
  child.stdout.on("data", (bytes: Buffer) => (out += bytes));
  await until("the worker and its jobs have begun", () => out.split("\n").length > jobs.length + 1);
  return { pid: child.pid!, folder: /^folder (.*)$/m.exec(out)![1]!, child };
}

const reaperOf = (pid: number): number | undefined =>
  readdirSync("/proc")
    .map(Number)
    .find(
      (other) =>
        readEntry(other)?.parent === pid &&
        readFileSync(`/proc/${other}/cmdline`, "utf8").includes("TITAN_WORKDIR=$name/"),
    );

/**
 * As the system does it when memory runs out: the worker and its reaper, and nobody notices in
 * between.
 */
async function killWithReaper({ pid, child }: TestWorker): Promise<void> {
  process.kill(pid, "SIGSTOP"); // or it would start another reaper
  let reaper: number | undefined;
  await until("the reaper shows its script", () => (reaper = reaperOf(pid)) !== undefined);
  process.kill(reaper!, "SIGKILL");
  child.kill("SIGKILL");
  await once(child, "exit");
}

const ID = "0123abcd-0123-4567-89ab-0123456789ab";
const LINES = `+ 4711 88213004 ${ID}\n- 4711\n+ 4712 5 ${ID}\n`;

test("parseJournal() gives the groups that were made and are not gone", () => {
  assert.deepEqual([...parseJournal(LINES)], [[4712, { start: 5, boot: ID }]]);
  assert.equal(parseJournal("").size, 0);
});

test("parseJournal() names nobody new in any truncation; any flipped bit spoils one line", () => {
  const bytes = Buffer.from(LINES, "latin1");
  const ours = (text: string) => [...parseJournal(text)].map(([pid, { start, boot }]) => {
    assert.ok(Number.isSafeInteger(pid) && pid > 0 && Number.isSafeInteger(start));
    return (
      (pid === 4711 && start === 88213004 && boot === ID) ||
      (pid === 4712 && start === 5 && boot === ID)
    );
  });
  for (let length = 0; length <= bytes.length; length++) {
    assert.ok(!ours(bytes.toString("latin1", 0, length)).includes(false), `${length} bytes`);
  }
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const flipped = Buffer.from(bytes);
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    // Another number, start or boot, perhaps, and for a kill all three would have to fit.
    assert.ok(ours(flipped.toString("latin1")).filter((same) => !same).length <= 1, `bit ${bit}`);
  }
});

test("parseJournal() reads no number from torn, foreign and oversized lines", () => {
  for (const line of [
    "+",
    "+ ",
    "+ 12",
    `+ 12 ${ID}`,
    `+ 0 5 ${ID}`,
    `+ -1 5 ${ID}`,
    `+ 1e3 5 ${ID}`,
    `+ 0x10 5 ${ID}`,
    `+ 007 5 ${ID}`,
    `+ 12.5 5 ${ID}`,
    `+ 99999999999 5 ${ID}`,
    `+ 12 -5 ${ID}`,
    `+ 12 5 -`,
    `+ 12 5 ${ID}x`,
    `+ 12 5 ${ID} 7`,
    ` + 12 5 ${ID}`,
    `+ 12 5 + 13 6 ${ID}`,
    `+ ١٢ 5 ${ID}`,
    "\0".repeat(5000),
    "9".repeat(1e6),
  ]) {
    assert.equal(parseJournal(`${line}\n`).size, 0, line.slice(0, 80));
  }
  assert.equal(parseJournal(`+ 12 5 ${ID}`).size, 0, "no line feed: perhaps half a line");
  assert.equal(
    parseJournal(`+ 12 5 + 13\n+ 14 6 ${ID}\n`).get(14)?.start,
    6,
    "a torn line costs itself",
  );
});

test("orphansOf() takes whole groups by birth, others by their folder, and no stranger", () => {
  const dead = {
    folder: "/h/7",
    groups: new Map([10, 20, 30, 40].map((pid) => [pid, { start: 100, boot: "b" }])),
  };
  const process = (pid: number, fields: Partial<Witness>): Witness => ({
    pid,
    parent: 1,
    group: pid,
    session: pid,
    start: 100,
    zombie: false,
    workFolder: undefined,
    ...fields,
  });
  const processes = [
    process(10, {}),
    process(11, { group: 10, workFolder: "/h/7/jobs/x" }),
    process(20, { start: 101 }),
    process(21, { group: 20 }),
    process(22, { group: 20, workFolder: "/h/7/jobs/x" }),
    // a leader that nobody has waited for still has its number
    process(30, { zombie: true }),
    process(31, { group: 30 }),
    process(40, { zombie: true }),
    process(41, { group: 40, zombie: true }), // nobody left
    process(50, { workFolder: "/h/77/jobs/x" }),
    process(51, { workFolder: "/h/7" }),
    process(52, { workFolder: "/h/7/jobs/x" }),
    process(53, { workFolder: "/h/7/jobs/x", zombie: true }),
  ];
  const pids = (found: readonly Witness[]) => found.map(({ pid }) => pid);
  const here = orphansOf(dead, { boot: "b", processes });
  assert.deepEqual([pids(here.leaders), pids(here.singles)], [[10, 30], [22, 52]]);
  assert.deepEqual(
    pids(orphansOf(dead, { boot: "later", processes }).leaders),
    [],
    "after a restart of the machine every number is a stranger's",
  );
  assert.deepEqual(
    pids(orphansOf(dead, { boot: "b", processes: [process(10, { group: 9 })] }).leaders),
    [],
    "it leads no group now",
  );
});

test("a journal is complete, small for ever, and holds up no job when the " +
  "disk is full", async () => {
  const path = join(temp, "live");
  journalProcesses(path);
  noteGroup(process.pid);
  const { start } = readEntry(process.pid)!;
  assert.equal(readFileSync(path, "latin1"), `+ ${process.pid} ${start} ${boot}\n`);
  assert.deepEqual([...readJournal(path)], [[process.pid, { start, boot }]]);
  const mode = (): string => (statSync(path).mode & 0o777).toString(8);
  assert.equal(mode(), "600");
  const other = innocent();
  // Held open, so that no file that takes its place may have its number.
  const first = openSync(path, "r");
  for (let i = 0; i < 100; i++) {
    noteGroup(other.pid);
    noteGone(other.pid);
  }
  const { ino } = fstatSync(first);
  closeSync(first);
  assert.equal(statSync(path).ino, ino, "it is not written anew for each group");
  let most = 0;
  for (let i = 0; i < 3000; i++) {
    noteGroup(other.pid);
    noteGone(other.pid);
    most = Math.max(most, statSync(path).size);
  }
  const line = `+ ${other.pid} ${other.start} ${boot}\n- ${other.pid}\n`;
  assert.ok(most <= 65_536 && most > 65_536 - line.length, `it had ${most} bytes`);
  assert.deepEqual(descriptorsOf(path), [path], "those that were too long are closed");
  assert.equal(mode(), "600", "the one that was written anew");
  assert.deepEqual([...readJournal(path).keys()], [process.pid]);
  noteGroup(other.pid);
  assert.deepEqual([...readJournal(path).keys()], [process.pid, other.pid]);
  noteGone(other.pid);
  journalProcesses("/dev/full");
  const ran = new Promise<number | null>((resolve) => {
    nodeProcesses().spawn({
      argv: ["true"],
      cwd: "/",
      env: { PATH },
      onOutput: () => {},
      onExit: ({ code }) => resolve(code),
    });
  });
  assert.equal(await ran, 0);
  noteGone(process.pid);
  // Not /dev/null: root, who writes a journal anew, would put a file in the place of the device.
  journalProcesses(join(mkdtempSync(`${temp}/`), "live"));
  assert.deepEqual(descriptorsOf("/dev/full"), [], "one journal is open, the last");
  for (const odd of [temp, join(temp, "none"), "/dev/zero"]) {
    assert.equal(readJournal(odd).size, 0, odd);
  }
  const old = `+ 12 34 ${boot}\n`;
  for (const [bytes, groups] of [[1_048_576, 1], [1_048_577, 0]] as const) {
    writeFileSync(path, old.padEnd(bytes, "-"));
    assert.equal(readJournal(path).size, groups, `${bytes} bytes`);
  }
  writeFileSync(path, LINES.repeat(20_000));
  assert.equal(readJournal(path).size, 0, "no worker of ours writes two megabytes");
});

test("isWasteful() asks for more than 64 KiB, half of which nobody needs", () => {
  const half = "x".repeat(32 * 1024);
  const cases = [
    [65_536, []], [65_537, []], [65_537, [half]], [65_537, [half, "y"]], [65_538, [half, "y"]],
  ] as const;
  assert.deepEqual(cases.map(([bytes, lines]) => isWasteful(bytes, lines)),
    [false, true, true, false, true]);
});

test("a line that a full disk has torn costs no other line", (t) => {
  const path = join(mkdtempSync(`${temp}/`), "live");
  journalProcesses(path);
  const [torn, whole] = [innocent(), innocent()];
  const write = writeSync;
  const full = t.mock.method(fs, "writeSync", (file: number, text: string) =>
    write(file, text.slice(0, 9)));
  syncBuiltinESMExports();
  noteGroup(torn.pid);
  full.mock.restore();
  syncBuiltinESMExports();
  noteGroup(whole.pid);
  const noted = readJournal(path);
  assert.deepEqual([noted.has(torn.pid), noted.has(whole.pid)], [false, true]);
  for (const { pid } of [torn, whole]) noteGone(pid);
});

/** What this process has open of a path, the files included that had its name before. */
function descriptorsOf(path: string): string[] {
  return readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      return target.startsWith(path) ? [target] : [];
    } catch {
      return []; // the one that reads this folder
    }
  });
}

test("removalsDone() resolves when the folders of the dead are gone, however much " +
  "is in them", async () => {
  const home = newHome();
  const dead = deadFolder(home);
  for (let i = 0; i < 2_000; i++) writeFileSync(join(dead, "jobs", String(i)), "");
  assert.deepEqual(await takeAsNew(home), []);
  await removalsDone();
  assert.deepEqual(readdirSync(home).filter((name) => name.startsWith(".removed-")), []);
});

/**
 * From now on it is 0, until somebody pauses: then a millisecond before `ms`, then that, and far
 * beyond it should that not be the end. The pauses that were asked for.
 */
function clockOfPauses(t: TestContext, ms: number): number[] {
  const pauses: number[] = [];
  const setTimer = setTimeout;
  let over = 0;
  t.mock.method(performance, "now", () => [0, ms - 1, ms - 1, ms][over] ?? 2 * ms);
  t.mock.method(globalThis, "setTimeout", (next: () => void, pause: number) => {
    pauses.push(pause);
    return setTimer(() => { over++; next(); }, 20); // time to see who does not wait for it
  });
  return pauses;
}

test("takeProcessFolder() waits for whoever holds the lock, and after three seconds does without " +
  "a sweep", async (t) => {
  const home = newHome();
  deadFolder(home);
  const held = await lock(join(home, "lock"));
  const stopped = performance.now();
  // However long this process is held up, the three seconds are not over.
  t.mock.method(performance, "now", () => stopped);
  let taken = false;
  const taking = takeAsNew(home).then(() => { taken = true; });
  await new Promise((resolve) => setTimeout(resolve, 50)); // several of its looks
  assert.equal(taken, false);
  await held.release();
  await taking;
  t.mock.restoreAll();
  assert.ok(!existsSync(join(home, "999999999")), "the dead one's folder is gone");
  await takeProcessFolder(home);
  const own = statSync(join(home, String(process.pid)));
  assert.equal((own.mode & 0o777).toString(8), "700");
  assert.ok(!existsSync(join(home, "lock")), "nobody holds it any more");
  deadFolder(home);
  const again = await lock(join(home, "lock"));
  const pauses = clockOfPauses(t, 3000);
  await takeAsNew(home);
  t.mock.restoreAll();
  assert.deepEqual(pauses, [5, 5, 5], "it looked until the three seconds were over, and no more");
  assert.ok(existsSync(join(home, "999999999")));
  await again.release();
});

test("takeProcessFolder() spares the stranger who was given the number of a dead worker's " +
  "process", async () => {
  const home = newHome();
  const stranger = innocent();
  const lines = [
    `+ ${stranger.pid} ${stranger.start + 1} ${boot}\n`,
    `+ ${stranger.pid} ${stranger.start} ${boot.replace(/^./, (c) => (c === "0" ? "1" : "0"))}\n`,
    `+ ${stranger.pid} ${stranger.start} ${boot}\n- ${stranger.pid}\n`,
    `+ ${stranger.pid} ${stranger.start} ${boot}`,
    `+ ${stranger.pid}\n`,
  ];
  for (const live of lines) {
    const folder = deadFolder(home, { live });
    assert.deepEqual(await takeAsNew(home), []);
    assert.ok(isAlive(stranger.pid), live);
    assert.equal(existsSync(folder), false);
  }
  deadFolder(home, { live: `+ ${stranger.pid} ${stranger.start} ${boot}\n` });
  deadFolder(home, { name: "999999998" });
  const [note] = await takeAsNew(home);
  assert.match(note!, /^ended 1 process left running by workers 99999999[89], 99999999[89]$/);
  assert.ok(!isAlive(stranger.pid), "with the right birth it was no stranger");
});

test("takeProcessFolder() kills neither processes 0 and 1 nor itself, its ancestors and its " +
  "group, whatever a journal says", async (t) => {
  const home = newHome();
  const kills: unknown[][] = [];
  const really = process.kill.bind(process);
  t.mock.method(process, "kill", (pid: number, signal?: string | number) =>
    signal === 0 ? really(pid, 0) : (kills.push([pid, signal]), true),
  );
  const group = readEntry(process.pid)!.group;
  const pids = [0, 1, -1, process.pid, process.ppid, readEntry(process.ppid)!.parent, group];
  deadFolder(home, {
    live: pids.map((pid) => `+ ${pid} ${readEntry(pid)?.start ?? 1} ${boot}\n`).join(""),
  });
  assert.deepEqual(await takeAsNew(home), []);
  assert.deepEqual(kills, []);
  // As in a container into which this process came by `exec`: it has no parent there.
  const [path, open] = [`/proc/${process.pid}/stat`, openSync];
  const alone = join(mkdtempSync(`${temp}/`), "stat");
  const stat = readFileSync(path, "latin1");
  writeFileSync(alone, stat.replace(new RegExp(`\\) (.) ${process.ppid} `), ") $1 0 "));
  t.mock.method(fs, "openSync", (name: string, flags: string) =>
    open(name === path ? alone : name, flags));
  syncBuiltinESMExports();
  deadFolder(home, {
    live: [1, process.pid].map((pid) => `+ ${pid} ${readEntry(pid)!.start} ${boot}\n`).join(""),
  });
  const notes = await takeAsNew(home);
  t.mock.restoreAll();
  syncBuiltinESMExports();
  assert.deepEqual([notes, kills], [[], []]);
});

test("endOrphans() lets others have their turn while it waits for the end", async () => {
  const env = { PATH, TITAN_WORKDIR: join(temp, "jobs", "r", "j.1") };
  const child = spawn("sleep", [mark()], { detached: true, stdio: "ignore", env });
  started.add(child);
  const groups = new Map([[child.pid!, { start: readEntry(child.pid!)!.start, boot }]]);
  let turns = 0;
  setImmediate(() => turns++);
  const { ended, left } = await endOrphans([{ folder: temp, groups }]);
  assert.deepEqual([ended, left, turns], [1, 0, 1]);
});

test("endOrphans() looks every 10 ms for two seconds, and then says who is left", async (t) => {
  const { pid, start } = innocent();
  const groups = new Map([[pid, { start, boot }]]);
  t.mock.method(process, "kill", () => true); // as if it waited for a disk that does not answer
  const pauses = clockOfPauses(t, 2000);
  assert.deepEqual(await endOrphans([{ folder: temp, groups }]), { ended: 0, left: 1 });
  assert.deepEqual(pauses, [10, 10, 10]);
  t.mock.restoreAll();
  process.kill(pid, "SIGKILL");
});

test("endOrphans() looks again before it kills, and spares who has the number by " +
  "then", async (t) => {
  const { pid, start } = innocent();
  const later = join(mkdtempSync(`${temp}/`), "stat");
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  writeFileSync(later, stat.replace(` ${start} `, ` ${start + 1} `));
  const [open, kill] = [openSync, process.kill.bind(process)];
  let looks = 0;
  const looksAtKill: number[] = [];
  t.mock.method(fs, "openSync", (path: string, flags: string) =>
    open(path === `/proc/${pid}/stat` && ++looks === 2 ? later : path, flags));
  t.mock.method(process, "kill", (target: number, signal: string) => {
    looksAtKill.push(looks);
    return kill(target, signal);
  });
  syncBuiltinESMExports();
  const groups = new Map([[pid, { start, boot }]]);
  const found = await endOrphans([{ folder: temp, groups }]).finally(() => {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  });
  assert.deepEqual([found, looksAtKill[0]], [{ ended: 1, left: 0 }, 4]);
});

test("endOrphans() spares its ancestors and the leader of its group, each " +
  "for that alone", async () => {
  /**
   * Whether a leader that the journal names, and that names the dead worker's folder, is spared.
   */
  const isSpared = async (leader: number, asPid = process.pid): Promise<boolean> => {
    const groups = new Map([[leader, { start: readEntry(leader)!.start, boot }]]);
    const own = process.pid;
    const pretend = (value: number) => Object.defineProperty(process, "pid", { value });
    pretend(asPid);
    const { left } = await endOrphans([{ folder: temp, groups }]).finally(() => pretend(own));
    assert.equal(left, 0);
    return isAlive(leader);
  };
  const [below, beside] = [mark(), mark()];
  for (const { time, script, isChild } of [
    { time: below, script: `setsid env -i sleep ${below} & wait`, isChild: true }, // another group
    { time: beside, script: `(env -i sleep ${beside} &); exec sleep ${mark()}`, isChild: false },
  ]) {
    const env = { PATH, TITAN_WORKDIR: join(temp, "jobs", "r", "j.1") };
    const shell = spawn("sh", ["-c", script], { detached: true, stdio: "ignore", env });
    started.add(shell);
    let sleeper = 0;
    await until("the sleeper is where it belongs", () => {
      sleeper = pidsThatName(time).find((pid) => commandOf(pid) === "sleep") ?? 0;
      return sleeper > 0 && (readEntry(sleeper)!.parent === shell.pid) === isChild;
    });
    assert.ok(await isSpared(shell.pid!, sleeper), script);
    assert.ok(isAlive(sleeper), script);
    assert.ok(!(await isSpared(shell.pid!)), `nothing else spared it: ${script}`);
    if (isAlive(sleeper)) process.kill(sleeper, "SIGKILL");
  }
});

test("takeProcessFolder() keeps the folder of a dead worker as long as something of it cannot be " +
  "ended, and says so", async (t) => {
  const home = newHome();
  const orphan = innocent();
  const folder = deadFolder(home, { live: `+ ${orphan.pid} ${orphan.start} ${boot}\n` });
  const refused = t.mock.method(process, "kill", () => {
    throw Object.assign(new Error("kill EPERM"), { code: "EPERM" });
  });
  assert.deepEqual(await takeAsNew(home), [
    "Cannot end 1 process left running by worker 999999999",
  ]);
  assert.ok(refused.mock.callCount() > 0 && isAlive(orphan.pid) && existsSync(folder));
  refused.mock.restore();
  const other = innocent({ TITAN_WORKDIR: join(folder, "jobs", "r", "j.1") });
  const really = process.kill.bind(process);
  const half = t.mock.method(process, "kill", (pid: number, signal?: string | number) => {
    if (pid !== -orphan.pid) return really(pid, signal);
    throw Object.assign(new Error("kill EPERM"), { code: "EPERM" });
  });
  await until("it shows its environment", () => pidsThatName(folder).includes(other.pid));
  assert.deepEqual(await takeAsNew(home), [
    "Cannot end 1 process left running by worker 999999999 (1 ended)",
  ]);
  half.mock.restore();
  assert.deepEqual(await takeAsNew(home), ["ended 1 process left running by worker 999999999"]);
  assert.ok(!isAlive(orphan.pid) && !existsSync(folder));
});

test("takeProcessFolder() ends everything that a worker killed together with its reaper left " +
  "running", async () => {
  const home = newHome();
  const sleeps = Array.from({ length: 7 }, mark);
  const [job, child, daemon, twice, nameless, wiped, plain] = sleeps;
  const worker = await startWorker(home, [
    {
      script:
        `sleep ${child} & setsid sleep ${daemon} & (setsid sh -c 'trap "" HUP TERM; sleep ` +
        `${twice} & echo on' &) ; exec sleep ${job}`,
    },
    // only the journal knows it
    { script: `env -i PATH="$PATH" sleep ${wiped} & echo on; sleep ${nameless}`, env: {} },
    {
      script: `echo on; exec sleep ${plain}`,
      env: { "odd-name": "takes the way without a launcher" },
    },
  ]);
  assert.ok(worker.folder.startsWith(home));
  const runs = (): string[] =>
    sleeps.filter((time) =>
      pidsThatName(time!).some((pid) => pid !== worker.pid && commandOf(pid) === "sleep"),
    );
  await until("all of them run", () => runs().length === sleeps.length);
  await killWithReaper(worker);
  await takeProcessFolder(newHome());
  assert.deepEqual(
    runs(),
    sleeps,
    "nobody ends them, and a worker with another home has no business with them",
  );
  const before = performance.now();
  const [note, ...more] = await takeAsNew(home);
  assert.deepEqual(runs(), []);
  assert.ok(performance.now() - before < 10_000, "it waits for nobody");
  assert.match(note!, new RegExp(`^ended \\d+ processes left running by worker ${worker.pid}$`));
  assert.deepEqual([more, existsSync(worker.folder), pidsThatName(worker.folder)], [[], false, []]);
});

test("takeProcessFolder() finds who has outlived the leader of its group", async () => {
  const home = newHome();
  const time = mark();
  const worker = await startWorker(home, [{ script: `trap '' HUP; echo on; exec sleep ${time}` }]);
  let sleep: number | undefined;
  // The shell speaks first, and becomes the sleeper then.
  await until("the job is a sleeper", () => {
    sleep = pidsThatName(worker.folder).find((pid) => commandOf(pid) === "sleep");
    return sleep !== undefined;
  });
  const leader = readEntry(sleep!)!.group;
  await killWithReaper(worker);
  process.kill(leader, "SIGKILL");
  await until("the leader is gone", () => !isAlive(leader));
  assert.ok(isAlive(sleep!));
  assert.deepEqual(await takeAsNew(home), [`ended 1 process left running by worker ${worker.pid}`]);
  assert.ok(!isAlive(sleep!));
});

test("takeProcessFolder() leaves the folders and jobs of living workers alone, stopped ones too, " +
  "and takes a number for nobody", async () => {
  const home = newHome();
  const worker = await startWorker(home, [{ script: "echo on; exec sleep 1000" }]);
  let job = 0;
  // The shell speaks first, and becomes the sleeper then.
  await until(
    "the job is a sleeper",
    () => (job = pidsThatName(worker.folder).find((pid) => commandOf(pid) === "sleep") ?? 0) > 0,
  );
  process.kill(worker.pid, "SIGSTOP");
  assert.deepEqual(await takeAsNew(home), []);
  assert.ok(isAlive(worker.pid) && isAlive(job) && existsSync(worker.folder));
  const stranger = innocent();
  const name = String(stranger.pid);
  for (const [owner, stays] of [
    [`${name} ${stranger.start} ${boot}\n`, true],
    ["", true],
    [name, true], // it has not come further
    [`${name} ${stranger.start + 1} ${boot}\n`, false],
  ] as const) {
    const folder = deadFolder(home, { name, owner });
    assert.deepEqual(await takeAsNew(home), []);
    assert.deepEqual([existsSync(folder), isAlive(stranger.pid)], [stays, true], owner);
  }
  writeFileSync(join(deadFolder(home), "host"), "another-machine");
  mkdirSync(join(home, "999999998")); // on another machine, perhaps: it does not say
  mkdirSync(join(home, "no-number"));
  assert.deepEqual(await takeAsNew(home), []);
  assert.deepEqual(
    readdirSync(home)
      .filter((entry) => !entry.startsWith("."))
      .sort(),
    ["999999998", "999999999", "no-number", String(worker.pid)].sort(),
  );
  worker.child.kill("SIGKILL"); // stopped, and its reaper is not
  await until("the job of a stopped worker ends with it", () => !isAlive(job));
});

test("takeProcessFolder() takes an owner that has not written when it began for dead if " +
  "nobody, or nobody else, has its number", async () => {
  const home = newHome();
  const parent = spawn("sh", ["-c", "sleep 1000 & echo $!; exec sleep 1000"], {
    stdio: ["ignore", "pipe", "ignore"], env: { PATH },
  });
  started.add(parent);
  const zombie = Number((await once(parent.stdout, "data"))[0]);
  await until("nobody waits for it", () => commandOf(parent.pid!) === "sleep");
  process.kill(zombie, "SIGKILL");
  await until("it is a zombie", () => !isAlive(zombie));
  assert.ok(readEntry(zombie)?.zombie);
  const names = [process.pid, zombie, 999999999].map(String);
  const folders = names.map((name) => deadFolder(home, { name, owner: "" }));
  for (const folder of folders) writeFileSync(join(folder, "left"), "");
  assert.deepEqual(await takeAsNew(home), []);
  const left = folders.map((folder) => existsSync(join(folder, "left")));
  assert.deepEqual(left, [false, false, false]);
});

test("takeProcessFolder() makes one end of them, whatever number of workers " +
  "start at once", async () => {
  const home = newHome();
  const worker = await startWorker(home, [
    { script: "echo on; exec sleep 1000" },
    { script: "echo on; exec sleep 1001" },
  ]);
  await killWithReaper(worker);
  // By way of a link, too: it is the same folder.
  symlinkSync(home, join(temp, "alias"));
  const notes: string[] = [];
  const options = { onNote: (text: string) => void notes.push(text) };
  const folders = await Promise.all(
    [home, join(temp, "alias"), home, home].map((path) => takeProcessFolder(path, options)),
  );
  assert.deepEqual(new Set(folders), new Set([join(home, String(process.pid))]));
  assert.deepEqual(
    [notes.length, pidsThatName(worker.folder), existsSync(worker.folder)],
    [1, [], false],
  );
  assert.ok(!existsSync(join(home, "lock")));
});
