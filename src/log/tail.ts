/**
 * Lesson 05: torn tail or damage?
 *
 * A scan met a bad record. Either the machine stopped while it was being written (nobody was
 * promised these bytes: cut them), or the disk changed bytes that were promised (never cut those:
 * refuse). The bytes from there on decide:
 *
 *     the bad record …                                             verdict
 *     checks out once one bit of its length is turned back           damage
 *     … followed by nothing intact                                   torn
 *     … by an intact record with the barrier: an fsync had
 *       covered the bad one                                          damage
 *     … by intact records without it, after a sector that is         torn: one unsynced write,
 *       zeros from the bad record's first byte, or from its          whose pages reached the
 *       own, to its end                                              disk out of order
 *     … by intact records without it, and no such hole               damage
 *
 * Invariants: a verdict of "torn" never drops a record that is followed by a barrier within the
 * search's reach.
 * Left out: certainty about the last record: a changed body there looks exactly like a tear, and is
 * cut as one. Certainty would take a second write per group, which says that the first one
 * succeeded. The search also misses a damaged sector that is followed only by records above
 * SEARCH_RECORD_BYTES. A torn record whose own body holds a piece of a log, with fitting numbers,
 * is taken for damage: the log refuses to open though nothing is lost, and `repair` puts it right.
 * The same holds for a write that began one to three bytes before the end of a page and lost that
 * page only: it lacks just the barrier, as after one flipped bit. Empty records are no evidence, so
 * damage that only empty records follow counts as a tear (Titan writes none).
 * Test: test/05-log.tail.test.ts
 */
import {
  claimedSeq,
  encodeRecord,
  endOfIntact,
  lengthAt,
  RECORD_HEADER_BYTES,
  scanBlock,
} from "./record.ts";

/**
 * Disks write at least this much at once: a page that was never written leaves zeros to the end of
 * a sector.
 */
const SECTOR_BYTES = 512;

/**
 * The search hashes every stretch that could be a record. In a torn body full of small numbers
 * every byte starts one; at this length 64 MiB of ordinary content take seconds, and of the worst
 * (every word a length just below it) more than a minute. Titan's events have a few hundred bytes.
 */
const SEARCH_RECORD_BYTES = 16 * 1024;

/** A place in `rest` where a record with number `seq` begins. */
interface Place {
  readonly at: number;
  readonly seq: number;
}

export interface Verdict {
  readonly torn: boolean;
  /** Where to go on reading after the bad record, if anywhere, be it torn or damaged. */
  readonly found?: Place;
  /** For people. */
  readonly why: string;
}

/**
 * Judges `rest`, the bytes from the bad record to the end of the last segment. `seq` is the number
 * that the bad record should have had, `offset` its place in the file (sectors are counted from the
 * file's start).
 */
// #region judge
export function judgeTail(rest: Buffer, bad: { seq: number; offset: number }): Verdict {
  // #exercise judgeTail
  const at = endIfOneBitIsTurned(rest, bad.seq);
  if (at !== undefined) {
    return { torn: false, found: { at, seq: bad.seq + 1 }, why: "one bit of its length changed" };
  }
  const found = findIntact(rest, { at: RECORD_HEADER_BYTES, seq: bad.seq + 1 });
  if (found === undefined) return { torn: true, why: "nothing intact follows" };
  const why = `record ${found.seq} at offset ${bad.offset + found.at} is intact`;
  if (barrierFollows(rest, found)) {
    return { torn: false, found, why: `${why}, and a later fsync covered the bad one` };
  }
  if (hasHole(rest, { bad, end: found.at })) {
    return { torn: true, found, why: "a sector was never written" };
  }
  return { torn: false, found, why };
  // #end-exercise
}
// #endregion

