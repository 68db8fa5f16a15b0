/** What `titan run` says at the end of an agent's run: results and files, or how to get them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { JobSpec } from "#wire";
import { tellResult, type ResultOptions } from "../src/cli/agent-result.ts";
import { pipeline, report, Room, spec } from "./10-master.support.ts";

/** Runs it, with results by the ids of the jobs, and tells of it. */
async function told(room: Room, how: {
  jobs: JobSpec[]; results: Record<string, unknown>; files?: string[]; vanishes?: boolean;
  isAgent?: boolean;
}): Promise<{ run: string; out: string[]; notes: string[] }> {
  const { jobs, results, files = [], vanishes = false, isAgent = true } = how;
  await room.start();
  const worker = await room.worker("w1");
  const client = await room.client();
  const agent = isAgent ? { agent: { id: undefined, budget: undefined } } : {};
  const { run } = await client.submitSpec({ ...pipeline(jobs), ...agent });
  for (const [at, { id }] of jobs.entries()) {
    await room.until(() => worker.assigned.length === at + 1);
    const assigned = worker.assigned[at]!;
    if (at === 0) for (const name of files) await client.putArtifact(name, "x", { run });
    const result = Buffer.from(JSON.stringify(results[id] ?? ""));
    await worker.finish({ ...report(assigned), result: id in results ? result : undefined });
  }
  const info = await client.wait(run);
  const [out, notes]: [string[], string[]] = [[], []];
  const context = {
    out: (line: string) => out.push(line), note: (line: string) => notes.push(line),
  } as unknown as ResultOptions["context"];
  const later = (...words: string[]): string => `titan ${words.join(" ")}`;
  await tellResult(info, { context, client, vanishes, later });
  return { run, out, notes };
}

const CHAIN = [spec("plan"), spec("write", { dependsOn: [0] })];

test("the last jobs of an agent's run say what they have handed in", () =>
  Room.run(async (room) => {
    const { run, out, notes } = await told(room, {
      jobs: CHAIN, files: ["report.md"],
      results: { plan: ["tides"], write: { report: "# Tides\n\nThey rise.\u001b[2J", words: 3 } },
    });
    assert.deepEqual(out, [
      "write has handed in:", "  report: # Tides", "  ", "  They rise.", "  words: 3",
    ]);
    const how = `titan artifact get report.md --run ${run}`;
    assert.deepEqual(notes, [`titan: files of the run: report.md (1 B); ${how}`]);
  }));

test("a long result is told where it is, or cut where nothing of it stays", async () => {
  const long = "tide ".repeat(1000);
  const jobs = [spec("write")];
  await Room.run(async (room) => {
    const { run, out, notes } = await told(room, { jobs, results: { write: long } });
    const how = `titan status ${run}/write --json`;
    assert.deepEqual([out, notes], [
      [], [`titan: all that write has handed in (5.0 kB): ${how}`],
    ]);
  });
  await Room.run(async (room) => {
    const results = { write: long };
    const { out, notes } = await told(room, { jobs, results, vanishes: true, files: ["a", "b"] });
    assert.deepEqual([out[0], out[1]!.length, out.length], ["write has handed in:", 2003, 2]);
    assert.match(notes.join("\n"), /\(5\.0 kB\): with --state .*\n.*a \(1 B\), b \(1 B\); with/);
  });
});

test("nothing is said of a run that is no agent's, and of an agent without a result", async () => {
  for (const [results, isAgent] of [[{ write: "x" }, false], [{}, true]] as const) {
    await Room.run(async (room) => {
      const { out, notes } = await told(room, { jobs: CHAIN, results, isAgent });
      assert.deepEqual([out, notes], [[], []]);
    });
  }
});
