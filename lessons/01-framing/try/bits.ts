/**
 * Flips each bit of one frame, one at a time, and counts what a reader makes of it.
 *
 *     npm run -s try 01/bits
 */
import { encodeFrame, FrameDecoder, FramingError, HEADER_BYTES } from "#framing";

const frame = encodeFrame({ opcode: 1, requestId: 7, body: Buffer.from("keep prod") });

/** A reader that handles every split correctly, and believes what it reads. */
function trusting(bytes: Buffer): string {
  const length = bytes.readUInt32BE(8);
  if (HEADER_BYTES + length > bytes.length) return "waits for more";
  const same = bytes[1] === 1 && bytes.readUInt32BE(4) === 7 && bytes.toString("utf8", HEADER_BYTES, HEADER_BYTES + length) === "keep prod";
  return same ? "right by luck" : "A WRONG FRAME";
}

function checking(bytes: Buffer): string {
  const decoder = new FrameDecoder();
  decoder.push(bytes);
  try {
    return decoder.next() ? "A WRONG FRAME" : "waits for more";
  } catch (error) {
    if (error instanceof FramingError) return error.code;
    throw error;
  }
}

for (const [name, read] of [["without a checksum", trusting], ["FrameDecoder", checking]] as const) {
  const counts = new Map<string, number>();
  for (let bit = 0; bit < frame.length * 8; bit++) {
    const damaged = Buffer.from(frame);
    damaged[bit >> 3]! ^= 1 << (bit & 7);
    const outcome = read(damaged);
    counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  }
  console.log(`${frame.length * 8} flipped bits, ${name}`);
  for (const [outcome, count] of [...counts].sort()) console.log(`  ${String(count).padStart(4)}  ${outcome}`);
}
