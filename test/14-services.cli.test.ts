/**
 * Chapter 14 as people see it: real processes, real kills, and the words of the command line.
 */
import assert from "node:assert/strict";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import {
  eventually, inProcess, isAlive, ownPort, start, tempFolder, titan, type Ended, type Started,
} from "./cli.support.ts";

/** Answers with its pid; "/die" ends it, and "/sick" makes it hang. */
const SERVER = `
import { createServer } from "node:http";
let sick = false;
createServer((request, response) => {
  if (request.url === "/die") process.exit(3);
  if (request.url === "/sick") sick = true;
  if (!sick || request.url === "/sick") response.end(String(process.pid));
}).listen(Number(process.env.TITAN_PORT), "127.0.0.1");
`;

const folder = tempFolder({ "server.mjs": SERVER });
let master: Started;
let port = 0;
const workers: Started[] = [];

/** At the same port each time. */
async function startMaster(): Promise<void> {
  port ||= await ownPort();
  const at = ["--port", String(port), "--state", "state"];
  master = start(["master", ...at, "--json"], { cwd: folder });
  await master.until("stdout", /\{.*"type":"ready".*\}/);
}

async function startWorker(name: string): Promise<void> {
  const at = ["--master", `127.0.0.1:${port}`, "--name", name, "--home", name, "--slots", "8"];
  const worker = start(["worker", ...at], { cwd: folder });
  workers.push(worker);
  await worker.until("stdout", /offers 8 slots/);
}

before(async () => {
  await startMaster();
  await Promise.all([startWorker("w1"), startWorker("w2")]);
});
after(async () => {
  await Promise.all(workers.map((worker) => worker.kill("SIGTERM")));
  await master.kill("SIGTERM");
});

const at = (): string[] => ["--master", `127.0.0.1:${port}`];
/** In a process of its own, in the folder of the service. */
const deploy = (name: string, ...args: string[]): Promise<Ended> =>
  titan(["deploy", "--name", name, ...at(), ...args], { cwd: folder });

/** The same in this process, where the words count. */
const deployHere = (name: string, ...args: string[]): Promise<Ended> =>
  inProcess(["deploy", "--name", name, ...at(), ...args]);

interface Replica {
  readonly job: string;
  readonly worker: string | null;
  readonly host: string | null;
  readonly port: number | null;
  readonly pid: number | null;
  readonly state: string;
  readonly restarts: number;
  readonly uptimeMs: number | null;
  readonly reason: string;
  readonly lastFailure: { readonly kind: string; readonly message: string } | null;
}

async function replicas(name: string): Promise<Replica[]> {
  const { stdout } = await inProcess(["services", "--all", "--json", ...at()]);
  const all = JSON.parse(stdout) as { name: string; state: string; replicas: Replica[] }[];
  return all.find((service) => service.name === name)?.replicas ?? [];
}

/** The first replica, once it is as it should be. */
async function replica(name: string, fits: (one: Replica) => boolean): Promise<Replica> {
  let found: Replica | undefined;
  await eventually(`${name} is as it should be`, async () => {
    found = (await replicas(name))[0];
    return found !== undefined && fits(found);
  });
  return found!;
}

const isReady = ({ state }: Replica): boolean => state === "READY";

async function ask(one: Replica, path = "/"): Promise<string> {
  const answer = await fetch(`http://${one.host}:${one.port}${path}`);
  return answer.text();
}

test("deploy waits until the service is ready, and the first request is answered", async () => {
  const { code, stdout, stderr } = await deploy("web", "server.mjs");
  assert.equal(code, 0, stderr);
  const [, where, worker, pid] = /^web (\S+:\d+) on (w\d), pid (\d+)\n$/.exec(stdout) ?? [];
  const [one] = await replicas("web");
  assert.deepEqual([`${one!.host}:${one!.port}`, one!.worker, String(one!.pid)],
    [where, worker, pid]);
  assert.equal(await ask(one!), pid);
});

test("a service that is killed is ready again, with another pid, and it is counted", async () => {
  const [before] = await replicas("web");
  process.kill(before!.pid!, "SIGKILL");
  const after = await replica("web", (one) => isReady(one) && one.pid !== before!.pid);
  assert.deepEqual([after.restarts, after.lastFailure!.message], [1, "ended by SIGKILL"]);
  assert.equal(await ask(after), String(after.pid));
});

test("kill -9 of the master leaves the process alone, and the next master knows it", async () => {
  const one = await replica("web", isReady);
  await master.kill("SIGKILL");
  assert.equal(await ask(one), String(one.pid), "while there is no master");
  await startMaster();
  const same = await replica("web", isReady);
  assert.deepEqual([same.pid, same.port, same.restarts], [one.pid, one.port, one.restarts]);
  assert.equal(await ask(one), String(one.pid));
});

