/** A peer that never reads, and what is queued for it by a sender that does not ask (`deaf naive`), and by one that does. */
import { RpcConnection } from "#rpc";
import { SimWorld } from "#simhost";

const world = new SimWorld({ seed: 42 });
await world.host("deaf").network.listen({ host: "deaf", port: 80 }, (socket) => {
  socket.handle({ onData: () => {}, onClose: () => {} });
  socket.pause();
});
const host = world.host("sender");
const socket = await world.settle(host.network.dial({ host: "deaf", port: 80 }));

const body = Buffer.alloc(10_000);
const report = (what: string): void => console.log(`t=${(world.now / 1000).toFixed(0).padEnd(3)} ${what}`);
const mib = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(0)} MiB`;

if (process.argv[2] === "naive") {
  socket.handle({ onData: () => {}, onClose: () => {} });
  for (let second = 0; second <= 40; second++) {
    if (second % 10 === 0) report(`${mib(socket.pendingBytes)} are queued`);
    for (let i = 0; i < 1000; i++) socket.write(body);
    await world.run((second + 1) * 1000);
  }
} else {
  const connection = new RpcConnection(socket, { host, onClose: (error) => report(`closed: ${error?.message}`) });
  void (async () => {
    for (let sent = 1; ; sent++) {
      if (connection.notify(1, body)) continue;
      report(`notification ${sent} says "wait": ${mib(connection.pendingBytes)} are queued`);
      await connection.drained();
    }
  })().catch((error) => report(`the sender is told: ${error.code}`));
  for (const second of [10, 20]) {
    await world.run(second * 1000);
    await connection.request(2, body).catch((error) => report(`a request is refused: ${error.code}, ${mib(connection.pendingBytes)} are queued`));
  }
  await world.run(40_000);
}
