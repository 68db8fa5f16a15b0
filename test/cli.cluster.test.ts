/**
 * Clusters that the command line starts: how they come up, what they survive, and that they leave
 * nothing behind.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import { startEmbeddedCluster } from "#cluster";
import { nodeHost, type Network } from "#host";
import { connect } from "#sdk";
import {
  eventually,
  inProcess,
  isAlive,
  lines,
  ownPort,
  start,
  tempFolder,
  titan,
  up,
} from "./cli.support.ts";
import { inheritedOptions } from "../src/cluster/self.ts";

const QUICK = "name: quick\njobs:\n  - {id: a, run: 'echo hello'}\n";
/** Writes its process id where the test finds it, ignores SIGTERM, and stays. */
const stubborn = (file: string): string =>
  `name: stubborn\njobs:\n  - {id: s, run: 'trap "" TERM; echo $$ > "${file}"; while :; do ` +
  `sleep 0.1; done'}\n`;
const sleeper = (file: string): string =>
  `name: sleeper\njobs:\n  - {id: s, run: 'echo $$ > "${file}"; exec sleep 60'}\n`;

async function pidIn(file: string): Promise<number> {
  await eventually(
    `${file} is written`,
    () => existsSync(file) && readFileSync(file, "utf8").endsWith("\n"),
  );
  return Number(readFileSync(file, "utf8"));
}

/**
 * A folder for temporary files that nobody else uses, so that what is left in it was left by the
 * test.
 */
function ownTemp(): { temp: string; env: Record<string, string> } {
  const temp = tempFolder();
  return { temp, env: { TMPDIR: temp } };
}

