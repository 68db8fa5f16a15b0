/**
 * Chapter 14, with a real master and real workers in virtual time: ports, checks, and services that
 * outlive their workers.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ExecOutcome, Running } from "#exec";
import type { Listener, Socket, SocketHandlers } from "#host";
import type { Client } from "#sdk";
import {
  HEARTBEAT_MS, LEASE_MS, REJOIN_GRACE_MS, type JobSpec, type Service, type ServiceInfo,
} from "#wire";
import {
  job, pipeline, SimCluster, type FakeExecutor, type FakeJob,
} from "./11-worker.cluster.ts";
import { SimWorld } from "#simhost";
import type { Worker } from "#worker";
import { checkHealth } from "../src/worker/check.ts";
import { WorkerServices } from "../src/worker/services.ts";
import { serviceSpec } from "./spec.support.ts";

const service = (id: string, fields: Partial<Service> = {}): JobSpec =>
  job(id, { service: serviceSpec(id, fields) });

/** Programs of one worker that listen on the port they are given, for as long as they run. */
class Servers {
  readonly cluster: SimCluster;
  readonly worker: string;
  readonly listeners = new Map<FakeJob, Listener>();
  /** What they do with a connection: by default nothing. */
  serve: (socket: Socket) => void = (socket) => {
    socket.handle({ onData: () => undefined, onClose: () => undefined });
  };
  listens = true;

  constructor(cluster: SimCluster, worker: string, executor: FakeExecutor) {
    this.cluster = cluster;
    this.worker = worker;
    executor.script = (fake) => {
      if (this.listens && fake.request.port !== undefined) void this.listen(fake);
    };
  }

  async listen(fake: FakeJob): Promise<void> {
    const { network } = this.cluster.world.host(this.worker);
    const at = { host: "127.0.0.1", port: fake.request.port! };
    const listener = await network.listen(at, (socket) => this.serve(socket));
    this.listeners.set(fake, listener);
    void fake.done.then(() => listener.close());
  }
}

interface Room {
  readonly cluster: SimCluster;
  readonly client: Client;
  readonly executor: FakeExecutor;
  readonly worker: Worker;
  readonly servers: Servers;
  info(run: string, id?: string): Promise<ServiceInfo | undefined>;
  /** Until the service is in a phase. */
  phase(run: string, phase: ServiceInfo["phase"], id?: string): Promise<ServiceInfo>;
  /** Stops all services, so that nothing is left. */
  end(run: string): Promise<void>;
}

async function room(options: { slots?: number } = {}): Promise<Room> {
  const cluster = new SimCluster();
  await cluster.startMaster();
  const { executor, worker } = cluster.startWorker("w1", { slots: options.slots ?? 4 });
  const client = await cluster.connect();
  const servers = new Servers(cluster, "w1", executor);
  const info = async (run: string, id?: string): Promise<ServiceInfo | undefined> => {
    const { jobs } = await cluster.world.settle(client.status(run));
    return jobs.find((each) => id === undefined || each.id === id)?.service;
  };
  return {
    cluster, client, executor, worker, servers, info,
    phase: async (run, phase, id) => {
      for (let tries = 0; tries < 5000; tries++) {
        const found = await info(run, id);
        if (found?.phase === phase) return found;
        await cluster.world.run(cluster.world.now + 50);
      }
      throw new Error(`still not ${phase}: ${JSON.stringify(await info(run, id))}`);
    },
    end: async (run) => {
      await cluster.world.settle(client.cancel(run));
      await cluster.world.run(cluster.world.now + 10_000);
    },
  };
}

const submit = async ({ cluster, client }: Room, ...jobs: JobSpec[]): Promise<string> =>
  (await cluster.world.settle(client.submitSpec(pipeline(jobs)))).run;

test("a service gets a port, and is READY soon after it listens there", async () => {
  const all = await room();
  const run = await submit(all, service("web"));
  const { host, port, restarts } = await all.phase(run, "READY");
  const [fake] = all.executor.jobs;
  assert.equal(fake!.request.port, port);
  assert.deepEqual([host, restarts], ["w1", 0]);
  assert.ok(port >= 20_000 && port <= 29_999, `port ${port}`);
  assert.equal(fake!.request.graceMs, 5000);
  await all.end(run);
});

