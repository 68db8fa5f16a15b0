/** What people are told of a run that the master has forgotten: its key, and its dead jobs. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { nodeHost } from "#host";
import { openLog } from "#log";
import { startMaster, type MasterOptions } from "#master";
import { connect, type Client } from "#sdk";
import { Bench, NO_ROOM, retry, spec } from "./10-master.core.ts";
import { pipeline } from "./10-master.support.ts";
import { inProcess, tempFolder } from "./cli.support.ts";

/** A master in this process, a client of it, and `titan` with its address. */
async function withMaster(
  options: Pick<MasterOptions, "dir" | "heapBytes">,
  scenario: (titan: (...args: string[]) => ReturnType<typeof inProcess>, client: Client) =>
    Promise<void>,
): Promise<void> {
  const listen = { host: "127.0.0.1", port: 0 };
  const master = await startMaster({ host: nodeHost(), listen, ...options });
  const address = `127.0.0.1:${master.port}`;
  const client = await connect(address);
  try {
    await scenario((...args) => inProcess(args, { TITAN_MASTER: address }), client);
  } finally {
    client.close();
    await master.stop();
  }
}

test("titan run --key of a forgotten run names the run, and makes no second one", async () => {
  const dir = tempFolder();
  const file = join(dir, "test.yaml");
  writeFileSync(file, "name: test\njobs:\n  - {id: a, command: [\"true\"]}\n");
  // Room for one run that has ended.
  const heapBytes = (64 * 1024 + 64) * 1024;
  await withMaster({ dir: join(dir, "state"), heapBytes }, async (titan, client) => {
    const run = (await titan("run", file, "--detach", "--key", "k")).stdout.trim();
    await client.cancel(run);
    const { run: next } = await client.submitSpec(pipeline([spec("a")]));
    await client.cancel(next);
    assert.deepEqual((await client.runs()).map(({ id }) => id), [next]);

    const again = await titan("run", file, "--detach", "--key", "k");
    assert.deepEqual([again.code, again.stdout], [0, `${run}\n`]);
    assert.match(again.stderr, /warning: Run test-\w+, which key "k" made, has ended and is forg/);
    assert.doesNotMatch(again.stderr, /watch it with/);
    const json = await titan("run", file, "--detach", "--json", "--key", "k");
    assert.deepEqual(
      JSON.parse(json.stdout), { type: "run", id: run, name: "test", status: "FORGOTTEN" },
    );
    const watched = await titan("run", file, "--key", "k");
    assert.equal(watched.code, 1);
    assert.match(watched.stderr, /Cannot watch test-\w+: nothing of it is left\n +another key/);
    assert.equal((await client.runs()).length, 1);
  });
});

test("titan dead lists dead jobs of forgotten runs, and titan doctor counts those that it does " +
  "not", async () => {
  const bench = new Bench();
  bench.join({ slots: 1002 });
  const jobs = Array.from({ length: 1002 }, (_, i) => spec(`j${i}`, { retry: retry(2) }));
  const run = bench.submit(jobs, { name: "dead" });
  for (let round = 0; round < 2; round++) {
    for (const job of bench.schedule()) bench.fail(job);
    bench.tick(60_000);
  }
  bench.memory = NO_ROOM;
  bench.execute({ type: "Forget" });
  const dir = tempFolder();
  const log = await openLog({ host: nodeHost(), dir: join(dir, "log") });
  for (const body of bench.log) log.append(body);
  await log.close();

  await withMaster({ dir }, async (titan) => {
    const { stdout, stderr } = await titan("dead");
    assert.match(stdout, /^dead-\w+\/j\d+ +2 +\S+ \S+ +\(run forgotten\) exit 1$/m);
    assert.doesNotMatch(stderr, /titan retry/);
    const letters = JSON.parse((await titan("dead", "--json")).stdout) as object[];
    assert.equal(letters.length, 1000);
    assert.deepEqual(letters[0], {
      run, job: "j2", attempts: 2, failures: 2, losses: 0, forgotten: true,
      endedAt: 1_800_000_060_000, failure: { kind: "exit", message: "exit 1", exitCode: 1 },
    });
    const doctor = await titan("doctor", "--state", join(dir, "none"));
    assert.match(doctor.stdout, /^warn +dead +2 dead jobs of forgotten runs had to make way/m);
  });
});
