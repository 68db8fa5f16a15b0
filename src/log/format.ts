/**
 * Lesson 05: the names of the files in a log folder, and how the files begin.
 *
 *     MANIFEST                  text: which files make up the log; replaced atomically
 *     0000000000000001.seg      header, records 1, 2, 3, …
 *     0000000000005001.seg      header, records 5001, …
 *     0000000000007200.snap     header, chunks of the state after record 7200, an end mark
 *     *.tmp, *.damaged-*        unfinished replacements; what a repair has cut
 *
 *     header: magic 8 bytes | format u32 | log id 8 bytes | sequence number u64 | crc32 u32
 *             32 bytes, big-endian
 *
 * Invariants: the id is drawn when the log is created and stands in every file, so a file from
 * another log's folder is noticed; a file's name and its header say the same number.
 * Test: test/05-log.test.ts
 */
import { crc32 } from "node:zlib";
import type { Storage } from "#host";
import { LogError } from "./errors.ts";

export const FORMAT_VERSION = 1;
export const HEADER_BYTES = 32;
export const MANIFEST = "MANIFEST";
const MAGIC = { segment: "TitanLog", snapshot: "TitanSnp" } as const;
const CRC_OFFSET = HEADER_BYTES - 4;

export interface Header {
  readonly kind: "segment" | "snapshot";
  /** 16 hexadecimal digits. */
  readonly id: string;
  /** Segment: its first record. Snapshot: the last record whose effect it holds. */
  readonly seq: number;
}

export function encodeHeader(header: Header): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes.write(MAGIC[header.kind], 0, "latin1");
  bytes.writeUInt32BE(FORMAT_VERSION, 8);
  bytes.write(header.id, 12, "hex");
  bytes.writeBigUInt64BE(BigInt(header.seq), 20);
  bytes.writeUInt32BE(crc32(bytes.subarray(0, CRC_OFFSET)), CRC_OFFSET);
  return bytes;
}

/** Throws LogError DAMAGED, or BAD_FORMAT for an intact header of another version. */
export function decodeHeader(
  bytes: Buffer,
  expect: { kind: Header["kind"]; file: string },
): Header {
  const { kind, file } = expect;
  const fail = (code: "DAMAGED" | "BAD_FORMAT", what: string): LogError =>
    new LogError(code, `Cannot read ${kind} ${file}: ${what}`, { file, offset: 0 });
  if (bytes.length < HEADER_BYTES) {
    throw fail("DAMAGED", `its header has ${bytes.length} of ${HEADER_BYTES} bytes`);
  }
  if (bytes.readUInt32BE(CRC_OFFSET) !== crc32(bytes.subarray(0, CRC_OFFSET))) {
    throw fail("DAMAGED", "header checksum mismatch");
  }
  if (bytes.toString("latin1", 0, 8) !== MAGIC[kind]) {
    throw fail("BAD_FORMAT", "it does not begin as one");
  }
  const version = bytes.readUInt32BE(8);
  if (version !== FORMAT_VERSION) {
    throw fail("BAD_FORMAT", `format ${version}, this program reads ${FORMAT_VERSION}`);
  }
  return { kind, id: bytes.toString("hex", 12, 20), seq: Number(bytes.readBigUInt64BE(20)) };
}

/** 16 digits hold every safe integer, and make the order of names the order of numbers. */
export function fileName(kind: Header["kind"], seq: number): string {
  return `${String(seq).padStart(16, "0")}.${kind === "segment" ? "seg" : "snap"}`;
}

/** The number in a segment's or snapshot's name; undefined for any other name. */
export function seqOfName(kind: Header["kind"], name: string): number | undefined {
  const match = /^(\d{16})\.(seg|snap)$/.exec(name);
  if (match === null || match[2] !== (kind === "segment" ? "seg" : "snap")) return undefined;
  const seq = Number(match[1]);
  return seq <= Number.MAX_SAFE_INTEGER ? seq : undefined;
}

/** The table of contents. A file that it does not list is not part of the log. */
export interface Manifest {
  readonly id: string;
  /** First record of each segment, ascending; the last one is appended to. Never empty. */
  readonly segments: readonly number[];
  readonly snapshot?: number;
}

export function encodeManifest(manifest: Manifest): Buffer {
  const lines = [`titan-log ${FORMAT_VERSION}`, `id ${manifest.id}`];
  for (const first of manifest.segments) lines.push(`segment ${first}`);
  if (manifest.snapshot !== undefined) lines.push(`snapshot ${manifest.snapshot}`);
  const text = `${lines.join("\n")}\n`;
  return Buffer.from(`${text}crc ${crc32(text).toString(16).padStart(8, "0")}\n`, "latin1");
}

const MANIFEST_SHAPE =
  /^titan-log (\d+)\nid ([0-9a-f]{16})\n((?:segment \d{1,16}\n)+)(?:snapshot (\d{1,16})\n)?$/;

export function decodeManifest(bytes: Buffer, file: string): Manifest {
  const text = bytes.toString("latin1");
  const sealed = /^([^]*)crc ([0-9a-f]{8})\n$/.exec(text);
  const body = sealed?.[1] ?? "";
  if (
    sealed === null ||
    crc32(Buffer.from(body, "latin1")) !== Number.parseInt(sealed[2] as string, 16)
  ) {
    throw new LogError("DAMAGED", `Cannot read manifest ${file}: checksum mismatch`, {
      file,
      offset: 0,
    });
  }
  const match = MANIFEST_SHAPE.exec(body);
  if (match === null || Number(match[1]) !== FORMAT_VERSION) {
    const found = body.slice(0, 40).split("\n")[0];
    throw new LogError("BAD_FORMAT", `Cannot read manifest ${file}: begins with "${found}"`, {
      file,
      offset: 0,
    });
  }
  const segments = (match[3] as string)
    .trim()
    .split("\n")
    .map((line) => Number(line.slice("segment ".length)));
  const id = match[2] as string;
  return match[4] === undefined ? { id, segments } : { id, segments, snapshot: Number(match[4]) };
}

/**
 * Replaces a file so that a crash at any point leaves the old content or the new, never a mixture.
 * Four steps, each needed: write aside; fsync, or the name could become durable before the bytes;
 * rename, which is atomic; fsync the folder, or the rename itself could be lost.
 */
// #region replace
export async function replaceFile(
  storage: Storage,
  dir: string,
  file: { name: string; bytes: Buffer },
): Promise<void> {
  // #exercise replaceFile
  const aside = `${dir}/${file.name}.tmp`;
  await storage.remove(aside);
  const handle = await storage.open(aside, { create: true });
  try {
    await handle.appendAndSync([file.bytes]);
  } finally {
    await handle.close();
  }
  await storage.rename(aside, `${dir}/${file.name}`);
  await storage.syncDirectory(dir);
  // #end-exercise
}
// #endregion
