/** Chapters 11 and 14: the parts of a worker, each by itself, in virtual time. */
import assert from "node:assert/strict";
import {
  existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createExecutor, linkPackage, type ExecOutcome } from "#exec";
import { nodeHost, type Host, type Socket, type WorkFolders } from "#host";
import { nodeWorkerHost } from "#process";
import { RpcConnection, RpcError } from "#rpc";
import { SimWorld } from "#simhost";
import {
  ArtifactItem, ArtifactPutAnswer, Connect, HealthReport, MAX_FORWARDED, Op, PROTOCOL, Welcome,
  type Assignment,
} from "#wire";
import { startWorker, WorkerError, type WorkerOptions } from "#worker";
import { EXIT, exitCodeOf } from "../src/cli/exit.ts";
import { reportOf } from "../src/worker/attempt.ts";
import { checkHealth } from "../src/worker/check.ts";
import { clusterEndpoints } from "../src/worker/endpoints.ts";
import { WorkerFiles } from "../src/worker/files.ts";
import { WorkerForwards } from "../src/worker/forward.ts";
import { MasterLink } from "../src/worker/link.ts";
import { WorkerProjects } from "../src/worker/projects.ts";
import { WorkerServices } from "../src/worker/services.ts";
import { FakeExecutor } from "./11-worker.cluster.ts";
import { serviceSpec } from "./spec.support.ts";

/** Something that ends when it is told to. */
function gate<T = void>() {
  let open!: (value: T) => void;
  const opened = new Promise<T>((resolve) => { open = resolve; });
  return { open, opened };
}

const idle = { pauseOutput: () => undefined, resumeOutput: () => undefined };
const silent = { onData: () => undefined, onClose: () => undefined };

const socketOfNobody = { handle: () => undefined, destroy: () => undefined } as unknown as Socket;

const assignment = {
  run: 1, job: 0, attempt: 1, runId: "r", jobId: "a", timeoutMs: 0, env: {}, inputs: [],
  action: { type: "command", argv: ["true"] }, project: undefined,
} as unknown as Assignment;

/** A host whose dials end when they are told to. */
function slowDials(host: Host) {
  const dials: ((socket: Socket) => void)[] = [];
  const dial = () => new Promise<Socket>((resolve) => dials.push(resolve));
  return { dials, host: { ...host, network: { ...host.network, dial } } };
}

// ── services ─────────────────────────────────────────────────────────────────────────────────────

test("a check that is under way when its service ends tells nothing, and is the last", async () => {
  const world = new SimWorld({ seed: 1 });
  const { host, dials } = slowDials(world.host("w"));
  const told: string[] = [];
  const services = new WorkerServices({
    host, ports: { from: 5000, to: 5000 }, name: () => "w",
    send: async ({ phase }) => told.push(phase),
  });
  const end = gate<ExecOutcome>();
  const running = { done: end.opened, cancel: () => undefined, ...idle };
  services.watch({ run: 1, job: 0, attempt: 1 }, serviceSpec("web"), { running, port: 5000 });
  await world.run(1000);
  assert.equal(dials.length, 1);
  end.open({ status: "ok", durationMs: 1 });
  await world.run(1100);
  dials[0]!(socketOfNobody);
  await world.run(10_000);
  assert.deepEqual([told, dials.length, world.open("w")], [[], 1, []]);
});

test("one report of a service's health is under way at a time", async () => {
  const world = new SimWorld({ seed: 1 });
  const sends: ReturnType<typeof gate<void>>[] = [];
  const services = new WorkerServices({
    host: world.host("w"), ports: { from: 5000, to: 5000 }, name: () => "w",
    send: () => {
      const sent = gate<void>();
      sends.push(sent);
      return sent.opened;
    },
  });
  const end = gate<ExecOutcome>();
  const running = { done: end.opened, cancel: () => undefined, ...idle };
  const at = { host: "w", port: 5000 };
  const listener = await world.host("w").network.listen(at, (socket) => socket.handle(silent));
  services.watch({ run: 1, job: 0, attempt: 1 }, serviceSpec("web"), { running, port: 5000 });
  await world.run(1000);
  services.welcomed();
  await world.run(2000);
  assert.equal(sends.length, 1);
  sends[0]!.open();
  await world.run(3000);
  services.welcomed();
  await world.run(4000);
  assert.equal(sends.length, 2, "once more for the next connection");
  sends[1]!.open();
  end.open({ status: "ok", durationMs: 1 });
  await listener.close();
  await world.run(5000);
  assert.deepEqual(world.open("w"), []);
});

