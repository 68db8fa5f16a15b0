/** A queue that survives its worker, and a lock that only its owner takes away. */
import { nodeHost } from "#host";
import { openStore, StoreClient, startStore } from "#store";

const host = nodeHost();
const opened = await openStore({ host });
const { store } = opened;
const server = await startStore({ host, store, listen: { host: "127.0.0.1", port: 0 } });
const url = `redis://127.0.0.1:${server.port}`;
const connect = (): Promise<StoreClient> => StoreClient.connect({ host, url });
const [w1, w2] = [await connect(), await connect()];

async function show(client: StoreClient, ...words: [string, ...string[]]): Promise<unknown> {
  const answer = await client.call(...words);
  const who = client === w1 ? "w1" : "w2";
  console.log(`  ${who}  ${words.join(" ").padEnd(36)} ${JSON.stringify(answer)}`);
  return answer;
}

console.log("a queue");
await show(w2, "RPUSH", "jobs", "a", "b");
await show(w1, "BLMOVE", "jobs", "w1:jobs", "LEFT", "RIGHT", "0");
w1.close();
console.log("  w1 dies with a in its hands");
while (store.sessions.size > 1) await w2.call("PING"); // it takes a moment until the store has noticed
await show(w2, "LMOVE", "w1:jobs", "jobs", "RIGHT", "LEFT");
await show(w2, "BLMOVE", "jobs", "w2:jobs", "LEFT", "RIGHT", "0");
await show(w2, "LREM", "w2:jobs", "1", "a");
await show(w2, "LRANGE", "jobs", "0", "-1");

console.log("a lock");
const w3 = await connect();
await show(w2, "SET", "lock", "w2", "NX", "PX", "1");
while (await w3.call("EXISTS", "lock") === 1); // w2 takes too long
await w3.call("SET", "lock", "w3", "NX", "PX", "60000");
console.log("  w2 takes too long, the lock runs out, w3 takes it");
await show(w2, "DELEX", "lock", "IFEQ", "w2");
await show(w2, "GET", "lock");

w2.close();
w3.close();
await server.close();
await opened.close();
