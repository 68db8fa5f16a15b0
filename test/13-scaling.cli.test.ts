/**
 * `titan master --pools`, with programs that start real workers: what people see, what is wrong
 * with pools, and what a kill -9 of the master costs.
 */
import assert from "node:assert/strict";
import { chmodSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  eventually, inProcess, isAlive, MAIN, ownPort, start, tempFolder, type Ended, type Started,
} from "./cli.support.ts";

const TOKEN = "a secret of this test";

/**
 * Orders a worker as a batch system does: the program ends at once, and the worker starts when it
 * is its turn, which is when a file is there.
 */
const UP = `
echo "up $TITAN_WORKER_NAME $TITAN_POOL $TITAN_SLOTS $TITAN_TAGS" >> calls
env | sort > env-$TITAN_WORKER_NAME
while [ -e slow ] && [ ! -e over ]; do sleep 0.05; done
[ ! -e over ] || exit 1
setsid sh -c 'while [ -e wait ] && [ ! -e over ]; do sleep 0.05; done
[ ! -e over ] || exit 1
exec "${process.execPath}" "${MAIN}" worker --home "home-$TITAN_WORKER_NAME"' > log 2>&1 &
echo $! | tee -a pids
echo "and more" >&2
`;
const DOWN = `
echo "down $TITAN_WORKER_NAME $# $1 $TITAN_HANDLE" >> calls
[ -z "$1" ] || kill -TERM "-$1" 2> /dev/null || true
`;

const POOLS = `
pools:
  - name: gpu
    tags: [GPU]
    slots: 2
    max: 1
    up_after: 100ms
    idle: 1h
    start_timeout: 30s
    up: [sh, up.sh]
    down: [sh, down.sh]
`;

/** A master with pools, in a folder of its own. */
class Site {
  readonly folder: string;
  master!: Started;
  port = 0;

  constructor(pools: string) {
    this.folder = tempFolder({ "up.sh": UP, "down.sh": DOWN, "pools.yaml": pools });
    for (const name of ["calls", "pids"]) this.touch(name);
  }

  /** Does something with such a master, and ends it with its workers, whatever happens. */
  static with(pools: string, work: (site: Site) => Promise<void>) {
    return async (): Promise<void> => {
      const site = new Site(pools);
      try {
        await site.begin();
        await work(site);
      } finally {
        await site.end();
      }
    };
  }

  /** At the same port each time. */
  async begin(): Promise<void> {
    this.port ||= await ownPort();
    const words = ["master", "--port", `${this.port}`, "--state", "state", "--json"];
    this.master = start([...words, "--pools", "pools.yaml"], {
      cwd: this.folder, env: { TITAN_TOKEN: TOKEN },
    });
    await this.master.until("stdout", /\{.*"type":"ready".*\}/);
  }

  async end(): Promise<void> {
    // An order of a master that was killed goes on by itself: from now on it starts nobody.
    this.touch("over");
    await this.master.kill("SIGTERM");
    const pids = readFileSync(join(this.folder, "pids"), "utf8").split("\n").filter(Boolean);
    for (const pid of pids.map(Number)) if (isAlive(pid)) process.kill(-pid, "SIGTERM");
    await eventually("the workers are gone", () => !pids.map(Number).some(isAlive));
  }

  titan(...args: string[]): Promise<Ended> {
    return inProcess(args, { TITAN_MASTER: `127.0.0.1:${this.port}`, TITAN_TOKEN: TOKEN });
  }

  async json<T>(...args: string[]): Promise<T> {
    const { stdout, stderr } = await this.titan(...args, "--json");
    assert.notEqual(stdout, "", stderr);
    return JSON.parse(stdout) as T;
  }

  async pool(name = "gpu"): Promise<Pool> {
    return (await this.json<Pool[]>("pools")).find((pool) => pool.name === name)!;
  }

  async launches(): Promise<Launch[]> {
    return (await this.json<Pool[]>("pools")).flatMap(({ workers }) => workers);
  }

  /** Submits jobs that need something, and gives the run's id. */
  async submit(tags: readonly string[], script = "true"): Promise<string> {
    const jobs = tags.map((tag, i) => `  - {id: j${i}, run: '${script}', requirement: ${tag}}\n`);
    writeFileSync(join(this.folder, "run.yaml"), `name: r\njobs:\n${jobs.join("")}`);
    const file = join(this.folder, "run.yaml");
    const { stdout, stderr, code } = await this.titan("run", file, "--detach", "--strict");
    assert.equal(code, 0, stderr);
    return stdout.trim();
  }

  async status(run: string): Promise<string> {
    return (await this.json<{ run: { status: string } }>("status", run)).run.status;
  }

  get calls(): string[] {
    return readFileSync(join(this.folder, "calls"), "utf8").split("\n").filter(Boolean);
  }

  touch(name: string): void {
    writeFileSync(join(this.folder, name), "");
  }

  /** The end of what was waited for. */
  release(name: string): void {
    rmSync(join(this.folder, name), { force: true });
  }
}