test("a service that listens late is found within 300 ms, and failed checks before do not " +
  "count", async () => {
  const all = await room();
  all.servers.listens = false;
  const run = await submit(all, service("web"));
  await all.phase(run, "STARTING");
  await all.cluster.world.run(all.cluster.world.now + 20_000);
  const starting = (await all.info(run))!;
  assert.match(starting.reason, /^nothing listens on port \d+$/);
  assert.equal(starting.phase, "STARTING", "for the start period of 30 s");
  const from = all.cluster.world.now;
  await all.cluster.world.settle(all.servers.listen(all.executor.jobs[0]!));
  const ready = await all.phase(run, "READY");
  assert.ok(all.cluster.world.now - from <= 300, `${all.cluster.world.now - from} ms`);
  assert.equal(ready.port, starting.port);
  await all.end(run);
});

test("a service whose check fails is UNHEALTHY after three, and restarted after six", async () => {
  const all = await room();
  const run = await submit(all, service("web"));
  await all.phase(run, "READY");
  const [fake] = all.executor.jobs;
  const from = all.cluster.world.now;
  await all.servers.listeners.get(fake!)!.close();
  const unhealthy = await all.phase(run, "UNHEALTHY");
  assert.match(unhealthy.reason, /^nothing listens on port/);
  const took = all.cluster.world.now - from;
  assert.ok(took > 4000 && took < 6200, `${took} ms for three checks, one every 2 s`);
  assert.equal(fake!.cancelled, undefined);
  const restarting = await all.phase(run, "RESTARTING");
  assert.match(restarting.reason, /^its health check failed 6 times in a row: nothing listens/);
  const again = await all.phase(run, "READY");
  assert.equal(again.restarts, 1);
  await all.end(run);
});

test("a service that gets well again is READY again", async () => {
  const all = await room();
  const run = await submit(all, service("web"));
  await all.phase(run, "READY");
  await all.servers.listeners.get(all.executor.jobs[0]!)!.close();
  await all.phase(run, "UNHEALTHY");
  await all.cluster.world.settle(all.servers.listen(all.executor.jobs[0]!));
  const ready = await all.phase(run, "READY");
  assert.deepEqual([ready.restarts, all.executor.jobs.length], [0, 1]);
  await all.end(run);
});

test("http: 2xx is well; another status, no HTTP and no answer are told as they are", async () => {
  const all = await room();
  let answer: string | undefined = "HTTP/1.1 204 No Content\r\n\r\n";
  const asked: string[] = [];
  all.servers.serve = (socket) => socket.handle({
    onData: (bytes) => {
      asked.push(bytes.toString().split("\r\n")[0]!);
      if (answer !== undefined) socket.write(Buffer.from(answer));
    },
    onClose: () => undefined,
  });
  const run = await submit(all, service("web", { check: { type: "http", path: "/up" } }));
  await all.phase(run, "READY");
  assert.deepEqual(new Set(asked), new Set(["GET /up HTTP/1.1"]));
  const answers: readonly [string | undefined, string][] = [
    ["HTTP/1.1 503 Sorry\r\n\r\n", "GET /up answered 503"],
    ["SSH-2.0-x\r\n", "what answers there does not speak HTTP"],
    ["x".repeat(4000), "what answers there does not speak HTTP"],
    [undefined, "no answer within 2.0s"],
  ];
  for (const [next, reason] of answers) {
    answer = next;
    assert.equal((await all.phase(run, "UNHEALTHY")).reason, reason);
    answer = "HTTP/1.0 200 OK\r\n\r\n";
    await all.phase(run, "READY");
  }
  await all.end(run);
});

test("a port that is not reached is told by its reason", async () => {
  const host = new SimWorld({ seed: 1 }).host("w");
  const running = {} as Running;
  for (const [code, why] of [
    ["ECONNREFUSED", "nothing listens on port 80"],
    ["ETIMEDOUT", "no answer within 2.0s"],
    ["EADDRNOTAVAIL", "port 80 cannot be reached (no address)"],
  ]) {
    const dial = () => Promise.reject(Object.assign(new Error("no address"), { code }));
    const target = { host: { ...host, network: { ...host.network, dial } }, port: 80, running };
    for (const check of [{ type: "tcp" }, { type: "http", path: "/" }] as const) {
      assert.equal(await checkHealth(check, target, 2000), why);
    }
  }
});

