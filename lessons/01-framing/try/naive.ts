/**
 * One stream of three messages, delivered in four ways, through two parsers.
 *
 *     npm run -s try 01/naive
 */
import { encodeFrame, FrameDecoder, HEADER_BYTES } from "#framing";

// #region naive
/** What most first attempts look like: what one `data` event brings is taken for one message. */
function naive(chunks: readonly Buffer[]): string[] {
  const messages: string[] = [];
  for (const chunk of chunks) {
    const length = chunk.readUInt32BE(8);
    messages.push(chunk.toString("utf8", HEADER_BYTES, HEADER_BYTES + length));
  }
  return messages;
}
// #endregion

function framed(chunks: readonly Buffer[]): string[] {
  const decoder = new FrameDecoder();
  const messages: string[] = [];
  for (const chunk of chunks) {
    decoder.push(chunk);
    for (let frame = decoder.next(); frame; frame = decoder.next()) messages.push(frame.body.toString());
  }
  return messages;
}

function attempt(parse: (chunks: readonly Buffer[]) => string[], chunks: readonly Buffer[]): string {
  try {
    return parse(chunks).map((message) => `[${message.replaceAll(/[^ -~]/g, "?")}]`).join(" ");
  } catch (error) {
    return (error as Error).name;
  }
}

const frames = ["stage", "keep prod", "drop test"].map((text) => encodeFrame({ opcode: 1, body: Buffer.from(text) }));
const stream = Buffer.concat(frames);
const cut = frames[0]!.length + HEADER_BYTES + 2;

const deliveries: [string, Buffer[]][] = [
  ["one write, one chunk", frames],
  ["all glued together", [stream]],
  [`cut after ${cut} bytes`, [frames[0]!, stream.subarray(frames[0]!.length, cut), stream.subarray(cut)]],
  ["one byte at a time", Array.from(stream, (byte) => Buffer.from([byte]))],
];
console.log(`${"the same 71 bytes".padEnd(22)}${"naive parser".padEnd(34)}FrameDecoder`);
for (const [how, chunks] of deliveries) {
  console.log(`${how.padEnd(22)}${attempt(naive, chunks).padEnd(34)}${attempt(framed, chunks)}`);
}
