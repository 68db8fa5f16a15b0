/**
 * Lesson 11: the extra arguments and files of a job whose worker runs on Deno, and not on Node or
 * Bun.
 *
 * Deno gives a program no rights unless it is told to. A job of sh or Python may do everything that
 * the worker's user may, so a job of JavaScript gets all rights, too. And Deno looks into
 * `node_modules` only below a folder with a package.json.
 *
 * Left out: the worker itself. Deno adds these arguments when a program starts its own executable
 * by `node:child_process`, as `titan up` does; jobs are started by a shell.
 * Test: test/runtimes.test.ts
 */
import { join } from "node:path";
import type { Host } from "#host";

/** The parts of `process` that tell which runtime this is. */
export interface Runtime {
  readonly execPath: string;
  /** The version of Node, or the one with which a runtime claims to be compatible. */
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
