/**
 * Chapter 14 as people see it: updates, rollbacks and other numbers of replicas, with real
 * processes, and a master that is killed in the middle.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { connect as connectTo, createServer, type AddressInfo, type Server } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { connect } from "#sdk";
import {
  eventually, inProcess, isAlive, ownPort, start, tempFolder, titan, type Ended, type Started,
} from "./cli.support.ts";

/**
 * Answers with its version once it is allowed to listen; at /slow/FILE once there is such a file.
 */
const SERVER = `
import { existsSync } from "node:fs";
import { createServer } from "node:http";
const [version, gate] = process.argv.slice(2);
console.log("version", version);
const listen = () => {
  if (gate !== undefined && !existsSync(gate)) return setTimeout(listen, 20);
  const server = createServer(({ url }, response) => {
    const answer = () => url.startsWith("/slow") && !existsSync(decodeURI(url.slice(5)))
      ? setTimeout(answer, 20) : response.end(version);
    answer();
  });
  server.listen(process.env.TITAN_PORT, "127.0.0.1");
};
listen();
`;
const folder = tempFolder({ "server.mjs": SERVER, "other.mjs": SERVER });
/** A version that was given this path listens once there is such a file. */
const gate = join(folder, "gate");
let master: Started;
let worker: Started;
let port = 0;

/** At the same port each time. */
async function startMaster(): Promise<void> {
  port ||= await ownPort();
  const at = ["--port", String(port), "--state", "state"];
  master = start(["master", ...at, "--json"], { cwd: folder });
  await master.until("stdout", /\{.*"type":"ready".*\}/);
}

before(async () => {
  await startMaster();
  const at = ["--master", `127.0.0.1:${port}`];
  worker = start(["worker", ...at, "--name", "w1", "--slots", "9"], { cwd: folder });
  await worker.until("stdout", /offers 9 slots/);
});
after(async () => {
  await worker.kill("SIGTERM");
  await master.kill("SIGTERM");
});

const at = (): string[] => ["--master", `127.0.0.1:${port}`];
const deploy = (...args: string[]): Promise<Ended> =>
  titan(["deploy", "--name", "web", ...at(), ...args], { cwd: folder });

interface Service {
  readonly run: string;
  readonly current: boolean;
  readonly version: number;
  readonly state: string;
  readonly replicas: readonly { job: string; port: number; pid: number; state: string }[];
}

/** The versions that are there, the current one first. */
async function versions(...flags: string[]): Promise<Service[]> {
  const { stdout } = await inProcess(["services", "--json", ...flags, ...at()]);
  return (JSON.parse(stdout) as (Service & { name: string })[]).filter(({ name }) =>
    name === "web");
}

async function answer(): Promise<string> {
  const [web] = await versions();
  return (await fetch(`http://127.0.0.1:${web!.replicas[0]!.port}/`)).text();
}

const onlyOne = async (): Promise<boolean> => (await versions()).length === 1;

test("deploying a name again replaces it when the new one is ready; the old process " +
  "ends", async () => {
  assert.equal((await deploy("server.mjs", "one")).code, 0);
  const [old] = await versions();
  const { code, stderr, stdout } = await deploy("other.mjs", "two");
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^web 127\.0\.0\.1:\d+ on w1, pid \d+\n$/);
  assert.match(stderr, new RegExp(`web is (web-\\w+) now; ${old!.run} is stopped`));
  assert.equal(await answer(), "two");
  await eventually("the old one is gone", async () =>
    !isAlive(old!.replicas[0]!.pid) && (await onlyOne()));
  const [web] = await versions();
  assert.deepEqual([web!.version, web!.current], [2, true]);
  const { stdout: runs } = await inProcess(["status", old!.run, ...at()]);
  assert.match(runs, /COMPLETED/);
});

test("a new version that is not ready in time: exit 3, its last words, and the old one goes " +
  "on", async () => {
  const [old] = await versions();
  const wait = (ms: number): Promise<Ended> =>
    deploy("--timeout", `${ms}ms`, "server.mjs", "three", "never");
  let found = await wait(700);
  // On a busy machine it may have said nothing so soon: then it gets more time.
  for (let ms = 1400; !/version three/.test(found.stderr) && ms < 20_000; ms *= 2) {
    await eventually("the new one is gone", onlyOne);
    found = await wait(ms);
  }
  const { code, stderr } = found;
  assert.equal(code, 3, stderr);
  assert.match(stderr, /web was not updated: web is not ready in time: it is STARTING: nothing/);
  assert.match(stderr, new RegExp(`${old!.run} goes on as it was`));
  assert.match(stderr, / \| version three/);
  await eventually("the new one is gone", onlyOne);
  const [same] = await versions();
  assert.equal(same!.replicas[0]!.pid, old!.replicas[0]!.pid);
  assert.equal(await answer(), "two");
});