test("a reason is cut to what fits into a report, whatever its characters", async () => {
  const world = new SimWorld({ seed: 1 });
  const reasons: string[] = [];
  const services = new WorkerServices({
    host: world.host("w"), ports: { from: 5000, to: 5000 }, name: () => "w",
    send: async (report) => {
      HealthReport.encode(report);
      reasons.push(report.reason);
    },
  });
  const end = gate<ExecOutcome>();
  const check = async (): Promise<string> => "€".repeat(5000);
  const running = { done: end.opened, cancel: () => undefined, check, ...idle };
  const spec = serviceSpec("web", { check: { type: "command", argv: ["true"] }, startPeriodMs: 0 });
  services.watch({ run: 1, job: 0, attempt: 1 }, spec, { running, port: 5000 });
  await world.run(60_000);
  end.open({ status: "ok", durationMs: 1 });
  await world.run(61_000);
  assert.deepEqual([...new Set(reasons)], ["€".repeat(341)]); // 1,024 bytes, three for each
});

test("a port is a service's once nobody listens there any more; who has one is told", async () => {
  const world = new SimWorld({ seed: 1 });
  const closed = gate();
  const inUse = Object.assign(new Error("in use"), { code: "EADDRINUSE" });
  const listen = async ({ port }: { port: number }) => {
    if (port === 6002) throw Object.assign(new Error("too many"), { code: "EMFILE" });
    if (port !== 5000) throw inUse;
    return { host: "w", port, close: () => closed.opened };
  };
  const host = world.host("w");
  const services = new WorkerServices({
    host: { ...host, network: { ...host.network, listen } as Host["network"] },
    ports: { from: 5000, to: 5000 }, name: () => "w", send: async () => undefined,
    portHolder: async (port) => {
      if (port === 6000) return "pid 7 (other)";
      throw new Error("nobody knows");
    },
  });
  let taken = false;
  const taking = services.takePort(serviceSpec("web"), "r/web").then((found) => {
    taken = true;
    return found;
  });
  await world.run(100);
  assert.equal(taken, false, "what tried it has not let go");
  closed.open();
  const found = await world.settle(taking);
  assert.ok("port" in found && services.ports === 1);
  found.release();
  const why = async (port: number) => {
    const none = await world.settle(services.takePort(serviceSpec("web", { port }), "r/web"));
    return "port" in none ? undefined : none.outcome.status === "failed" && none.outcome.message;
  };
  assert.equal(await why(6000), "port 6000 is in use on w by pid 7 (other)");
  assert.equal(await why(6001), "port 6001 is in use on w");
  assert.equal(await why(6002), "port 6002 cannot be tried: EMFILE");
  assert.equal(services.ports, 0);
});

test("a forwarded connection counts until it has ended, and 500 are the most", async () => {
  const world = new SimWorld({ seed: 1 });
  const { host, dials } = slowDials(world.host("w"));
  const forwards = new WorkerForwards({ host, name: () => "w1", portOf: () => 5000 });
  forwards.registration = 7;
  const listener = await host.network.listen({ host: "w", port: 1 }, (socket) => {
    const connection: RpcConnection = new RpcConnection(socket, {
      host, onRequest: (request) => forwards.asked(request, connection),
    });
  });
  const m = world.host("m");
  const onRequest = () => undefined; // it pulls nothing
  const dialled = m.network.dial(listener)
    .then((socket) => new RpcConnection(socket, { host: m, onRequest }));
  const master = await world.settle(dialled);
  const answers: string[] = [];
  const ask = (id: number): void => {
    const body = Connect.encode({ run: 1, job: 0, attempt: 1, id, bare: false, worker: 7 });
    const next = master.stream(Op.CONNECT, body)[Symbol.asyncIterator]().next();
    next.catch((error: Error) => answers.push(error.message));
  };
  for (let id = 0; id < MAX_FORWARDED; id++) ask(id);
  await world.run(world.now + 100);
  assert.deepEqual([forwards.size, dials.length, answers], [500, 500, []]);
  ask(500);
  await world.run(world.now + 100);
  const why = "Cannot connect: w1 forwards 500 connections, the most it may";
  assert.deepEqual([forwards.size, dials.length, answers], [500, 500, [why]]);
  const program = await world.host("w").network.listen({ host: "w", port: 6000 }, (socket) =>
    socket.handle(silent));
  dials[0]!(await world.settle(world.host("w").network.dial(program)));
  await world.run(world.now + 100);
  assert.equal(forwards.size, 500, "one of them is open, and counts");
  master.destroy();
  await world.run(world.now + 100);
  for (const dial of dials) dial(socketOfNobody);
  await world.run(world.now + 10_000);
  assert.equal(forwards.size, 0);
  await program.close();
  await listener.close();
});