describe("clusters", { concurrency: 3 }, () => {
  test("up: the first job is over soon after the start, and SIGTERM ends all in " +
    "order with 0", async (t) => {
    const cwd = tempFolder({ "quick.yaml": QUICK });
    const began = performance.now();
    const cluster = await up(["--workers", "2", "--slots", "2"], { cwd });
    const { code } = await titan(["run", "quick.yaml"], { cwd, env: cluster.env });
    t.diagnostic(
      `first job over ${Math.round(performance.now() - began)} ms after titan up was started`,
    );
    assert.equal(code, 0);
    const folders = () => readdirSync(join(cwd, ".titan", "workers")).map(Number).sort().join();
    await eventually(
      "each worker has its folder",
      () => folders() === [...cluster.ready.workerPids].sort().join(),
    );
    const ended = await cluster.kill("SIGTERM");
    assert.deepEqual([ended.code, ended.signal], [0, null]);
    assert.equal(lines(ended.stdout).length, 1, "the ready line is all there is on stdout");
    for (const pid of cluster.ready.workerPids) assert.equal(isAlive(pid), false);
    assert.deepEqual(readdirSync(join(cwd, ".titan", "workers")), []);
    assert.equal(existsSync(join(cwd, ".titan", "lock")), false);
  });

  test("up takes its workers and jobs with it on SIGKILL, and the next one goes on", async () => {
    const cwd = tempFolder();
    const pidFile = join(cwd, "pid");
    writeFileSync(join(cwd, "s.yaml"), sleeper(pidFile));
    const first = await up(["--workers", "1"], { cwd });
    const { stdout } = await titan(["run", "s.yaml", "--detach"], { cwd, env: first.env });
    const job = await pidIn(pidFile);
    await first.kill("SIGKILL");
    await eventually(
      "workers and jobs are gone",
      () => ![...first.ready.workerPids, job].some(isAlive),
    );
    const second = await up(["--workers", "0"], { cwd });
    assert.ok(second.ready.recovered.events > 0);
    const { run } = JSON.parse(
      (await inProcess(["status", stdout.trim(), "--json"], second.env)).stdout,
    );
    assert.equal(run.status, "RUNNING", "what was acknowledged is still there");
    assert.equal((await second.kill("SIGINT")).code, 0);
  });

  test("a worker that dies is replaced, its job runs again elsewhere, and " +
    "stderr says so", async () => {
    const cwd = tempFolder();
    const pidFile = join(cwd, "pid");
    writeFileSync(
      join(cwd, "s.yaml"),
      `name: twice\njobs:\n  - {id: s, run: 'if [ $TITAN_ATTEMPT = 1 ]; then echo $$ > ` +
        `"${pidFile}"; exec sleep 60; fi'}\n`,
    );
    const cluster = await up(["--no-store", "--workers", "1", "--slots", "1"], { cwd });
    const run = start(["run", "s.yaml", "--json"], { cwd, env: cluster.env });
    const job = await pidIn(pidFile);
    process.kill(cluster.ready.workerPids[0]!, "SIGKILL");
    await cluster.until("stderr", /worker 1 \(process \d+\) ended: SIGKILL; another one starts in/);
    const { code, stdout } = await run.ended;
    assert.equal(code, 0);
    const lost = lines(stdout).find(({ failure }) => failure !== undefined)!;
    assert.equal((lost["failure"] as { kind: string }).kind, "worker-lost");
    assert.equal(lines(stdout).at(-2)!["attempt"], 2);
    await eventually("the first attempt's process is gone", () => !isAlive(job));
    assert.equal((await cluster.kill("SIGTERM")).code, 0);
  });

  test("drain waits until nothing runs on a worker, says so, and can be undone", async () => {
    const cwd = tempFolder();
    const [go, begun] = [join(cwd, "go"), join(cwd, "begun")];
    writeFileSync(
      join(cwd, "waits.yaml"),
      `name: waits\njobs:\n  - {id: s, run: 'touch "${begun}"; until [ -e "${go}" ]; do ` +
        `sleep 0.05; done'}\n`,
    );
    writeFileSync(join(cwd, "ok.yaml"), "name: ok\njobs:\n  - {id: a, run: 'true'}\n");
    const cluster = await up(["--no-store", "--workers", "2", "--slots", "1"], { cwd });
    const quick = (...args: string[]) => inProcess(args, cluster.env);
    const states = async () =>
      Object.fromEntries(
        (JSON.parse((await quick("workers", "--json")).stdout) as Record<string, unknown>[]).map(
          ({ name, state }) => [name, state],
        ),
      );
    await eventually(
      "both workers are there",
      async () => Object.keys(await states()).length === 2,
    );
    assert.deepEqual(JSON.parse((await quick("drain", "w2", "--json")).stdout), {
      worker: "w2",
      id: 2,
      draining: true,
      running: 0,
      drained: true,
      gone: false,
    });
    assert.equal((await quick("run", join(cwd, "waits.yaml"), "--detach")).code, 0);
    await eventually("the job runs", () => existsSync(begun));
    assert.deepEqual(await states(), { w1: "busy", w2: "drained" });
    const late = await quick("drain", "w1", "--timeout", "0.1");
    assert.deepEqual([late.code, late.stdout], [124, ""]);
    assert.match(
      late.stderr,
      new RegExp(
        String.raw`waiting for 1 job to end there .*\n.*not over after 0\.1s; ` +
          "w1 goes on draining, and 1 job still runs there",
      ),
    );
    assert.match(
      (await quick("drain", "1", "--detach")).stdout,
      /^w1 gets nothing new; 1 job still runs there/,
    );
    assert.match((await quick("workers")).stdout, /^w1 +draining +1\/1/m);
    const waiting = start(["drain", "w1"], { cwd, env: cluster.env });
    await waiting.until("stderr", /waiting for 1 job/);
    writeFileSync(go, "");
    const { code, stdout } = await waiting.ended;
    assert.deepEqual(
      [code, stdout],
      [0, "w1 is drained: nothing runs there, and it can be stopped now\n"],
    );
    const warned = await quick("run", join(cwd, "ok.yaml"), "--detach");
    assert.match(
      warned.stderr,
      /Cannot schedule job "a" now: no free slot on the 2 workers \(2 slots, 2 draining\)/,
    );
    for (const name of ["w1", "w2"]) {
      assert.equal((await quick("drain", name, "--undo")).stdout, `${name} may get work again\n`);
    }
    assert.equal((await quick("watch", warned.stdout.trim())).code, 0);
    const wrong = await quick("drain", "w3");
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /Cannot find worker "w3" \(did you mean w[12]\?\)/);
    assert.equal((await cluster.kill("SIGTERM")).code, 0);
  });

  test("a drain that waits survives a restart of the master", async () => {
    const cwd = tempFolder();
    const [go, begun] = [join(cwd, "go"), join(cwd, "begun")];
    writeFileSync(
      join(cwd, "waits.yaml"),
      `name: waits\njobs:\n  - {id: s, run: 'touch "${begun}"; until [ -e "${go}" ]; do ` +
        `sleep 0.05; done'}\n`,
    );
    const listening = async (port: string) => {
      const process = start(["master", "--port", port, "--state", "state", "--json"], { cwd });
      return { process, port: (await process.until("stdout", /"port":(\d+),/))[1]! };
    };
    const port = String(await ownPort());
    const first = await listening(port);
    const env = { TITAN_MASTER: `127.0.0.1:${first.port}` };
    const worker = start(["worker", "--name", "w", "--home", "home", "--slots", "1"], { cwd, env });
    await worker.until("stdout", /offers/);
    assert.equal((await inProcess(["run", join(cwd, "waits.yaml"), "--detach"], env)).code, 0);
    await eventually("the job runs", () => existsSync(begun));
    const drain = start(["drain", "w"], { cwd, env });
    await drain.until("stderr", /waiting for 1 job/);
    const late = start(["drain", "w", "--timeout", "1s"], { cwd, env });
    await late.until("stderr", /waiting for 1 job/);
    first.process.child.kill("SIGSTOP");
    assert.equal(
      (await late.ended).code,
      124,
      "its time is over whether or not the master answers",
    );
    await first.process.kill("SIGKILL");
    await drain.until("stderr", /connection to the master broke .*; trying again/);
    const second = await listening(port);
    writeFileSync(go, "");
    const { code, stdout } = await drain.ended;
    assert.deepEqual(
      [code, stdout],
      [0, "w is drained: nothing runs there, and it can be stopped now\n"],
    );
    assert.equal((await worker.kill("SIGTERM")).code, 0);
    assert.equal((await second.process.kill("SIGTERM")).code, 0);
  });

  test("a watch survives a restart of the master", async () => {
    const cwd = tempFolder({
      "g.yaml":
        "name: g\njobs:\n  - {id: a, run: 'true', hitl_message: go?}\n  - {id: b, run: 'true', " +
        "needs: a}\n",
    });
    const port = String(await ownPort());
    const first = await up(["--no-store", "--workers", "1", "--port", port], { cwd });
    const watch = start(["run", "g.yaml", "--json"], { cwd, env: first.env });
    await watch.until("stdout", /WAITING/);
    await first.kill("SIGKILL");
    await watch.until("stderr", /the run goes on, trying again/);
    const second = await up(["--no-store", "--workers", "1", "--port", port], { cwd });
    await watch.until("stderr", /connected again/);
    const run = String(lines(watch.stdout)[0]!["id"]);
    assert.equal((await inProcess(["approve", run], second.env)).code, 0);
    const { code, stdout } = await watch.ended;
    assert.equal(code, 0);
    const said = lines(stdout).map(
      ({ job, status, attempt }) => `${job ?? "run"} ${status} ${attempt ?? ""}`,
    );
    assert.deepEqual([said[0], said.at(-1)], ["run RUNNING ", "run COMPLETED "]);
    assert.equal(new Set(said).size, said.length, `nothing is said twice: ${said.join(", ")}`);
    assert.equal((await second.kill("SIGTERM")).code, 0);
  });

  test("up refuses a folder that is in use, a port that is in use, and an open address without a " +
    "token", async () => {
    const cwd = tempFolder();
    const cluster = await up(["--no-store", "--workers", "0"], { cwd });
    // A store is loading in a thread when the start is given up. Node may leave the folder open
    // that such a thread syncs as it is ended: in a titan that ends that is nothing, here a leak.
    const state = join(cwd, ".titan");
    const locked = await inProcess(["up", "--no-store", "--port", "0", "--state", state]);
    assert.equal(locked.code, 1);
    assert.match(locked.stderr, /^titan: Cannot start a master on .*: another one is using it/);
    const port = String(cluster.ready.port);
    const taken = await inProcess(["master", "--port", port, "--state", join(cwd, "other")]);
    assert.equal(taken.code, 1);
    assert.match(taken.stderr, /the port is in use/);
    const third = join(cwd, "third");
    const open = await inProcess(["up", "--host", "0.0.0.0", "--port", "0", "--state", third]);
    assert.equal(open.code, 2);
    assert.match(open.stderr, /TITAN_TOKEN/);
    assert.equal((await cluster.kill("SIGTERM")).code, 0);
  });

  test("up and run name a state folder that cannot be used, why, and what to do", async () => {
    const cwd = tempFolder({ "in-the-way": "", "q.yaml": QUICK });
    const other = "  --state DIR or TITAN_HOME names another\n";
    const state = join(cwd, "in-the-way");
    const wrong = [
      [state, "it is in the way"],
      [join(state, "x"), "a part of the path is no folder"],
    ];
    if (process.platform === "linux") {
      wrong.push(["/proc/no/such", "there is no such file or folder"]);
    }
    for (const [dir, why] of wrong) {
      const file = join(cwd, "q.yaml");
      const commands = [["up", "--port", "0", "--no-store"], ["run", file, "--embedded"]];
      for (const args of commands) {
        const { code, stderr } = await inProcess([...args, "--state", dir!]);
        assert.equal(code, 1, stderr);
        const said = `titan: Cannot use the state folder ${dir}: ${why}\n${other}`;
        assert.ok(stderr.endsWith(said), stderr);
      }
    }
  });

  test("a second signal ends at once, although a job refuses to end", async () => {
    const cwd = tempFolder();
    const pidFile = join(cwd, "pid");
    writeFileSync(join(cwd, "s.yaml"), stubborn(pidFile));
    const cluster = await up(["--no-store", "--workers", "1"], { cwd });
    await titan(["run", "s.yaml", "--detach"], { cwd, env: cluster.env });
    const job = await pidIn(pidFile);
    cluster.child.kill("SIGINT");
    await cluster.until("stderr", /stopping/);
    const began = performance.now();
    assert.equal((await cluster.kill("SIGINT")).code, 130);
    assert.ok(performance.now() - began < 4000, "sooner than the job's grace of 5 s");
    await eventually(
      "worker and job are gone",
      () => ![...cluster.ready.workerPids, job].some(isAlive),
    );
  });

  test("master and worker run apart; a worker with a wrong token is told so and " +
    "ends with 4", async () => {
    const cwd = tempFolder({
      "gpu.yaml": "name: gpu\njobs:\n  - {id: g, run: 'true', requirement: [GPU, BIG]}\n",
    });
    writeFileSync(
      join(cwd, "long.yaml"),
      `name: long\njobs:\n  - {id: l, run: 'touch "${join(cwd, "begun")}"; sleep 60'}\n`,
    );
    const env = { TITAN_TOKEN: "t0ken" };
    const master = start(["master", "--port", "0"], { cwd, env });
    const [, address] = await master.until("stdout", /master at (\S+), no workers/);
    const wrong = await titan(["worker", "--master", address!, "--token", "x"], { cwd });
    assert.equal(wrong.code, 4, wrong.stderr);
    const worker = start(
      [
        "worker",
        "--master",
        address!,
        "--tags",
        "GPU,BIG",
        "--slots",
        "3",
        "--name",
        "big",
        "--permanent",
      ],
      { cwd, env },
    );
    await worker.until("stdout", /big offers 3 slots to .* \(GPU, BIG\)/);
    assert.equal(
      (
        await titan(["run", "gpu.yaml", "--strict"], {
          cwd,
          env: { ...env, TITAN_MASTER: address! },
        })
      ).code,
      0,
    );
    assert.equal(
      (
        await inProcess(["run", join(cwd, "long.yaml"), "--detach"], {
          ...env,
          TITAN_MASTER: address!,
        })
      ).code,
      0,
    );
    await eventually("the long job runs", () => existsSync(join(cwd, "begun")));
    const stopped = await worker.kill("SIGTERM");
    assert.equal(stopped.code, 0);
    assert.match(stopped.stderr, /stopping; 1 job has 5 s to end/);
    assert.equal((await master.kill("SIGTERM")).code, 0);
  });
});

