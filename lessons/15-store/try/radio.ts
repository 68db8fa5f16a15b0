/** Publish/subscribe and a list, when the one who should hear is away for a moment. */
import { nodeHost } from "#host";
import { openStore, StoreClient, startStore } from "#store";

const host = nodeHost();
const opened = await openStore({ host });
const server = await startStore({ host, store: opened.store, listen: { host: "127.0.0.1", port: 0 } });
const url = `redis://127.0.0.1:${server.port}`;
const sender = await StoreClient.connect({ host, url });

async function send(text: string): Promise<void> {
  const heard = await sender.call("PUBLISH", "news", text);
  const waiting = await sender.call("RPUSH", "inbox", text);
  console.log(`sent "${text}": ${String(heard)} heard it; ${String(waiting)} in the inbox`);
}

async function listen(): Promise<() => void> {
  const listener = await StoreClient.connect({ host, url });
  await listener.subscribe("news", (text) => console.log(`  heard "${String(text)}"`));
  return () => listener.close();
}

await send("one, too early");
let leave = await listen();
await send("two");
leave();
while ((await sender.call("PUBSUB", "NUMSUB", "news") as unknown[])[1] !== 0); // it takes a moment until the store has noticed
await send("three, in between");
leave = await listen();
await send("four");
await sender.call("PING"); // let it be heard
leave();
console.log(`the inbox kept: ${(await sender.call("LRANGE", "inbox", 0, -1) as string[]).join("; ")}`);
sender.close();
await server.close();
await opened.close();
