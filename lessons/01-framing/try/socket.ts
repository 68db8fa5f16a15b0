/**
 * A real socket on loopback: how many pieces do 10,000 writes arrive in? The numbers differ from run to run.
 *
 *     npm run -s try 01/socket
 */
import { createServer, connect, type AddressInfo } from "node:net";
import { encodeFrame, FrameDecoder } from "#framing";

const WRITES = 10_000;

const server = createServer((socket) => {
  const decoder = new FrameDecoder();
  let [chunks, frames, bytes, cut] = [0, 0, 0, 0];
  socket.on("data", (chunk: Buffer) => {
    chunks++;
    bytes += chunk.length;
    decoder.push(chunk);
    while (decoder.next()) frames++;
    if (bytes % frame.length !== 0) cut++;
  });
  socket.on("end", () => {
    console.log(`${WRITES} writes of ${frame.length} bytes arrived in ${chunks} chunks, of which ${cut} ended inside a frame`);
    console.log(`${frames} frames were read`);
    socket.destroy();
    server.close();
  });
});

const frame = encodeFrame({ opcode: 1, body: Buffer.alloc(84) });
server.listen(0, "127.0.0.1", () => {
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1", () => {
    for (let i = 0; i < WRITES; i++) client.write(frame);
    client.end();
  });
});