test("a worker without a master says why once, and again when the reason changes", async () => {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    // It reads what comes: with something unread in it a socket does not see that its peer has
    // gone.
    sockets.push(socket.on("error", () => undefined).resume());
    socket.end();
  });
  const port = await ownPort();
  const worker = start(["worker", "--master", `127.0.0.1:${port}`], { cwd: tempFolder() });
  await worker.until("stderr", /no connection to the master: .*ECONNREFUSED/);
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  await eventually("it dials again and again", () => sockets.length >= 4);
  const { code, stderr } = await worker.kill("SIGTERM");
  server.close();
  const said = stderr.split("\n").filter((line) => line.includes("no connection to the master"));
  assert.equal(code, 0);
  assert.ok(said.length >= 2, stderr);
  for (const [i, line] of said.entries()) assert.notEqual(line, said[i + 1]);
});

describe("a cluster for one run", { concurrency: 2 }, () => {
  test("runs the files of the project and leaves nothing behind", async () => {
    const { temp, env } = ownTemp();
    const cwd = tempFolder({
      "p.yaml": "name: p\njobs:\n  - {id: a, file: sub/hello.sh, args: '--x 1'}\n",
    });
    mkdirSync(join(cwd, "sub"));
    writeFileSync(join(cwd, "sub", "hello.sh"), "echo hello $@ from $TITAN_RUN\n");
    const { code, stdout, stderr } = await titan(
      ["run", "p.yaml", "--embedded", "--state", "kept"],
      { cwd, env },
    );
    assert.equal(code, 0, stderr);
    assert.match(stderr, /^titan: starting a cluster for this run \(2 workers, state in kept\)\n/);
    const again = await up(["--no-store", "--workers", "0", "--state", "kept"], { cwd });
    assert.match(
      (await inProcess(["logs", `${stdout.split(" ")[0]}/a`], again.env)).stdout,
      /^hello --x 1 from p-\w+\n$/,
    );
    await again.kill("SIGTERM");
    assert.equal((await titan(["run", "-", "--embedded"], { cwd, env, input: QUICK })).code, 0);
    assert.deepEqual(readdirSync(temp), []);
  });

  test("is started when no master was named and none is at the default port, " +
    "and says so", async (t) => {
    const cwd = tempFolder({ "quick.yaml": QUICK });
    const dialled = await Promise.allSettled([
      nodeHost().network.dial({ host: "127.0.0.1", port: 9090 }),
    ]);
    const free = dialled[0].status === "rejected";
    if (dialled[0].status === "fulfilled") dialled[0].value.destroy();
    // Somebody's own cluster may be at the default port; it is not for a test to use it.
    if (!free) return t.diagnostic("port 9090 is in use here: not looked at");
    const { code, stderr } = await titan(["run", "quick.yaml"], { cwd });
    assert.equal(code, 0, stderr);
    assert.match(stderr, /^titan: no master at 127\.0\.0\.1:9090; starting a cluster for this run/);
  });

  test("is not started when something at the default port answers oddly", async () => {
    const cwd = tempFolder({ "quick.yaml": QUICK });
    // Whatever answers there may be a master that is full or ill: the run is not to go elsewhere.
    const answers: ((socket: Socket) => void)[] = [
      (socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"),
      (socket) => socket.destroy(),
    ];
    const server = createServer((socket) =>
      answers.shift()!(socket.on("error", () => undefined).resume()));
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    const { port } = server.address() as AddressInfo;
    const { network } = nodeHost();
    // The default port itself is everybody's: other tests look there, too, and maybe a developer.
    const redirected: Network = {
      listen: (at, onSocket) => network.listen(at, onSocket),
      dial: (to, options) => {
        assert.deepEqual(to, { host: "127.0.0.1", port: 9090 });
        return network.dial({ ...to, port }, options);
      },
    };
    const odd = [
      await inProcess(["run", join(cwd, "quick.yaml")], {}, redirected),
      await inProcess(["run", join(cwd, "quick.yaml")], {}, redirected),
    ];
    server.close();
    assert.deepEqual(
      odd.map((found) => [found.code, found.stdout]),
      [
        [5, ""],
        [5, ""],
      ],
    );
    const unreachable = (found: string): RegExp =>
      new RegExp(String.raw`^titan: Cannot reach the master at 127\.0\.0\.1:9090: ${found}`);
    assert.match(
      odd[0]!.stderr,
      unreachable("something answers there, but it is not a Titan master"),
    );
    assert.match(
      odd[1]!.stderr,
      unreachable("it takes connections, and closes them before it has answered"),
    );
    for (const { stderr: text } of odd) {
      assert.match(text, /\n *--embedded runs it on a cluster of its own/);
    }
  });

  test("refuses with 6 what its workers can never run, unless they get the tags", async () => {
    const cwd = tempFolder({
      "gpu.yaml": "name: gpu\njobs:\n  - {id: g, run: 'true', requirement: GPU}\n",
    });
    const { code, stdout, stderr } = await titan(["run", "gpu.yaml", "--embedded"], { cwd });
    assert.deepEqual([code, stdout], [6, ""]);
    assert.match(stderr, /no worker has GPU.*\n.*--tags/);
    assert.equal(
      (await titan(["run", "gpu.yaml", "--embedded", "--tags", "GPU"], { cwd })).code,
      0,
    );
    assert.equal((await titan(["run", "gpu.yaml", "--embedded", "--detach"], { cwd })).code, 5);
  });

  test("tells how a gate can be answered from another terminal, and it can", async (t) => {
    const cwd = tempFolder({
      "gate.yaml": "name: g\njobs:\n  - {id: ask, run: 'true', hitl_message: 'Ship it?'}\n",
    });
    const running = start(["run", "gate.yaml", "--embedded", "--workers", "1"], { cwd });
    t.after(() => running.kill("SIGKILL")); // else it would wait two days
    const told = /export TITAN_MASTER=(\S+) TITAN_TOKEN_FILE=('?)(\S.*)\2\n {2}titan gates\n/;
    const [, master = "", , file = ""] = await running.until("stderr", told);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    await running.until("stderr", /ask waiting {2}Ship it\? {2}titan approve g-\w+\/ask\n/);
    const env = { TITAN_MASTER: master, TITAN_TOKEN_FILE: file };
    const { stdout } = await titan(["approve", "g", "--as", "ada"], { cwd, env });
    assert.match(stdout, /g-\w+\/ask approved by ada/);
    assert.equal((await running.ended).code, 0);
    assert.equal(existsSync(file), false);
  });

  test("its jobs see the keys of a provider of models, and others only if named", async () => {
    const see = async (more: Record<string, string>): Promise<string> => {
      const cwd = tempFolder();
      writeFileSync(join(cwd, "env.yaml"), `name: e\njobs:\n  - id: a\n    run: 'echo ` +
        `"key=$OPENAI_API_KEY other=$OTHER debug=$TITAN_DEBUG" > "${join(cwd, "out")}"'\n`);
      const env = { OPENAI_API_KEY: "k1", OTHER: "o1", TITAN_DEBUG: "1", ...more };
      const args = ["run", "env.yaml", "--embedded", "--workers", "1"];
      const { code, stderr } = await titan(args, { cwd, env });
      assert.equal(code, 0);
      assert.doesNotMatch(stderr, /to answer|TITAN_TOKEN_FILE/, "nobody is asked anything");
      return readFileSync(join(cwd, "out"), "utf8");
    };
    assert.deepEqual(await Promise.all([see({}), see({ TITAN_JOB_ENV: "OTHER, TITAN_DEBUG" })]), [
      "key=k1 other= debug=\n", "key= other=o1 debug=\n",
    ]);
  });

  test("Ctrl-C while it starts leaves no folder behind", async () => {
    const { temp, env } = ownTemp();
    const cwd = tempFolder({ "quick.yaml": QUICK });
    const starting = start(["run", "quick.yaml", "--embedded"], { cwd, env });
    while (readdirSync(temp).length === 0 && starting.child.exitCode === null) {
      await new Promise((next) => setImmediate(next));
    }
    const { code } = await starting.kill("SIGINT");
    assert.equal(code, 130);
    assert.deepEqual(readdirSync(temp), []);
  });

  test("ends with its run on Ctrl-C (130), on --timeout (124), and with SIGKILL", async () => {
    const { temp, env } = ownTemp();
    const cwd = tempFolder();
    const files = [0, 1, 2].map((n) => join(cwd, `pid${n}`));
    for (const [n, file] of files.entries()) writeFileSync(join(cwd, `${n}.yaml`), sleeper(file));
    const interrupted = start(["run", "0.yaml", "--embedded", "--workers", "1"], { cwd, env });
    const pids = [await pidIn(files[0]!)];
    const end = await interrupted.kill("SIGINT");
    assert.equal(end.code, 130);
    assert.match(
      end.stderr,
      /interrupted; cancelling sleeper-\w+, because its cluster ends with this command/,
    );
    assert.match(end.stderr, /s cancelled/);
    const late = await titan(
      ["run", "1.yaml", "--embedded", "--workers", "1", "--timeout", "1s", "--json"],
      { cwd, env },
    );
    assert.equal(late.code, 124);
    assert.deepEqual(lines(late.stdout).at(-1)!["status"], "CANCELLED");
    assert.deepEqual(readdirSync(temp), []);
    const killed = start(["run", "2.yaml", "--embedded", "--workers", "1", "--state", "s"], {
      cwd,
    });
    pids.push(await pidIn(files[2]!));
    await killed.kill("SIGKILL");
    await eventually("the jobs are gone", () => !pids.some(isAlive));
  });
});

test("startEmbeddedCluster() gives each worker its tags, and stop() leaves nothing", async () => {
  const cluster = await startEmbeddedCluster({ workers: 2, slots: 1, tags: [["GPU"], ["BIG"]] });
  await cluster.ready;
  const client = await connect({ host: nodeHost(), master: cluster.master });
  const found = await client.workers();
  client.close();
  assert.deepEqual(found.map(({ tags }) => tags.filter((tag) => tag !== "GENERAL").join()).sort(), [
    "BIG",
    "GPU",
  ]);
  const pids = cluster.workerPids;
  assert.equal(pids.length, 2);
  await cluster.stop();
  assert.deepEqual([pids.some(isAlive), existsSync(cluster.stateDir)], [false, false]);
});

test("inheritedOptions() keeps loaders and conditions and drops what is this process's own", () => {
  const kept = ["-C", "source", "--import", "file:///loader.mjs"];
  assert.deepEqual(
    inheritedOptions([
      "--inspect=9229",
      ...kept,
      "--test",
      "--test-name-pattern",
      "x",
      "-e",
      "code",
      "--test-reporter=spec",
    ]),
    kept,
  );
});
