/**
 * What a header costs that promises a lot and sends nothing.
 *
 *     npm run -s try 01/giant
 */
import { encodeFrame, FrameDecoder, FramingError, HEADER_BYTES } from "#framing";

const PEERS = 20;
const MIB = 1024 * 1024;

/** The header of a frame whose body never comes. */
function promise(bodyBytes: number): Buffer {
  const header = encodeFrame({ opcode: 1 }).subarray(0, HEADER_BYTES);
  header.writeUInt32BE(bodyBytes, 8);
  return header;
}

/** Bytes of buffers that exist afterwards and did not before. What `work` returns is kept alive till then. */
function allocatedBy(work: () => unknown): string {
  const before = process.memoryUsage().arrayBuffers;
  const kept = work();
  // Less than before: a collection between the two has freed older ones.
  const spent = Math.max(0, process.memoryUsage().arrayBuffers - before);
  return kept === undefined ? "nothing was made" : `allocated ${(spent / MIB).toFixed(0)} MiB`;
}

function eachPeer<T>(work: () => T): T[] {
  return Array.from({ length: PEERS }, work);
}

console.log(`${PEERS} peers send a header that promises 8 MiB, and nothing more`);
const naive = allocatedBy(() => eachPeer(() => Buffer.alloc(promise(8 * MIB).readUInt32BE(8))));
console.log(`  naive parser  ${naive}`);
const framed = allocatedBy(() =>
  eachPeer(() => {
    const decoder = new FrameDecoder();
    decoder.push(promise(8 * MIB));
    decoder.next();
    return decoder;
  }),
);
console.log(`  FrameDecoder  ${framed}`);

console.log("one peer sends a header that promises 4 GiB");
const decoder = new FrameDecoder();
const spent = allocatedBy(() => {
  decoder.push(promise(2 ** 32 - 1));
  try {
    decoder.next();
  } catch (error) {
    if (!(error instanceof FramingError)) throw error;
    console.log(`  FrameDecoder  ${error.code}: ${error.message}`);
  }
  return decoder;
});
console.log(`  FrameDecoder  ${spent}`);
