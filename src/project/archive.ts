/**
 * Lesson 11: a folder as bytes, and back.
 *
 *     gzip( "TITANPK1" entry* 0 )
 *     entry = kind u8 | pathBytes u16 | contentBytes u32 | path | content        (big-endian)
 *     kind  = 1 folder · 2 file · 3 executable file · 4 symbolic link (its target is the content)
 *
 * Paths are relative, with `/`, ascending by their bytes; a folder comes before what is in it. No
 * owner, no date, no permission but the executable bit: the same files give the same bytes, and so
 * the same hash.
 *
 * Invariants: everything that is unpacked lies inside its folder, links included; MAX_PROJECT_BYTES
 * bounds memory, whatever the compressed bytes claim; the folder appears whole or not at all.
 * Left out: an fsync. The cache is made again from the hash, not repaired.
 * Test: test/11-worker.archive.test.ts
 */
import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { gunzip, gzip } from "node:zlib";
import { findExtras, lookAt, makeLink, removeTree, setMode, type Host, type TreeFile } from "#host";

/**
 * All files of a project together. A project is sent whole to every worker, so it is for programs,
 * not for data.
 */
export const MAX_PROJECT_BYTES = 64 * 1024 * 1024;
/** Files, folders and links. 10,000 is a large project; ten times that is a mistake. */
export const MAX_PROJECT_ENTRIES = 100_000;
/** Linux: PATH_MAX is 4096 for a whole path, of which the cache's folder takes some. */
const MAX_PATH_BYTES = 2048;
const MAX_NAME_BYTES = 255;
/** Kind, path length, content length. */
const ENTRY_HEAD_BYTES = 7;
const MAGIC = Buffer.from("TITANPK1");
/** The inflated size of an archive of the largest project; beyond it, inflating stops. */
const MAX_INFLATED_BYTES =
  MAX_PROJECT_BYTES + MAGIC.length + 1 + MAX_PROJECT_ENTRIES * (ENTRY_HEAD_BYTES + 256);
/** Entries that are read between two turns of the event loop: 3 ms. All take half a second. */
const SLICE_ENTRIES = 1024;
/** Bytes that are hashed between two turns: some 3 ms. */
const SLICE_BYTES = 1024 * 1024;

export const KIND = { end: 0, folder: 1, file: 2, executable: 3, link: 4 } as const;

/** The reason why a folder cannot be packed, or bytes cannot be unpacked. */
export class ArchiveError extends Error {
  override readonly name = "ArchiveError";
  readonly code: "TOO_LARGE" | "UNSAFE" | "CORRUPT";
  constructor(code: ArchiveError["code"], message: string) {
    super(message);
    this.code = code;
  }
}

export async function packEntries(
  host: Host, entries: readonly Unpacked[],
): Promise<{ bytes: Buffer; hash: string }> {
  const parts: Buffer[] = [MAGIC];
  for (const { name, entry: { kind, content } } of entries
    .map((entry) => ({ name: Buffer.from(entry.path), entry }))
    .sort((a, b) => a.name.compare(b.name))) {
    const head = Buffer.alloc(ENTRY_HEAD_BYTES);
    head.writeUInt8(kind, 0);
    head.writeUInt16BE(name.length, 1);
    head.writeUInt32BE(content.length, 3);
    parts.push(head, name, content);
  }
  parts.push(Buffer.of(KIND.end));
  const bytes = await promisify(gzip)(Buffer.concat(parts));
  // The operating system, which gzip writes down and which must not change the hash.
  bytes[9] = 255;
  return { bytes, hash: await hashOf(host, bytes) };
}

export function isFile({ kind }: Unpacked): boolean {
  return kind === KIND.file || kind === KIND.executable;
}

/** One turn of the event loop, so that other work goes on. */
const turn = (host: Host): Promise<void> => new Promise((resolve) => host.timers.soon(resolve));

/**
 * The SHA-256 of an archive. 64 MiB in one step would hold up everybody for a fifth of a second.
 */
