/**
 * Jobs of a large project: how long they take, and how late the worker's heartbeats get beside
 * them.
 */
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Client } from "#sdk";
import { removeTreeSync } from "../lib/remove-tree.mjs";
import type { Options } from "./bricks.ts";
import { withCluster } from "./cluster.ts";
import { rowOf, type Row } from "./table.ts";

const JOBS = 20;
const SLOTS = 4;
const FILES = 10_000;
const QUICK_FILES = 2_000;
/** Longer than from one beat to the next: the last one has told the master how late it was. */
const LAST_BEAT_MS = 1500;

export async function project({ quick }: Options): Promise<Row[]> {
  const row = rowOf("project");
  const files = quick ? QUICK_FILES : FILES;
  const dir = mkdtempSync(join(tmpdir(), "titan-bench-project-"));
  const folder = join(dir, "flat");
  mkdirSync(folder);
  for (let i = 0; i < files; i++) writeFileSync(join(folder, `f${i}.txt`), `${i}\n`);
  writeFileSync(join(folder, "job.sh"), "ls | wc -l\n");
  try {
    const rows: Row[] = [];
    await withCluster(SLOTS, async ({ client }) => {
      const name = `${files.toLocaleString("en-US")} files in one folder, ${JOBS} jobs`;
      const target = quick ? {} : { target: { atMost: 15 } };
      for (const which of ["first run", "second run"]) {
        const value = await seconds(client, folder);
        rows.push(row(`${name}, ${which}`, [value, "s"], { ...target }));
      }
      await new Promise((resolve) => setTimeout(resolve, LAST_BEAT_MS));
      const [worker] = await client.workers();
      rows.push(
        row(
          "a heartbeat in that time, late by at most",
          [worker?.beatLateMaxMs ?? Number.NaN, "ms"],
          { target: { atMost: 500 }, note: `${SLOTS} slots` },
        ),
      );
    });
    return rows;
  } finally {
    removeTreeSync(dir);
  }
}

/** From packing the project to the end of the run. */
async function seconds(client: Client, projectDir: string): Promise<number> {
  const jobs = Array.from({ length: JOBS }, (_, i) => ({ id: `j${i}`, file: "job.sh" }));
  const start = performance.now();
  const { run } = await client.submit({ name: "bench", jobs }, { projectDir });
  const { status } = await client.wait(run);
  if (status !== "COMPLETED") throw new Error(`run ${run} ended ${status}`);
  return (performance.now() - start) / 1000;
}