/** A changed length hides where the next record begins. 32 guesses find the most likely change. */
function endIfOneBitIsTurned(rest: Buffer, seq: number): number | undefined {
  if (rest.length < RECORD_HEADER_BYTES) return undefined;
  const word = rest.readUInt32BE(0);
  for (let bit = 0; bit < 32; bit++) {
    const end = endOfIntact(rest, { at: 0, seq, word: (word ^ (1 << bit)) >>> 0 });
    if (end !== undefined) return end;
  }
  return undefined;
}

/** Any record from `found` on with the barrier bit, across further bad stretches. */
function barrierFollows(rest: Buffer, found: Place): boolean {
  let next: Place | undefined = found;
  while (next !== undefined) {
    const scan = scanBlock(rest, next.at, { seq: next.seq });
    if (scan.barriers > 0) return true;
    next = findIntact(rest, { at: scan.at + RECORD_HEADER_BYTES, seq: scan.seq + 1 });
  }
  return false;
}

/**
 * The first intact record at or after `first.at`, whose number is `first.seq` at least and can
 * stand there.
 */
function findIntact(rest: Buffer, first: Place): Place | undefined {
  const bad = first.at - RECORD_HEADER_BYTES;
  if (first.at > rest.length) return undefined;
  const next = { at: first.at + lengthAt(rest, bad), seq: first.seq };
  // the bad record's length is good: it led to this record
  if (endOfIntact(rest, next) !== undefined) return next;
  for (let at = first.at; at + RECORD_HEADER_BYTES <= rest.length; at++) {
    const length = lengthAt(rest, at);
    const end = at + RECORD_HEADER_BYTES + length;
    // An empty record is no evidence: seven zeros and a small number make one, and occur in many
    // ordinary bodies.
    if (length === 0 || length > SEARCH_RECORD_BYTES || end > rest.length) continue;
    // Each record skipped, beyond the bad one, took at least 8 bytes.
    const skipped = (claimedSeq(rest, at) - first.seq) >>> 0;
    if (skipped > (at - first.at) / RECORD_HEADER_BYTES) continue;
    // Noise gets this far once in 2^32 / (numbers possible here). A second witness makes that 2^64.
    const seq = first.seq + skipped;
    const witness =
      end === rest.length || endOfIntact(rest, { at: end, seq: seq + 1 }) !== undefined;
    if (skipped === 0 || witness) return { at, seq };
  }
  return undefined;
}

/**
 * Whether a piece of the bytes from the bad record to `end`, where an intact one begins, never
 * reached the disk.
 *
 *     | … fsynced … 0 0 0 0 | … record, record … |     the write began here: its end is missing
 *     | … record, rec 0 0 0 | 0 0 0 0 0 0 0 0 0 0 |     a later sector is missing, whole
 */
function hasHole(
  rest: Buffer,
  place: { bad: { seq: number; offset: number }; end: number },
): boolean {
  const { bad, end } = place;
  const first = (SECTOR_BYTES - (bad.offset % SECTOR_BYTES)) % SECTOR_BYTES;
  if (first > 0 && isZero(rest, 0, first)) {
    // Eight zeros are never a record, and damage does not begin exactly where a record does and end
    // with its sector.
    if (first >= RECORD_HEADER_BYTES || isWholeBut(rest.subarray(0, end), first, bad.seq)) {
      return true;
    }
  }
  for (let at = first; at + SECTOR_BYTES <= end; at += SECTOR_BYTES) {
    if (isZero(rest, at, at + SECTOR_BYTES)) return true;
  }
  return false;
}

/**
 * Whether `bytes` are one record of which only the first `missing` bytes, fewer than its header,
 * are not there.
 */
function isWholeBut(bytes: Buffer, missing: number, seq: number): boolean {
  const body = bytes.subarray(RECORD_HEADER_BYTES);
  const whole = Buffer.allocUnsafe(bytes.length);
  for (const barrier of [true, false]) {
    encodeRecord(whole, 0, { seq, body, barrier });
    if (whole.subarray(missing).equals(bytes.subarray(missing))) return true;
  }
  return false;
}

function isZero(bytes: Buffer, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (bytes[at] !== 0) return false;
  return true;
}
