/**
 * `titan up` and its workers, killed in every order: in the end no process names their folders.
 * Real processes, of Linux.
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { eventually, isAlive, lines, start, tempFolder, titan, up } from "./cli.support.ts";
import "./leaks.support.ts";

/**
 * A parent, a child and a daemon, deaf to requests, in the first attempt; nothing in later ones.
 */
const FAMILY = `name: family
jobs:
  - id: f
    run: |
      [ "$TITAN_ATTEMPT" = 1 ] || exit 0
      trap "" TERM HUP
      sleep 1000 & setsid sleep 1000 & (setsid sh -c 'sleep 1000 & exec sleep 1000' &)
      while :; do sleep 1000; done
`;
/**
 * The script itself, and its sleeps: a parent's, a child's, a daemon's, and two of a daemon that
 * forked twice.
 */
const FAMILY_SIZE = 6;

interface Stat {
  readonly parent: number;
  readonly zombie: boolean;
}

function stat(pid: number): Stat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    const [state, parent] = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return { parent: Number(parent), zombie: state === "Z" };
  } catch {
    return undefined;
  }
}
const pids = (): number[] => readdirSync("/proc").map(Number).filter((pid) => pid > 0);

/** Living processes that carry this folder's name as the one that they work in. */
function workingIn(folder: string): number[] {
  return pids().filter((pid) => {
    try {
      return (
        stat(pid)?.zombie === false &&
        readFileSync(`/proc/${pid}/environ`, "utf8")
          .split("\0")
          .some((line) => line.startsWith(`TITAN_WORKDIR=${folder}/`))
      );
    } catch {
      return false; // it ended while we looked
    }
  });
}

const reaperOf = (worker: number): number =>
  pids().find(
    (pid) =>
      stat(pid)?.parent === worker &&
      readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("TITAN_WORKDIR=$name/"),
  )!;

/**
 * A worker that is stopped cannot start another reaper, so both are gone before anybody notices.
 */
function killWithReaper(worker: number): void {
  process.kill(worker, "SIGSTOP");
  process.kill(reaperOf(worker), "SIGKILL");
  process.kill(worker, "SIGKILL");
}

/** A cluster of one worker that runs the family. */
async function withFamily() {
  const cwd = realpathSync(tempFolder({ "family.yaml": FAMILY }));
  const cluster = await up(["--no-store", "--workers", "1", "--slots", "1"], { cwd });
  const run = start(["run", "family.yaml", "--json"], { cwd, env: cluster.env });
  await eventually("the family runs", () => workingIn(cwd).length === FAMILY_SIZE);
  return { cwd, cluster, run, worker: cluster.ready.workerPids[0]! };
}

describe("orphans", { concurrency: 4 }, () => {
  test("the worker that replaces one killed with its reaper ends what that left, says so, and " +
    "runs the job again", async () => {
    const { cwd, cluster, run, worker } = await withFamily();
    process.kill(cluster.pid, "SIGSTOP"); // or another worker may be there before we have looked
    killWithReaper(worker);
    assert.equal(workingIn(cwd).length, FAMILY_SIZE, "nobody ends them yet");
    process.kill(cluster.pid, "SIGCONT");
    await cluster.until(
      "stderr",
      new RegExp(`worker 1: ended \\d+ processes left running by worker ${worker}\n`),
    );
    assert.deepEqual(workingIn(cwd), []);
    const { code, stdout } = await run.ended;
    assert.equal(code, 0);
    assert.equal(lines(stdout).at(-2)!["attempt"], 2);
    assert.equal((await cluster.kill("SIGTERM")).code, 0);
    assert.deepEqual(readdirSync(join(cwd, ".titan", "workers")), []);
  });

  test("the next titan up ends what one left that was killed with its worker " +
    "and its reaper", async () => {
    const { cwd, cluster, run, worker } = await withFamily();
    process.kill(cluster.pid, "SIGSTOP"); // or it would replace its worker
    killWithReaper(worker);
    await Promise.all([cluster.kill("SIGKILL"), run.kill("SIGKILL")]);
    assert.equal(workingIn(cwd).length, FAMILY_SIZE);
    const next = await up(["--no-store", "--workers", "2"], { cwd });
    await next.until(
      "stderr",
      new RegExp(`worker [12]: ended \\d+ processes left running by worker ${worker}\n`),
    );
    assert.deepEqual(workingIn(cwd), []);
    assert.equal((await next.kill("SIGTERM")).code, 0);
    assert.deepEqual(readdirSync(join(cwd, ".titan", "workers")), []);
  });

  test("nothing is left of a job when its worker is stopped and then killed", async () => {
    const { cwd, cluster, run, worker } = await withFamily();
    process.kill(worker, "SIGSTOP");
    process.kill(worker, "SIGKILL");
    await eventually("its reaper has ended them", () => workingIn(cwd).length === 0);
    assert.equal((await run.ended).code, 0);
    assert.equal((await cluster.kill("SIGTERM")).code, 0);
  });

  test("nothing is left of a job and of its daemon when titan up is killed", async () => {
    const cwd = realpathSync(tempFolder());
    const cluster = await up(["--no-store", "--workers", "1"], { cwd });
    writeFileSync(
      join(cwd, "deaf.yaml"),
      `name: deaf\njobs:\n  - {id: d, run: 'setsid sleep 1000 & while :; do sleep 0.5; done'}\n`,
    );
    await titan(["run", "deaf.yaml", "--detach"], { cwd, env: cluster.env });
    await eventually("it runs", () => workingIn(cwd).length >= 2);
    await cluster.kill("SIGKILL");
    await eventually(
      "the worker and its job are gone",
      () => !isAlive(cluster.ready.workerPids[0]!) && workingIn(cwd).length === 0,
    );
  });

  test("a job has its grace when its worker is asked to stop, and when titan " +
    "up is killed", async () => {
    for (const [who, signal] of [["worker", "SIGTERM"], ["up", "SIGKILL"]] as const) {
      const cwd = realpathSync(tempFolder());
      const saved = join(cwd, "saved");
      const cluster = await up(["--no-store", "--workers", "1"], { cwd });
      writeFileSync(
        join(cwd, "tidy.yaml"),
        `name: tidy\njobs:\n  - {id: t, env: {AT: ${JSON.stringify(cwd)}}, run: '[ ` +
          `$TITAN_ATTEMPT = 1 ] || exit 0; trap "echo tidying; sleep 0.5; echo saved > ` +
          `\\"$AT/saved\\"; exit" TERM; touch "$AT/on"; while :; do sleep 0.1; done'}\n`,
      );
      await titan(["run", "tidy.yaml", "--detach"], { cwd, env: cluster.env });
      await eventually("it runs", () => existsSync(join(cwd, "on")));
      process.kill(who === "up" ? cluster.pid : cluster.ready.workerPids[0]!, signal);
      await eventually("worker and job are gone", () => !isAlive(cluster.ready.workerPids[0]!));
      assert.equal(readFileSync(saved, "utf8"), "saved\n");
      if (who === "worker") assert.equal((await cluster.kill("SIGTERM")).code, 0);
      assert.doesNotMatch(cluster.stderr, /Error/);
    }
  });
});