test("an http check whose dial took all of its time has a millisecond for the answer", async () => {
  const world = new SimWorld({ seed: 1 });
  const { host, dials } = slowDials(world.host("w"));
  const running = { done: new Promise<never>(() => undefined), cancel: () => undefined, ...idle };
  const check = { type: "http", path: "/" } as const;
  let answer: { why: string | undefined; at: number } | undefined;
  void checkHealth(check, { host, port: 5000, running }, 1000).then((why) => {
    answer = { why, at: world.now };
  });
  await world.run(1500);
  dials[0]!({ ...socketOfNobody, write: () => true } as Socket);
  await world.run(1500);
  await world.run(2000);
  assert.deepEqual(answer, { why: "no answer within 1.0s", at: 1501 });
});

test("reportOf() tells the master a kind that it knows, a text, and whole milliseconds", () => {
  const key = { run: 1, job: 0, attempt: 1 };
  const rest = { exitCode: undefined, signal: undefined };
  const { failure, ...success } = reportOf(assignment, {
    status: "ok", exitCode: 0, durationMs: 1.6, result: Buffer.from("7"),
  });
  assert.deepEqual([failure, success], [undefined, {
    ...key, durationMs: 2, result: Buffer.from("7"),
  }]);
  for (const [outcome, told] of [
    [{}, { kind: "internal", message: "failed", ...rest }],
    [{ kind: "strange", message: "m" }, { kind: "internal", message: "m", ...rest }],
    [
      { kind: "exit", message: "m".repeat(4001), exitCode: 3, signal: "SIGKILL" },
      { kind: "exit", message: "m".repeat(4000), exitCode: 3, signal: "SIGKILL" },
    ],
  ]) {
    const report = reportOf(assignment, { status: "failed", durationMs: -1, ...outcome } as never);
    assert.deepEqual(report, { ...key, durationMs: 0, result: undefined, failure: told });
  }
});

// ── files ────────────────────────────────────────────────────────────────────────────────────────

test("an input that cannot be had fails its attempt, in words: gone, or made anew", async () => {
  const world = new SimWorld({ seed: 1 });
  const sha256 = "a".repeat(64);
  let closed = 0;
  const info = { name: "x/f", size: 1, sha256: "b".repeat(64), byJob: "x", byRun: "r", at: 0 };
  async function* items() {
    try {
      yield ArtifactItem.encode({ info, data: Buffer.alloc(0) } as never);
      yield ArtifactItem.encode({ info: undefined, data: Buffer.from("x") } as never);
    } finally {
      closed += 1;
    }
  }
  let connection = { stream: items } as unknown as RpcConnection;
  const files = new WorkerFiles({
    host: world.host("w"), cacheDir: "/cache", insist: (work) => work(connection),
  });
  const input = { name: "x/f", sha256, to: "f" };
  const owner = { assignment, cancelled: false };
  const fetched = () => world.settle(files.fetch(owner, { inputs: [input as never], outputs: [] }));
  const why = 'Cannot use artifact x/f: job "x" has made it anew meanwhile';
  await assert.rejects(fetched(), { message: `its input x/f cannot be had: ${why}` });
  assert.equal(closed, 1, "the rest of it is not asked for");
  connection = {
    stream: () => { throw new RpcError("NOT_FOUND", "There is no artifact x/f"); },
  } as unknown as RpcConnection;
  await assert.rejects(fetched(), /its input x\/f cannot be had: There is no artifact x\/f/);
  await world.settle(files.close());
});

test("an attempt that is stopped while its output is sent sends no more of it", async () => {
  const world = new SimWorld({ seed: 1 });
  const disk = world.host("w").storage;
  await world.settle(disk.mkdir("/job"));
  await world.settle(disk.writeFile("/job/out", Buffer.alloc(3_000_000, "x")));
  const stop = new AbortController();
  const asked: number[] = [];
  const connection = {
    request: async (opcode: number) => {
      asked.push(opcode);
      if (opcode === Op.PAUSING) throw new RpcError("UNSUPPORTED", "older");
      stop.abort();
      return ArtifactPutAnswer.encode({ done: undefined, replaced: undefined });
    },
  } as unknown as RpcConnection;
  const files = new WorkerFiles({
    host: world.host("w"), cacheDir: "/cache", insist: (work) => work(connection),
  });
  const owner = { assignment, cancelled: false };
  const { collect } = files.hooks(owner, { inputs: [], outputs: ["out"] });
  const end = await world.settle(collect!("/job", stop.signal));
  assert.deepEqual(end, {
    kind: "internal", message: "Cannot hand on its output out: it was stopped",
  });
  assert.deepEqual(asked, [Op.PAUSING, Op.ARTIFACT_PUT, Op.ARTIFACT_PUT], "its head and its end");
  await world.settle(files.close());
});