test("kill -9 of the worker: the service is ready on the other one, and its process is " +
  "gone", async () => {
  const one = await replica("web", isReady);
  const index = one.worker === "w1" ? 0 : 1;
  await workers[index]!.kill("SIGKILL");
  const other = await replica("web", (now) => isReady(now) && now.worker !== one.worker);
  assert.equal(await ask(other), String(other.pid));
  await eventually("the old process is gone", () => !isAlive(one.pid!));
  workers.splice(index, 1);
  await startWorker(one.worker!);
});

test("restart gives it another process at once; stop ends it as COMPLETED, and it stays " +
  "ended", async () => {
  const one = await replica("web", isReady);
  assert.equal((await inProcess(["restart", "web", ...at()])).stdout, "web restarts\n");
  const other = await replica("web", (now) => isReady(now) && now.pid !== one.pid);
  assert.equal(other.restarts, one.restarts, "nobody's fault");
  const { code, stdout } = await inProcess(["stop", "web", ...at()]);
  assert.deepEqual([code, stdout], [0, "web stopped\n"]);
  assert.equal(isAlive(other.pid!), false, "stop waits for the process");
  const { stdout: runs } = await inProcess(["runs", "--json", ...at()]);
  assert.match(runs, /"name":"web","status":"COMPLETED"/);
  const again = await inProcess(["stop", "web", ...at()]);
  assert.equal(again.code, 1);
  assert.match(again.stderr, /Cannot stop "web": it is over: web-\w+ is COMPLETED/);
});

test("run: services with replicas and a job behind them; SERVING, exit 0, and where they " +
  "are", async () => {
  const file = tempFolder({
    "server.mjs": SERVER,
    "shop.yaml": `
name: shop
jobs:
  - id: api
    type: service
    file: server.mjs
    replicas: 2
    healthcheck: {http: /health}
  - id: checked
    type: service
    file: server.mjs
    healthcheck: {command: [node, -e, "fetch('http://127.0.0.1:' + process.env.TITAN_PORT)"]}
  - id: smoke
    run: node -e "fetch('http://$TITAN_SERVICE_API').then((a) => a.text()).then(console.log)"
    depends_on: [api, checked]
`,
  });
  const { code, stdout, stderr } = await titan(["run", "shop.yaml", ...at()], { cwd: file });
  assert.equal(code, 0, stderr);
  const [first, ...rest] = stdout.trimEnd().split("\n");
  const id = /^(shop-\w+) SERVING \(1\/4 done, 3 running\)$/.exec(first!)?.[1];
  assert.ok(id !== undefined, stdout);
  assert.deepEqual(rest.map((line) => line.replace(/:\d+ on w\d/, "")).sort(), [
    "  api ready at 127.0.0.1", "  api.2 ready at 127.0.0.1", "  checked ready at 127.0.0.1",
  ]);
  assert.match(stderr, /its services go on; titan stop --master \S+ shop-\w+ ends them/);
  const pids = (await replicas("api")).map(({ pid }) => String(pid));
  const { stdout: printed } = await inProcess(["logs", `${id}/smoke`, ...at()]);
  assert.ok(pids.includes(printed.trim()), `${printed} is one of ${pids.join()}`);
  const { stdout: status } = await inProcess(["status", id, ...at()]);
  assert.match(status, /api\.2 +RUNNING \(ready\)/);
  const stopped = await inProcess(["stop", "@latest", ...at()]);
  assert.equal(stopped.stdout, "api, checked (3 replicas) stopped\n");
  const { stdout: after } = await inProcess(["status", id, ...at()]);
  assert.match(after, /COMPLETED {2}4\/4/);
});

test("a fixed port that somebody has: the reason names the process, it is no crash, and it " +
  "starts once the port is free", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((listening) => server.once("listening", listening));
  const { port: taken } = server.address() as AddressInfo;
  const program = join(folder, "server.mjs");
  await deployHere("fixed", "--port", String(taken), "--detach", program);
  const { reason, restarts } = await replica("fixed", ({ state }) => state === "RESTARTING");
  const who = process.platform === "linux" ? ` by pid ${process.pid} ` : "";
  assert.match(reason, new RegExp(`port ${taken} is in use on w\\d${who}`));
  assert.equal(restarts, 0);
  await new Promise((closed) => server.close(closed));
  const ready = await replica("fixed", isReady);
  assert.deepEqual([ready.port, ready.restarts], [taken, 0]);
  await inProcess(["stop", "fixed", ...at()]);
});