interface Launch {
  readonly name: string;
  readonly state: string;
  readonly handle: string | null;
  readonly reason: string;
}
interface Pool {
  readonly name: string;
  readonly wanted: number;
  readonly running: number;
  readonly starting: number;
  readonly failures: number;
  readonly lastFailure: string | null;
  readonly why: string;
  readonly workers: Launch[];
}

test("a pool of commands starts a worker for a job, says why, and ends it when asked", Site.with(
  POOLS, async (site) => {
  assert.equal((await site.pool()).why, "at its minimum");
  const go = join(site.folder, "go");
  const run = await site.submit(["GPU"], `until [ -e "${go}" ]; do sleep 0.05; done`);
  await eventually("it runs", async () => (await site.pool()).running === 1);
  const { stdout: workers } = await site.titan("workers");
  assert.match(workers, /^WORKER +STATE +BUSY +TAGS +POOL +FROM/);
  assert.match(workers, /^gpu-1 +(?:ready|busy) +\d\/2 +GENERAL,GPU +gpu +127\.0\.0\.1/m);
  assert.deepEqual(site.calls, ["up gpu-1 gpu 2 GPU"]);

  const env = readFileSync(join(site.folder, "env-gpu-1"), "utf8");
  assert.ok(!env.includes(TOKEN), "the token is not in the environment");
  const [, file] = /^TITAN_TOKEN_FILE=(.*)$/m.exec(env)!;
  assert.equal(readFileSync(file!, "utf8"), `${TOKEN}\n`);
  assert.equal(statSync(file!).mode & 0o777, 0o600);
  assert.match(env, new RegExp(`^TITAN_MASTER=127.0.0.1:${site.port}$`, "m"));

  const table = (await site.titan("pools")).stdout;
  assert.match(table, /^POOL +WANTED +RUNNING +STARTING +LEAVING +RANGE +FAILED +WHY$/m);
  assert.match(table, /^gpu +1 +1 +0 +0 +0\.\.1 +\S/m);
  const [launch] = await site.launches();
  assert.match((await site.titan("pools", "gpu")).stdout,
    new RegExp(`^gpu-1 +running +${launch!.handle} .* 1 job that needs GPU has waited`, "m"));
  const full = await site.titan("launch", "gpu");
  assert.match(full.stderr, /Cannot start a worker of pool gpu: it has its maximum of 1 worker/);

  const retired = await site.titan("retire", "gpu-1");
  assert.equal(retired.stdout, "gpu-1 gets nothing new, and is stopped when its 1 job has ended\n");
  assert.equal((await site.launches())[0]!.state, "retiring");
  site.touch("go");
  await eventually("it is gone", async () => (await site.launches()).length === 0);
  assert.deepEqual(site.calls.slice(1), [`down gpu-1 1 ${launch!.handle} ${launch!.handle}`]);
  assert.equal(await site.status(run), "COMPLETED");
}));

test("titan pools, launch and retire say what they do not know", Site.with(
  POOLS, async (site) => {
  const said = async (...args: string[]) => {
    const { code, stderr } = await site.titan(...args);
    assert.equal(code, 1);
    return stderr.split("\n")[0];
  };
  const meant = 'titan: Cannot find pool "gpx" (did you mean gpu?)';
  assert.deepEqual([await said("pools", "gpx"), await said("launch", "gpx")], [meant, meant]);
  assert.equal(await said("retire", "gpu-1"),
    'titan: Cannot find worker "gpu-1": there are no workers');
  const none = await site.titan("pools", "gpu");
  assert.deepEqual([none.code, none.stderr], [0, "titan: it has no workers\n"]);
}));

test("a master that is killed before the worker comes orders no second one", Site.with(
  POOLS, async (site) => {
  site.touch("wait");
  const run = await site.submit(["GPU"]);
  await eventually("it is ordered", async () => {
    return typeof (await site.launches())[0]?.handle === "string";
  });
  await site.master.kill("SIGKILL");
  await site.begin();
  const [launch] = await site.launches();
  assert.equal(launch!.state, "starting");
  await eventually("it says why", async () => {
    const { jobs: [job] } = await site.json<{ jobs: { reason: string }[] }>("status", run);
    return job!.reason === "no worker is connected; pool gpu is starting a worker";
  });
  site.release("wait");
  await eventually("the run is over", async () => await site.status(run) === "COMPLETED");
  assert.deepEqual(site.calls, ["up gpu-1 gpu 2 GPU"]);
  assert.equal((await site.pool()).failures, 0);
}));

/** Longer than a master takes to start on a busy machine. */
const HASTY = POOLS.replace("start_timeout: 30s", "start_timeout: 5s");

test("an order that had no answer when the master was killed is ended by its name", Site.with(
  HASTY, async (site) => {
  site.touch("slow");
  await site.submit(["GPU"]);
  await eventually("it is ordered", () => site.calls.length === 1);
  await site.master.kill("SIGKILL");
  await site.begin();
  assert.deepEqual((await site.launches()).map(({ name, handle }) => [name, handle]),
    [["gpu-1", null]]);
  await eventually("it is ended", () => site.calls.length > 1);
  assert.equal(site.calls[1], "down gpu-1 0  ");
  assert.ok((await site.pool()).failures >= 1);
  assert.equal((await site.pool()).lastFailure, "gpu-1: did not register within 5.0s");
  site.release("slow");
}));

