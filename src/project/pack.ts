/**
 * Lesson 11: which files a project has, and an archive of them; also one of files in no folder.
 *
 * Invariant: what leads out of the folder is not packed.
 * Test: test/11-worker.archive.test.ts
 */
import { dirname, join } from "node:path";
import { lookAt, type Host } from "#host";
import {
  ArchiveError, isFile, KIND, MAX_PROJECT_BYTES, MAX_PROJECT_ENTRIES, packEntries, pathProblem,
  staysInside, type Unpacked,
} from "./archive.ts";
import { parseIgnore } from "./ignore.ts";

const ALWAYS_IGNORED = new Set([".git", "node_modules", ".titan"]);
const LARGEST_LISTED = 5;

interface Entry {
  readonly kind: 1 | 2 | 3 | 4;
  readonly path: string;
  readonly size: number;
  /** A link's target. */
  readonly target?: string;
}

/**
 * Packs a folder. Left out are `.git`, `node_modules`, `.titan` and everything that the folder's
 * `.titanignore` names, or its `.gitignore` if there is none.
 *
 * @throws ArchiveError TOO_LARGE, with the largest files by name; UNSAFE for a link that leaves the
 *   folder.
 */
export async function packProject(
  host: Host,
  folder: string,
): Promise<{ bytes: Buffer; hash: string; files: number }> {
  const entries = await findEntries(host, folder);
  const packed: Unpacked[] = [];
  let total = 0;
  for (const { kind, path, target } of entries) {
    const content = kind === KIND.folder ? Buffer.alloc(0)
      : kind === KIND.link ? Buffer.from(target as string)
      : await host.storage.readFile(join(folder, path));
    total += content.length;
    // The sizes were checked before; this catches a file that has grown since.
    if (total > MAX_PROJECT_BYTES) throw tooLarge(folder, entries);
    packed.push({ kind, path, content });
  }
  return { ...await packEntries(host, packed), files: packed.filter(isFile).length };
}

/**
 * Packs files that are in no folder. The folders are made from their paths.
 *
 * @throws ArchiveError TOO_LARGE; UNSAFE for a path that leaves the folder or is
 *   there twice.
 */
export async function packFiles(
  host: Host,
  files: readonly { path: string; content: Buffer; executable: boolean }[],
): Promise<{ bytes: Buffer; hash: string }> {
  const folders = new Set<string>();
  let total = 0;
  for (const { path, content } of files) {
    const problem = pathProblem(path);
    if (problem) {
      throw new ArchiveError("UNSAFE", `Cannot pack ${JSON.stringify(path)}: ${problem}`);
    }
    for (let up = dirname(path); up !== "."; up = dirname(up)) folders.add(up);
    total += content.length;
  }
  const taken = new Set(folders);
  for (const { path } of files) {
    if (taken.has(path)) throw new ArchiveError("UNSAFE", `Cannot pack: ${path} is there twice`);
    taken.add(path);
  }
  if (total > MAX_PROJECT_BYTES || files.length + folders.size > MAX_PROJECT_ENTRIES) {
    const found = `${total} bytes in ${files.length} files`;
    const most = `${MAX_PROJECT_BYTES} bytes or ${MAX_PROJECT_ENTRIES} files and folders`;
    throw new ArchiveError("TOO_LARGE", `Cannot pack: ${found}; at most ${most}`);
  }
  return packEntries(host, [
    ...[...folders].map((path) => ({ kind: KIND.folder, path, content: Buffer.alloc(0) })),
    ...files.map(({ path, content, executable }) =>
      ({ kind: executable ? KIND.executable : KIND.file, path, content })),
  ]);
}

async function findEntries(host: Host, folder: string): Promise<Entry[]> {
  const ignored = await readIgnore(host, folder);
  const entries: Entry[] = [];
  const folders = [""];
  let total = 0;
  for (let inside = folders.pop(); inside !== undefined; inside = folders.pop()) {
    for (const name of await host.storage.list(join(folder, inside))) {
      if (ALWAYS_IGNORED.has(name)) continue;
      const path = inside === "" ? name : `${inside}/${name}`;
      const info = lookAt(join(folder, path));
      if (info === undefined || info.kind === "other") continue; // gone meanwhile, or a socket
      if (ignored(path, info.kind === "directory")) continue;
      if (info.kind === "directory") {
        entries.push({ kind: KIND.folder, path, size: 0 });
        folders.push(path);
      } else if (info.kind === "link") {
        const target = info.target as string;
        if (!staysInside(path, target)) {
          throw new ArchiveError(
            "UNSAFE",
            `Cannot pack ${path}: the link leads to ${JSON.stringify(target)}, outside the project`,
          );
        }
        entries.push({ kind: KIND.link, path, size: target.length, target });
      } else {
        entries.push({
          kind: info.mode & 0o111 ? KIND.executable : KIND.file,
          path,
          size: info.size,
        });
        total += info.size;
      }
      const problem = pathProblem(path);
      if (problem) {
        throw new ArchiveError("UNSAFE", `Cannot pack ${JSON.stringify(path)}: ${problem}`);
      }
      if (entries.length > MAX_PROJECT_ENTRIES) {
        throw new ArchiveError(
          "TOO_LARGE",
          `Cannot pack ${folder}: it has more than ${MAX_PROJECT_ENTRIES} files and folders`,
        );
      }
    }
  }
  if (total > MAX_PROJECT_BYTES) throw tooLarge(folder, entries);
  return entries;
}

async function readIgnore(
  host: Host,
  folder: string,
): Promise<(path: string, isFolder: boolean) => boolean> {
  return (await findIgnore(host, folder)).ignored;
}

const IGNORE_FILES = [".titanignore", ".gitignore"] as const;

async function findIgnore(
  host: Host, folder: string,
): Promise<{ name: string; ignored: (path: string, isFolder: boolean) => boolean }> {
  for (const name of IGNORE_FILES) {
    const info = await host.storage.stat(join(folder, name));
    if (info?.kind !== "file") continue;
    const text = (await host.storage.readFile(join(folder, name))).toString("utf8");
    return { name, ignored: parseIgnore(text) };
  }
  return { name: "", ignored: () => false };
}

/**
 * The reason why packing leaves out a path below `folder`: the name of the ignore file, or of a
 * folder that is never packed; undefined for a path that is packed. A folder that is left out takes
 * everything below it with it.
 */
export async function leftOutOf(
  host: Host, folder: string,
): Promise<(path: string, isFolder: boolean) => string | undefined> {
  const { name, ignored } = await findIgnore(host, folder);
  return (path, isFolder) => {
    const parts = path.split("/");
    for (let count = 1; count <= parts.length; count++) {
      const part = parts[count - 1] as string;
      if (ALWAYS_IGNORED.has(part)) return part;
      const inner = count < parts.length || isFolder;
      if (ignored(parts.slice(0, count).join("/"), inner)) return name;
    }
    return undefined;
  };
}

function tooLarge(folder: string, entries: readonly Entry[]): ArchiveError {
  const total = entries.reduce((sum, entry) => sum + entry.size, 0);
  const largest = [...entries].sort((a, b) => b.size - a.size).slice(0, LARGEST_LISTED);
  const list = largest
    .map(({ path, size }) => `\n  ${(size / 1e6).toFixed(1).padStart(8)} MB  ${path}`)
    .join("");
  const advice = `Name in .titanignore what the jobs do not need. The largest files:${list}`;
  return new ArchiveError(
    "TOO_LARGE",
    `Cannot pack ${folder}: ${total} bytes exceed ${MAX_PROJECT_BYTES}. ${advice}`,
  );
}
