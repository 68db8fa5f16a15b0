/**
 * Durable steps with real processes: kill -9 of a worker and of the whole cluster under a program
 * that calls a server, and `titan step` in a shell script.
 */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, test } from "node:test";
import { nodeHost } from "#host";
import { startMaster } from "#master";
import { connect } from "#sdk";
import { eventually, MAIN, ownPort, start, tempFolder, titan, up, type Up } from "./cli.support.ts";

const AGENT = `
import { job } from "titan-orchestrator/job";
const results = [];
for (let step = 1; step <= 10; step++) {
  results.push(await job.step("call", step, async ({ idempotencyKey: key }) => {
    const answer = await fetch(process.env.SERVER + "/" + step, { headers: { key } });
    return answer.json();
  }));
}
await job.output(results);
`;

/**
 * A server that counts its calls. `during` may kill somebody in the middle of one: then it returns
 * true, and the call gets no answer, since the program may outlive its worker by a moment.
 */
async function counting(during: (step: number) => boolean) {
  const calls: { step: number; key: string }[] = [];
  const server = createServer((request, response) => {
    const step = Number(request.url!.slice(1));
    calls.push({ step, key: String(request.headers["key"]) });
    if (!during(step)) response.end(JSON.stringify(step * step));
  });
  await new Promise<void>((listening) => void server.listen(0, "127.0.0.1", listening));
  after(() => {
    server.close();
    server.closeAllConnections();
  });
  server.unref();
  return { calls, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

test("kill -9 of a worker and of the whole cluster in the middle of calls: every step that was " +
  "done is called once, and the one in flight with the same key", async () => {
  const killed = new Set<number>();
  let cluster: Up;
  let again: Promise<Up> | undefined;
  const port = String(await ownPort());
  const args = [
    "--workers", "2", "--slots", "1", "--state", "state", "--no-store", "--port", port,
  ];
  const { calls, url } = await counting((step) => {
    if (killed.has(step) || (step !== 3 && step !== 7)) return false;
    killed.add(step);
    if (step === 3) for (const pid of cluster.ready.workerPids) process.kill(pid, "SIGKILL");
    else again = cluster.kill("SIGKILL").then(() => up(args, { cwd }));
    return true;
  });
  const cwd = tempFolder({ "agent.mjs": AGENT });
  cluster = await up(args, { cwd });
  const { master } = cluster.ready;
  const client = await connect(master);
  const jobs = [{ id: "agent", file: "agent.mjs", env: { SERVER: url } }];
  const { run } = await client.submit({ name: "ten", jobs }, { projectDir: cwd });
  await eventually("the cluster is killed in mid-call", () => again !== undefined);
  const second = await again!;
  try {
    const other = await connect(master);
    const { status } = await other.wait(run);
    assert.equal(status, "COMPLETED");
    const squares = Array.from({ length: 10 }, (_, i) => (i + 1) ** 2);
    assert.deepEqual(await other.result(run, "agent"), squares);
    other.close();
    for (let step = 1; step <= 10; step++) {
      const those = calls.filter((call) => call.step === step);
      assert.equal(those.length, killed.has(step) ? 2 : 1, `step ${step}`);
      assert.equal(new Set(those.map(({ key }) => key)).size, 1, `step ${step} has one key`);
    }
  } finally {
    client.close();
    await second.kill("SIGTERM");
  }
});

const FREEZES = `
import { job } from "titan-orchestrator/job";
const ask = async (what, more = "") => (await fetch(process.env.SERVER + what + more)).text();
const call = (what) => job.step(what, job.run, ({ idempotencyKey: key }) =>
  ask("/" + what, "?key=" + key));
const adds = (key) => job.spawn(key, [1, 2].map((n) => ({ id: key + "-" + n, run: "true" })));
await call("plan");
await adds("early");
await ask("/hold", "?attempt=" + job.attempt + "&pid=" + process.pid);
const tried = await Promise.allSettled([call("write"), adds("late")]);
const words = tried.map(({ status, reason }) => reason?.message ?? status);
await ask("/said", "?attempt=" + job.attempt + "&words=" + encodeURIComponent(words.join("|")));
`;

test("a worker and its agent that are stopped past their lease: another attempt goes on, and " +
  "whatever they ask when they wake up is refused", async () => {
  const asked: URL[] = [];
  let thaw = (): void => undefined;
  const server = createServer((request, response) => {
    const url = new URL(request.url!, "http://server");
    asked.push(url);
    const isFirst = url.searchParams.get("attempt") === "1";
    if (url.pathname === "/hold" && isFirst) thaw = () => void response.end("{}");
    else response.end("{}");
  });
  await new Promise<void>((listening) => void server.listen(0, "127.0.0.1", listening));
  server.unref();
  const { port } = server.address() as AddressInfo;
  const cwd = tempFolder({ "agent.mjs": FREEZES });
  // Long enough that a busy machine does not take the second worker for a lost one, too.
  const lease = { beatMs: 200, leaseMs: 3000 };
  const listen = { host: "127.0.0.1", port: 0 };
  const master = await startMaster({ host: nodeHost(), dir: join(cwd, "master"), listen, lease });
  const at = `127.0.0.1:${master.port}`;
  const args = ["worker", "--master", at, "--slots", "1"];
  const first = start([...args, "--name", "first"], { cwd });
  const client = await connect(at);
  const told = (path: string, attempt: number): URL | undefined => asked.find((url) =>
    url.pathname === path && url.searchParams.get("attempt") === String(attempt));
  const jobs = [{ id: "agent", file: "agent.mjs", env: { SERVER: `http://127.0.0.1:${port}` } }];
  const { run } = await client.submit({ name: "frozen", jobs }, { projectDir: cwd });
  await eventually("the agent has added jobs", () => told("/hold", 1) !== undefined);
  const program = Number(told("/hold", 1)!.searchParams.get("pid"));
  for (const pid of [first.pid, program]) process.kill(pid, "SIGSTOP");
  const second = start([...args, "--name", "second"], { cwd });
  try {
    assert.equal((await client.wait(run)).status, "COMPLETED");
    process.kill(program, "SIGCONT");
    thaw();
    await eventually("the zombie has been told", () => told("/said", 1) !== undefined);
    const over = /attempt 1 of frozen-\w+\/agent is over, it is COMPLETED/;
    const words = told("/said", 1)!.searchParams.get("words")!.split("|");
    assert.deepEqual(words.map((each) => over.test(each)), [true, true], words.join("\n"));
    assert.equal(told("/said", 2)!.searchParams.get("words"), "fulfilled|fulfilled");
    process.kill(first.pid, "SIGCONT");
    await first.until("stderr", /registered as first.*\n[^]*registered as first/);
    const paid = asked.filter(({ pathname }) => /^\/(plan|write)$/.test(pathname));
    assert.deepEqual(paid.map(({ pathname }) => pathname), ["/plan", "/write"], "each once");
    const { jobs: all } = await client.status(run);
    assert.deepEqual(all.map(({ id, attempt, status }) => `${id} ${attempt} ${status}`), [
      "agent 2 COMPLETED", "early-1 1 COMPLETED", "early-2 1 COMPLETED", "late-1 1 COMPLETED",
      "late-2 1 COMPLETED",
    ]);
  } finally {
    client.close();
    await Promise.all([first.kill("SIGTERM"), second.kill("SIGTERM")]);
    await master.stop();
    server.close();
    server.closeAllConnections();
  }
});

const SCRIPT = `
plan=$(titan step plan -- sh -c 'echo run >>$CALLS; echo "the moon"')
echo "plan: $plan"
titan step pay --effect once -- sh -c 'echo pay >>$CALLS; echo "$TITAN_STEP_KEY"'
if [ "$TITAN_ATTEMPT" = 1 ]; then kill -9 $$; fi
titan step fails -- sh -c 'exit 3' || echo "code $?"
titan step plan -- echo mars || echo "changed: $?"
titan step bad name && exit 9
echo "end"
`;

test("a shell script with titan step survives kill -9: what it has done, it prints again",
  async () => {
    const cwd = tempFolder({ "agent.sh": SCRIPT });
    const bin = join(cwd, "bin");
    mkdirSync(bin);
    writeFileSync(join(bin, "titan"), `#!/bin/sh\nexec "${process.execPath}" "${MAIN}" "$@"\n`);
    chmodSync(join(bin, "titan"), 0o755);
    const calls = join(cwd, "calls");
    writeFileSync(calls, "");
    writeFileSync(join(cwd, "p.yaml"), [
      "name: script", "jobs:", "  - id: agent", "    file: agent.sh",
      "    retry: {max_attempts: 2, delay: 0}",
      `    env: {CALLS: "${calls}", PATH: "${bin}:${process.env["PATH"]}"}`,
    ].join("\n"));
    const cluster = await up(["--workers", "1", "--no-store"], { cwd });
    try {
      const { env } = cluster;
      const { stdout } = await titan(["run", "p.yaml", "--json"], { cwd, env });
      const run = /"run":"(script-\w+)"/.exec(stdout)![1]!;
      assert.equal(readFileSync(calls, "utf8"), "run\npay\n", "each command ran once");
      const first = await titan(["logs", `${run}/agent`, "--attempt", "1"], { cwd, env });
      const last = await titan(["logs", `${run}/agent`], { cwd, env });
      assert.match(first.stdout, /^plan: the moon\n[0-9a-f]{32}\n$/);
      assert.equal(last.stdout, `${first.stdout}code 3\nchanged: 1\nend\n`);
      assert.match(last.stderr, /titan: step fails: sh exited with code 3/);
      assert.match(last.stderr, /STEP_CHANGED: step plan#1 of script-\w+\/agent is DONE/);
      const { stdout: listed } = await titan(["agents", "steps", `${run}/agent`], { cwd, env });
      const found = listed.split("\n").slice(1, 4).map((line) => line.replace(/ {2,}/g, " "));
      assert.match(found[0]!, /^plan#1 agent DONE \S+ "the moon\\n"$/);
      assert.match(found[2]!, /^fails#1 agent FAILED \S+ sh exited with code 3$/);
      const fork = ["agents", "fork", run, "--from", "pay#1", "--set", 'plan="mars\\n"', "--json"];
      const forked = JSON.parse((await titan(fork, { cwd, env })).stdout);
      assert.equal(forked.steps, 2);
      const client = await connect(cluster.ready.master);
      assert.equal((await client.wait(forked.run)).status, "COMPLETED");
      const chunks: string[] = [];
      for await (const { data } of client.logs(forked.run, "agent")) chunks.push(String(data));
      client.close();
      assert.match(chunks.join(""), /^plan: mars\n/m);
      assert.equal(readFileSync(calls, "utf8"), "run\npay\n", "and none of them again");
      const usage = await titan(["agents", "fork", run], { cwd, env });
      assert.deepEqual([usage.code, /--from names the last step/.test(usage.stderr)], [2, true]);
    } finally {
      await cluster.kill("SIGTERM");
    }
  });

test("titan step outside of a job, and with words that it does not know, says so", async () => {
  const cwd = tempFolder();
  const outside = await titan(["step", "a", "--", "true"], { cwd });
  assert.deepEqual([outside.code, /run as a job of Titan/.test(outside.stderr)], [1, true]);
  assert.doesNotMatch(outside.stderr, /bug of Titan/);
  const wrong = await titan(["step", "a", "--effect", "twice", "--", "true"], { cwd });
  assert.deepEqual([wrong.code, /must be read, idempotent, once/.test(wrong.stderr)], [2, true]);
});
