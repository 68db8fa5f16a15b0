/** Lesson 11: launchers from their first job to their end, and the reaper's own death. */
import assert from "node:assert/strict";
import childProcess, { spawn as spawnNode } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import fs, { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test, type TestContext } from "node:test";
import type { Child, Exit } from "#host";
import { nodeProcesses } from "#process";
import { journalProcesses, readJournal } from "../src/process/journal.ts";
import { processCounts } from "../src/process/pool.ts";
import {
  attemptName, readEntry, readProc, readProcesses, SWEEP_MS, Sweeper,
} from "../src/process/sweep.ts";
import { type Ending, Launcher } from "../src/process/launcher.ts";
import "./leaks.support.ts";
import { eventually, PATH } from "./processes.support.ts";

const processes = nodeProcesses();
const IDLE_MS = 5_000;
const folder = mkdtempSync(join(tmpdir(), "titan-launchers-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const skip = readEntry(process.pid) === undefined ? "only on Linux: it looks into /proc" : false;

interface Started {
  readonly child: Child;
  readonly ended: Promise<Exit>;
  readonly bytes: number;
}

function sh(script: string): Started {
  let bytes = 0;
  let child!: Child;
  const ended = new Promise<Exit>((resolve) => {
    child = processes.spawn({
      argv: ["sh", "-c", script], cwd: folder, env: { PATH },
      onOutput: (_stream, chunk) => { bytes += chunk.length; },
      onExit: resolve,
    });
  });
  return { child, ended, get bytes() { return bytes; } };
}

/** Launchers that wait for a job, the one that is taken next first. */
async function idleLaunchers(count: number): Promise<number[]> {
  const jobs = Array.from({ length: count }, () => sh("read gone <&-; sleep 0.05"));
  const pids = jobs.map(({ child }) => child.pid!);
  await Promise.all(jobs.map(({ ended }) => ended));
  assert.equal(processCounts().idle, count);
  return pids.reverse();
}

/** Takes the place of the pool's idle timer and of its clock, which stands still by itself. */
function idleClock(t: TestContext) {
  const [now, setTimer] = [Math.round(performance.now()), setTimeout];
  const clock = {
    skippedMs: 0,
    armedMs: [] as number[],
    fire: (): void => assert.fail("no timer is armed"),
  };
  t.mock.method(performance, "now", () => now + clock.skippedMs);
  t.mock.method(globalThis, "setTimeout", (fn: () => void, ms: number) => {
    if (fn.name !== "retireIdle") return setTimer(fn, ms);
    clock.armedMs.push(ms);
    clock.fire = fn;
    return { unref: () => ({}) };
  });
  return clock;
}

test("jobs one after another share one launcher, and it is let go after five idle seconds, not " +
  "before", async (t) => {
  const clock = idleClock(t);
  const pids = new Set<number | undefined>();
  for (let i = 0; i < 10; i++) {
    const { child, ended } = sh("exit 0");
    pids.add(child.pid);
    await ended;
  }
  assert.equal(pids.size, 1, "a launcher that became idle is used again");
  assert.equal(process.listeners("exit").filter(({ name }) => name.includes("endAll")).length, 1);
  const { running, launchers, idle } = processCounts();
  assert.deepEqual({ running, launchers, idle }, { running: 0, launchers: 1, idle: 1 });
  assert.deepEqual(clock.armedMs, [IDLE_MS], "one timer for all");
  // A second one becomes idle three seconds after the first.
  const first = sh("exit 0");
  const second = sh("exit 0");
  await first.ended;
  await second.ended;
  clock.skippedMs += 3_000;
  await sh("exit 0").ended;
  clock.skippedMs += 1_998;
  clock.fire();
  assert.equal(processCounts().idle, 2, "neither has been idle for five seconds");
  clock.skippedMs += 1; // A timer may come a millisecond early.
  clock.fire();
  await eventually("the older one is gone", () => processCounts().launchers === 1);
  const next = clock.armedMs.at(-1)!;
  assert.equal(next, 3_001, "looks again when the other one is due");
  clock.skippedMs += next;
  clock.fire();
  await eventually("both are gone", () => processCounts().launchers === 0);
  const armed = clock.armedMs.length;
  await sh("exit 0").ended;
  assert.equal(clock.armedMs.length, armed + 1, "armed again by the next one that is idle");
  clock.skippedMs += IDLE_MS;
  clock.fire();
  await eventually("that one is gone, too", () => processCounts().launchers === 0);
});

test("a launcher that has died is no group of ours any more, and no job is " +
  "given to it", { skip }, async () => {
  const journal = join(folder, "live");
  const [dead, other] = await idleLaunchers(2);
  journalProcesses(journal);
  const noted = (pid?: number): boolean => readJournal(journal).has(pid!);
  assert.ok(noted(dead) && noted(other));
  process.kill(dead!, "SIGKILL");
  await eventually("its death is known", () => processCounts().launchers === 1);
  const { idle, running } = processCounts();
  assert.deepEqual({ idle, running }, { idle: 1, running: 0 });
  // Whoever ends what we leave, the reaper or the next worker, would end a stranger of that number.
  assert.ok(!noted(dead) && noted(other));
  journalProcesses(join(mkdtempSync(`${folder}/`), "live"));
  const next = sh("exit 4");
  assert.equal(next.child.pid, other);
  assert.equal((await next.ended).code, 4);
  process.kill(other!, "SIGKILL");
  await eventually("nobody is left", () => processCounts().launchers === 0);
  assert.equal(processCounts().idle, 0);
});

test("a job whose launcher dies before it began starts on the next one, paused or not as it was " +
  "last asked", { skip }, async () => {
  for (const last of ["resumed", "paused"] as const) {
    const [first] = await idleLaunchers(1);
    process.kill(first!, "SIGSTOP"); // it reads nothing
    const job = sh("head -c 1000000 /dev/zero; exit 7");
    assert.equal(job.child.pid, first);
    job.child.pause();
    if (last === "resumed") job.child.resume();
    process.kill(first!, "SIGKILL");
    if (last === "paused") {
      await eventually("it is on another launcher", () => job.child.pid !== first);
      await sh("head -c 4000000 /dev/zero").ended; // in this time it would have ended, too
      assert.ok(job.bytes < 500_000, `${job.bytes} bytes came although it is paused`);
      job.child.resume();
    }
    assert.equal((await job.ended).code, 7, last);
    assert.equal(job.bytes, 1_000_000, last);
  }
});

test("a job whose launchers die before it began fails after three of them, and leaves the fourth " +
  "alone", { skip }, async () => {
  // In which order they are asked depends on which of them became idle last.
  const alive = new Set(await idleLaunchers(4));
  for (const pid of alive) process.kill(pid, "SIGSTOP");
  const job = sh("exit 0");
  while (alive.size > 1) {
    await eventually("it waits for the next one", () => alive.has(job.child.pid!));
    alive.delete(job.child.pid!);
    process.kill(job.child.pid!, "SIGKILL");
  }
  const { code, signal } = await job.ended;
  assert.deepEqual([code, signal], [null, "SIGKILL"]);
  const { launchers: left, idle, running } = processCounts();
  assert.deepEqual([left, idle, running], [1, 1, 0]);
  for (const pid of alive) process.kill(pid, "SIGKILL");
  await eventually("that one is gone, too", () => processCounts().launchers === 0);
});

test("a reaper that is killed while there is no group is replaced when the next one " +
  "begins", { skip }, async () => {
  const [launcher] = await idleLaunchers(1);
  process.kill(launcher!, "SIGKILL");
  await eventually("there is no group", () => processCounts().launchers === 0);
  process.kill(processCounts().reaper!, "SIGKILL");
  await eventually("its death is known", () => processCounts().reaper === undefined);
  const pipes = () => process.getActiveResourcesInfo().filter((name) => name === "PipeWrap").length;
  const before = pipes();
  await sh("exit 0").ended;
  assert.notEqual(processCounts().reaper, undefined);
  assert.equal(pipes(), before, "it does not keep this process alive");
});

test("startNodeProcess(), runCommand() and the reaper's start tell of a lack of descriptors, and " +
  "end nobody", { skip }, async () => {
  const pool = import.meta.resolve("../src/process/pool.ts"); // or the reader's
  const text = `
    import { closeSync, openSync } from "node:fs";
    import { nodeProcesses, runCommand, startNodeProcess } from "#process";
    import { processCounts } from ${JSON.stringify(pool)};
    const env = ${JSON.stringify({ PATH })};
    const job = () => new Promise((onExit) =>
      nodeProcesses().spawn({ argv: ["true"], cwd: "/", env, onOutput() {}, onExit }));
    await job(); // its launcher is a group that wants a reaper
    const open = [];
    try { for (;;) open.push(openSync("/dev/null")); } catch {}
    process.kill(processCounts().reaper, "SIGKILL");
    while (processCounts().reaper !== undefined) await new Promise((again) => setTimeout(again, 5));
    const node = await new Promise((onEnd) =>
      startNodeProcess({ program: "0", env, onReply() {}, onPrinted() {}, onEnd }));
    const command = await runCommand({ argv: ["true"], cwd: "/", env, timeoutMs: 60_000 }).ended;
    for (const file of open) closeSync(file);
    env["odd-name"] = "takes the way without a launcher";
    const { code } = await job();
    const hasReaper = processCounts().reaper !== undefined;
    console.log(JSON.stringify([node.error?.code, command.failure, code, hasReaper]));`;
  const limit = ["-c", 'ulimit -n 128; exec "$@"', "sh", process.execPath];
  const args = ["--import", "tsx", "-C", "source", "--input-type=module", "-e", text];
  const node = spawnNode("/bin/sh", [...limit, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  node.stdout.on("data", (bytes: Buffer) => { said += String(bytes); });
  assert.deepEqual(await once(node, "close"), [0, null]);
  assert.deepEqual(JSON.parse(said), ["EMFILE", "spawn true EMFILE", 0, true]);
});

test("a job that is killed before it began never begins, on no launcher", { skip }, async () => {
  const [launcher] = await idleLaunchers(1);
  process.kill(launcher!, "SIGSTOP"); // it reads nothing
  const job = sh("echo on");
  assert.equal(job.child.pid, launcher);
  job.child.signal("SIGKILL");
  assert.deepEqual([(await job.ended).signal, job.bytes], ["SIGKILL", 0]);
  assert.equal(processCounts().launchers, 0);
});

test("a program that vanishes between the look for it and its start is missing", { skip },
  async () => {
    const [launcher] = await idleLaunchers(1);
    const program = join(folder, "vanishes");
    writeFileSync(program, "#!/bin/sh\n", { mode: 0o755 });
    process.kill(launcher!, "SIGSTOP");
    const ended = new Promise<Exit>((onExit) => {
      processes.spawn({ argv: [program], cwd: folder, env: { PATH }, onOutput: () => {}, onExit });
    });
    rmSync(program);
    process.kill(launcher!, "SIGCONT");
    assert.equal((await ended).error?.message, `Cannot start "${program}": no such file`);
  });

test("a job for which no launcher can be started fails with the reason, after spawn() has " +
  "returned", { skip }, async (t) => {
  const [launcher] = await idleLaunchers(1);
  process.kill(launcher!, "SIGKILL");
  await eventually("there is no launcher", () => processCounts().launchers === 0);
  t.mock.method(childProcess, "spawn", () => {
    throw Object.assign(new Error("spawn ENOMEM"), { code: "ENOMEM" });
  });
  syncBuiltinESMExports();
  const job = sh("exit 0");
  t.mock.restoreAll();
  syncBuiltinESMExports();
  const { code, error } = await job.ended;
  assert.deepEqual([code, error?.code, error?.message],
    [null, "ENOMEM", 'Cannot start "sh": spawn ENOMEM']);
  assert.equal(processCounts().running, 0);
});

test("a job that was paused and resumed before it began is not paused", { skip }, async () => {
  const [launcher] = await idleLaunchers(1);
  process.kill(launcher!, "SIGSTOP"); // it reads nothing
  const job = sh("head -c 1000000 /dev/zero");
  assert.equal(job.child.pid, launcher);
  job.child.pause();
  job.child.resume();
  process.kill(launcher!, "SIGCONT");
  await eventually("it has printed all", () => job.bytes === 1_000_000);
  assert.equal((await job.ended).code, 0);
});

test("a job whose line would be long goes without a launcher, whatever makes it long", async () => {
  const MAX_CHARS = 16 * 1024; // each of them may take four bytes in a shell's line
  for (const share of [0, 0.3, 0.6, 0.9]) {
    for (const chars of [MAX_CHARS - 1, MAX_CHARS]) {
      const rest = chars - "true".length - "PATH".length - PATH.length;
      const name = "N".repeat(1 + Math.floor(rest * share * 0.9));
      const value = "v".repeat(Math.floor(rest * share * 0.1));
      const argument = "a".repeat(rest - name.length - value.length);
      const { idle, launchers } = processCounts();
      const argv = ["true", argument];
      const env = { PATH, [name]: value };
      const exit = new Promise<Exit>((onExit) => {
        processes.spawn({ argv, cwd: folder, env, onOutput: () => {}, onExit });
      });
      const now = processCounts();
      const launched = now.idle < idle || now.launchers > launchers;
      assert.equal(launched, chars < MAX_CHARS, `${chars} characters, ${name.length} in a name`);
      assert.equal((await exit).code, 0);
    }
  }
});

test("a sweep follows the job, and another one each sweep that asks for it, " +
  "and then none", { skip }, async (t) => {
  const setTimer = setTimeout;
  let armed = 0;
  t.mock.method(globalThis, "setTimeout", (fn: () => void, ms: number) => {
    const isSweep = ms >= SWEEP_MS && fn.name !== "retireIdle";
    if (isSweep) armed++;
    return setTimer(fn, isSweep ? 0 : ms);
  });
  let [sweeps, again] = [0, 0];
  t.mock.method(Sweeper.prototype, "sweep", () => {
    armed = 0;
    sweeps++;
    return again-- > 0;
  });
  // One may be due from the jobs before, and come while this one runs.
  await sh("exit 0").ended;
  await eventually("none is due", () => sweeps > 0 && armed === 0);
  [sweeps, again] = [0, 3];
  await sh("exit 0").ended;
  await eventually("four of them", () => sweeps === 4);
  assert.equal(armed, 0, "the last one asked for no other");
  await sh("exit 0").ended;
  assert.equal(armed, 1, "the next job is followed by one");
  await eventually("it came", () => sweeps === 5);
});

test("at its exit a process ends its jobs, and looks once more for strays if there " +
  "can be any", { skip }, async (t) => {
  const endAll = process.listeners("exit").find(({ name }) => name === "endAll") as () => void;
  let sweeps = 0;
  t.mock.method(Sweeper.prototype, "sweep", () => (sweeps++, false));
  await sh("exit 0").ended;
  endAll();
  assert.equal(sweeps, 1, "a job has just ended");
  await eventually("the sweep that was due has come", () => sweeps === 2);
  await eventually("the launcher is gone", () => processCounts().launchers === 0);
  endAll();
  assert.equal(sweeps, 2, "nothing can be left");
  const job = sh("echo on; exec sleep 1000");
  await eventually("it runs", () => job.bytes > 0);
  endAll();
  assert.equal(sweeps, 3, "a job runs");
  assert.equal((await job.ended).signal, "SIGKILL");
});

test("a launcher with a stray in its group lets its job end and takes no other, and ends at once " +
  "when idle", async () => {
  for (const busy of [true, false]) {
    let isDead = false;
    const launcher = new Launcher({ idle: () => {}, dead: () => void (isDead = true) });
    const launch = { program: "/bin/sh", args: ["-c", "exit 3"], cwd: folder, env: { PATH } };
    let ending: Ending | undefined;
    const onEnd = (how: Ending) => void (ending = how);
    launcher.run(launcher.line(launch), { onOutput: () => {}, onEnd });
    if (busy) launcher.poison();
    // A launcher by itself keeps no event loop alive: the pool does that.
    await eventually("the job has ended", () => ending !== undefined);
    assert.deepEqual([ending!.status, launcher.fit], [3, !busy]);
    if (busy) launcher.destroy();
    else launcher.poison();
    assert.equal(launcher.fit, false);
    await eventually("it is gone", () => isDead);
  }
});

test("a launcher in whose group the sweep finds a stray takes no job after that", { skip },
  async () => {
    const [launcher] = await idleLaunchers(1);
    const file = join(folder, "stray");
    // The pause makes it older than the next job, in ticks of the system's clock.
    await sh(`trap '' HUP; sleep 1000 & echo $! >'${file}'; sleep 0.05`).ended;
    const job = sh("exec sleep 1000");
    assert.equal(job.child.pid, launcher);
    const stray = Number(readFileSync(file, "utf8"));
    await eventually("it is swept", () => readEntry(stray)?.zombie !== false);
    job.child.signal("SIGTERM");
    assert.equal((await job.ended).signal, "SIGTERM");
    assert.equal(processCounts().idle, 0);
    const next = sh("exit 0");
    assert.notEqual(next.child.pid, launcher);
    await next.ended;
  });

test("a launcher's marks carry 128 random bits, and one that comes late ends no other job",
  async () => {
    let [ends, idles, isDead] = [0, 0, false];
    const launcher = new Launcher({ idle: () => void idles++, dead: () => void (isDead = true) });
    const launch = { program: "true", args: [], cwd: folder, env: { PATH } };
    assert.match(launcher.line(launch), /'\x1e[0-9a-f]{32}s'/);
    launcher.run("e; e\n", { onOutput: () => {}, onEnd: () => void ends++ });
    await eventually("it has ended", () => ends > 0);
    launcher.retire();
    await eventually("all is read", () => isDead);
    assert.deepEqual([ends, idles], [1, 1]);
  });

test("what a launcher's pipe brings before a job has begun is a stray's; its other pipe may be " +
  "read first", async (t) => {
  const launcher = new Launcher({ idle: () => {}, dead: () => {} });
  t.after(() => launcher.destroy());
  const script = "echo own; echo more >&2";
  const launch = { program: "/bin/sh", args: ["-c", script], cwd: folder, env: { PATH } };
  const text = { stdout: "", stderr: "" };
  let hasEnded = false;
  launcher.run(`echo stray; echo early >&3; ${launcher.line(launch)}`, {
    onOutput: (stream, bytes) => { text[stream] += String(bytes); },
    onEnd: () => { hasEnded = true; },
  });
  await eventually("the job has ended", () => hasEnded);
  assert.deepEqual(text, { stdout: "own\n", stderr: "early\nmore\n" });
  assert.equal(launcher.fit, false, "a stray lives in its group");
});

test("a job whose launcher has ended by itself counts as killed", async () => {
  const launcher = new Launcher({ idle: () => {}, dead: () => {} });
  let ending: Ending | undefined;
  launcher.run("exit 7\n", { onOutput: () => {}, onEnd: (how) => void (ending = how) });
  await eventually("the job has ended", () => ending !== undefined);
  assert.deepEqual([ending!.status, ending!.signal, ending!.unstarted], [null, "SIGKILL", true]);
});

test("a launcher whose idle pipes bring bytes ends, with the stray that wrote them", async (t) => {
  let isDead = false;
  const launcher = new Launcher({ idle: () => {}, dead: () => void (isDead = true) });
  t.after(() => launcher.destroy());
  const script = "trap '' HUP; while :; do echo stray; sleep 0.01; done & exit 3";
  const launch = { program: "/bin/sh", args: ["-c", script], cwd: folder, env: { PATH } };
  let ending: Ending | undefined;
  const onEnd = (how: Ending) => void (ending = how);
  launcher.run(launcher.line(launch), { onOutput: () => {}, onEnd });
  await eventually("it is gone", () => isDead);
  assert.equal(ending?.status, 3);
});

test("the reaper is told of a worker's folder once, however many jobs it has, and of each group " +
  "that is gone", async (t) => {
  const told: string[] = [];
  const gone: string[] = [];
  const write = Socket.prototype.write;
  t.mock.method(Socket.prototype, "write", function (this: Socket, ...args: [string]) {
    if (String(args[0]).startsWith("= ")) told.push(args[0]);
    if (String(args[0]).startsWith("- ")) gone.push(args[0]);
    return write.apply(this, args);
  });
  const root = join(folder, randomUUID());
  for (const job of ["a.1", "b.1"]) {
    const env = { PATH, TITAN_WORKDIR: join(root, "r", job) };
    await new Promise((onExit) => {
      processes.spawn({ argv: ["true"], cwd: folder, env, onOutput: () => {}, onExit });
    });
  }
  assert.deepEqual(told, [`= ${root}\n`]);
  const { child, ended } = sh("kill -9 -$PPID");
  const { pid } = child;
  await ended;
  assert.equal(gone.filter((line) => line === `- ${pid}\n`).length, 1);
});

test("readEntry() tells a process, its parent, its group and " +
  "its session apart", { skip }, async (t) => {
  const time = `${4_000_000 + process.pid}.4`;
  // As a shell with job control does: a group for each command, in the session of the shell.
  const group = `import os; os.setpgid(0, 0); os.execvp("sh", ["sh", "-c", "sleep ${time}; true"])`;
  const how = { detached: true, stdio: "ignore", env: { PATH } } as const;
  const shell = spawnNode("/bin/sh", ["-c", `python3 -c '${group}'; true`], how);
  const ended = once(shell, "exit");
  const sleeper = () => readProcesses().find(({ pid }) => isSleeper(pid, time));
  await eventually("it sleeps", () => sleeper() !== undefined);
  const { pid, parent, ...rest } = sleeper()!;
  t.after(async () => {
    process.kill(-parent, "SIGKILL");
    await ended;
  });
  const above = readEntry(parent)!;
  assert.deepEqual([rest.group, rest.session, rest.zombie], [parent, shell.pid, false]);
  assert.deepEqual([above.parent, above.group, above.session], [shell.pid, parent, shell.pid]);
  assert.deepEqual(readEntry(pid), { pid, parent, ...rest });
});

/** The process has become `sleep`: until its exec is over it shows no environment, or another. */
const isAsleep = (time: string): boolean =>
  readProcesses().some(({ pid }) => isSleeper(pid, time));

function isSleeper(pid: number, time: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1") === `sleep\0${time}\0`;
  } catch {
    return false; // it ended while we looked
  }
}

test("readProc() reads 128 KiB at most, in however many pieces", () => {
  const path = join(folder, "environ");
  for (const size of [0, 1, 4095, 4096, 131_071, 131_072, 131_073, 200_000]) {
    writeFileSync(path, "e".repeat(size));
    assert.equal(readProc(path), "e".repeat(Math.min(size, 131_072)), `${size} bytes`);
  }
  assert.equal(readProc(join(folder, "none")), "");
  assert.equal(readProc(folder), "", "it is a folder");
});

test("Sweeper believes the environment of an orphan in a busy group " +
  "before its age", { skip }, async (t) => {
  const attempt = (name: string) => ({
    TITAN_RUN: "r",
    TITAN_JOB: name,
    TITAN_ATTEMPT: "1",
    TITAN_WORKDIR: folder,
  });
  const words = (name: string): string =>
    Object.entries(attempt(name)).map(([key, value]) => `${key}='${value}'`).join(" ");
  const [root, other, same, bare] = [11, 12, 13, 14].map((n) => `${4_000_000 + process.pid}.${n}`);
  // The running job, and after it three orphans: one of another attempt, one of its own, one that
  // says nothing.
  const script = `sleep ${root} & (${words("other")} sleep ${other} &) ; ` +
    `(${words("own")} sleep ${same} &) ; (sleep ${bare} &) ; wait`;
  const how = { detached: true, stdio: "ignore", env: { PATH } } as const;
  const leader = spawnNode("/bin/sh", ["-c", script], how);
  t.after(async () => {
    process.kill(-leader.pid!, "SIGKILL");
    const all = [root, other, same, bare];
    await eventually("all are gone", () => !all.some((mark) => isRunning(mark!)));
  });
  // Until the last shell between them has gone, it could be taken for the running job.
  const children = () => readProcesses().filter(({ parent }) => parent === leader.pid);
  await eventually("all run", () =>
    [root, other, same, bare].every((mark) => isAsleep(mark!)) && children().length === 1);
  let poisoned = false;
  const name = attemptName(attempt("own"));
  const group = { busy: true, attempt: name, poison: () => void (poisoned = true) };
  const again = new Sweeper(new Map([[leader.pid!, group]])).sweep();
  assert.equal(again, true, "another pass is needed");
  await eventually("the other attempt's is gone", () => !isRunning(other!));
  const stay = [root, same, bare].every((mark) => isRunning(mark!));
  assert.ok(poisoned && stay, "the job's own and the young one stay");
});

/** From now on the file that shows a process says so. */
function pretend(t: TestContext, pid: number, change: (stat: string) => string): void {
  const fake = join(folder, randomUUID());
  writeFileSync(fake, change(readFileSync(`/proc/${pid}/stat`, "latin1")));
  const open = fs.openSync;
  t.mock.method(fs, "openSync", (path: string, flags: string) =>
    open(path === `/proc/${pid}/stat` ? fake : path, flags));
  syncBuiltinESMExports();
  t.after(() => {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  });
}

test("Sweeper takes no zombie for the running job, and spares an orphan as old as " +
  "that", { skip }, async (t) => {
  const [root, orphan, late] = [16, 17, 18].map((n) => `${4_000_000 + process.pid}.${n}`);
  const own = { TITAN_RUN: "r", TITAN_JOB: "j", TITAN_ATTEMPT: "1", TITAN_WORKDIR: folder };
  const script = `${Object.entries(own).map(([name, value]) => `${name}='${value}'`).join(" ")} ` +
    `sleep ${root} & (sleep ${orphan} &) ; sleep ${late} & read gone`;
  const leader = spawnNode("/bin/sh", ["-c", script], {
    detached: true, stdio: ["pipe", "ignore", "ignore"], env: { PATH },
  });
  const ended = once(leader, "exit");
  t.after(async () => {
    process.kill(-leader.pid!, "SIGKILL");
    await ended;
  });
  await eventually("all run", () => [root, orphan, late].every((mark) => isAsleep(mark!)));
  const named = (mark: string) => readProcesses().find(({ pid }) => isSleeper(pid, mark))!;
  // The child that came last is one that nobody has waited for.
  pretend(t, named(late!).pid, (stat) => stat.replace(/\) . /, ") Z "));
  const { start } = named(root!);
  const { pid, start: younger } = named(orphan!);
  pretend(t, pid, (stat) => stat.replace(` ${younger} `, ` ${start} `));
  // Its environment names another attempt: only its place makes it the running job.
  const group = { busy: true, attempt: "another", poison: () => assert.fail("there is no stray") };
  assert.equal(new Sweeper(new Map([[leader.pid!, group]])).sweep(), false);
});

test("Sweeper reads each environment once, and asks for no process without a number", { skip },
  async (t) => {
    const child = spawnNode("sleep", ["1000"], { stdio: "ignore", env: { PATH } });
    t.after(() => child.kill("SIGKILL"));
    const environ = `/proc/${child.pid}/environ`;
    await eventually("it shows its environment", () => readProc(environ).includes("PATH="));
    const open = t.mock.method(fs, "openSync");
    syncBuiltinESMExports();
    const sweeper = new Sweeper(new Map());
    sweeper.sweep();
    sweeper.sweep();
    t.mock.restoreAll();
    syncBuiltinESMExports();
    const paths = open.mock.calls.map((call) => String(call.arguments[0]));
    assert.equal(paths.filter((path) => path === environ).length, 1);
    assert.deepEqual(paths.filter((path) => !/^\/proc\/[1-9]/.test(path)), []);
  });

test("Sweeper spares what a running job has put into a group of its own", { skip }, async (t) => {
  const mark = `${4_000_000 + process.pid}.15`;
  // It makes itself the leader of a group.
  const leader = spawnNode("/bin/sh", ["-c", `timeout 1000 sleep ${mark} & wait`], {
    detached: true, stdio: "ignore", env: { PATH },
  });
  const own = () => readProcesses().find(({ group, session }) =>
    session === leader.pid && group !== leader.pid);
  t.after(async () => {
    process.kill(-own()!.group, "SIGKILL");
    await eventually("all are gone", () => !isRunning(mark));
  });
  await eventually("it sleeps", () => isAsleep(mark) && own() !== undefined);
  const group = { busy: true, attempt: undefined, poison: () => assert.fail("it is no stray") };
  new Sweeper(new Map([[leader.pid!, group]])).sweep();
  assert.ok(isRunning(mark));
});

test("Sweeper ends all that is in the group of an idle launcher, or of one whose next job has " +
  "not begun", { skip }, async (t) => {
  for (const busy of [false, true]) {
    const [child, orphan] = [1, 2].map((n) => `${4_000_000 + process.pid}.${busy ? 3 : 2}${n}`);
    const script = `${busy ? "" : `sleep ${child} &`} (sleep ${orphan} &) ; read gone`;
    const leader = spawnNode("/bin/sh", ["-c", script], {
      detached: true, stdio: ["pipe", "ignore", "ignore"], env: { PATH },
    });
    t.after(() => process.kill(-leader.pid!, "SIGKILL"));
    const marks = busy ? [orphan!] : [child!, orphan!];
    await eventually("all run", () => {
      const parents = readProcesses().map(({ parent }) => parent === leader.pid);
      return marks.every(isRunning) && parents.filter(Boolean).length === (busy ? 0 : 1);
    });
    let poisonings = 0;
    // The same attempt, and young: only its place speaks against it.
    const group = { busy, attempt: undefined, poison: () => void poisonings++ };
    assert.equal(new Sweeper(new Map([[leader.pid!, group]])).sweep(), true);
    await eventually("they are gone", () => !marks.some(isRunning));
    assert.deepEqual([poisonings, leader.exitCode, leader.signalCode], [marks.length, null, null]);
  }
});

test("Sweeper spares the processes of an attempt that has begun again", { skip }, async (t) => {
  const again = { TITAN_RUN: "r", TITAN_JOB: "again", TITAN_ATTEMPT: "1", TITAN_WORKDIR: folder };
  const name = attemptName(again)!;
  const sweeper = new Sweeper(new Map());
  for (const passes of [0, 1]) {
    sweeper.attemptEnded(name);
    for (let pass = 0; pass < passes; pass++) sweeper.sweep();
    sweeper.attemptStarted(name);
    const child = spawnNode("sleep", ["60"], { stdio: "ignore", env: { PATH, ...again } });
    t.after(() => child.kill("SIGKILL"));
    const ended = once(child, "exit");
    // One that is in the middle of its exec for two passes is nobody's.
    await eventually("it shows its environment", () =>
      readProc(`/proc/${child.pid}/environ`).includes(folder));
    for (let pass = 0; pass < 2; pass++) assert.equal(sweeper.sweep(), false, `${passes} passes`);
    sweeper.attemptEnded(name);
    await eventually("it is swept", () => !sweeper.sweep() && child.signalCode !== null);
    await ended;
  }
});

test("a reaper is deaf to what ends this process' group: it has to outlive that", { skip },
  async () => {
    const job = sh("exec sleep 1000");
    const deaf = (1 << 0) | (1 << 1) | (1 << 14); // HUP, INT, TERM
    await eventually("it ignores them", () => {
      const status = readFileSync(`/proc/${processCounts().reaper}/status`, "utf8");
      const ignored = Number.parseInt(/^SigIgn:\t[0-9a-f]*([0-9a-f]{8})$/m.exec(status)![1]!, 16);
      return (ignored & deaf) === deaf;
    });
    // No SIGKILL of our group, and no end of our terminal, reaches another session.
    const { reaper } = processCounts();
    assert.deepEqual([readEntry(reaper!)!.group, readEntry(reaper!)!.session], [reaper, reaper]);
    job.child.signal("SIGKILL");
    await job.ended;
  });

test("a reaper that is killed alone is replaced at once, and the new one knows all that the old " +
  "one did", { skip }, async (t) => {
  const [sleeper, daemon] = [1, 2].map((n) => `${4_000_000 + process.pid}.${n}`);
  const workDir = join(folder, randomUUID(), "r", "j.1");
  const own = { TITAN_RUN: "r", TITAN_JOB: "j", TITAN_ATTEMPT: "1", TITAN_WORKDIR: workDir };
  const script = `setsid sleep ${daemon} & echo ready; exec sleep ${sleeper}`;
  const pool = import.meta.resolve("../src/process/pool.ts"); // or the reader's
  const environment = JSON.stringify({ PATH, ...own });
  const text = `
    import { nodeProcesses } from "#process";
    import { processCounts } from ${JSON.stringify(pool)};
    nodeProcesses().spawn({ argv: ["sh", "-c", ${JSON.stringify(script)}], cwd: "/",
      env: ${environment}, onOutput: () => setInterval(look, 5), onExit() {} });
    let known;
    const look = () => {
      const { reaper } = processCounts();
      if (reaper !== known && reaper !== undefined) console.log(known = reaper);
    };`;
  const args = ["--import", "tsx", "-C", "source", "--input-type=module", "-e", text];
  const node = spawnNode(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => node.kill("SIGKILL"));
  let said = "";
  node.stdout.on("data", (bytes: Buffer) => { said += String(bytes); });
  const reapers = (): number[] => said.split("\n").slice(0, -1).map(Number);
  await eventually("there is a reaper", () => reapers().length === 1);
  // The shell speaks before it becomes the sleeper, and before its daemon has left the group.
  await eventually("both run", () => isAsleep(sleeper!) && isAsleep(daemon!));
  process.kill(reapers()[0]!, "SIGKILL");
  await eventually("there is another one", () => reapers().length === 2);
  assert.ok(isRunning(sleeper!) && isRunning(daemon!));
  process.kill(node.pid!, "SIGKILL");
  await eventually("all is gone", () => !isRunning(sleeper!) && !isRunning(daemon!));
});

function isRunning(mark: string): boolean {
  return readProcesses().some(({ pid }) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "latin1").split("\0").includes(mark);
    } catch {
      return false; // it ended while we looked
    }
  });
}