export async function hashOf(host: Host, bytes: Buffer): Promise<string> {
  const hash = createHash("sha256");
  for (let at = 0; at < bytes.length; at += SLICE_BYTES) {
    if (at > 0) await turn(host);
    hash.update(bytes.subarray(at, at + SLICE_BYTES));
  }
  return hash.digest("hex");
}

// #region staysInside
/**
 * Whether a link at `path` leads to a place inside the folder, whatever other links are there.
 * Steps up are allowed at the beginning only: there they climb real folders. After a name, `..`
 * could climb from wherever a link of that name leads.
 */
export function staysInside(path: string, target: string): boolean {
  if (target === "" || target.startsWith("/") || target.includes("\0")) return false;
  let depth = path.split("/").length - 1;
  let named = false;
  for (const step of target.split("/")) {
    if (step === "" || step === ".") continue;
    if (step !== "..") named = true;
    else if (named || --depth < 0) return false;
  }
  return true;
}
// #endregion

/** The problem of a path as a place inside a folder, if it has one. */
export function pathProblem(path: string): string | undefined {
  if (path === "" || path.startsWith("/")) return "it is not a relative path";
  if (path.includes("\0")) return "it contains a NUL byte";
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) return `it is longer than ${MAX_PATH_BYTES} bytes`;
  for (const name of path.split("/")) {
    if (name === "" || name === "." || name === "..") {
      return `it has the part ${JSON.stringify(name)}`;
    }
    if (Buffer.byteLength(name) > MAX_NAME_BYTES) {
      return `a part of it is longer than ${MAX_NAME_BYTES} bytes`;
    }
  }
  return undefined;
}

/**
 * Unpacks into `folder`, which must not exist: into a neighbour first, which is then renamed. Files
 * get the modes 0644 and 0755, by their executable bit.
 *
 * @returns the entries of the folder
 * @throws ArchiveError CORRUPT, UNSAFE or TOO_LARGE; then nothing has been left behind.
 */
export async function unpackArchive(
  host: Host,
  bytes: Buffer,
  folder: string,
): Promise<TreeFile[]> {
  const entries = await readEntries(host, await inflate(bytes));
  const building = `${folder}.part-${Buffer.from(host.random.bytes(6)).toString("hex")}`;
  try {
    await host.storage.mkdir(building);
    setMode(building, MODES[KIND.folder]);
    for (const { kind, path, content } of entries) {
      const place = join(building, path);
      if (kind === KIND.folder) {
        await host.storage.mkdir(place);
        setMode(place, MODES[kind]);
      } else if (kind === KIND.link) makeLink(place, content.toString("utf8"));
      else {
        await host.storage.writeFile(place, content);
        setMode(place, MODES[kind]);
      }
    }
    await host.storage.rename(building, folder);
    return entries.map(treeFile);
  } catch (error) {
    await removeTree(building).catch(() => {});
    throw error;
  }
}

/** The modes that a job sees; the cache folder above decides who may come in. */
const MODES = { [KIND.folder]: 0o755, [KIND.file]: 0o644, [KIND.executable]: 0o755 } as const;

function treeFile({ kind, path, content }: Unpacked): TreeFile {
  if (kind === KIND.folder) return { path, kind: "folder", size: 0 };
  if (kind === KIND.link) return { path, kind: "link", size: 0, target: content.toString("utf8") };
  return { path, kind: "file", size: content.length };
}

// #region sameAsArchive
/**
 * Compares a folder with the archive that it came from, byte by byte.
 *
 * @returns what is in the folder, or undefined when it differs: in a content, a mode, or by an
 * entry too many
 */
export async function sameAsArchive(
  host: Host,
  bytes: Buffer,
  folder: string,
): Promise<TreeFile[] | undefined> {
  const entries = await readEntries(host, await inflate(bytes));
  const files = entries.map(treeFile);
  // Folders and links first, so that no path below leads out of the folder.
  if ((await findExtras({ folder, entries: files }, 0))?.length !== 0) return undefined;
  for (const entry of entries) {
    const place = join(folder, entry.path);
    const found = lookAt(place);
    const { kind, size, target } = treeFile(entry);
    const expected = kind === "folder" ? "directory" : kind;
    if (found?.kind !== expected || found.target !== target) return undefined;
    if (entry.kind !== KIND.file && entry.kind !== KIND.executable) continue;
    if (found.size !== size || found.mode !== MODES[entry.kind]) return undefined;
    if (!(await host.storage.readFile(place)).equals(entry.content)) return undefined;
  }
  return files;
}
// #endregion

