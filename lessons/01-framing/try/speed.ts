/** Frames per second and bytes per second, on whatever machine this is: the best of several rounds. */
import { encodeFrame, FrameDecoder } from "#framing";

const CHUNK_BYTES = 64 * 1024; // what a socket delivers at a time when there is plenty

function best(work: () => void): number {
  let seconds = Infinity;
  for (let round = 0; round < 9; round++) {
    const start = process.hrtime.bigint();
    work();
    seconds = Math.min(seconds, Number(process.hrtime.bigint() - start) / 1e9);
  }
  return seconds;
}

function decodeAll(stream: Buffer, chunkBytes: number): number {
  const decoder = new FrameDecoder();
  let frames = 0;
  for (let at = 0; at < stream.length; at += chunkBytes) {
    decoder.push(stream.subarray(at, at + chunkBytes));
    while (decoder.next()) frames++;
  }
  return frames;
}

for (const [bodyBytes, count] of [[0, 200_000], [20, 200_000], [100, 100_000], [1000, 50_000], [65_536, 2_000], [8 * 1024 * 1024, 8]] as const) {
  const body = Buffer.alloc(bodyBytes, 7);
  const stream = Buffer.concat(Array.from({ length: count }, (_, i) => encodeFrame({ opcode: 1, requestId: i, body })));
  const encode = best(() => {
    for (let i = 0; i < count; i++) encodeFrame({ opcode: 1, requestId: i, body });
  });
  const decode = best(() => {
    if (decodeAll(stream, CHUNK_BYTES) !== count) throw new Error("frames were lost");
  });
  const rate = (seconds: number) => `${(count / seconds / 1e6).toFixed(2)} M frames/s ${(stream.length / seconds / 1e9).toFixed(2)} GB/s`;
  console.log(`${String(bodyBytes).padStart(8)}-byte bodies  encode ${rate(encode)}  decode ${rate(decode)}`);
}

const big = encodeFrame({ opcode: 1, body: Buffer.alloc(8 * 1024 * 1024, 7) });
console.log(`8 MiB frame in 1-byte pieces: ${(best(() => void decodeAll(big, 1)) * 1000).toFixed(0)} ms`);
