/**
 * Chapter 20: the process: `titan mcp` at the ends of a pipe, and `/mcp`, before a real cluster.
 */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { connect } from "#sdk";
import { MAIN, start, tempFolder, titan, up, type Started, type Up } from "./cli.support.ts";
import { modern, type Json } from "./20-mcp.stage.ts";

const PIPELINE = "name: file\njobs:\n  - {id: a, file: a.sh, outputs: out.txt}\n";
const folder = tempFolder({ "p.yaml": PIPELINE, "a.sh": "echo from a file | tee out.txt\n" });
const running: ChildProcess[] = [];
let cluster: Up;
let http: string;
let env: Record<string, string>;

before(async () => {
  cluster = await up(["--workers", "1", "--slots", "4", "--http", "0"], { cwd: folder });
  http = `${(cluster.ready as Json)["http"]}/mcp`;
  env = cluster.env;
});

after(async () => {
  for (const child of running) child.kill("SIGKILL");
  await cluster.kill("SIGTERM");
});

/** A client of a process of its own. */
function client(args: readonly string[] = []): {
  child: ChildProcess; ask: (method: string, params?: Json) => Promise<Json>;
  call: (name: string, args?: Json) => Promise<Json>;
} {
  const options = { cwd: folder, env: { ...process.env, ...env } };
  const child = spawn(process.execPath, [MAIN, "mcp", ...args], options);
  running.push(child);
  const waiting = new Map<unknown, (message: Json) => void>();
  createInterface({ input: child.stdout! }).on("line", (line) => {
    const message = JSON.parse(line) as Json;
    waiting.get(message["id"])?.(message);
  });
  let id = 0;
  const ask = (method: string, params: Json = {}): Promise<Json> => {
    child.stdin!.write(`${JSON.stringify(modern(++id, method, params).body)}\n`);
    return new Promise((resolve, reject) => {
      waiting.set(id, resolve);
      child.once("exit", (code) => reject(new Error(`titan mcp has ended with ${code}`)));
    });
  };
  const call = async (name: string, args: Json = {}): Promise<Json> => {
    const { result } = await ask("tools/call", { name, arguments: args });
    assert.equal(result.isError, undefined, result.content?.[0].text);
    return result.structuredContent;
  };
  return { child, ask, call };
}

test("scripts, files, the store and artifacts, with the names of the first Titan", async () => {
  const { child, call, ask } = client(["--allow-approve"]);
  const single = {
    job_id: "one",
    script_content: "import sys; print(sys.argv[1:])",
    args: "a 'b c'",
    idempotency_key: "k1",
  };
  const first = await call("submit_single_job", single);
  const again = await call("submit_single_job", single);
  assert.deepEqual([again["run"], again["existing"], again["status"]],
    [first["run"], true, "submitted"]);
  const jobs_json = JSON.stringify([
    { job_id: "left", script_content: "print('l')" }, { job_id: "right" },
    { job_id: "both", parents: ["left", "DAG-right"], hitl_message: "Go?" },
    { job_id: "end", parents: ["hitl-gate-both"], script_content: "print('end')" },
  ]);
  const dag = await call("submit_dag_pipeline", { dag_name: "dag", jobs_json });
  assert.match(dag["agent_run_id"], /^mcp-dag-[0-9a-f]{8}$/);
  assert.deepEqual([dag["job_count"], dag["jobs"].length], [4, 4]);
  const path = await call("submit_yaml_pipeline", { yaml_path: "p.yaml" });
  const waited = await call("wait_run", { run: dag["run"], timeout_s: 30 });
  assert.deepEqual(waited["waiting_for_person"], [`${dag["run"]}/both`]);
  assert.equal(
    (await call("approve_hitl_gate", { gate_id: "hitl-gate-both" }))["status"],
    "approved",
  );
  assert.equal((await call("wait_run", { run: dag["run"] }))["run"].status, "COMPLETED");
  await call("wait_run", { run: first["run"] });
  assert.equal((await call("get_job_logs", { job_id: "DAG-one" }))["logs"], "['a', 'b c']");
  assert.equal((await call("get_job_status", { job_id: "end" }))["status"], "COMPLETED");
  await call("wait_run", { run: path["run"] });
  const made = await call("get_artifact", { name: "a/out.txt", run: path["run"] });
  assert.deepEqual([made["content"], made["run"]], ["from a file\n", path["run"]]);
  assert.equal((await call("store_put", { key: "k", value: "ü" }))["master_response"], "OK");
  const found = await Promise.all(["k", "none"].map((key) => call("store_get", { key })));
  assert.deepEqual(found.map(({ value }) => value), ["ü", "NULL"]);
  const kept = await call("deploy_script", { script_name: "s.py", script_content: "pass" });
  assert.equal(kept["master_response"], "DEPLOY_SUCCESS");
  assert.equal((await call("get_artifact", { name: "s.py" }))["content"], "pass");
  const long = await ask("tools/call",
    { name: "store_put", arguments: { key: "k", value: "x".repeat(10_000_000) } });
  assert.match(long["result"].content[0].text, /is more than travels through the master/);
  const began = performance.now();
  child.stdin!.end();
  const [code] = await once(child, "exit");
  assert.equal(code, 0);
  assert.ok(performance.now() - began < 20_000);
});

