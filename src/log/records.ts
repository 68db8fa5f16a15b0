/**
 * Lesson 05: the records of a segment whose bytes the caller holds. It is for programs that look at
 * a log from outside: a checker, a simulation. They may come back when the file has grown, and go
 * on where they stopped.
 *
 * Test: test/22-simulation.test.ts
 */
import { decodeHeader, HEADER_BYTES } from "./format.ts";
import { type OnRecord, scanBlock } from "./record.ts";

/** Where reading stopped: the byte, and the number of the record that will stand there. */
export interface Place {
  readonly offset: number;
  readonly seq: number;
}

/**
 * Hands out the intact records of a segment from `from` (default: its beginning) on, and says where
 * it stopped: at the end, or before the first record that is not whole. `file` is for messages.
 *
 * @throws {LogError} DAMAGED or BAD_FORMAT, about the header
 */
export function readSegment(
  bytes: Buffer,
  options: { file: string; from?: Place | undefined; onRecord: OnRecord },
): Place {
  const { file, onRecord } = options;
  const from = options.from ?? {
    offset: HEADER_BYTES,
    seq: decodeHeader(bytes, { kind: "segment", file }).seq,
  };
  const { at, seq } = scanBlock(bytes, from.offset, { seq: from.seq, onRecord });
  return { offset: at, seq };
}
