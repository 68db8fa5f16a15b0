/** `titan add`: a shell script that adds jobs to its own run, and waits for them without a slot. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect } from "#sdk";
import { MAIN, tempFolder, titan, up } from "./cli.support.ts";

const SCRIPT = `
titan add children.yaml --key round --stage ITER --wait || exit 0
titan add children.yaml --key round || exit 9
titan add other.yaml --key round && exit 8
echo "attempt $TITAN_ATTEMPT"
`;

test("a script adds jobs once, gives its only slot to them, and goes on when they have ended",
  async () => {
    const cwd = tempFolder({
      "agent.sh": `titan() { '${process.execPath}' '${MAIN}' "$@"; }\n${SCRIPT}`,
      "children.yaml": "- id: a\n  run: echo one\n- id: b\n  run: echo two\n  needs: a\n",
      "other.yaml": "jobs:\n  - id: c\n    run: echo three\n",
    });
    const cluster = await up(["--workers", "1", "--slots", "1", "--no-store"], { cwd });
    const client = await connect(cluster.ready.master);
    try {
      const jobs = [{ id: "agent", file: "agent.sh", needs: [] }];
      const { run } = await client.submit({ name: "grows", jobs }, { projectDir: cwd });
      const { status } = await client.wait(run);
      let output = "";
      for await (const { data } of client.logs(run, "agent")) output += data.toString();
      assert.equal(status, "COMPLETED", output);
      assert.match(output, /the run has 2 jobs under key round: a, b/);
      assert.match(output, /has added 2 jobs under it .* this is another list of 1/);
      assert.match(output, /attempt 2/);
      const found = (await client.status(run)).jobs.map((job) => [job.id, job.status, job.attempt]);
      assert.deepEqual(found, [
        ["agent", "COMPLETED", 2], ["a", "COMPLETED", 1], ["b", "COMPLETED", 1],
      ]);
    } finally {
      client.close();
      await cluster.kill("SIGTERM");
    }
  });

test("titan add says what is wrong with its file, and that this is no job", async () => {
  const cwd = tempFolder({ "a.yaml": "- id: a\n", "b.yaml": "nothing", "c.yaml": "a: [" });
  for (const [file, words] of [
    ["a.yaml", /Cannot add jobs of a\.yaml: /], ["b.yaml", /expected a list of jobs/],
    ["c.yaml", /c\.yaml/], ["none.yaml", /Cannot read jobs none\.yaml: there is no such file/],
  ] as const) {
    const { code, stderr } = await titan(["add", file], { cwd });
    assert.deepEqual([code, words.test(stderr)], [2, true], stderr);
  }
});
