/**
 * Lesson 05: torn tail or damage?
 *
 * A scan met a bad record. Either the process died while it was writing (nobody was promised these bytes: cut them),
 * or the disk changed bytes that were promised (never cut those: refuse). What comes after the bad record decides:
 *
 *     after the bad record …                                                verdict
 *     nothing intact                                                        torn
 *     an intact record with the barrier bit: an fsync had covered the bad one   damage
 *     intact records without it, and a zeroed sector in between             torn: one unsynced write, its pages
 *                                                                           reached the disk out of order
 *     intact records without it, and no such hole                           damage
 *
 * Invariants: a verdict of "torn" never drops a record that is followed by a barrier.
 * Left out: certainty about the last commit group. A bit that flips in the very last record looks exactly like a tear,
 * and is cut as one. Closing that would take a second write for each group to say that the first had succeeded.
 * Test: test/05-log.tail.test.ts
 */
import { claimedSeq, lengthAt, RECORD_HEADER_BYTES, scanBlock } from "./record.ts";

/** Disks write at least this much at once: a page that was never written leaves whole sectors of zeros. */
const SECTOR_BYTES = 512;

/** A second of hashing. A torn tail that needs more (16 MiB of noise and up) is left to a person. */
const SEARCH_BUDGET_BYTES = 2 * 1024 * 1024 * 1024;

export interface Verdict {
  readonly torn: boolean;
  /** The first intact record after the bad one, when there is one: offset from the bad record, and number. */
  readonly found?: { readonly at: number; readonly seq: number };
  /** For people. */
  readonly why: string;
}

/**
 * Judges `rest`, the bytes from the bad record to the end of the last segment. `seq` is the number that the bad
 * record should have had, `offset` its place in the file (sectors are counted from the file's start).
 */
// #region judge
export function judgeTail(rest: Buffer, bad: { seq: number; offset: number }): Verdict {
  // #exercise judgeTail
  const found = findIntact(rest, { from: RECORD_HEADER_BYTES, seq: bad.seq });
  if (found === "gave up") return { torn: false, why: "what follows is too large to tell a torn tail from damage" };
  if (found === undefined) return { torn: true, why: "nothing intact follows" };
  const what = `record ${found.seq} at offset ${bad.offset + found.at} is intact`;
  if (barrierFollows(rest, found)) return { torn: false, found, why: `${what}, and an fsync lies between` };
  if (hasHole(rest.subarray(0, found.at), bad.offset)) return { torn: true, found, why: "a sector was never written" };
  return { torn: false, found, why: what };
  // #end-exercise
}
// #endregion

/** Any record from `found` on with the barrier bit, across further bad stretches. */
function barrierFollows(rest: Buffer, found: { at: number; seq: number }): boolean {
  let next: { at: number; seq: number } | undefined = found;
  while (next !== undefined) {
    const scan = scanBlock(rest, next.at, { seq: next.seq });
    if (scan.barriers > 0) return true;
    const after = findIntact(rest, { from: scan.at + RECORD_HEADER_BYTES, seq: scan.seq });
    next = after === "gave up" ? undefined : after;
  }
  return false;
}

/** The first place at or after `from` that holds an intact record with a number that can stand there. */
function findIntact(
  rest: Buffer,
  start: { from: number; seq: number },
): { at: number; seq: number } | "gave up" | undefined {
  let budget = SEARCH_BUDGET_BYTES;
  // Every offset is tried, because the bad record's length, which would lead to the next one, may be what is bad.
  for (let at = start.from; at + RECORD_HEADER_BYTES <= rest.length; at++) {
    const length = lengthAt(rest, at);
    const end = at + RECORD_HEADER_BYTES + length;
    if (end > rest.length) continue;
    budget -= length;
    if (budget < 0) return "gave up";
    // The bytes skipped held at least one record and at most one for every 8 of them.
    const skipped = (claimedSeq(rest, at) - start.seq) >>> 0;
    if (skipped < 1 || skipped > (at - start.from) / RECORD_HEADER_BYTES + 1) continue;
    // Noise passes the test above once in 2^32 / (skipped range). One more witness makes that once in 2^64.
    const seq = start.seq + skipped;
    const follows = end === rest.length || (end + RECORD_HEADER_BYTES <= rest.length && scanOne(rest, end, seq + 1));
    if (skipped === 1 || follows) return { at, seq };
  }
  return undefined;
}

function scanOne(rest: Buffer, at: number, seq: number): boolean {
  const end = at + RECORD_HEADER_BYTES + lengthAt(rest, at);
  return end <= rest.length && claimedSeq(rest, at) === seq >>> 0;
}

/** A whole sector of zeros inside `bytes`, which begin at `offset` of the file. */
function hasHole(bytes: Buffer, offset: number): boolean {
  const first = (SECTOR_BYTES - (offset % SECTOR_BYTES)) % SECTOR_BYTES;
  for (let at = first; at + SECTOR_BYTES <= bytes.length; at += SECTOR_BYTES) {
    if (bytes.subarray(at, at + SECTOR_BYTES).every((byte) => byte === 0)) return true;
  }
  return false;
}