async function inflate(bytes: Buffer): Promise<Buffer> {
  try {
    return await promisify(gunzip)(bytes, { maxOutputLength: MAX_INFLATED_BYTES });
  } catch (error) {
    const { code, message } = error as Error & { code?: string };
    if (code === "ERR_BUFFER_TOO_LARGE") {
      throw new ArchiveError(
        "TOO_LARGE",
        `Cannot unpack: it inflates to more than ${MAX_INFLATED_BYTES} bytes`,
      );
    }
    throw new ArchiveError("CORRUPT", `Cannot unpack: ${message}`);
  }
}

export interface Unpacked {
  readonly kind: 1 | 2 | 3 | 4;
  readonly path: string;
  readonly content: Buffer;
}

/** All entries, checked: nothing is written before the last of them was read. */
async function readEntries(host: Host, data: Buffer): Promise<Unpacked[]> {
  const corrupt = (why: string) => new ArchiveError("CORRUPT", `Cannot unpack: ${why}`);
  if (!data.subarray(0, MAGIC.length).equals(MAGIC)) throw corrupt("this is no project archive");
  const entries: Unpacked[] = [];
  /** A path may only lie in a folder that came before: never in a file, and never behind a link. */
  const folders = new Set(["."]);
  let before: Buffer = Buffer.alloc(0);
  let total = 0;
  let at = MAGIC.length;
  while (data[at] !== KIND.end) {
    if (at + ENTRY_HEAD_BYTES > data.length) {
      throw corrupt(`it ends within an entry, at byte ${data.length}`);
    }
    const kind = data.readUInt8(at);
    if (kind > KIND.link) throw corrupt(`kind ${kind} at byte ${at}`);
    const pathEnd = at + ENTRY_HEAD_BYTES + data.readUInt16BE(at + 1);
    const end = pathEnd + data.readUInt32BE(at + 3);
    if (end > data.length) throw corrupt(`it ends within an entry, at byte ${data.length}`);
    const name = data.subarray(at + ENTRY_HEAD_BYTES, pathEnd);
    const path = name.toString("utf8");
    const content = data.subarray(pathEnd, end);
    const problem = pathProblem(path);
    if (problem) {
      throw new ArchiveError("UNSAFE", `Cannot unpack ${JSON.stringify(path)}: ${problem}`);
    }
    if (!Buffer.from(path).equals(name)) throw corrupt(`a path is not UTF-8, at byte ${at}`);
    if (!folders.has(dirname(path))) {
      throw new ArchiveError("UNSAFE", `Cannot unpack ${path}: it does not lie in a folder`);
    }
    if (before.compare(name) >= 0) throw corrupt(`${path} is out of order`);
    if (kind === KIND.folder) {
      if (content.length > 0) throw corrupt(`the folder ${path} has content`);
      folders.add(path);
    }
    const target = kind === KIND.link ? content.toString("utf8") : undefined;
    if (target !== undefined && !staysInside(path, target)) {
      throw new ArchiveError(
        "UNSAFE",
        `Cannot unpack ${path}: the link leads to ${JSON.stringify(target)}`,
      );
    }
    total += content.length;
    if (total > MAX_PROJECT_BYTES || entries.length >= MAX_PROJECT_ENTRIES) {
      throw new ArchiveError(
        "TOO_LARGE",
        `Cannot unpack: more than ${MAX_PROJECT_BYTES} bytes or ${MAX_PROJECT_ENTRIES} entries`,
      );
    }
    entries.push({ kind: kind as Unpacked["kind"], path, content });
    before = name;
    at = end;
    if (entries.length % SLICE_ENTRIES === 0) await turn(host);
  }
  if (at + 1 !== data.length) throw corrupt(`${data.length - at - 1} bytes after its end`);
  return entries;
}
