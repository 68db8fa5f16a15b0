/** How fast one connection is: this process asks, another one answers, over loopback. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { nodeHost } from "#host";
import { RpcConnection } from "#rpc";

const host = nodeHost();
const NOTIFICATIONS = 300_000;
const body = Buffer.alloc(100);

if (process.argv[2] === "answer") {
  let seen = 0;
  const listener = await host.network.listen({ host: "127.0.0.1", port: 0 }, (socket) => {
    new RpcConnection(socket, {
      host,
      onRequest: (request) => request.reply(request.opcode === 2 ? Buffer.from(`${seen}`) : request.body),
      onNotify: () => void seen++,
      onClose: () => process.exit(0),
    });
  });
  process.send?.(listener.port);
} else {
  const child = fork(import.meta.filename, ["answer"]);
  const [port] = (await once(child, "message")) as [number];
  const connection = new RpcConnection(await host.network.dial({ host: "127.0.0.1", port }), { host });

  const rate = async (name: string, count: number, work: () => Promise<unknown>): Promise<void> => {
    const started = host.clock.monotonic();
    await work();
    const perSecond = count / (host.clock.monotonic() - started) * 1000;
    console.log(`${name.padEnd(44)} ${Math.round(perSecond / 100) * 100} /s`);
  };
  const ask = async (count: number, width: number): Promise<void> => {
    let left = count;
    await Promise.all(Array.from({ length: width }, async () => {
      while (left-- > 0) await connection.request(1, body);
    }));
  };
  const notifyAll = async (): Promise<void> => {
    for (let i = 0; i < NOTIFICATIONS; i++) if (!connection.notify(3, body)) await connection.drained();
    await connection.request(2, body); // all of them have arrived before this is answered
  };
  await notifyAll();
  await ask(20_000, 64); // warm, so that the compiler is not measured
  await rate("notifications of 100 bytes", NOTIFICATIONS, notifyAll);
  await rate("requests, one after another", 5_000, () => ask(5_000, 1));
  await rate("requests, 64 at a time", 100_000, () => ask(100_000, 64));
  const large = Buffer.alloc(4 * 1024 * 1024);
  await rate("bodies of 4 MiB, there and back", 30, async () => {
    for (let i = 0; i < 30; i++) await connection.request(1, large);
  });
  connection.close();
}
