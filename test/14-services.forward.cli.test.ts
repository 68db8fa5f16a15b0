/**
 * `titan forward` as people use it: real processes, a real HTTP server, and a worker on a machine
 * that nobody can reach.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { connect, createServer, type AddressInfo, type Server } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import {
  eventually, inProcess, ownPort, start, tempFolder, titan, type Started,
} from "./cli.support.ts";

/** Says who it is, and gives back what it gets. */
const SERVER = `
import { createServer } from "node:http";
createServer((request, response) => {
  if (request.method === "POST") return void request.pipe(response);
  response.end(process.env.TITAN_WORKER + " " + process.pid);
}).listen(Number(process.env.TITAN_PORT), "127.0.0.1");
`;

/**
 * Runs beside a worker in a network namespace without any interface: the one way out is a file, at
 * which this test waits to pass on what the worker dials. Ends with the first line to that file.
 */
const GATE = `
import { spawnSync } from "node:child_process";
import { connect, createServer } from "node:net";
const up = "import fcntl,socket,struct;" +
  "fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sH', b'lo', 0x1))";
spawnSync("python3", ["-c", up], { stdio: "inherit" });
const [file, port] = process.argv.slice(2);
connect(file).on("close", () => process.exit()).on("error", () => process.exit()).write("hold");
createServer((inside) => {
  const outside = connect(file).on("error", () => inside.destroy());
  outside.write("dial"); // before anything that the worker says
  inside.on("error", () => outside.destroy()).pipe(outside).pipe(inside);
}).listen(Number(port), "127.0.0.1");
`;

const folder = tempFolder({ "server.mjs": SERVER, "gate.mjs": GATE });
const at = (): string[] => ["--master", `127.0.0.1:${port}`];
let master: Started;
let port = 0;
const others: Started[] = [];

async function startMaster(): Promise<void> {
  port ||= await ownPort();
  const args = ["master", "--port", String(port), "--state", "state", "--json"];
  master = start(args, { cwd: folder });
  await master.until("stdout", /\{.*"type":"ready".*\}/);
}

async function startWorker(name: string, args: string[], prefix?: [string, ...string[]]) {
  const all = ["worker", ...at(), "--name", name, "--home", name, ...args];
  const worker = start(all, { cwd: folder, ...(prefix && { runtime: prefix }) });
  others.push(worker);
  await worker.until("stdout", /offers \d+ slots?/);
}

/** The port of a forward that is ready, and its process. */
async function forward(...args: string[]): Promise<{ local: number; process: Started }> {
  const process = start(["forward", ...args, ...at(), "--json"], { cwd: folder });
  others.push(process);
  const [line] = await process.until("stdout", /\{.*"type":"ready".*\}\n/);
  const { port: local, ...rest } = JSON.parse(line) as { port: number };
  assert.deepEqual(rest, { type: "ready", service: args[0], host: "127.0.0.1" });
  return { local, process };
}

const get = async (local: number): Promise<string> =>
  (await fetch(`http://127.0.0.1:${local}/`)).text();

before(async () => {
  await startMaster();
  await startWorker("w1", ["--slots", "4"]);
  const deployed = await titan(["deploy", "--name", "web", ...at(), "server.mjs"], { cwd: folder });
  assert.equal(deployed.code, 0, deployed.stderr);
});
after(async () => {
  await Promise.all(others.map((each) => each.kill("SIGTERM")));
  await master.kill("SIGTERM");
});

test("a port of this machine is the service: questions, megabytes both ways, Ctrl-C", async () => {
  const { local, process } = await forward("web");
  assert.match(await get(local), /^w1 \d+$/);
  const body = Buffer.alloc(5_000_000, "titan");
  const answer = await fetch(`http://127.0.0.1:${local}/`, { method: "POST", body });
  assert.ok(Buffer.from(await answer.arrayBuffer()).equals(body));
  const answers = await Promise.all(Array.from({ length: 20 }, () => get(local)));
  assert.equal(new Set(answers).size, 1);
  const { code, stderr } = await process.kill("SIGINT");
  assert.deepEqual([code, stderr], [0, "titan: SIGINT: the port closes\n"]);
});