test("a package link that cannot have its name leaves nothing behind, and says why", async () => {
  const cacheDir = mkdtempSync(join(tmpdir(), "titan-link-"));
  const host = nodeHost();
  let removing = 0;
  const storage = Object.assign(Object.create(host.storage) as typeof host.storage, {
    rename: async () => { throw new Error("a read-only disk"); },
    remove: async (path: string) => {
      removing += 1;
      await host.storage.remove(path);
      removing -= 1;
    },
  });
  await assert.rejects(linkPackage({ ...host, storage }, { cacheDir }), /a read-only disk/);
  assert.equal(removing, 0);
  const left = readdirSync(join(cacheDir, "node_modules"));
  assert.deepEqual(left.filter((name) => name.startsWith("titan")), []);
  rmSync(cacheDir, { recursive: true });
});

test("an executor links the package for programs and for calls, and says what is in the " +
  "way", async () => {
  const folder = mkdtempSync(join(tmpdir(), "titan-link-"));
  const [workDir, cacheDir] = [join(folder, "work"), join(folder, "cache")];
  const executor = createExecutor({ host: nodeWorkerHost(), workDir });
  await executor.linkPackage(cacheDir);
  for (const at of [workDir, cacheDir]) {
    const links = readdirSync(join(at, "node_modules"), { withFileTypes: true });
    assert.deepEqual(links.map((link) => [link.name, link.isSymbolicLink()]).sort(), [
      ["titan", true], ["titan-orchestrator", true],
    ]);
  }
  const link = join(cacheDir, "node_modules", "titan");
  rmSync(link);
  mkdirSync(link);
  const why = new Error(`Cannot link ${link}: there is a directory that is not ours`);
  await assert.rejects(executor.linkPackage(cacheDir), why);
  await executor.close();
  const simulated = createExecutor({ host: nodeWorkerHost(), workDir, folders: {} as WorkFolders });
  await simulated.linkPackage(cacheDir);
  assert.equal(existsSync(workDir), false, "simulated folders have no links");
  rmSync(folder, { recursive: true });
});

test("on Deno a folder with packages says so in a package.json, if it has none", async () => {
  const cacheDir = mkdtempSync(join(tmpdir(), "titan-link-"));
  const path = join(cacheDir, "package.json");
  await linkPackage(nodeHost(), { cacheDir, runtime: { versions: {} } });
  assert.equal(existsSync(path), false);
  const runtime = { versions: { deno: "2.0.0" } };
  await linkPackage(nodeHost(), { cacheDir, runtime });
  assert.equal(readFileSync(path, "utf8"), "{}\n");
  writeFileSync(path, '{"name":"mine"}');
  await linkPackage(nodeHost(), { cacheDir, runtime });
  assert.equal(readFileSync(path, "utf8"), '{"name":"mine"}');
  rmSync(cacheDir, { recursive: true });
});

test("a job finds a store that listens everywhere at its master's address, as a URL has it", () => {
  const told = { store: "redis://0.0.0.0:6379" };
  for (const [host, store] of [["m", "redis://m:6379"], ["fd00::1", "redis://[fd00::1]:6379"]]) {
    assert.equal(clusterEndpoints({ host: host!, port: 9090 }, told).store, store);
  }
});

test("the exit code of `titan worker` follows from what its worker is refused with", () => {
  assert.equal(exitCodeOf(new WorkerError("UNAUTHORIZED", "no")), EXIT.UNAUTHORIZED);
  assert.throws(() => startWorker({ token: " " } as WorkerOptions), (error: unknown) => {
    assert.equal(exitCodeOf(error), EXIT.USAGE);
    return true;
  });
});

// ── the link ─────────────────────────────────────────────────────────────────────────────────────

