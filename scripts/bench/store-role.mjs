// @ts-check
/**
 * A store as a process of its own, for measurements: as a deployed one runs, with nothing else loaded.
 *
 *     store-role.mjs serve          in memory, on a free port; prints { port }, ends when its stdin does
 *     store-role.mjs replay DIR     opens the folder's log, prints { ms, cpu, keys }, ends
 */
import { nodeHost } from "#host";
import { openStore, startStore } from "#store";

const [role, dir = ""] = process.argv.slice(2);
const host = nodeHost();
/** @param {object} line */
const say = (line) => console.log(JSON.stringify(line));

if (role === "replay") {
  const start = performance.now();
  const before = process.cpuUsage();
  const opened = await openStore({ host, dir });
  const { user, system } = process.cpuUsage(before);
  say({ ms: performance.now() - start, cpu: (user + system) / 1000, keys: opened.store.keys.size });
  await opened.close();
} else {
  const { store } = await openStore({ host });
  store.info.set("Memory", () => {
    const { rss, heapUsed, external } = process.memoryUsage();
    return { used_memory: heapUsed + external, used_memory_rss: rss, maxmemory: 0 };
  });
  const { port } = await startStore({ host, listen: { host: "127.0.0.1", port: 0 }, store });
  say({ port });
  process.stdin.resume().on("end", () => process.exit(0));
}