test("kill -9 of the master: the command stays, and the next question is answered", async () => {
  const { local, process } = await forward("web");
  const pid = await get(local);
  await master.kill("SIGKILL");
  const asked = get(local).catch(() => undefined); // it may be on its way through the master
  await startMaster();
  assert.equal(await asked ?? await get(local), pid);
  assert.equal((await process.kill("SIGTERM")).code, 0);
});

test("a wrong name, a port that is none, and one that is taken are refused in words", async () => {
  const wrong = await inProcess(["forward", "wev", ...at()]);
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr, /no such service, and no such run \(did you mean web\?\)/);
  const none = await inProcess(["forward", "web", "70000", ...at()]);
  assert.equal(none.code, 2);
  assert.match(none.stderr, /Cannot use port "70000": must be a whole number from 1 to 65535/);
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((listening) => server.once("listening", listening));
  const { port: taken } = server.address() as AddressInfo;
  const busy = await inProcess(["forward", "web", String(taken), ...at()]);
  assert.equal(busy.code, 1);
  assert.match(busy.stderr, new RegExp(`Cannot listen on 127.0.0.1:${taken}: the port is in use`));
  server.close();
});

/** How this user makes a network namespace; undefined: not at all. */
const UNSHARE = (["-n", "-rn"] as const).find((flag) =>
  spawnSync("unshare", [flag, "true"]).status === 0);

test("a worker that can dial out and cannot be dialled serves all the same", {
  skip: UNSHARE === undefined && "only on Linux, for users who may make a network namespace",
}, async () => {
  const file = join(folder, "gate");
  const gate = await openGate(file);
  const inside = `node gate.mjs '${file}' ${port} >/dev/null 2>&1 & exec "$@"`;
  const prefix: [string, ...string[]] =
    ["unshare", UNSHARE!, "sh", "-c", inside, "sh", process.execPath];
  await startWorker("hidden", ["--slots", "1", "--tags", "NAT"], prefix);
  const args = ["deploy", "--name", "far", "--tags", "NAT", ...at(), "server.mjs"];
  const { code, stdout, stderr } = await titan(args, { cwd: folder });
  assert.equal(code, 0, stderr);
  const [, itsPort] = /^far \S+:(\d+) on hidden/.exec(stdout) ?? [];
  await assert.rejects(get(Number(itsPort)), "nothing of this machine is at that port");
  const { local } = await forward("far");
  assert.match(await get(local), /^hidden \d+$/);
  const body = Buffer.alloc(1_000_000, "far");
  const answer = await fetch(`http://127.0.0.1:${local}/`, { method: "POST", body });
  assert.ok(Buffer.from(await answer.arrayBuffer()).equals(body));
  assert.equal(gate.dialled(), 1, "all over the one connection that the worker has made");
  await others.at(-2)!.kill("SIGTERM"); // the worker, while it has a way out
  gate.close();
});

/** Passes on to the master what comes out of the namespace, and counts it. */
async function openGate(file: string): Promise<{ dialled(): number; close(): void }> {
  let dialled = 0;
  const held = new Set<{ destroy(): void }>();
  const server: Server = createServer((socket) => {
    held.add(socket.on("error", () => undefined));
    socket.once("readable", () => {
      if (String(socket.read(4)) !== "dial") return;
      dialled += 1;
      const out = connect(port, "127.0.0.1").on("error", () => socket.destroy());
      held.add(out);
      socket.pipe(out).pipe(socket);
    });
  }).listen(file);
  await eventually("the gate is open", () => server.listening);
  return {
    dialled: () => dialled,
    close: () => {
      server.close();
      for (const socket of held) socket.destroy();
    },
  };
}