test("no check leaves a connection or a timer behind", async () => {
  for (const [type, answer] of [
    ["tcp", ""], ["http", "HTTP/1.1 200 OK\r\n\r\n"], ["http", "nonsense\r\n"], ["http", ""],
  ] as const) {
    const world = new SimWorld({ seed: 1 });
    const host = world.host("w");
    let destroyed = 0;
    const handle = ({ onData }: SocketHandlers): void => {
      if (answer !== "") onData(Buffer.from(answer));
    };
    const socket = { handle, write: () => true, destroy: () => destroyed++ } as unknown as Socket;
    const network = { ...host.network, dial: () => Promise.resolve(socket) };
    const target = { host: { ...host, network }, port: 80, running: {} as Running };
    const check = type === "tcp" ? { type } : { type, path: "/" };
    await world.settle(checkHealth(check, target, 2000));
    assert.ok(destroyed > 0, `${type} ${answer}`);
    assert.equal(world.now, type === "http" && answer === "" ? 2000 : 0);
    assert.deepEqual(world.open("w"), []);
  }
});

test("http: an answer that comes after the timeout is none", async () => {
  const all = await room();
  let delayMs = 0;
  const { timers } = all.cluster.world.host("w1");
  all.servers.serve = (socket) => socket.handle({
    onData: () => void timers.after(delayMs, () => {
      socket.write(Buffer.from("HTTP/1.1 200 OK\r\n\r\n"));
    }),
    onClose: () => undefined,
  });
  const run = await submit(all, service("web", { check: { type: "http", path: "/" } }));
  await all.phase(run, "READY");
  delayMs = 2100;
  assert.equal((await all.phase(run, "UNHEALTHY")).reason, "no answer within 2.0s");
  delayMs = 1900;
  await all.phase(run, "READY");
  assert.equal(all.executor.jobs.length, 1);
  await all.end(run);
});

test("http: a service that closes the connection without a word is not well", async () => {
  const all = await room();
  all.servers.serve = (socket) => {
    socket.handle({ onData: () => socket.destroy(), onClose: () => undefined });
  };
  const check = { type: "http", path: "/" } as const;
  const run = await submit(all, service("web", { check, startPeriodMs: 0 }));
  const { reason } = await all.phase(run, "UNHEALTHY");
  assert.match(reason, /^GET \/ was not answered: the connection was closed/);
  await all.end(run);
});

test("no two attempts of a worker have one port, and a port is free again after its " +
  "attempt", async () => {
  const all = await room({ slots: 8 });
  const run = await submit(all, ...Array.from({ length: 8 }, (_, at) => service(`s${at}`)));
  await all.phase(run, "READY", "s7");
  const first = all.executor.jobs.map(({ request }) => request.port!);
  assert.equal(new Set(first).size, 8);
  assert.equal(all.worker.counts().ports, 8, "they are held while the attempts run");
  for (const fake of [...all.executor.jobs]) fake.end({ status: "failed", kind: "exit" });
  await all.cluster.until(() => all.executor.jobs.length === 16);
  const second = all.executor.jobs.slice(8).map(({ request }) => request.port!);
  assert.equal(new Set([...first, ...second]).size, 16, "the ones just used come last");
  await all.end(run);
});

test("a fixed port that another service of the worker has is a reason, and no crash", async () => {
  const all = await room();
  const run = await submit(all, service("a", { port: 8080 }), service("b", { port: 8080 }));
  await all.phase(run, "READY", "a");
  const blocked = await all.phase(run, "RESTARTING", "b");
  assert.equal(blocked.reason, `port 8080 is in use on w1 by service ${run}/a`);
  assert.equal(all.executor.jobs.length, 1, "it never started");
  await all.cluster.world.settle(all.client.stop(`${run}/a`));
  const ready = await all.phase(run, "READY", "b");
  assert.deepEqual([ready.port, ready.restarts], [8080, 0]);
  await all.end(run);
});

test("a port below 1024 without rights is a reason, and no crash loop", async () => {
  const all = await room();
  const { network } = all.cluster.world.host("w1");
  const { listen } = network;
  network.listen = async (at, accept) => {
    if (at.port >= 1024) return listen.call(network, at, accept);
    throw Object.assign(new Error("listen EACCES: permission denied"), { code: "EACCES" });
  };
  const run = await submit(all, service("web", { port: 80 }));
  const { reason } = await all.phase(run, "FAILED");
  const why = "port 80 cannot be used on w1: it needs rights that the worker does not have";
  assert.ok(reason.startsWith(why), reason);
  assert.equal(all.executor.jobs.length, 0, "it never started");
  network.listen = listen;
});

