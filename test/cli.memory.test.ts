/** A master with a small heap: takes what it may hold, and comes back with it after a kill. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { nodeHost } from "#host";
import { RpcConnection } from "#rpc";
import { connect, type Client } from "#sdk";
import { Hello, JobSpec, Op, PROTOCOL } from "#wire";
import { start, tempFolder, type Started } from "./cli.support.ts";
import { pipeline, refusal, spec } from "./10-master.support.ts";

/** 8 MiB of the smallest jobs, as a client of somebody's own making may send them. */
async function submitTinyJobs(port: number): Promise<void> {
  const host = nodeHost();
  const rpc = new RpcConnection(await host.network.dial({ host: "127.0.0.1", port }), { host });
  const hello = {
    protocol: PROTOCOL, role: "client" as const, token: undefined, version: "", instance: "",
    name: "", tags: [], slots: 0, running: [], knows: [], dial: undefined,
  };
  await rpc.request(Op.HELLO, Hello.encode(hello));
  const job = JobSpec.encode(spec("a", { action: { type: "command", argv: ["x"] } }));
  const item = Buffer.concat([Buffer.of(job.length), job]);
  const jobs = Buffer.alloc(8 * 1024 * 1024 - 64 - (8 * 1024 * 1024 - 64) % item.length, item);
  const varint = (n: number): number[] => (n < 128 ? [n] : [(n % 128) + 128, ...varint(n >>> 7)]);
  const name = Buffer.of(10, 1, 97);
  const list = Buffer.concat([Buffer.of(34, ...varint(jobs.length)), jobs]);
  const pipeline = Buffer.concat([name, list, Buffer.of(0)]);
  const head = Buffer.of(10, ...varint(pipeline.length));
  const submit = rpc.request(Op.SUBMIT, Buffer.concat([head, pipeline, Buffer.of(0)]));
  const number = jobs.length / item.length;
  const why = /it takes \d+ bytes of the master's memory, more than the \d+ for all open runs/;
  await assert.rejects(submit, refusal("INVALID", why));
  assert.ok(number > 350_000, `${number} jobs`);
  rpc.close();
}

test("titan master takes what its heap allows, and after kill -9 all of it is there again, with " +
  "the same heap", async () => {
  const cwd = tempFolder();
  // A kill takes nothing from the system's own memory, so there is no need to wait for a disk.
  const args = ["master", "--port", "0", "--state", "st", "--durability", "no", "--json"];
  const master = (heapMb: number): Started =>
    start(args, { cwd, runtime: [process.execPath, `--max-old-space-size=${heapMb}`] });
  const portOf = async (started: Started): Promise<number> =>
    Number((await started.until("stdout", /"type":"ready".*"port":(\d+)/))[1]);
  const clientOf = async (started: Started): Promise<Client> =>
    connect(`127.0.0.1:${await portOf(started)}`);
  let running = master(96);
  let client = await clientOf(running);
  await submitTinyJobs(await portOf(running));
  // Two bytes a character: this is where an estimate by the length of the message would be wrong.
  const action = { type: "shell" as const, script: "本".repeat(300_000), shell: undefined };
  const jobs = ["a", "b", "c", "d"].map((id) => spec(id, { requirement: ["NOBODY"], action }));
  let accepted = 0;
  const fill = async (): Promise<void> => {
    for (; accepted < 100; accepted++) await client.submitSpec(pipeline(jobs));
  };
  await assert.rejects(fill(), refusal("OVERLOADED", /bytes of the master's memory/));
  assert.ok(accepted > 5, `${accepted} runs`);
  await running.kill("SIGKILL");
  client.close();

  running = master(96);
  client = await clientOf(running);
  assert.equal((await client.runs()).length, accepted);
  client.close();
  await running.kill("SIGKILL");

  const smaller = master(48);
  await smaller.until("stderr", /Start it with NODE_OPTIONS=--max-old-space-size=256/);
  const { code, stderr } = await smaller.ended;
  assert.equal(code, 1);
  assert.match(stderr, /Cannot start a master on .*: its runs take about \d+ MB of memory/);
});
