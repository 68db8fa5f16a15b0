/** The client for programs: with a real master, and with one that goes away and comes back. */
import assert from "node:assert/strict";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import {
  connect, ConnectError, definePipeline, jobCounts, nodeHost, parsePipeline, pipeline,
  PipelineError, reconnect, RpcError, type Client, type Host, type PipelineInput,
} from "#sdk";
import { SimWorld } from "#simhost";
import { isConnectionError, readAddress, whyUnreached } from "#wire";
import { ownPort, tempFolder, up, type Up } from "./cli.support.ts";
import "./leaks.support.ts";

/** Over only when somebody decides. */
const GATED = [{ id: "a", run: "true", hitl_message: "Go on?" }];

let cluster: Up;
let titan: Client;

before(async () => {
  const options = { cwd: tempFolder(), env: { TITAN_TOKEN: "s3cret" } };
  cluster = await up(["--workers", "1", "--slots", "4"], options);
  titan = await connect({ master: cluster.ready.master, token: "s3cret" });
});

after(async () => {
  titan.close();
  await cluster.kill("SIGTERM");
});

/** Runs `work` with these variables, and puts the old ones back. */
type Variables = Record<string, string | undefined>;

async function withEnv<T>(variables: Variables, work: () => Promise<T>): Promise<T> {
  const set = (values: Variables): void => {
    for (const [name, value] of Object.entries(values)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  };
  const old = Object.fromEntries(Object.keys(variables).map((name) => [name, process.env[name]]));
  set(variables);
  try {
    return await work();
  } finally {
    set(old);
  }
}

/** A port on which nobody listens. */
async function deadPort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A host that says how many connections were opened. */
function countingHost(): { host: Host; opened: () => number } {
  const real = nodeHost();
  let opened = 0;
  const dial: Host["network"]["dial"] = async (...args) => {
    const socket = await real.network.dial(...args);
    opened += 1;
    return socket;
  };
  const listen: Host["network"]["listen"] = (...args) => real.network.listen(...args);
  return { host: { ...real, network: { dial, listen } }, opened: () => opened };
}

const hello = (run: string): PipelineInput => ({ name: "hello", jobs: [{ id: "a", run }] });

test("submit() takes what nobody can run yet, with a warning; strict refuses it", async () => {
  const rare = { name: "rare", jobs: [{ id: "a", run: "true", requirement: "RARE" }] };
  const { run, warnings } = await titan.submit(rare);
  assert.match(warnings.join(), /Cannot schedule job "a" now: no worker/);
  await titan.cancel(run);
  await assert.rejects(titan.submit(rare, { strict: true }), /job "a".*no worker/);
});

test("pipeline() builds what the YAML form says, and job() changes it in place", async () => {
  const built = pipeline("nightly", { version: "2", project: false });
  for (const id of ["a", "b"]) built.job(id, { run: `echo ${id}` });
  built.job("c", { command: ["true"], needs: ["a", "b"], requirement: "GPU" });
  const plain = {
    name: "nightly", version: "2", project: false,
    jobs: [
      { id: "a", run: "echo a" }, { id: "b", run: "echo b" },
      { id: "c", command: ["true"], needs: ["a", "b"], requirement: "GPU" },
    ],
  };
  assert.deepEqual(built.toJSON(), plain);
  assert.deepEqual(built.definition, definePipeline(plain));
  // What was handed out does not change with the pipeline.
  const before = built.toJSON();
  built.job("d", { run: "true" });
  assert.equal(before.jobs.length, 3);
  assert.throws(() => pipeline("none").definition, PipelineError);
  const twice = pipeline("twice").job("a", { run: "true" }).job("a", { run: "true" });
  await assert.rejects(titan.submit(twice), PipelineError);
});

test("run() waits for the end, good or bad, and tells of each change", async () => {
  const seen: string[] = [];
  const failing = pipeline("failing")
    .job("a", { run: "exit 3" })
    .job("b", { run: "true", needs: "a" });
  const ended = await titan.run(failing, {
    key: "failing-once",
    onEvent: (event) => seen.push(event.type),
  });
  assert.equal(ended.status, "FAILED");
  assert.equal(seen[0], "snapshot");
  assert.notEqual(seen.at(-1), "job");
  const again = await titan.run(failing, { key: "failing-once" });
  assert.equal(again.id, ended.id);
  const endless = pipeline("endless").job("a", { run: "sleep 600" });
  const late = titan.run(endless, { timeoutMs: 1, key: "endless" });
  await assert.rejects(late, { name: "RpcError", code: "DEADLINE" });
  const { run } = await titan.submit(endless, { key: "endless" });
  await titan.cancel(run);
});

test("connect() takes the master and the token from the environment", async () => {
  await withEnv({ TITAN_MASTER: cluster.ready.master, TITAN_TOKEN: "s3cret" }, async () => {
    const client = await connect();
    await client.ping();
    client.close();
  });
});

test("connect() takes \"host:port\", and its own token wins over the environment's", async () => {
  await withEnv({ TITAN_MASTER: "127.0.0.1:1", TITAN_TOKEN: "s3cret" }, async () => {
    const client = await connect(cluster.ready.master);
    await client.ping();
    client.close();
    const stranger = connect({ master: cluster.ready.master, token: "wrong" });
    await assert.rejects(stranger, { name: "RpcError", code: "UNAUTHORIZED" });
  });
});

test("connect() with a host of the caller's own reads nothing from the environment", async () => {
  await withEnv({ TITAN_MASTER: "127.0.0.1:1", TITAN_TOKEN: "s3cret" }, async () => {
    const options = { host: nodeHost(), master: cluster.ready.master };
    await assert.rejects(connect(options), { name: "RpcError", code: "UNAUTHORIZED" });
  });
});

test("connect() says which address it tried, and where that came from", async () => {
  const port = await deadPort();
  const refused = (message: string) => (error: Error & { code?: string }): boolean => {
    assert.ok(error instanceof ConnectError);
    assert.deepEqual([error.message, error.code], [message, "ECONNREFUSED"]);
    return isConnectionError(error);
  };
  const at = `Cannot connect to the master at 127.0.0.1:${port}`;
  await assert.rejects(connect(`127.0.0.1:${port}`), refused(`${at}: nobody listens there`));
  await withEnv({ TITAN_MASTER: `127.0.0.1:${port}` }, () =>
    assert.rejects(connect(), refused(`${at} (TITAN_MASTER): nobody listens there`)));
  const message = 'Cannot use TITAN_MASTER "here:there": expected HOST:PORT';
  const unreadable = { name: "TypeError", message };
  await withEnv({ TITAN_MASTER: "here:there" }, () => assert.rejects(connect(), unreadable));
  const web = createServer((socket) => socket.resume().end("HTTP/1.1 400 Bad Request\r\n\r\n"));
  web.listen(0, "127.0.0.1");
  await new Promise((resolve) => web.once("listening", resolve));
  const other = (web.address() as { port: number }).port;
  const foreign = { name: "ConnectError", message: /it is not a Titan master/ };
  await assert.rejects(connect(`127.0.0.1:${other}`), foreign);
  web.close();
});

test("readAddress() reads every form, and says what is wrong with the others", () => {
  const cases: Record<string, string> = {
    "h:1": "h 1", "h": "h 9090", ":70": "127.0.0.1 70", "70": "127.0.0.1 70",
    "[::1]:5": "::1 5", "[::1]": "::1 9090",
    "h:0": "port 0 is not between 1 and 65535", "h:65536": "port 65536 is not between 1 and 65535",
    "::1": "expected HOST:PORT", "http://h": "expected HOST:PORT", "a b": "expected HOST:PORT",
  };
  for (const [text, expected] of Object.entries(cases)) {
    const found = readAddress(text);
    assert.equal(typeof found === "string" ? found : `${found.host} ${found.port}`, expected, text);
  }
});

test("whyUnreached() is silent about a master's own refusal", () => {
  assert.equal(whyUnreached(new RpcError("UNAUTHORIZED", "no")), undefined);
  const late = whyUnreached(new RpcError("DEADLINE", "late"));
  assert.match(late!, /takes connections, and does not answer/);
  const full = new RpcError(
    "OVERLOADED",
    "Cannot open a session: this master is at its limit of 800 client connections",
  );
  assert.equal(whyUnreached(full), "it is at its limit of 800 client connections");
  assert.equal(whyUnreached(new RpcError("OVERLOADED", "busy")), "it is overloaded (busy)");
  assert.match(
    whyUnreached(new RpcError("CLOSED", "gone"))!,
    /closes them before it has answered \(gone\)/,
  );
});

test("submit() takes an object, a definition and a parsed text; result() is a value", async () => {
  const text = "name: hello\njobs:\n  - { id: a, run: 'echo text > \"$TITAN_OUTPUT\"' }\n";
  const forms = [
    { pipeline: hello('echo \'{"n": 42}\' > "$TITAN_OUTPUT"'), result: { n: 42 } },
    { pipeline: definePipeline(hello("true")), result: undefined },
    { pipeline: parsePipeline(text), result: "text\n" },
  ];
  for (const { pipeline, result } of forms) {
    const { run } = await titan.submit(pipeline);
    const ended = await titan.wait(run);
    assert.equal(ended.status, "COMPLETED");
    assert.equal(jobCounts(ended).COMPLETED, 1);
    assert.equal(jobCounts(ended).FAILED, 0);
    assert.deepEqual(await titan.result(run, "a"), result);
  }
});

test("submit() refuses what is no pipeline with a PipelineError, whatever it is", async () => {
  const wrong: unknown[] = [
    undefined, null, 7, "name: x", [], {}, { name: "n" }, { name: "n", jobs: [] },
    { name: "n", jobs: {} }, { name: "n", jobs: [null] }, { name: "n", jobs: [{ id: "a" }] },
    { name: "n", jobs: [{ id: "a", action: {} }] },
    { name: "n", jobs: [{ id: "a", action: { type: "shell", script: "ls" } }] },
    { name: "n", jobs: [{ id: "a", action: { kind: "x" }, requirement: [], retry: {} }] },
    { name: "n", jobs: [{ id: "a", action: { kind: "x" }, dependsOn: [], retry: {} }] },
    { name: "n", jobs: [{ id: "a", action: { kind: "x" }, dependsOn: [], requirement: [] }] },
    { name: "n", jobs: [{ id: "a", runn: "ls" }] },
  ];
  for (const value of wrong) {
    const submitted = titan.submit(value as PipelineInput);
    await assert.rejects(submitted, PipelineError, JSON.stringify(value));
  }
});

test("submit() refuses a projectDir that is no folder, and a key that is empty", async () => {
  const [file, missing] = [join(tempFolder({ f: "" }), "f"), join(tempFolder(), "none")];
  const jobs = [{ id: "a", file: "a.sh" }];
  for (const projectDir of [file, missing]) {
    for (const pipeline of [{ name: "n", jobs }, { name: "n", project: true, jobs: GATED }]) {
      const expected = { name: "TypeError", message: /Cannot ship the project: .* is no folder/ };
      await assert.rejects(titan.submit(pipeline, { projectDir }), expected);
    }
  }
  const unkeyed = titan.submit({ name: "n", jobs: GATED }, { key: "" });
  await assert.rejects(unkeyed, { name: "TypeError", message: /Cannot submit: found key ""/ });
  const submitted = titan.submit({ name: "n", jobs }, { projectDir: 5 as never });
  await assert.rejects(submitted, { name: "TypeError", message: /projectDir must be a path/ });
});

test("connect() refuses options of the wrong type with a TypeError, before it dials", async () => {
  const { host: real, opened } = countingHost();
  const { master } = cluster.ready;
  const wrong: [unknown, RegExp][] = [
    [5, /expected "host:port" or an object .* found 5/],
    [null, /found null/],
    [{ host: real, master: 5 }, /Cannot use master: .* found 5/],
    [{ host: real, master: { host: "127.0.0.1" } }, /Cannot use master: .* found an object/],
    [{ host: real, master: { host: 5, port: 80 } }, /Cannot use master/],
    [{ host: real, master: { host: "h", port: 65_536 } }, /Cannot use master/],
    [{ host: real, master, token: 5 }, /token must be a text, found 5/],
    [{ host: real, master, timeoutMs: Number.NaN }, /timeoutMs must be .* found NaN/],
    [{ host: real, master, timeoutMs: "5" }, /timeoutMs must be .* found a string/],
  ];
  for (const [options, message] of wrong) {
    await assert.rejects(connect(options as never), { name: "TypeError", message });
  }
  assert.equal(opened(), 0);
});

test("kv() refuses an argument that is neither text, number nor bytes", async () => {
  for (const argument of [null, undefined, {}, [], true]) {
    const asked = titan.kv("SET", "k", argument as never);
    await assert.rejects(asked, { name: "TypeError", message: /Cannot ask the store: / });
  }
});

test("wait() refuses a timeoutMs that is no number from 0 on", async () => {
  const { run } = await titan.submit({ name: "n", jobs: GATED });
  for (const timeoutMs of [Number.NaN, -1, "5", null]) {
    const waiting = titan.wait(run, { timeoutMs: timeoutMs as never });
    await assert.rejects(waiting, { name: "TypeError", message: /timeoutMs must be a number/ });
  }
  await assert.rejects(titan.wait(run, { timeoutMs: 0 }), { code: "DEADLINE" });
  await titan.cancel(run);
});

test("wait() resolves for a run that failed, and for one that is over already", async () => {
  const { run } = await titan.submit(hello("exit 3"));
  assert.equal((await titan.wait(run)).status, "FAILED");
  assert.equal((await titan.wait(run)).status, "FAILED");
  assert.equal(await titan.result(run, "a"), undefined);
});

test("wait() gives up after timeoutMs or with the signal, and the run goes on", async () => {
  const { run } = await titan.submit(hello("sleep 60"));
  const message = `Cannot wait for ${run} any longer: it is not over after 50 ms`;
  const late = { name: "RpcError", code: "DEADLINE", message };
  await assert.rejects(titan.wait(run, { timeoutMs: 50 }), late);
  const reason = new Error("enough");
  await assert.rejects(titan.wait(run, { signal: AbortSignal.abort(reason) }), reason);
  const leaving = new AbortController();
  const waiting = titan.wait(run, { signal: leaving.signal });
  leaving.abort(reason);
  await assert.rejects(waiting, reason);
  assert.equal((await titan.status(run)).run.status, "RUNNING");
  const ended = titan.wait(run);
  await titan.cancel(run);
  assert.equal((await ended).status, "CANCELLED");
});

test("wait() and result() say when there is no such run or job", async () => {
  await assert.rejects(titan.wait("nobody-0000"), { name: "RpcError", code: "NOT_FOUND" });
  const { run } = await titan.submit(hello("true"));
  await assert.rejects(titan.result(run, "b"), { name: "RpcError", code: "NOT_FOUND" });
});

test("wait() outlives a master that is killed and started again; so does its client", async () => {
  const state = tempFolder();
  const options = { cwd: state };
  const again = ["--state", `${state}/s`, "--workers", "1", "--port", String(await ownPort())];
  const first = await up(again, options);
  const { host, opened } = countingHost();
  const client = await connect({ master: first.ready.master, host });
  const { run } = await client.submit(hello('sleep 1; echo done > "$TITAN_OUTPUT"'));
  const both = Promise.all([client.wait(run), client.wait(run)]);
  await first.kill("SIGKILL");
  const second = await up(again, options);
  // The others are in the middle of a pause: this one connects, and they have to find that out.
  const late = client.wait(run);
  const ended = [await late, ...(await both)].map(({ status }) => status);
  assert.deepEqual(ended, ["COMPLETED", "COMPLETED", "COMPLETED"]);
  assert.equal(await client.result(run, "a"), "done\n");
  assert.equal(opened(), 2, "all of them share the new connection");
  client.close();
  await second.kill("SIGTERM");
});

test("close() ends a wait, also at the end of an \"await using\" block", async () => {
  const { run } = await titan.submit(hello("sleep 60"));
  const client = await connect({ master: cluster.ready.master, token: "s3cret" });
  const waiting = assert.rejects(client.wait(run), { name: "RpcError", code: "CANCELLED" });
  await client[Symbol.asyncDispose]();
  assert.equal(client.closed, true);
  await waiting;
  await assert.rejects(client.wait(run), { name: "RpcError", code: "CANCELLED" });
  await titan.cancel(run);
});

/** A host whose first connection can be broken, and whose second dial waits until it is let go. */
function brokenHost(): {
  host: Host; cut: () => void; dialled: Promise<void>; letGo: (error?: Error) => void;
} {
  const real = nodeHost();
  let cut = (): void => undefined;
  let letGo: (error?: Error) => void = () => undefined;
  const gate = new Promise<void>((resolve, reject) => {
    letGo = (error) => (error === undefined ? resolve() : reject(error));
  });
  let tell = (): void => undefined;
  const dialled = new Promise<void>((resolve) => (tell = resolve));
  let dials = 0;
  const dial: Host["network"]["dial"] = async (...args) => {
    dials += 1;
    if (dials === 2) {
      tell();
      await gate;
    }
    const socket = await real.network.dial(...args);
    if (dials === 1) cut = () => socket.destroy();
    return socket;
  };
  const listen: Host["network"]["listen"] = (...args) => real.network.listen(...args);
  const host = { ...real, network: { dial, listen } };
  return { host, cut: () => cut(), dialled, letGo: (error) => letGo(error) };
}

test("close() in the middle of a redial ends the wait, whether it succeeds or not", async () => {
  const { run } = await titan.submit(hello("sleep 60"));
  const gone = Object.assign(new Error("nobody there"), { code: "ECONNREFUSED" });
  for (const outcome of [undefined, gone]) {
    const { host, cut, dialled, letGo } = brokenHost();
    const client = await connect({ master: cluster.ready.master, token: "s3cret", host });
    const waiting = assert.rejects(client.wait(run), { name: "RpcError", code: "CANCELLED" });
    await client.ping(); // The watch is under way.
    cut();
    await dialled;
    client.close();
    letGo(outcome);
    await waiting;
    assert.equal(client.closed, true, "the new connection, too");
  }
  await titan.cancel(run);
});

test("JobInput knows every key that a job may have", () => {
  const base = {
    id: "a", type: "run", needs: "z", affinity: "z", priority: 2, delay: "1s",
    requirement: ["GPU"], retries: 1, timeout: 5, shell: "bash", env: { A: "b" },
    when: "always", hitl_message: "Go on?", max_wait_seconds: 60,
  } as const;
  const retry = { max_attempts: 2, delay: 1, backoff: 2, max_delay: 9, jitter: 0 };
  const jobs: PipelineInput["jobs"] = [
    { id: "z", command: ["true"] },
    { ...base, run: "true" },
    { id: "b", file: "b.sh", args: ["1"], depends_on: ["z"], retry },
    { id: "c", call: "titan:echo", input: { n: 1 } },
    { id: "d", run: "true", needs: "z", affinity: true, hitl_message: "?", max_wait_seconds: "1d" },
  ];
  const all: PipelineInput = { name: "all", version: "1", project: false, shell: "bash", jobs };
  assert.equal(definePipeline(all).jobs.length, 5);
});

test("reconnect() is there within half a second of the master's return, however long " +
  "it was away", async () => {
  const world = new SimWorld({ seed: 1 });
  const host = world.host("c");
  const backAt = 20_300;
  const redial = async (): Promise<string> => {
    if (world.now < backAt) throw new Error("nobody there");
    return "client";
  };
  await world.settle(reconnect({ host, redial, isAway: () => true }));
  assert.ok(world.now - backAt <= 500, `${world.now - backAt} ms after it came back`);
});
