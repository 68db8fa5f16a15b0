/**
 * Jobs of a large project: how long they take, and how late the worker's heartbeats get beside
 * them.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Client } from "#sdk";
import { inPlace, withCluster, type Options } from "./programs.ts";
import { grouped, rowOf, timed, type Row } from "./table.ts";

const JOBS = 20;
const SLOTS = 4;
const FILES = 10_000;
const QUICK_FILES = 2_000;
/** Longer than from one beat to the next: the last one has told the master how late it was. */
const LAST_BEAT_MS = 1500;

export async function project({ quick }: Options): Promise<Row[]> {
  const row = rowOf("project");
  const files = quick ? QUICK_FILES : FILES;
  return inPlace(async ({ dir }) => {
    const folder = join(dir, "flat");
    mkdirSync(folder);
    for (let i = 0; i < files; i++) writeFileSync(join(folder, `f${i}.txt`), `${i}\n`);
    writeFileSync(join(folder, "job.sh"), "ls | wc -l\n");
    return withCluster(SLOTS, async ({ client }) => {
      const name = `${grouped(files)} files in one folder, ${JOBS} jobs`;
      const target = quick ? {} : { target: { atMost: 15 } };
      const rows: Row[] = [];
      for (const which of ["first run", "second run"]) {
        const ms = await timed(() => runAll(client, folder));
        rows.push(row(`${name}, ${which}`, [ms / 1000, "s"], target));
      }
      await pause(LAST_BEAT_MS);
      const late = (await client.workers())[0]?.beatLateMaxMs ?? Number.NaN;
      return [...rows, row("a heartbeat in that time, late by at most", [late, "ms"], {
        target: { atMost: 500 }, note: `${SLOTS} slots`,
      })];
    });
  });
}

/** From packing the project to the end of the run. */
async function runAll(client: Client, projectDir: string): Promise<void> {
  const jobs = Array.from({ length: JOBS }, (_, i) => ({ id: `j${i}`, file: "job.sh" }));
  const { run } = await client.submit({ name: "bench", jobs }, { projectDir });
  const { status } = await client.wait(run);
  if (status !== "COMPLETED") throw new Error(`run ${run} ended ${status}`);
}
