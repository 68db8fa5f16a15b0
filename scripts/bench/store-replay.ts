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
const [ms, cpu] = [performance.now() - start, (user + system) / 1000];
console.log(JSON.stringify({ ms, cpu, keys: opened.store.keys.size }));
await opened.close();
