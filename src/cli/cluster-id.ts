/**
 * Which cluster a state folder belongs to: 96 random bits, drawn once and kept in the folder. Workers of one machine find
 * the folder that the jobs of a run share by it (lesson 11).
 *
 *     <state>/cluster    24 hexadecimal digits
 *
 * Test: test/cli.cluster.test.ts
 */
import { randomBytes } from "node:crypto";
import { mkdir, readFile, rm, writeFile, link } from "node:fs/promises";
import { join } from "node:path";

const ID = /^[0-9a-f]{24}$/;

/** The id that is kept in this folder, drawn now if there is none. Throws the system's error if it cannot be kept. */
export async function clusterId(stateDir: string): Promise<string> {
  await mkdir(stateDir, { recursive: true });
  const path = join(stateDir, "cluster");
  const kept = await read(path);
  if (kept !== undefined) return kept;
  // Written beside it and then linked: of two that start at once only one gives the name, and nobody reads half an id.
  const part = `${path}.${process.pid}`;
  await writeFile(part, `${randomBytes(12).toString("hex")}\n`, { mode: 0o600 });
  try {
    await link(part, path).catch(async (error: { code?: string }) => {
      if (error.code !== "EEXIST") throw error;
      if ((await read(path)) !== undefined) return;
      await rm(path); // damaged: a new id costs no more than the files that running jobs share
      await link(part, path);
    });
  } finally {
    await rm(part, { force: true });
  }
  return (await read(path)) as string;
}

async function read(path: string): Promise<string | undefined> {
  const text = (await readFile(path, "utf8").catch(() => "")).trim();
  return ID.test(text) ? text : undefined;
}