/** A link to a master that welcomes whoever comes, and answers nothing else. */
async function linked(
  onRefused = (): void => undefined, onDialled?: (socket: Socket, m: Host) => void,
) {
  const world = new SimWorld({ seed: 1 });
  const m = world.host("m");
  await m.network.listen({ host: "m", port: 9090 }, (socket) => {
    onDialled?.(socket, m);
    new RpcConnection(socket, {
      host: m,
      onRequest: (request) => request.reply(Welcome.encode({
        protocol: PROTOCOL, version: "", beatMs: 1e9, leaseMs: 1e9, worker: 1, name: "w",
        stale: [], store: undefined, cluster: undefined,
      })),
    });
  });
  const link = new MasterLink({
    host: world.host("w"), master: { host: "m", port: 9090 },
    hello: (dial) => ({
      protocol: PROTOCOL, role: "worker", token: undefined, version: "", instance: "i", name: "w",
      tags: [], slots: 1, running: [], knows: [], dial,
    }),
    onWelcome() {}, onNotify() {}, onRequest() {}, onLost() {}, onRefused,
  });
  const over = link.run();
  await world.run(100);
  assert.ok(link.current());
  return { world, link, over };
}

test("a request that our own full queue has refused is made again once that has drained, and not " +
  "when the link stops", async (t) => {
  const { world, link, over } = await linked();
  const drained = gate();
  t.mock.method(RpcConnection.prototype, "drained", () => drained.opened);
  let asked = 0;
  const refuse = async () => {
    asked += 1;
    throw new RpcError("OVERLOADED", "full");
  };
  const end = link.insist(refuse).catch((error: Error) => error.message);
  await world.run(10_000);
  assert.deepEqual([asked, link.waiting], [1, 0]);
  link.stop();
  drained.open();
  assert.equal(await end, "The worker is stopping"); // without a pause: no virtual time has passed
  assert.equal(asked, 1);
  await world.settle(over);
  assert.deepEqual(world.open("w"), []);
});

test("a link tells of five refusals in a row, once until the master has taken a " +
  "request", async () => {
  let told = 0;
  const { world, link, over } = await linked(() => void told++);
  const refused = (times: number) => link.insist(async () => {
    if (times-- > 0) throw new RpcError("OVERLOADED", "full");
  });
  const seen: number[] = [];
  for (const requests of [[4], [5], [9, 9], [7]]) {
    await world.settle(Promise.all(requests.map(refused)));
    seen.push(told);
  }
  assert.deepEqual(seen, [0, 1, 2, 3]);
  link.stop();
  await world.settle(over);
});

test("a link that is thrown out at once dials less and less often, and soon after one that " +
  "lasted", async () => {
  const dialled: number[] = [];
  const sockets: Socket[] = [];
  const lastsMs = (dial: number): number => (dial < 8 ? 50 : 400);
  const { world, link, over } = await linked(undefined, (socket, m) => {
    const dial = dialled.push(m.clock.monotonic());
    if (sockets.push(socket) > 1) m.timers.after(lastsMs(dial), () => socket.destroy());
  });
  sockets[0]!.destroy();
  await world.run(world.now + 20_000);
  link.stop();
  await world.settle(over);
  const waitsMs = dialled.slice(1).map((at, i) => at - dialled[i]! - lastsMs(i + 1));
  assert.ok(waitsMs[6]! > 500, `after seven short ones ${waitsMs[6]} ms`);
  // Of many workers that one master has lost, not all come back in one moment.
  const most = Math.max(...waitsMs.slice(7));
  assert.ok(most > 20 && most < 50, `at most ${most} ms`);
});

test("a link has no connection from the end of one to the next welcome", async () => {
  const { world, link, over } = await linked();
  const first = link.current();
  world.cut("m", "w");
  await world.run(world.now + 5);
  assert.equal(link.current(), undefined);
  await world.run(world.now + 1000);
  assert.ok(link.current() !== undefined && link.current() !== first);
  link.stop();
  await world.settle(over);
});

test("jobs wait for the package once: later ones find it linked, also if that has " +
  "failed", async () => {
  const world = new SimWorld({ seed: 1 });
  for (const fails of [false, true]) {
    const notes: string[] = [];
    let links = 0;
    const linkPackage = async () => {
      links += 1;
      if (fails) throw new Error("a read-only disk");
    };
    const executor = Object.assign(new FakeExecutor(), { linkPackage });
    const projects = new WorkerProjects({
      host: world.host("w"), cacheDir: "/cache", executor, onNote: (text) => notes.push(text),
      link: {} as MasterLink,
    });
    assert.equal(projects.isLinked, false);
    await Promise.all([projects.link(), projects.link()]);
    assert.deepEqual([projects.isLinked, links], [true, 1]);
    const why = "titan/store cannot be imported by jobs: a read-only disk";
    assert.deepEqual(notes, fails ? [why] : []);
  }
});