test("kill -9 of the master and of the command in the middle of an update: the next master " +
  "finishes it", async () => {
  const [old] = await versions();
  const command = start(["deploy", "--name", "web", ...at(), "server.mjs", "four", gate],
    { cwd: folder });
  await command.until("stderr", /web is starting on w1/);
  await command.kill("SIGKILL");
  await master.kill("SIGKILL");
  assert.equal(await (await fetch(`http://127.0.0.1:${old!.replicas[0]!.port}/`)).text(), "two");
  await startMaster();
  await eventually("both are there", async () => (await versions()).length === 2);
  assert.equal((await versions())[0]!.run, old!.run, "the old one is current");
  const second = await deploy("server.mjs");
  assert.equal(second.code, 1);
  assert.match(second.stderr, /an update of "web" to web-\w+ is under way/);
  const [, next] = await versions();
  assert.equal(next!.current, false);
  writeFileSync(gate, "");
  await eventually("the new one is current", async () => (await versions())[0]!.run === next!.run);
  assert.equal(await answer(), "four");
  await eventually("the old one is gone", onlyOne);
});

test("rollback: the version before, and again the one that was replaced", async () => {
  const { code, stderr } = await inProcess(["rollback", "web", ...at()]);
  assert.equal(code, 0, stderr);
  assert.equal(await answer(), "two");
  const again = await inProcess(["rollback", "web", "--json", ...at()]);
  const { replaces, services } = JSON.parse(again.stdout) as
    { replaces: string; services: unknown[] };
  assert.match(replaces, /^web-/);
  assert.equal(services.length, 1);
  assert.equal(await answer(), "four");
});

test("scale: more, the same, fewer; deploy keeps the number", async () => {
  const scale = (...args: string[]): Promise<Ended> =>
    inProcess(["scale", "web", ...args, ...at()]);
  const up = await scale("3");
  assert.equal(up.code, 0, up.stderr);
  assert.match(up.stdout, /^web\.2 127\.0\.0\.1:\d+ on w1, pid \d+\nweb\.3 /);
  assert.equal((await scale("3")).stdout, "web has 3 replicas already\n");
  assert.equal((await deploy("server.mjs", "five")).code, 0);
  assert.equal((await versions())[0]!.replicas.length, 3);
  await eventually("the old ones are gone", onlyOne);
  const down = await scale("1", "--json");
  const { stopped, before: had } = JSON.parse(down.stdout) as { stopped: string[]; before: number };
  assert.deepEqual([stopped, had], [["web.2", "web.3"], 3]);
  await eventually("they are gone", async () => (await versions())[0]!.replicas.length === 1);
  assert.equal((await inProcess(["stop", "web", ...at()])).code, 0);
});

test("a deploy counts the replicas that stay, and not those that drain", async (t) => {
  assert.equal((await deploy("server.mjs", "one")).code, 0);
  assert.equal((await inProcess(["scale", "web", "2", ...at()])).code, 0);
  const client = await connect({ master: `127.0.0.1:${port}` });
  const forwarding = await client.forward("web");
  t.after(async () => {
    await forwarding.close();
    client.close();
  });
  const go = join(folder, "drained");
  const url = `http://127.0.0.1:${forwarding.port}/slow${encodeURI(go)}`;
  const ask = (): Promise<string> => fetch(url).then((response) => response.text());
  // One for each replica: the one that is too many drains.
  const slow = [ask(), ask()];
  const isOpen = async (): Promise<boolean> => {
    await inProcess(["scale", "web", "1", ...at()]);
    const rows = await client.services();
    return rows.some(({ leaving, status }) => leaving && status === "RUNNING");
  };
  await eventually("one drains", isOpen);
  const { code, stderr, stdout } = await deploy("other.mjs", "two");
  assert.equal(code, 0, stderr);
  assert.equal(stdout.trim().split("\n").length, 1, stdout);
  writeFileSync(go, "");
  assert.deepEqual(await Promise.all(slow), ["one", "one"]);
  await eventually("the old ones are gone", onlyOne);
});

test("a rollback whose answer is lost is asked for again, and happens once", async (t) => {
  const [two] = await versions();
  const { proxy, dropped } = await dropSecondAnswer();
  t.after(() => proxy.close());
  const { code, stderr } = await inProcess([
    "rollback", "web", "--master", `127.0.0.1:${(proxy.address() as AddressInfo).port}`,
  ]);
  assert.equal(code, 0, stderr);
  assert.equal(dropped(), 1);
  const [web] = await versions();
  assert.equal(web!.version, two!.version + 1);
  assert.equal(await answer(), "one");
  await eventually("the old one is gone", onlyOne);
});

