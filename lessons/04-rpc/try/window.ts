/** A stream to a reader who takes 20 items a second, and a question asked meanwhile on the same connection. */
import { RpcConnection, type IncomingRequest } from "#rpc";
import { SimWorld } from "#simhost";

const world = new SimWorld({ seed: 42, latencyMs: [1, 1] });
const server = world.host("server");
let produced = 0;

async function produce(request: IncomingRequest): Promise<void> {
  while (!request.cancelled) {
    produced++;
    if (!request.item(Buffer.alloc(84))) await request.drained();
  }
}

await server.network.listen({ host: "server", port: 80 }, (socket) => {
  new RpcConnection(socket, { host: server, onRequest: (request) => void (request.opcode === 1 ? request.reply() : produce(request)) });
});
const host = world.host("reader");
const socket = await world.settle(host.network.dial({ host: "server", port: 80 }));
// A window of 100 items: 84 bytes and a header of 16 each.
const connection = new RpcConnection(socket, { host, limits: { streamWindowBytes: 10_000 } });

let read = 0;
void (async () => {
  for await (const _ of connection.stream(2, Buffer.alloc(0))) {
    read++;
    await new Promise<void>((resolve) => void host.timers.after(50, resolve));
  }
})();

for (const second of [1, 2, 3, 4, 5]) {
  await world.run(second * 1000);
  const asked = world.now;
  await world.settle(connection.request(1, Buffer.alloc(0)));
  console.log(`t=${second}  read ${read}, produced ${produced}; a question took ${(world.now - asked).toFixed(0)} ms`);
}
