/** How many fsyncs do a thousand increments cost, when each is answered only once it is on the disk? By number of clients. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nodeHost } from "#host";
import { openStore, StoreClient, startStore } from "#store";

const INCREMENTS = 1000;
const folder = mkdtempSync(join(tmpdir(), "titan-turns-"));
const host = nodeHost();

// Every file that is opened from here on counts its fsyncs.
let fsyncs = 0;
const openFile = host.storage.open.bind(host.storage);
Object.assign(host.storage, {
  open: async (...args: Parameters<typeof openFile>) => {
    const file = await openFile(...args);
    const appendAndSync = file.appendAndSync.bind(file);
    return Object.assign(file, {
      appendAndSync: (parts: Parameters<typeof appendAndSync>[0]) => {
        fsyncs++;
        return appendAndSync(parts);
      },
    });
  },
});

for (const count of [1, 10, 50]) {
  const opened = await openStore({ host, dir: join(folder, String(count)), durability: "always" });
  const server = await startStore({ host, store: opened.store, afterCommit: () => opened.afterCommit(), listen: { host: "127.0.0.1", port: 0 } });
  const clients = await Promise.all(Array.from({ length: count }, () => StoreClient.connect({ host, url: `redis://127.0.0.1:${server.port}` })));
  fsyncs = 0;
  const start = performance.now();
  await Promise.all(clients.map(async (client) => {
    for (let i = 0; i < INCREMENTS / count; i++) await client.call("INCR", "visits");
  }));
  const ms = performance.now() - start;
  console.log(`${String(count).padStart(3)} ${count === 1 ? "client: " : "clients:"} ${INCREMENTS} answers, ${fsyncs} fsyncs, ${ms.toFixed(0)} ms`);
  for (const client of clients) client.close();
  await server.close();
  await opened.close();
}
rmSync(folder, { recursive: true });