/** Before the master: its second answer over the first connection does not arrive. */
async function dropSecondAnswer(): Promise<{ proxy: Server; dropped(): number }> {
  let [connections, dropped] = [0, 0];
  const proxy = createServer((socket) => {
    const isFirst = ++connections === 1;
    let answers = 0;
    const far = connectTo({ port, host: "127.0.0.1" });
    far.on("data", (bytes) => {
      if (!isFirst || ++answers === 1) return void socket.write(bytes);
      dropped += 1;
      socket.destroy();
      far.destroy();
    });
    socket.on("data", (bytes) => void far.write(bytes));
    for (const [end, other] of [[socket, far], [far, socket]] as const) {
      end.on("close", () => other.destroy()).on("error", () => other.destroy());
    }
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  return { proxy, dropped: () => dropped };
}

test("stop by name in the middle of an update ends both, and both commands say so", async () => {
  const [old] = await versions();
  const command = start(["deploy", "--name", "web", ...at(), "server.mjs", "six", "never"],
    { cwd: folder });
  await command.until("stderr", /web is starting on w1/);
  const stopped = await inProcess(["stop", "web", ...at()]);
  assert.equal(stopped.stdout, "web stopped\n");
  assert.match(stopped.stderr, /the update of web to web-\w+ is called off/);
  await command.until("stderr", new RegExp(
    `web was not updated: somebody has stopped web; ${old!.run} has ended, too`));
  assert.equal((await command.ended).code, 3);
  assert.deepEqual(await versions(), []);
});

test("a service that has failed is let go by its name", async () => {
  assert.equal((await deploy("server.mjs", "one")).code, 0);
  const client = await connect({ master: `127.0.0.1:${port}` });
  const job = {
    id: "web", type: "service", file: "server.mjs", args: ["two"], restart: { policy: "never" },
  };
  const { run } = await client.submit({ name: "web", jobs: [job] } as never, {
    projectDir: folder, deploy: true,
  });
  await eventually("it is current", async () => (await versions())[0]!.run === run);
  process.kill((await versions())[0]!.replicas[0]!.pid, "SIGKILL");
  await eventually("it has failed, and the one before it is gone", async () =>
    (await versions()).map(({ state }) => state).join() === "FAILED");
  client.close();
  const stop = (): Promise<Ended> => inProcess(["stop", "web", ...at()]);
  const { stdout, stderr } = await stop();
  assert.equal(stdout, "web is over\n");
  assert.match(stderr, /web had failed; no version of it is kept for a rollback now/);
  const again = await stop();
  assert.equal(again.code, 1);
  assert.match(again.stderr, new RegExp(`Cannot stop "web": it is over: ${run} is FAILED`));
});

test("through a forwarded port no request fails during an update, and one that takes long is " +
  "answered by the old version", async () => {
  assert.equal((await deploy("server.mjs", "one")).code, 0);
  const client = await connect({ master: `127.0.0.1:${port}` });
  const forwarding = await client.forward("web");
  const { port: local } = forwarding;
  const ask = async (path = "/"): Promise<string> =>
    (await fetch(`http://127.0.0.1:${local}${path}`, { headers: { connection: "close" } })).text();
  const answers = new Map<string, number>();
  const failures: unknown[] = [];
  const asked: Promise<void>[] = [];
  const one = async (): Promise<void> => {
    try {
      const version = await ask();
      answers.set(version, (answers.get(version) ?? 0) + 1);
    } catch (error) {
      failures.push(error);
    }
  };
  // 200 a second.
  const timer = setInterval(() => asked.push(one()), 5);
  const go = join(folder, "updated");
  const slow = ask(`/slow${encodeURI(go)}`);
  assert.equal((await deploy("other.mjs", "two")).code, 0);
  await eventually("the new one answers", () => (answers.get("two") ?? 0) > 20);
  writeFileSync(go, "");
  clearInterval(timer);
  await Promise.all(asked);
  assert.deepEqual(failures, []);
  assert.ok((answers.get("one") ?? 0) > 20, JSON.stringify([...answers]));
  assert.equal(await slow, "one");
  if (process.env["TITAN_FIGURES"]) console.log([...answers], asked.length);
  await forwarding.close();
  client.close();
  assert.equal((await inProcess(["stop", "web", ...at()])).code, 0);
});

test("wrong words are refused in words", async () => {
  const table: readonly (readonly [readonly string[], number, RegExp])[] = [
    [["scale", "web", "0"], 2, /Cannot scale to 0: must be 1 to 100 replicas/],
    [["scale", "web", "many"], 2, /Cannot scale to many/],
    [["scale", "web"], 2, /it takes SERVICE\|RUN\/JOB N/],
    [["scale", "wep", "2"], 1, /Cannot scale "wep": there is no such service/],
    [["rollback", "wep"], 1, /no service of this name is deployed/],
  ];
  for (const [args, exit, why] of table) {
    const { code, stderr } = await inProcess([...args, ...at()]);
    assert.equal(code, exit, args.join(" "));
    assert.match(stderr, why);
  }
});