test("a pipe that ends while a call waits ends the process, and not the run", async () => {
  const { child, call, ask } = client();
  const yaml = "name: slow\njobs:\n  - {id: a, run: sleep 600}\n";
  const { run } = await call("submit_yaml_pipeline", { yaml });
  ask("tools/call", { name: "wait_run", arguments: { run, timeout_s: 50 } }).catch(() => undefined);
  const began = performance.now();
  child.stdin!.end();
  const [code] = await once(child, "exit");
  assert.deepEqual([code, performance.now() - began < 20_000], [0, true], "before its 50 s");
  const looker = await connect(env["TITAN_MASTER"]!);
  assert.equal((await looker.status(run)).run.status, "RUNNING");
  await looker.cancel(run);
  await looker.wait(run);
  looker.close();
});

test("/mcp of titan up, and titan mcp --http: the same server, behind the guard", async () => {
  const own: Started = start(["mcp", "--http", "0", "--json"], { cwd: folder, env });
  const [line] = await own.until("stdout", /^\{.*\}$/m);
  const { body, headers } = modern(1, "tools/call", { name: "ping_master" });
  const all = {
    ...headers, "content-type": "application/json", accept: "application/json, text/event-stream",
  };
  const send = (url: string, more: Json = {}, text = JSON.stringify(body)): Promise<Response> =>
    fetch(url, { method: "POST", headers: { ...all, ...more }, body: text });
  for (const url of [http, (JSON.parse(line) as Json)["http"] as string]) {
    const answer = (await (await send(url)).json()) as Json;
    assert.equal(answer["result"].structuredContent.status, "ok", url);
    assert.equal((await send(url, { origin: "http://evil.test" })).status, 403);
    assert.equal((await send(url, { "content-type": "text/plain" })).status, 403);
    assert.equal(
      (await send(url, {}, "x".repeat(9_000_000)).catch(() => ({ status: 413 }))).status,
      413,
    );
    assert.equal((await fetch(url)).status, 405);
  }
  assert.equal(
    (await fetch((JSON.parse(line) as Json)["http"].replace("/mcp", "/api/v1/runs"))).status,
    404,
  );
  assert.equal((await own.kill("SIGTERM")).code, 0);
});

test("nothing but the protocol is on stdout; a master that is away is a result", async () => {
  const lines = [1, 2].map((id) =>
    JSON.stringify(modern(id, id === 1 ? "ping" : "tools/call", { name: "ping_master" }).body));
  const { code, stdout, stderr } = await titan(["mcp"], {
    cwd: folder, input: `${lines.join("\n")}\n`, env: { TITAN_MASTER: "127.0.0.1:1" },
  });
  assert.deepEqual([code, stderr], [0, ""]);
  const found = stdout.trim().split("\n").map((line) => JSON.parse(line) as Json);
  assert.equal(found.length, 2);
  const away = found.find(({ id }) => id === 2)!;
  assert.match(
    away["result"].content[0].text,
    /Cannot connect to the master at 127\.0\.0\.1:1[\s\S]*titan up/,
  );
  assert.equal(away["result"].isError, true);
  const wrong = await titan(["mcp", "--allow", "list_rums"], { cwd: folder, input: "", env });
  assert.deepEqual([wrong.code, /did you mean list_runs/.test(wrong.stderr)], [2, true]);
});
