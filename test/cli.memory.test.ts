/** A master with a small heap: takes what it may hold, and comes back with it after a kill. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, type Client } from "#sdk";
import { start, tempFolder, type Started } from "./cli.support.ts";
import { pipeline, refusal, spec } from "./10-master.support.ts";

test("titan master takes what its heap allows, and after kill -9 all of it is there again, with the same heap", async () => {
  const cwd = tempFolder();
  // A kill takes nothing from the system's own memory, so there is no need to wait for a disk.
  const args = ["master", "--port", "0", "--state", "st", "--durability", "no", "--json"];
  const master = (heapMb: number): Started =>
    start(args, { cwd, runtime: [process.execPath, `--max-old-space-size=${heapMb}`] });
  const clientOf = async (started: Started): Promise<Client> => {
    const [, port] = await started.until("stdout", /"type":"ready".*"port":(\d+)/);
    return connect(`127.0.0.1:${port}`);
  };
  let running = master(96);
  let client = await clientOf(running);
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