/** Each with a tag of its own, so that each has its job. */
function bad(name: string, up: string, timeout = "1s"): string {
  return `  - {name: ${name}, tags: [${name}], max: 1, up_after: 0, start_timeout: ${timeout}, ` +
    `up: [${up}], down: [sh, down.sh]}\n`;
}

const WRONG = `pools:\n${[
  bad("nobody", "./no-such-program", "30s"),
  bad("silent", 'sh, -c, "exit 0"', "30s"),
  bad("hangs", 'sh, -c, "sleep 60"'),
  bad("never", 'sh, -c, "echo 4711"'),
  bad("refused", 'sh, -c, "echo no partition >&2; exit 3"', "30s"),
  bad("endless", 'sh, -c, "while :; do echo no >&2; done"'),
].join("")}`;

test("pools whose programs are wrong say so, and try again later", Site.with(
  WRONG, async (site) => {
  await site.submit(["nobody", "silent", "hangs", "never", "refused", "endless"]);
  const failures = async () => Object.fromEntries((await site.json<Pool[]>("pools"))
    .map((pool) => [pool.name, pool.lastFailure?.replace(/^\w+-\d+: /, "")]));
  await eventually("each has failed", async () => Object.values(await failures()).every(Boolean));
  const found = await failures();
  const none = "there is no program ./no-such-program (looked for from ";
  assert.ok(found["nobody"]!.startsWith(`./no-such-program: ${none}`), found["nobody"]);
  assert.equal(found["silent"], "sh: it printed no handle, and exited with 0");
  assert.ok(["sh: it had not ended after 1 s, and was killed", "did not register within 1.0s"]
    .includes(found["hangs"]!), found["hangs"]);
  assert.equal(found["never"], "did not register within 1.0s");
  assert.equal(found["refused"], "sh: no partition (exit code 3)");
  assert.ok(["sh: it had printed more than 1048576 bytes, and was killed",
    "did not register within 1.0s"].includes(found["endless"]!), found["endless"]);
  const isEnded = (pool: string) => site.calls.some((call) => call.startsWith(`down ${pool}-1`));
  await eventually("what had been ordered is ended", () => isEnded("never"));
  const named = site.calls.filter((call) => call.startsWith("down never"));
  assert.equal(named[0], "down never-1 1 4711 4711");
  await eventually("what may be there although it said no is ended", () => isEnded("refused"));
  assert.equal(isEnded("nobody"), false, "no program has run");
  const { stdout, stderr } = await site.titan("pools");
  // What it has ordered counts until its end is sure.
  const again = new RegExp("^refused .* pool refused (tries again in [\\d.]+m?s after \\d+ " +
    "failed starts?|has its maximum of 1 worker$)", "m");
  assert.match(stdout, again);
  assert.match(stderr, /^titan: the latest failure: nobody-\d+: \.\/no-such-program: there is no/m);
}));

test("titan master refuses a file of pools that is wrong, and starts nothing", async () => {
  const said = async (text: string): Promise<string> => {
    const cwd = tempFolder({ "pools.yaml": text });
    const state = join(cwd, "state");
    const words = ["master", "--port", "0", "--state", state, "--pools", join(cwd, "pools.yaml")];
    const { code, stderr } = await inProcess(words);
    assert.equal(code, 2, stderr);
    assert.equal(existsSync(state), false);
    return stderr;
  };
  const below = /must not be below min, which is 3/;
  assert.match(await said("pools: [{name: a, min: 3, max: 2}]"), below);
  assert.match(await said("pools: [{name: a}, {name: a}]"), /two pools have the name "a"/);
  assert.match(await said("pools: [{name: a, idel: 3s}]"), /"idel".*did you mean "idle"/);
  const noFile = await inProcess(["master", "--pools", "/nowhere/pools.yaml"]);
  assert.match(noFile.stderr, /Cannot read pools \/nowhere\/pools\.yaml: there is no such file/);
  const alone = await inProcess(["master", "--advertise", "me"]);
  assert.match(alone.stderr, /Cannot use --advertise: it is for the workers of --pools FILE/);
});

test("titan worker takes from its environment what the programs of a pool are told", async () => {
  const cwd = tempFolder({ token: `${TOKEN}\n` });
  const said = async (env: Record<string, string>) => {
    const master = { TITAN_MASTER: "127.0.0.1:1", TITAN_HOME: join(cwd, "home") };
    return (await inProcess(["worker"], { ...master, ...env })).stderr.split("\n")[0];
  };
  assert.equal(await said({ TITAN_SLOTS: "many" }),
    "titan: Cannot use TITAN_SLOTS many: must be a whole number from 1 to 4096");
  assert.match((await said({ TITAN_TAGS: "a b" }))!, /^titan: Cannot use TITAN_TAGS a b: "a b" is/);
  chmodSync(join(cwd, "token"), 0o600);
  assert.match((await said({ TITAN_TOKEN_FILE: join(cwd, "none") }))!,
    /^titan: Cannot read the token in .*none: there is no such file/);
});