test("a fixed port that a stranger has is a reason, and the service starts once it is " +
  "free", async () => {
  const all = await room();
  const { network } = all.cluster.world.host("w1");
  const at = { host: "127.0.0.1", port: 8080 };
  const stranger = await all.cluster.world.settle(network.listen(at, (s) => s.destroy()));
  const run = await submit(all, service("web", { port: 8080 }));
  assert.equal((await all.phase(run, "RESTARTING")).reason, "port 8080 is in use on w1");
  await all.cluster.world.settle(stranger.close());
  assert.equal((await all.phase(run, "READY")).restarts, 0);
  await all.end(run);
});

test("a service that has lost its worker is READY on another one, within a lease and its " +
  "start", async () => {
  const all = await room();
  const run = await submit(all, service("web"));
  await all.phase(run, "READY");
  const { executor } = all.cluster.startWorker("w2");
  const others = new Servers(all.cluster, "w2", executor);
  await all.cluster.world.run(all.cluster.world.now + 1500);
  all.cluster.world.hold("w1", "m");
  all.cluster.world.hold("m", "w1");
  const from = all.cluster.world.now;
  await all.cluster.until(() => others.listeners.size === 1);
  const { host } = await all.phase(run, "READY");
  const took = all.cluster.world.now - from;
  assert.ok(host === "w2" && took < 5500, `on ${host} after ${took} ms`);
  // It was frozen, and thaws: its copy ends, and nobody believes its health.
  all.cluster.world.release("w1", "m");
  all.cluster.world.release("m", "w1");
  await all.cluster.until(() => all.executor.jobs[0]!.cancelled !== undefined);
  assert.match(all.executor.jobs[0]!.cancelled!, /the master has given it to somebody else/);
  await all.cluster.world.run(all.cluster.world.now + 5000);
  const info = (await all.info(run))!;
  assert.deepEqual([info.host, info.phase, info.restarts], ["w2", "READY", 0]);
  await all.end(run);
});

test("a service does not notice that its master dies, and is READY for the next one", async () => {
  const all = await room();
  const run = await submit(all, service("web"));
  await all.phase(run, "READY");
  all.cluster.world.kill("m");
  await all.cluster.world.run(all.cluster.world.now + 1000);
  await all.cluster.startMaster();
  const client = await all.cluster.connect();
  await all.cluster.world.run(all.cluster.world.now + 5000);
  const [row] = await all.cluster.world.settle(client.services());
  assert.deepEqual([row!.service!.phase, row!.attempt, row!.worker], ["READY", 1, "w1"]);
  assert.deepEqual([all.executor.jobs.length, all.executor.jobs[0]!.cancelled], [1, undefined]);
  await all.cluster.world.settle(client.cancel(run));
  await all.cluster.world.run(all.cluster.world.now + 5000);
});

test("a master that is back after the deadline of an update waits for the workers, which say " +
  "that the new version is READY", async () => {
  const all = await room();
  const { cluster } = all;
  const web = service("web", { deployed: true });
  const old = await submit(all, web);
  await all.phase(old, "READY");
  all.servers.listens = false;
  const next = await cluster.world.settle(
    all.client.submitSpec(pipeline([web]), { updateMs: 3000 }),
  );
  await all.phase(next.run, "STARTING");
  cluster.world.kill("m");
  await cluster.world.settle(all.servers.listen(all.executor.jobs[1]!));
  await cluster.world.run(cluster.world.now + 20_000);
  await cluster.startMaster();
  const client = await cluster.connect();
  const outcome = async (): Promise<string | undefined> =>
    (await cluster.world.settle(client.status(next.run))).run.update?.outcome;
  for (let tries = 0; tries < 100 && (await outcome()) === "WAITING"; tries++) {
    await cluster.world.run(cluster.world.now + 100);
  }
  assert.equal(await outcome(), "DONE");
  assert.equal(all.executor.jobs[1]!.cancelled, undefined);
  await cluster.world.settle(client.cancel(next.run));
  await cluster.world.run(cluster.world.now + 10_000);
});

