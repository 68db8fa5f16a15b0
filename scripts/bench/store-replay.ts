/**
 * `store-replay.ts DIR`: opens a store's folder and says how long that took; a process of its own,
 * since so is a restart. Prints { ms, cpu, keys }.
 */
import { nodeHost } from "#host";
import { openStore } from "#store";

const start = performance.now();
const before = process.cpuUsage();
const opened = await openStore({ host: nodeHost(), dir: process.argv[2] ?? "" });
const { user, system } = process.cpuUsage(before);
console.log(
  JSON.stringify({
    ms: performance.now() - start,
    cpu: (user + system) / 1000,
    keys: opened.store.keys.size,
  }),
);
await opened.close();
