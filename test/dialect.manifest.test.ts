/** The names of DAGs: what the original's SDK tells its dashboard after each submission. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManifestDoor } from "../src/dialect/manifest-door.ts";
import { OldManifest } from "../src/dialect/manifest.ts";
import { exchange, host, startOldCluster, task } from "./dialect.support.ts";

const PATH = "/api/manifest/sync";
const JSON_BODY = "content-type: application/json";

/** A request as urllib makes it. */
function post(body: string, { line = `POST ${PATH} HTTP/1.1`, host = "127.0.0.1:5000",
  headers = [JSON_BODY] }: { line?: string; host?: string; headers?: string[] } = {}): Buffer {
  const length = `content-length: ${Buffer.byteLength(body)}`;
  return Buffer.from([line, `Host: ${host}`, length, ...headers, "", body].join("\r\n"));
}

const entry = (dag: unknown) => ({ dag, deps: [], run_ts: 1, agent_run_id: "r1" });

test("a DAG's name means the newest run of its jobs, once the SDK has told it", async (t) => {
  const { ask, until, door } = await startOldCluster(t);
  const { port } = await door.openManifest(0);
  const second = (script: string): string => task("etl-b", script, { parents: ["etl-a"] });
  await ask(0x04, `${task("etl-a", "true")} ; ${second("exit 0")}`);
  await until("DAG-etl-b", "COMPLETED");
  assert.equal((await ask(0x55, "DAG-NIGHTLY")).text, "NULL");
  const told = {
    "DAG-etl-a": entry("NIGHTLY"), "DAG-etl-b": entry("NIGHTLY"), "DAG-other": entry("OTHER"),
    "__agent_run__r1": { agent_run_id: "r1", stages: ["NIGHTLY"] }, "__payload__NIGHTLY": {},
  };
  const answer = (await exchange(port, post(JSON.stringify(told)))).toString();
  assert.match(answer, /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\n\{"status":"ok"\}$/);
  for (const id of ["DAG-NIGHTLY", "NIGHTLY"]) {
    assert.equal((await ask(0x55, id)).text, "COMPLETED", id);
  }
  assert.equal((await ask(0x55, "DAG-OTHER")).text, "NULL", "none of its jobs is known");
  await ask(0x04, `${task("etl-a", "true")} ; ${second("sleep 60")}`);
  await until("DAG-etl-b", "RUNNING");
  assert.equal((await ask(0x55, "DAG-NIGHTLY")).text, "RUNNING", "the run, and not its first job");
  assert.equal((await ask(0x56, "DAG-NIGHTLY")).text, "CANCELLED", "all of the run");
  for (const id of ["DAG-NIGHTLY", "DAG-etl-b"]) await until(id, "CANCELLED");
});

test("the port takes one request, from this machine, and refuses others in words", async (t) => {
  const manifest = new OldManifest();
  const door = new ManifestDoor(host, manifest);
  t.after(() => door.close());
  const { port } = await door.open(0);
  const status = async (bytes: Buffer): Promise<number> =>
    Number((await exchange(port, bytes)).toString().split(" ")[1]);
  const body = JSON.stringify({ "DAG-a": entry("A") });
  const cases: [number, Buffer][] = [
    [403, post(body, { host: "evil.test:5000" })],
    [403, post(body, { headers: [JSON_BODY, "Origin: http://127.0.0.1:5000"] })],
    [404, post(body, { line: "POST /api/dag/submit HTTP/1.1" })],
    [405, post(body, { line: `GET ${PATH} HTTP/1.1` })],
    [415, post(body, { headers: ["content-type: text/plain"] })],
    [400, post(body, { line: "nonsense" })],
    [400, post("[1]")],
    [400, post("{")],
    [411, Buffer.from(`POST ${PATH} HTTP/1.1\r\nHost: localhost\r\n${JSON_BODY}\r\n\r\n`)],
    [413, Buffer.from(post("").toString().replace("length: 0", "length: 10485761"))],
    [431, Buffer.alloc(20_000, "x")],
  ];
  for (const [expected, bytes] of cases) assert.equal(await status(bytes), expected);
  assert.equal(manifest.size, 0);
  assert.equal(await status(post(body, { host: "localhost:5000" })), 200);
  assert.deepEqual(manifest.jobsOf("A"), ["DAG-a"]);
});

test("a request may come in pieces of any size, and nothing behind it counts", async (t) => {
  const manifest = new OldManifest();
  const door = new ManifestDoor(host, manifest);
  t.after(() => door.close());
  const { port } = await door.open(0);
  const bytes = Buffer.concat([post(JSON.stringify({ "DAG-ä": entry("Ä") })), post("[1]")]);
  const { connect } = await import("node:net");
  const socket = connect({ port, host: "127.0.0.1" });
  socket.setNoDelay(true);
  const got: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => got.push(chunk));
  for (let at = 0; at < bytes.length; at += 7) {
    await new Promise<void>((sent) => void socket.write(bytes.subarray(at, at + 7), () => sent()));
  }
  await new Promise((closed) => socket.once("close", closed).end());
  assert.equal(Buffer.concat(got).toString().match(/HTTP\/1\.1/g)?.length, 1);
  assert.deepEqual(manifest.jobsOf("DAG-Ä"), ["DAG-ä"]);
});

test("OldManifest keeps names of jobs and nothing else, the newest of many", () => {
  const manifest = new OldManifest();
  manifest.merge({
    "DAG-a": entry("A"), "DAG-b": "A", "DAG-c": entry(7), "DAG-d": null, x: entry("A"),
    [`DAG-${"e".repeat(300)}`]: entry("A"), "DAG-f": entry("A".repeat(300)),
  });
  assert.deepEqual([manifest.size, manifest.jobsOf("A")], [1, ["DAG-a"]]);
  manifest.merge({ "DAG-a": entry("B") });
  assert.deepEqual([manifest.jobsOf("A"), manifest.jobsOf("DAG-B")], [[], ["DAG-a"]]);
  manifest.merge(Object.fromEntries(
    Array.from({ length: 10_000 }, (_, at) => [`DAG-${at}`, entry("many")])));
  assert.deepEqual([manifest.size, manifest.jobsOf("B")], [10_000, []]);
  manifest.merge({ "DAG-0": entry("again"), "DAG-new": entry("new") });
  assert.deepEqual([manifest.size, manifest.jobsOf("again")], [10_000, ["DAG-0"]]);
});