test("a master that is back after the deadline gives up a version that is not READY, once its " +
  "workers could have come back", async () => {
  const all = await room();
  const { cluster } = all;
  const web = service("web", { deployed: true });
  await all.phase(await submit(all, web), "READY");
  all.servers.listens = false;
  const submitted = all.client.submitSpec(pipeline([web]), { updateMs: 3000 });
  const { run, replaces } = await cluster.world.settle(submitted);
  await all.phase(run, "STARTING");
  cluster.world.kill("m");
  await cluster.world.run(cluster.world.now + 20_000);
  await cluster.startMaster();
  const client = await cluster.connect();
  const from = cluster.world.now;
  await cluster.until(() => all.executor.jobs[1]!.cancelled !== undefined);
  const took = cluster.world.now - from;
  const most = Math.max(LEASE_MS, REJOIN_GRACE_MS) + HEARTBEAT_MS;
  assert.ok(took >= most - 100 && took <= most + 200, `${took} ms, not ${most}`);
  assert.equal(all.executor.jobs[0]!.cancelled, undefined, "the old one goes on");
  await cluster.world.settle(client.cancel(replaces));
  await cluster.world.run(cluster.world.now + 10_000);
});

test("a service that is killed is READY again within its delay and 300 ms, of which its worker " +
  "and its master take 50", async () => {
  // How long its program takes from its start until it listens.
  for (const startMs of [0, 30, 60, 100, 150]) {
    const all = await room();
    const { cluster, executor } = all;
    const run = await submit(all, service("web"));
    await all.phase(run, "READY");
    all.servers.listens = false;
    executor.script = (fake) => {
      cluster.world.host("w1").timers.after(startMs, () => void all.servers.listen(fake));
    };
    const { now } = cluster.world;
    executor.jobs[0]!.end({ status: "failed", kind: "signal", signal: "SIGKILL" });
    await cluster.world.run(now + 20);
    const delay = (await rowOf(all, run)).retryAt! - all.cluster.world.host("m").clock.wall();
    await cluster.until(() => executor.jobs.length === 2);
    const began = cluster.world.now - now - delay - 20;
    while ((await all.info(run))!.phase !== "READY") {
      await cluster.world.run(cluster.world.now + 1);
    }
    const took = cluster.world.now - now - delay - 20;
    assert.ok(took <= 300, `${took} ms with a program that starts in ${startMs}`);
    assert.ok(took - startMs <= 50 + startMs / 5, `${took} ms, ${startMs} of them its own`);
    assert.ok(began <= 20, `${began} ms until it is started`);
    if (process.env["TITAN_FIGURES"]) console.log({ startMs, began, took });
    await all.end(run);
  }
});

async function rowOf({ cluster, client }: Room, run: string) {
  const { jobs: [row] } = await cluster.world.settle(client.status(run));
  return row!;
}

test("health that changes while the master is away is told once it is back", async () => {
  const all = await room();
  const run = await submit(all, service("web"));
  await all.phase(run, "READY");
  all.cluster.world.kill("m");
  await all.servers.listeners.get(all.executor.jobs[0]!)!.close();
  await all.cluster.world.run(all.cluster.world.now + 7000);
  await all.cluster.startMaster();
  const client = await all.cluster.connect();
  await all.cluster.until(() => all.executor.jobs.length === 2, 120_000);
  const [row] = await all.cluster.world.settle(client.services());
  assert.match(row!.lastFailure!.message, /its health check failed 6 times in a row/);
  await all.cluster.world.settle(client.cancel(run));
  await all.cluster.world.run(all.cluster.world.now + 5000);
});

test("health is told again after each new connection, also when nothing has changed", async () => {
  const world = new SimWorld({ seed: 1 });
  const told: string[] = [];
  const services = new WorkerServices({
    host: world.host("w"), ports: { from: 5000, to: 5000 }, name: () => "w",
    send: async ({ phase }) => told.push(phase),
  });
  let end: () => void = () => undefined;
  const done = new Promise<ExecOutcome>((resolve) => {
    end = () => resolve({ status: "ok", durationMs: 1 });
  });
  const running = {
    done, cancel: () => undefined, pauseOutput: () => undefined, resumeOutput: () => undefined,
  };
  const listener = await world.host("w").network.listen({ host: "w", port: 5000 }, (socket) =>
    socket.handle({ onData: () => undefined, onClose: () => undefined }));
  services.watch({ run: 1, job: 0, attempt: 1 }, serviceSpec("web"), { running, port: 5000 });
  await world.run(1000);
  assert.deepEqual(told, ["READY"]);
  services.welcomed();
  await world.run(1100);
  assert.deepEqual(told, ["READY", "READY"]);
  end();
  await listener.close();
  await world.run(1100);
  assert.deepEqual([services.watched, world.open("w")], [0, []], "nothing is left behind");
  await world.run(5000);
  services.welcomed();
  assert.equal(told.length, 2, "not after its end");
});

