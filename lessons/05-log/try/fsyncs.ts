/** What 1,000 durable appends cost, by how many callers share the work. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nodeHost } from "#host";
import { openLog } from "#log";

const APPENDS = 1000;
const folder = mkdtempSync(join(tmpdir(), "titan-fsyncs-"));
const event = Buffer.alloc(40, "e");
for (const callers of [1, 10, 50, 1000]) {
  const log = await openLog({ host: nodeHost(), dir: join(folder, String(callers)) });
  const caller = async (): Promise<void> => {
    for (let i = 0; i < APPENDS / callers; i++) await log.durable(log.append(event));
  };
  const start = performance.now();
  await Promise.all(Array.from({ length: callers }, caller));
  const ms = performance.now() - start;
  const { appends, fsyncs } = log.stats;
  const cost = `${fsyncs} fsync${fsyncs === 1 ? "" : "s"}, ${ms.toFixed(1)} ms`;
  console.log(`${String(callers).padStart(4)} caller${callers === 1 ? "" : "s"}: ${appends} appends, ${cost}`);
  await log.close();
}
rmSync(folder, { recursive: true });
