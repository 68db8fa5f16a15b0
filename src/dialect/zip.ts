/**
 * The files of a zip, as the original's clients upload a project.
 *
 *     local header, data … │ central directory: an entry each │ end record
 *                           ◀───────────────────────────────────┘ read from here
 *
 * Sizes are believed only as limits: what inflates to more, or to less, is refused, and so is a
 * wrong checksum.
 *
 * Invariants: no path leaves the folder that it is put into; MAX_PROJECT_BYTES bounds memory,
 * whatever a zip claims; all of it or nothing.
 * Left out: zip64 and encryption, links, and methods besides "stored" and "deflated".
 * Test: test/dialect.files.test.ts
 */
import { promisify } from "node:util";
import { crc32, inflateRaw } from "node:zlib";
import { MAX_PROJECT_BYTES, MAX_PROJECT_ENTRIES } from "#project";

export interface ZipFile {
  readonly path: string;
  readonly content: Buffer;
  readonly executable: boolean;
}

export class ZipError extends Error {
  override readonly name = "ZipError";
}

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
const LOCAL_BYTES = 30;
const CENTRAL_BYTES = 46;
const END_BYTES = 22;
/** The comment at the end of a zip; the end record stands before it. */
const MAX_COMMENT_BYTES = 0xffff;
const [STORED, DEFLATED] = [0, 8];
const ENCRYPTED = 1;
/** Of a Unix mode. */
const [FILE_TYPE, LINK, EXECUTABLE] = [0o170000, 0o120000, 0o111];

interface Entry {
  readonly path: string;
  readonly method: number;
  readonly checksum: number;
  readonly packed: number;
  readonly size: number;
  readonly mode: number;
  readonly at: number;
}

/** @throws {ZipError} */
export async function readZip(zip: Buffer): Promise<ZipFile[]> {
  const entries = readDirectory(zip);
  const total = entries.reduce((sum, { size }) => sum + size, 0);
  if (total > MAX_PROJECT_BYTES) {
    throw refuse(`its files have ${total} bytes, more than ${MAX_PROJECT_BYTES}`);
  }
  const files: ZipFile[] = [];
  for (const entry of entries) {
    if (entry.path.endsWith("/")) continue; // a folder: the paths of its files name it
    const content = await contentOf(zip, entry);
    files.push({ path: entry.path, content, executable: (entry.mode & EXECUTABLE) !== 0 });
  }
  return files;
}

function readDirectory(zip: Buffer): Entry[] {
  const end = findEnd(zip);
  const count = zip.readUInt16LE(end + 10);
  let at = zip.readUInt32LE(end + 16);
  if (count > MAX_PROJECT_ENTRIES || count === 0xffff) throw refuse("it has too many files");
  const entries: Entry[] = [];
  const paths = new Set<string>();
  for (let i = 0; i < count; i++) {
    if (at + CENTRAL_BYTES > end || zip.readUInt32LE(at) !== CENTRAL) {
      throw refuse(`its directory ends after ${i} of ${count} entries`);
    }
    const pathBytes = zip.readUInt16LE(at + 28);
    const next = at + CENTRAL_BYTES + pathBytes + zip.readUInt16LE(at + 30)
      + zip.readUInt16LE(at + 32);
    if (next > end) throw refuse(`its directory ends after ${i} of ${count} entries`);
    const entry = entryAt(zip, at, pathBytes);
    if (paths.has(entry.path)) throw refuse(`it has ${entry.path} twice`);
    paths.add(entry.path);
    entries.push(entry);
    at = next;
  }
  return entries;
}

function entryAt(zip: Buffer, at: number, pathBytes: number): Entry {
  const path = zip.toString("utf8", at + CENTRAL_BYTES, at + CENTRAL_BYTES + pathBytes);
  const entry = {
    path,
    method: zip.readUInt16LE(at + 10),
    checksum: zip.readUInt32LE(at + 16),
    packed: zip.readUInt32LE(at + 20),
    size: zip.readUInt32LE(at + 24),
    mode: zip.readUInt32LE(at + 38) >>> 16,
    at: zip.readUInt32LE(at + 42),
  };
  const problem = pathProblem(path);
  if (problem !== undefined) throw refuse(`${JSON.stringify(path)} ${problem}`);
  if ((zip.readUInt16LE(at + 8) & ENCRYPTED) !== 0) throw refuse(`${path} is encrypted`);
  if ((entry.mode & FILE_TYPE) === LINK) throw refuse(`${path} is a symbolic link`);
  if (entry.method === STORED || entry.method === DEFLATED) return entry;
  throw refuse(`${path} is packed by method ${entry.method}`);
}

function pathProblem(path: string): string | undefined {
  const parts = path.replace(/\/$/, "").split("/");
  if (/[\\\p{Cc}\uFFFD]/u.test(path)) return "is no path";
  const isInside = parts.every((part) => part !== "" && part !== "." && part !== "..");
  return isInside ? undefined : "does not stay inside its folder";
}

function findEnd(zip: Buffer): number {
  const lowest = Math.max(0, zip.length - END_BYTES - MAX_COMMENT_BYTES);
  for (let at = zip.length - END_BYTES; at >= lowest; at--) {
    if (zip.readUInt32LE(at) === END) return at;
  }
  throw refuse("it has no end record");
}

async function contentOf(zip: Buffer, { path, at, packed, size, ...entry }: Entry) {
  if (at + LOCAL_BYTES > zip.length || zip.readUInt32LE(at) !== LOCAL) {
    throw refuse(`${path} is not where the directory says`);
  }
  const begin = at + LOCAL_BYTES + zip.readUInt16LE(at + 26) + zip.readUInt16LE(at + 28);
  if (begin + packed > zip.length) throw refuse(`${path} ends behind the end of the zip`);
  const bytes = zip.subarray(begin, begin + packed);
  const content = entry.method === STORED ? bytes : await inflated(path, bytes, size);
  if (content.length !== size || crc32(content) !== entry.checksum) {
    throw refuse(`${path} is not what its checksum says`);
  }
  return content;
}

async function inflated(path: string, bytes: Buffer, size: number): Promise<Buffer> {
  try {
    // A limit of 0 is none to Node.
    return await promisify(inflateRaw)(bytes, { maxOutputLength: Math.max(1, size) });
  } catch (error) {
    throw refuse(`${path} cannot be inflated to ${size} bytes (${(error as Error).message})`);
  }
}

function refuse(found: string): ZipError {
  return new ZipError(`Cannot read the zip: ${found}`);
}
