/**
 * Lesson 11: what a job needs to be told because its worker runs on Deno, and not on Node or Bun.
 *
 * Deno gives a program no rights unless it is told to. A job of sh or Python may do whatever the
 * worker's user may, and so may a job of JavaScript. And Deno looks into `node_modules` only below
 * a folder with a package.json.
 *
 * Left out: the worker itself. Deno adds these arguments when a program starts its own executable
 * by `node:child_process`, as `titan up` does; jobs are started by a shell.
 * Test: test/runtimes.test.ts
 */
import { join } from "node:path";
import type { Host } from "#host";

/** What of `process` says which runtime this is. */
export interface Runtime {
  readonly execPath: string;
  /** Of Node, or the one that a runtime claims to be compatible with. */
  readonly version: string;
  readonly versions?: Readonly<Record<string, string | undefined>>;
}

/** The program that runs a JavaScript file, and its own arguments. */
export function scriptRunner({ execPath, versions }: Runtime): readonly string[] {
  return versions?.["deno"] === undefined ? [execPath] : [execPath, "run", "-A"];
}

/** Makes the packages in `folder/node_modules` visible to the files below `folder`, as on Node. */
export async function showPackages(
  host: Host, folder: string, { versions }: Pick<Runtime, "versions">,
): Promise<void> {
  if (versions?.["deno"] === undefined) return;
  const path = join(folder, "package.json");
  const found = await host.storage.stat(path);
  if (found === undefined) await host.storage.writeFile(path, Buffer.from("{}\n"));
}
