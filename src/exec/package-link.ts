/**
 * Lesson 15: how a job's file finds the client of the store.
 *
 *     <cacheDir>/<sha256>/job.mjs            import { connectStore } from "titan/store"
 *     <cacheDir>/node_modules/titan  ─▶  this package
 *
 * Node looks for a package in the `node_modules` of each folder above the file that imports it, and a job's file really lies in
 * the project cache, wherever the link through which it was started. So one link serves all projects, and nothing is installed.
 *
 * Invariant: the link is replaced by a rename, so that of several workers on one cache none ever finds it missing.
 * Left out: a package of the job's own that is called titan; it lies nearer, and wins.
 * Test: test/15-store.cluster.test.ts
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { lookAt, makeLink, type Host } from "#host";

/** Two folders up, both in the sources (`src/exec`) and in the build (`dist/exec`). */
const PACKAGE = fileURLToPath(new URL("../..", import.meta.url)).replace(/(?<=.)[\\/]$/, "");

/** Makes the link, or turns one that points elsewhere. Throws the system's error, or one that says what is in the way. */
export async function linkPackage(host: Host, options: { cacheDir: string; target?: string }): Promise<void> {
  const { cacheDir, target = PACKAGE } = options;
  const folder = join(cacheDir, "node_modules");
  const path = join(folder, "titan");
  const found = lookAt(path);
  if (found?.kind === "link" && found.target === target) return;
  if (found !== undefined && found.kind !== "link") throw new Error(`Cannot link ${path}: there is a ${found.kind} that is not ours`);
  await host.storage.mkdir(folder);
  const made = `${path}.${Buffer.from(host.random.bytes(6)).toString("hex")}`;
  makeLink(made, target);
  try {
    await host.storage.rename(made, path);
  } catch (error) {
    await host.storage.remove(made);
    throw error;
  }
}
