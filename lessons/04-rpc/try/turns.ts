/** A hundred questions that take the server 10 ms each, over one connection: in turns, and all at once. */
import { RpcConnection } from "#rpc";
import { SimWorld } from "#simhost";

const COUNT = 100;

async function connect() {
  const world = new SimWorld({ seed: 42, latencyMs: [1, 1] });
  const server = world.host("server");
  await server.network.listen({ host: "server", port: 80 }, (socket) => {
    new RpcConnection(socket, {
      host: server,
      // The last question is answered first.
      onRequest: (request) => void server.timers.after(10 + (COUNT - request.body[0]!) / 10, () => request.reply(request.body)),
    });
  });
  const client = world.host("client");
  const socket = await world.settle(client.network.dial({ host: "server", port: 80 }));
  return { world, connection: new RpcConnection(socket, { host: client }) };
}

{
  const { world, connection } = await connect();
  const started = world.now;
  for (let i = 0; i < COUNT; i++) await world.settle(connection.request(1, Buffer.of(i)));
  console.log(`in turns:     ${COUNT} answers in t=${(world.now - started).toFixed(0)}`);
}
{
  const { world, connection } = await connect();
  const started = world.now;
  const order: number[] = [];
  let wrong = 0;
  const all = Array.from({ length: COUNT }, async (_, i) => {
    const answer = await connection.request(1, Buffer.of(i));
    order.push(i);
    if (answer[0] !== i) wrong++;
  });
  await world.settle(Promise.all(all));
  console.log(`all at once:  ${COUNT} answers in t=${(world.now - started).toFixed(0)}, ${wrong} of them to the wrong caller`);
  console.log(`              they came back in the order ${order.slice(0, 4).join(", ")} … ${order.slice(-3).join(", ")}`);
}
