/**
 * Lesson 17: does a pipeline need the folder around it? Shipping costs a walk over the folder and
 * an upload, so a pipeline of `echo`s should not pay for it. But `run: python3 a.py` must find its
 * a.py.
 *
 *     project: true    always
 *     project: false   never
 *     no such key      when a job has `file` or a `call` of its own, or names an existing path
 *
 * Invariant: the search reads the names in the folder once, and looks at MAX_LOOKS paths at most;
 * beyond, it ships.
 * Test: test/17-pipelines.project.test.ts
 */
import { join } from "node:path";
import { leftOutOf, matchPath } from "#project";
import type { Host } from "#host";
import { mentionedPaths, type PipelineDefinition } from "#pipeline";

/** A script that names more paths below folders of the project than this is about the project. */
const MAX_LOOKS = 1000;

/** Why the folder is shipped: the author said so, or a job names a path that exists in it. */
export type ProjectNeed =
  | { readonly why: "written" }
  | { readonly why: "job"; readonly job: string; readonly path: string };

export async function projectNeed(
  host: Host,
  definition: PipelineDefinition,
  folder: string,
): Promise<ProjectNeed | undefined> {
  if (!definition.project) return undefined;
  if (definition.projectWritten) return { why: "written" };
  for (const { id, action } of definition.jobs) {
    if (action.type === "file") return { why: "job", job: id, path: action.file };
    if (action.type !== "call" || action.target.startsWith("titan:")) continue;
    return { why: "job", job: id, path: action.target };
  }
  const top = await namesIn(host, folder);
  if (top.length === 0) return undefined;
  const isThere = await lookup(host, folder, top);
  for (const { id, action } of definition.jobs) {
    for (const path of mentionedPaths(action)) {
      if (await isThere(path)) return { why: "job", job: id, path };
    }
  }
  return undefined;
}

async function namesIn(host: Host, folder: string): Promise<string[]> {
  try {
    return await host.storage.list(folder);
  } catch {
    return []; // No folder, or one that we may not read: then there is nothing to ship.
  }
}

/** Says of a path whether the packed folder would have it, and remembers the paths it has seen. */
async function lookup(
  host: Host,
  folder: string,
  names: readonly string[],
): Promise<(path: string) => boolean | Promise<boolean>> {
  // Packing complains about an ignore file that cannot be read, if the project is ever packed.
  const leftOut = await leftOutOf(host, folder).catch(() => () => undefined);
  const top = new Set(names);
  const asked = new Set<string>();
  const look = async (path: string): Promise<boolean> => {
    // A path below a file, or one that is too long, is not there either.
    const info = await host.storage.stat(join(folder, path)).catch(() => undefined);
    return info !== undefined && leftOut(path, info.kind === "directory") === undefined;
  };
  return (path) => {
    const parts = path.split("/");
    const star = parts.findIndex((part) => /[*?]/.test(part));
    // Of "data/*.csv" the folder is enough; "*.csv" is compared with the names.
    if (star === 0) {
      return names.some((name) => matchPath([parts[0] as string], [name]) && !leftOut(name, false));
    }
    const plain = star > 0 ? parts.slice(0, star).join("/") : path;
    // Nearly every word of a script ends here, at the price of one look into a set.
    if (!top.has(parts[0] as string) || asked.has(plain)) return false;
    if (asked.size >= MAX_LOOKS) return true;
    asked.add(plain);
    return look(plain);
  };
}