test("a worker tries a hundred ports for a service, and holds none that it cannot " +
  "have", async () => {
  const world = new SimWorld({ seed: 1 });
  const { network } = world.host("w");
  const services = new WorkerServices({
    host: { ...world.host("w"), random: { ...world.host("w").random, unit: () => 0 } },
    ports: { from: 5000, to: 5100 }, name: () => "w", send: async () => undefined,
  });
  const take = () => world.settle(services.takePort(serviceSpec("web"), "r/web"));
  const listeners = await Promise.all(Array.from({ length: 100 }, (_, at) =>
    network.listen({ host: "0.0.0.0", port: 5000 + at }, (socket) => socket.destroy())));
  const message = "no port from 5000 to 5100 is free on w";
  const outcome = { status: "failed", kind: "port-taken", message, durationMs: 0 };
  assert.deepEqual(await take(), { outcome });
  assert.equal(services.ports, 0);
  const found = await take();
  assert.ok("port" in found && found.port === 5100, "the next one, which is the last");
  found.release();
  await listeners.pop()!.close();
  const last = await take();
  assert.ok("port" in last && last.port === 5099, "the hundredth is tried");
  assert.equal(services.ports, 1);
  last.release();
  assert.equal(services.ports, 0);
  for (const listener of listeners) await listener.close();
});

test("a stop reaches an attempt that still waits for its port", async () => {
  const all = await room();
  const run = await submit(all, service("web"));
  await all.cluster.until(() => all.executor.jobs.length === 1);
  await all.cluster.world.settle(all.client.stop(run));
  await all.cluster.world.run(all.cluster.world.now + 1000);
  const { jobs, run: info } = await all.cluster.world.settle(all.client.status(run));
  assert.deepEqual([jobs[0]!.status, info.status], ["COMPLETED", "COMPLETED"]);
});

test("a job that depends on a service finds it, and starts when it is READY", async () => {
  const all = await room();
  all.servers.listens = false;
  const run = await submit(all, service("web"), job("child", { dependsOn: [0] }));
  await all.phase(run, "STARTING");
  await all.cluster.world.run(all.cluster.world.now + 1000);
  assert.equal(all.executor.jobs.length, 1);
  await all.cluster.world.settle(all.servers.listen(all.executor.jobs[0]!));
  const { port } = await all.phase(run, "READY");
  await all.cluster.until(() => all.executor.jobs.length === 2);
  const child = all.executor.jobs[1]!;
  assert.equal(child.request.env["TITAN_SERVICE_WEB"], `w1:${port}`);
  assert.equal(child.request.port, undefined);
  child.end();
  await all.cluster.world.run(all.cluster.world.now + 100);
  const { run: info } = await all.cluster.world.settle(all.client.status(run));
  assert.equal(info.status, "SERVING");
  const ended = await all.cluster.world.settle(all.client.wait(run));
  assert.equal(ended.status, "SERVING", "nothing but services is left");
  const stopped = all.client.wait(run, { toEnd: true });
  await all.cluster.world.settle(all.client.stop(run));
  assert.equal((await all.cluster.world.settle(stopped)).status, "COMPLETED");
});

test("a crash loop that prints keeps the output of its last ten attempts", async () => {
  const all = await room();
  all.servers.listens = false;
  all.executor.script = (fake) => {
    fake.print(`attempt ${fake.request.attempt}\n`);
    if (fake.request.attempt < 15) fake.end({ status: "failed", kind: "exit" });
  };
  const restart = { ...serviceSpec("x").restart, delayMs: 10, maxDelayMs: 10 };
  const run = await submit(all, service("web", { restart }));
  await all.cluster.until(() => all.executor.jobs.length === 15);
  await all.cluster.world.run(all.cluster.world.now + 1000);
  const kept: number[] = [];
  for (let attempt = 1; attempt <= 15; attempt++) {
    let text = "";
    const read = async (): Promise<void> => {
      for await (const { data } of all.client.logs(run, "web", { attempt })) text += String(data);
    };
    await all.cluster.world.settle(read());
    if (text === `attempt ${attempt}\n`) kept.push(attempt);
  }
  assert.deepEqual(kept, [6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
  await all.end(run);
});
