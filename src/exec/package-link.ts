/**
 * Lesson 15: how a job's file finds this package, with the clients of the store and of the cluster.
 *
 *     <cacheDir>/<sha256>/job.mjs                     import { connect } from "titan-orchestrator"
 *     <cacheDir>/node_modules/titan-orchestrator  ─▶  this package
 *     <cacheDir>/node_modules/titan               ─▶  the same, under its short name
 *
 * Node looks for a package in the `node_modules` of each folder above the file that imports it, and
 * a job's file really lies in the project cache, wherever the link through which it was started
 * lies. So one link for each name serves all projects, and nothing is installed.
 *
 * Invariant: the link is replaced by a rename, so that no other worker on the same cache ever finds
 * it missing.
 * Left out: a check for a package of the job's own with one of the names; it lies nearer, and wins.
 * Test: test/15-store.cluster.test.ts
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { lookAt, makeLink, type Host } from "#host";
import { showPackages, type Runtime } from "./runtime.ts";

/** Two folders up, both in the sources (`src/exec`) and in the build (`dist/exec`). */
export const PACKAGE = fileURLToPath(new URL("../..", import.meta.url)).replace(/(?<=.)[\\/]$/, "");

/** The names under which a job imports it. */
export const PACKAGE_NAMES = ["titan-orchestrator", "titan"] as const;

export interface LinkOptions {
  /** The links are made in its `node_modules`. */
  readonly cacheDir: string;
  /** The target of the links. Default: this package. */
  readonly target?: string;
  /** Default: the runtime of this process. */
  readonly runtime?: Pick<Runtime, "versions">;
}

/**
 * Makes the links, and corrects links that point elsewhere. Throws the system's error, or one that
 * says what is in the way; the other name is linked all the same.
 */
export async function linkPackage(host: Host, options: LinkOptions): Promise<void> {
  const { cacheDir, target = PACKAGE, runtime = process } = options;
  const folder = join(cacheDir, "node_modules");
  await host.storage.mkdir(folder);
  await showPackages(host, cacheDir, runtime);
  const links = PACKAGE_NAMES.map((name) => linkOne(host, { folder, name, target }));
  const failed = (await Promise.allSettled(links)).find((link) => link.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

async function linkOne(
  host: Host, { folder, name, target }: { folder: string; name: string; target: string },
): Promise<void> {
  const path = join(folder, name);
  const found = lookAt(path);
  if (found?.kind === "link" && found.target === target) return;
  if (found !== undefined && found.kind !== "link") {
    throw new Error(`Cannot link ${path}: there is a ${found.kind} that is not ours`);
  }
  const made = `${path}.${Buffer.from(host.random.bytes(6)).toString("hex")}`;
  makeLink(made, target);
  try {
    await host.storage.rename(made, path);
  } catch (error) {
    await host.storage.remove(made);
    throw error;
  }
}
