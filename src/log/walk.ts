/**
 * Lesson 05: a log from its first record to its last, a piece at a time, for a person who wants to
 * see it.
 *
 *     manifest ─▶ snapshot ─▶ segment, block by block ─▶ … ─▶ what is not whole, if anything
 *
 * `readLog` first judges the whole folder and then hands out everything. This hands out as it
 * reads: it needs the memory of one block, and the reader may stop at any piece.
 *
 * Invariants: nothing is written; records come in order, each once; a folder that is written to
 * meanwhile is shown as it was when the walk began, and perhaps a little longer.
 * Left out: a verdict. The walk says where the last segment stops being whole, and not whether that
 * is a torn tail or damage.
 * Test: test/05-log.walk.test.ts
 */
import type { Host, StoredFile } from "#host";
import { LogError } from "./errors.ts";
import { decodeHeader, decodeManifest, fileName, HEADER_BYTES, MANIFEST } from "./format.ts";
import { READ_BLOCK_BYTES, scanBlock } from "./record.ts";
import { readSnapshotFile } from "./snapshot.ts";

export type LogPiece =
  /** A snapshot stands for the records up to `seq`. Its chunks have been handed out. */
  | { readonly type: "snapshot"; readonly seq: number }
  /** Records from number `first` on. The bodies are slices of one block. */
  | { readonly type: "records"; readonly first: number; readonly bodies: readonly Buffer[] }
  /** Bytes at the end that are no whole record: being written now, torn by a crash, or damaged. */
  | {
      readonly type: "rest";
      readonly file: string;
      readonly offset: number;
      readonly bytes: number;
    };

export interface WalkOptions {
  readonly host: Host;
  readonly dir: string;
  readonly onChunk?: (chunk: Buffer) => void;
}

/**
 * @throws {LogError} DAMAGED, BAD_FORMAT; GAP: a file is missing, perhaps because the writer has
 * just saved a snapshot
 */
export async function* walkLog({
  host,
  dir,
  onChunk,
}: WalkOptions): AsyncGenerator<LogPiece, void> {
  const { storage } = host;
  const manifestFile = `${dir}/${MANIFEST}`;
  if ((await storage.stat(manifestFile)) === undefined) {
    throw new LogError("GAP", `Cannot read log: ${manifestFile} is missing`, {
      file: manifestFile,
    });
  }
  const { id, segments, snapshot } = decodeManifest(
    await storage.readFile(manifestFile),
    manifestFile,
  );
  if (snapshot !== undefined) {
    await readSnapshotFile(storage, { dir, id, seq: snapshot }, onChunk);
    yield { type: "snapshot", seq: snapshot };
  }
  for (const [index, firstSeq] of segments.entries()) {
    const path = `${dir}/${fileName("segment", firstSeq)}`;
    const next = segments[index + 1];
    if ((await storage.stat(path)) === undefined) {
      throw new LogError("GAP", `Cannot read log: ${path} is missing`, { file: path });
    }
    const file = await storage.open(path, { readOnly: true });
    try {
      decodeHeader(await file.read(0, HEADER_BYTES), { kind: "segment", file: path });
      yield* walkSegment(file, { path, firstSeq, next });
    } finally {
      await file.close();
    }
  }
}

interface Segment {
  readonly path: string;
  readonly firstSeq: number;
  /** The first record of the segment behind it; undefined for the last one. */
  readonly next: number | undefined;
}

async function* walkSegment(
  file: StoredFile,
  { path, firstSeq, next }: Segment,
): AsyncGenerator<LogPiece, void> {
  const end = file.size;
  let [offset, seq, want, isWhole] = [HEADER_BYTES, firstSeq, READ_BLOCK_BYTES, true];
  while (offset < end && isWhole) {
    const block = await file.read(offset, Math.min(want, end - offset));
    const bodies: Buffer[] = [];
    const scan = scanBlock(block, 0, { seq, onRecord: (_, body) => void bodies.push(body) });
    if (bodies.length > 0) yield { type: "records", first: seq, bodies };
    isWhole = scan.bad === undefined && scan.needs <= end - offset - scan.at && block.length > 0;
    offset += scan.at;
    seq = scan.seq;
    want = Math.max(READ_BLOCK_BYTES, scan.needs);
  }
  if (next === undefined) {
    if (offset < end) yield { type: "rest", file: path, offset, bytes: end - offset };
    return;
  }
  if (seq === next && offset === end) return;
  const found = `record ${seq} is not whole, and the next file begins with ${next}`;
  throw new LogError("DAMAGED", `Cannot read log: ${path}: offset ${offset}: ${found}`, {
    file: path,
    offset,
  });
}