test("services that end at once, fork, ignore TERM, print without end or never " +
  "answer", async () => {
  const silent = tempFolder({
    "all.yaml": `
name: bad
jobs:
  - {id: at-once, type: service, run: "true"}
  - {id: forks, type: service, run: sleep 1000 & echo $!}
  - {id: prints, type: service, run: yes, restart: never}
  - id: deaf
    type: service
    command: [node, -e, "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000)"]
    healthcheck: {interval: 50ms, unhealthy_after: 1, start_period: 300ms}
    stop_grace: 100ms
  - id: silent
    type: service
    command: [node, -e, "require('net').createServer(() => {}).listen(process.env.TITAN_PORT)"]
    healthcheck: {http: /, interval: 50ms, timeout: 100ms, unhealthy_after: 1, start_period: 1s}
`,
  });
  const { stdout } = await inProcess(["run", join(silent, "all.yaml"), "-d", ...at()]);
  const id = stdout.trim();
  const exit0 = /^ended with exit code 0 \(a service stays in the foreground\)$/;
  const reasons: readonly (readonly [string, RegExp])[] = [
    ["at-once", exit0],
    ["forks", exit0],
    ["deaf", /^its health check failed 2 times in a row: nothing listens on port \d+$/],
    ["silent", /^its health check failed 2 times in a row: no answer within 0\.1s$/],
  ];
  for (const [name, why] of reasons) {
    // On a busy machine the first start of a program may take longer than its start_period.
    await replica(name, ({ lastFailure }) => lastFailure !== null && why.test(lastFailure.message));
  }
  const { stdout: left } = await inProcess(["logs", `${id}/forks`, "--attempt", "1", ...at()]);
  await eventually("what it forked is gone", () => !isAlive(Number(left)));
  const stopped = await inProcess(["stop", id, ...at()]);
  assert.equal(stopped.code, 0, stopped.stderr);
  assert.equal((await replicas("deaf"))[0]!.state, "STOPPED");
});

test("a service that cannot start fails at once: exit 3, with the reason", async () => {
  const { code, stderr } = await deployHere("missing", "--", "no-such-program");
  assert.equal(code, 3);
  assert.match(stderr, /missing failed: Cannot start "no-such-program": no such file/);
  // It is in the list still; its own name is no better name for it.
  const stop = await inProcess(["stop", "missing", ...at()]);
  assert.equal(stop.code, 1);
  assert.match(stop.stderr, /it is over: missing-\w+ is FAILED\n {2}titan services lists them/);
  assert.match((await inProcess(["stop", "missin", ...at()])).stderr, /did you mean missing\?/);
});

test("deploy that is not ready in time: exit 124, its last words, and it goes on", async () => {
  const wait = (ms: number): Promise<Ended> =>
    deployHere("slow", "--timeout", `${ms}ms`, "--", "sh", "-c", "echo not yet; exec sleep 1000");
  let found = await wait(500);
  // On a busy machine it may have said nothing so soon: then it gets more time.
  for (let ms = 1000; !/not yet/.test(found.stderr) && ms < 20_000; ms *= 2) {
    assert.equal((await inProcess(["stop", "slow", ...at()])).code, 0);
    found = await wait(ms);
  }
  const { code, stderr } = found;
  assert.equal(code, 124);
  assert.match(stderr, /slow goes on \(titan services shows it, titan stop slow ends it\)/);
  assert.match(stderr, / \| not yet/);
  assert.equal((await inProcess(["stop", "slow", ...at()])).code, 0);
});

test("wrong words of deploy, stop and worker are refused in words", async () => {
  const table: readonly (readonly [readonly string[], RegExp])[] = [
    [["deploy", "a.py", "--port", "0"], /Cannot use --port 0: must be a whole number from 1 to/],
    [["deploy", "a.py", "--port", "70000"], /Cannot use --port 70000/],
    [["deploy", "a.py", "--replicas", "0"], /Cannot use --replicas 0/],
    [["deploy", "a.yaml"], /Cannot deploy a\.yaml: it is a pipeline/],
    [["deploy", "a.py", "--name", "a b"], /must begin with a letter or digit/],
    [["deploy", "no.py"], /^titan deploy: "file" in job "no": there is no no\.py in the project/],
    [["deploy", "."], /Cannot deploy \.: it needs a name \(--name NAME\)/],
    [["deploy", ""], /Cannot deploy "": expected a file \(a variable that is not set\?\)/],
    [["deploy"], /it takes FILE\|-- PROGRAM \[ARGS\], found nothing/],
    [["worker", "--ports", "9-1"], /Cannot use --ports 9-1: must be FROM-TO/],
    [["worker", "--ports", "1-70000"], /Cannot use --ports 1-70000/],
  ];
  for (const [args, why] of table) {
    const { code, stderr } = await inProcess([...args, ...at()]);
    assert.equal(code, 2, args.join(" "));
    assert.match(stderr, why);
  }
});

test("the event log tells the life of a service", async () => {
  const { stdout } = await inProcess(["eventlog", "show", `${folder}/state/log`]);
  assert.match(stdout, /ServiceHealth +web-\w+\/web#1 is READY at 127\.0\.0\.1:\d+/);
  assert.match(stdout, /ReplicasRetired +web-\w+\/web \(stop\) by /);
});
