/**
 * Lesson 24: the oldest archive that everybody can read: tar (POSIX.1-1988, "ustar").
 *
 *     entry = header 512 bytes | content | zeros up to a multiple of 512
 *     end   = 1024 zeros
 *
 *     header: name 100 | mode 8 | uid 8 | gid 8 | size 12 | mtime 12 | checksum 8 | type 1 |
 *             link 100 | "ustar\0" "00" | user 32 | group 32 | device 16 | prefix 155 | 12 zeros
 *             numbers in octal digits; the checksum is the sum of all bytes of the header, its own
 *             place counted as spaces
 *
 * Invariants: the same entries give the same bytes, whoever makes them and when: owner 0, a fixed
 * date, modes 0644 and 0755; a reader hands out an entry's name only when its header's sum is
 * right, and nothing but what the archive holds.
 * Left out: folders (whoever unpacks makes them), links, names of more than 100 bytes, files of
 * 8 GiB and more.
 * Test: test/24-packaging.test.ts
 */
export const TAR_BLOCK_BYTES = 512;
const END_BYTES = 2 * TAR_BLOCK_BYTES;
const MAX_NAME_BYTES = 100;
/** Eleven octal digits. */
const MAX_SIZE = 8 ** 11 - 1;
/** 2026-01-01. A date of 1970 makes GNU tar warn of an implausible time stamp. */
const MTIME_S = 1_767_225_600;
/** Offsets of the fields that differ between entries, and of the checksum. */
const AT = { name: 0, mode: 100, size: 124, sum: 148, type: 156, magic: 257, prefix: 345 } as const;

export interface TarEntry {
  /** Relative, with `/`. */
  readonly path: string;
  readonly executable?: boolean;
  readonly content: Uint8Array;
}

/** Why bytes are no archive of ours. */
export class TarError extends Error {
  override readonly name = "TarError";
}

// #region tarHeader
/** The 512 bytes before an entry's content. */
export function tarHeader(path: string, size: number, executable = false): Buffer {
  const name = Buffer.from(path);
  if (name.length > MAX_NAME_BYTES) {
    throw new TarError(`Cannot pack ${path}: its name is longer than ${MAX_NAME_BYTES} bytes`);
  }
  if (size > MAX_SIZE) throw new TarError(`Cannot pack ${path}: ${size} bytes exceed ${MAX_SIZE}`);
  const header = Buffer.alloc(TAR_BLOCK_BYTES);
  // #exercise tarHeader
  name.copy(header, AT.name);
  const octal = (value: number, at: number, digits: number): void => {
    header.write(`${value.toString(8).padStart(digits, "0")}\0`, at, "latin1");
  };
  octal(executable ? 0o755 : 0o644, AT.mode, 7);
  octal(0, AT.mode + 8, 7);
  octal(0, AT.mode + 16, 7);
  octal(size, AT.size, 11);
  octal(MTIME_S, AT.size + 12, 11);
  header.write("        0", AT.sum, "latin1"); // spaces in the sum's place; type 0: a file
  header.write("ustar\x0000", AT.magic, "latin1");
  octal(header.reduce((sum, byte) => sum + byte, 0), AT.sum, 6);
  // #end-exercise
  return header;
}
// #endregion

/** The zeros behind a content of this size. */
export function tarPadding(size: number): Buffer {
  return Buffer.alloc(-size & (TAR_BLOCK_BYTES - 1));
}

export function tarEnd(): Buffer {
  return Buffer.alloc(END_BYTES);
}

/** A whole archive, its entries by name. */
export function tarball(entries: readonly TarEntry[]): Buffer {
  const sorted = [...entries].sort((a, b) => (a.path < b.path ? -1 : 1));
  const parts = sorted.flatMap(({ path, executable, content }) =>
    [tarHeader(path, content.length, executable), content, tarPadding(content.length)]);
  return Buffer.concat([...parts, tarEnd()]);
}

/** An entry that is being read: all of its content follows before the next one. */
export interface TarPiece {
  readonly path: string;
  readonly size: number;
  /** The next bytes of the content; empty for a file without any. */
  readonly bytes: Buffer;
  /** Nothing of this entry follows. */
  readonly last: boolean;
}

// #region readTar
/**
 * An archive as it arrives, in pieces of any size, without holding more than one of them.
 *
 * @throws {TarError} for anything that `tarHeader` does not make, and where the bytes end too soon
 */
export async function* readTar(chunks: AsyncIterable<Buffer>): AsyncGenerator<TarPiece> {
  let held: Buffer = Buffer.alloc(0);
  let entry: { path: string; size: number; left: number } | undefined;
  let padding = 0;
  let zeros = 0;
  for await (const chunk of chunks) {
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    for (;;) {
      if (entry !== undefined) {
        if (held.length === 0) break;
        const bytes = held.subarray(0, entry.left);
        held = held.subarray(bytes.length);
        entry.left -= bytes.length;
        const { path, size, left } = entry;
        yield { path, size, bytes, last: left === 0 };
        if (left === 0) entry = undefined;
      } else if (padding > 0) {
        if (held.length < padding) break;
        held = held.subarray(padding);
        padding = 0;
      } else {
        if (held.length < TAR_BLOCK_BYTES) break;
        const block = held.subarray(0, TAR_BLOCK_BYTES);
        held = held.subarray(TAR_BLOCK_BYTES);
        if (block.every((byte) => byte === 0)) {
          zeros += 1;
          continue;
        }
        const { path, size } = readHeader(block);
        if (zeros > 0) throw new TarError(`Cannot read the archive: ${path} comes after its end`);
        padding = tarPadding(size).length;
        if (size > 0) entry = { path, size, left: size };
        else yield { path, size, bytes: Buffer.alloc(0), last: true };
      }
    }
  }
  if (entry !== undefined) {
    const { path, size, left } = entry;
    throw new TarError(
      `Cannot read ${path}: the archive ends after ${size - left} of its ${size} bytes`,
    );
  }
  if (zeros < 2) throw new TarError("Cannot read the archive: its end is missing");
}
// #endregion

function readHeader(block: Buffer): { path: string; size: number } {
  const text = (at: number, length: number): string =>
    block.toString("utf8", at, at + length).replace(/\0[^]*$/, "");
  const path = text(AT.name, MAX_NAME_BYTES);
  const size = Number.parseInt(text(AT.size, 12), 8);
  // The header that we would have made is the only one that is right.
  const executable = (Number.parseInt(text(AT.mode, 8), 8) & 0o100) !== 0;
  if (!(size >= 0) || !tarHeader(path, size, executable).equals(block)) {
    throw new TarError(`Cannot read the archive: the header of "${printable(path)}" is damaged`);
  }
  return { path, size };
}

/** Damaged bytes must not reach a terminal. */
const printable = (text: string): string =>
  text.replace(/[^\x20-\x7e]/g, "?").slice(0, MAX_NAME_BYTES);
