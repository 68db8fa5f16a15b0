/**
 * The folder around a pipeline file, as far as a check needs it: the kind of thing at a path, and
 * the path that was probably meant.
 *
 * Test: test/17-pipelines.project.test.ts
 */
import { readdirSync, statSync, type Stats } from "node:fs";
import { join } from "node:path";
import { didYouMean } from "#base";
import { leftOutOf } from "#project";
import { nodeHost } from "#host";
import type { ProjectFiles } from "#pipeline";

/** Names that are compared with a missing one. A larger project is searched in part. */
const MAX_NAMES = 2000;

export async function projectFiles(folder: string): Promise<ProjectFiles> {
  // Packing complains about an ignore file that cannot be read, if the project is ever packed.
  const leftOut = await leftOutOf(nodeHost(), folder).catch(() => () => undefined);
  return {
    look(path) {
      const info = statOf(join(folder, path));
      if (info === undefined || !(info.isFile() || info.isDirectory())) return "missing";
      const why = leftOut(path, info.isDirectory());
      if (why !== undefined) return { leftOut: why };
      return info.isFile() ? "file" : "folder";
    },
    meantFile(path) {
      const names = filesIn(folder, leftOut);
      const base = path.slice(path.lastIndexOf("/") + 1);
      // The right name in the wrong folder is the commonest slip.
      return (
        names.find((name) => name === base || name.endsWith(`/${base}`)) ?? didYouMean(path, names)
      );
    },
  };
}

function statOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined; // Missing, below a file, too long, a circle of links: no job could read it.
  }
}

/** The files that would be shipped, those near the top first. */
function filesIn(
  folder: string,
  leftOut: (path: string, isFolder: boolean) => string | undefined,
): string[] {
  const files: string[] = [];
  const folders = [""];
  for (let at = 0; at < folders.length && folders.length + files.length < MAX_NAMES; at++) {
    const inside = folders[at] as string;
    for (const entry of entriesOf(join(folder, inside))) {
      const path = inside === "" ? entry.name : `${inside}/${entry.name}`;
      if (leftOut(path, entry.isDirectory()) !== undefined) continue;
      (entry.isDirectory() ? folders : files).push(path);
    }
  }
  return files.slice(0, MAX_NAMES);
}

function entriesOf(folder: string): { name: string; isDirectory(): boolean }[] {
  try {
    return readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch {
    return []; // We may not read the folder: then nothing in it is suggested.
  }
}
