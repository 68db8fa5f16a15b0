/**
 * Lesson 18: the secret of a cluster, from which the credentials of its jobs are made.
 *
 *     <state>/secret    32 random bytes, drawn once, mode 0600
 *
 * Invariant: once a job has a credential, the secret is durable: a master that comes back knows the
 * jobs that run meanwhile.
 * Left out: backups. A restored cluster draws another secret, and its jobs start anew anyway.
 * Test: test/18-agents.credential.test.ts
 */
import type { Host } from "#host";
import { SECRET_BYTES } from "#wire";
import { startStep } from "./errors.ts";

/** The secret in this folder; a new one if there is none, or half of one. */
export function clusterSecret(host: Host, dir: string): Promise<Buffer> {
  const path = `${dir}/secret`;
  return startStep({ dir, doing: `keep the secret ${path}` }, () => keepSecret(host, dir, path));
}

async function keepSecret(
  { storage, random }: Host, dir: string, path: string,
): Promise<Buffer> {
  if ((await storage.stat(path)) !== undefined) {
    const kept = await storage.readFile(path);
    if (kept.length === SECRET_BYTES) return kept;
  }
  const secret = Buffer.from(random.bytes(SECRET_BYTES));
  // The master has locked the folder: nobody else writes here.
  await storage.remove(`${path}.part`);
  const file = await storage.open(`${path}.part`, { create: true });
  await file.appendAndSync([secret]).finally(() => file.close());
  await storage.rename(`${path}.part`, path);
  await storage.syncDirectory(dir);
  return secret;
}
