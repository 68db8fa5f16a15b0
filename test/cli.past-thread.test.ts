/** The past is read in a thread: its answers and its errors are those of a reader in place. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Worker } from "node:worker_threads";
import { answerHistory, History } from "#history";
import { nodeHost } from "#host";
import { openLog } from "#log";
import { HistoryAsked } from "#wire";
import { readInThread } from "../src/cluster/past-reader.ts";
import { Bench, spec } from "./10-master.core.ts";

/** With large jobs they take twice a small heap. */
const RUNS = 24;
const host = nodeHost();
const folders: string[] = [];
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

async function folder(script = "true"): Promise<string> {
  const bench = new Bench();
  const action = { type: "shell" as const, script, shell: undefined };
  for (let run = 0; run < RUNS; run++) bench.submit([spec("a", { action })]);
  const dir = mkdtempSync(join(tmpdir(), "titan-past-"));
  folders.push(dir);
  const log = await openLog({ host, dir, durability: "no" });
  for (const body of bench.log) log.append(body);
  await log.close();
  return dir;
}

const asked = (seq: number) => {
  const body = HistoryAsked.encode({
    seq, at: undefined, after: undefined, run: undefined, limit: 9,
  });
  return { kind: "moment", body, until: Infinity } as const;
};

test("a thread answers as a reader in place does, and errors keep their codes", async (t) => {
  const terminate = t.mock.method(Worker.prototype, "terminate");
  const timers = (): number =>
    process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  const before = timers();
  const dir = await folder();
  const reader = readInThread(dir);
  try {
    const [found, again] = await Promise.all([reader.ask(asked(1)), reader.ask(asked(1))]);
    const here = new History(host, dir);
    assert.deepEqual(found, await answerHistory(here, asked(1)));
    await here.close();
    assert.deepEqual(again, found);
    await assert.rejects(reader.ask(asked(RUNS + 1)), {
      name: "HistoryError", code: "NOT_FOUND",
      message: `Cannot go back to fact ${RUNS + 1}: the log ends with fact ${RUNS}`,
    });
  } finally {
    await reader.close();
  }
  assert.equal(terminate.mock.callCount(), 0, "it was asked to stop, and has");
  assert.equal(timers(), before, "nothing waits any more");
});

test("a thread that dies leaves no question without an answer", async () => {
  // A heap that Node itself can start in, and no state with these jobs.
  const reader = readInThread(await folder("本".repeat(300_000)), 8);
  await assert.rejects(reader.ask(asked(1)), /takes more memory than the 8 MB|has ended/);
  const closing = readInThread(await folder());
  const never = assert.rejects(closing.ask(asked(1)), /has ended/);
  await closing.close();
  await never;
});
