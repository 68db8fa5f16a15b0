/**
 * The id of the cluster that a state folder belongs to. By it the workers of one machine find the
 * folder that the jobs of a run share (lesson 11).
 *
 *     <state>/cluster    96 random bits, drawn once: 24 hexadecimal digits
 *     id                 a hash of them and of the file's inode
 *
 * The inode is in the hash because people copy folders. The copy is another cluster, which knows
 * nothing of the runs that the first one starts from now on. With the same id it would think that
 * these runs are over, and remove the files that their jobs share.
 *
 * Left out: a copy on another disk whose file happens to get the same inode.
 * Test: test/cli.shared.test.ts
 */
import { createHash, randomBytes } from "node:crypto";
import { link, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ClusterError } from "./errors.ts";
import { fileReason, nodeHost } from "#host";

const BITS = /^[0-9a-f]{24}$/;
const ID_DIGITS = 24;

/** The id in this folder; a new one if there is none. Throws a ClusterError if that fails. */
export async function clusterId(stateDir: string): Promise<string> {
  try {
    return await keepId(stateDir);
  } catch (error) {
    // This is the first use of a cluster's state folder, so a wrong folder is noticed here.
    const message = `Cannot use the state folder ${stateDir}: ${fileReason(error)}`;
    throw new ClusterError("FAILED", message, {
      advice: "--state DIR or TITAN_HOME names another",
      cause: error,
    });
  }
}

async function keepId(stateDir: string): Promise<string> {
  await nodeHost().storage.mkdir(stateDir); // Node's own would try for ever below /proc
  const path = join(stateDir, "cluster");
  const kept = await read(path);
  if (kept !== undefined) return kept;
  // Written beside the path and then linked: of two processes that start at once only one gives the
  // name, and nobody reads half an id.
  const part = `${path}.${randomBytes(6).toString("hex")}`;
  await writeFile(part, `${randomBytes(12).toString("hex")}\n`, { mode: 0o600 });
  try {
    await link(part, path).catch(async (error: { code?: string }) => {
      if (error.code !== "EEXIST") throw error;
      if ((await read(path)) !== undefined) return;
      // Damaged. A new id costs no more than the files that running jobs share.
      await rm(path, { force: true });
      await link(part, path);
    });
  } finally {
    await rm(part, { force: true });
  }
  return (await read(path)) as string;
}

async function read(path: string): Promise<string | undefined> {
  try {
    const bits = (await readFile(path, "utf8")).trim();
    const { ino } = await stat(path);
    if (!BITS.test(bits)) return undefined;
    return createHash("sha256").update(`${bits} ${ino}`).digest("hex").slice(0, ID_DIGITS);
  } catch {
    return undefined; // there is none, or none that we may read
  }
}
