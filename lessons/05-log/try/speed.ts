/** How fast: durable appends by number of callers, appends into memory, recovery and replay. 40-byte records. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nodeHost } from "#host";
import { openLog } from "#log";

const folder = mkdtempSync(join(tmpdir(), "titan-speed-"));
const event = Buffer.alloc(40, "e");
const host = nodeHost();
const rate = (count: number, start: number): string => `${Math.round(count / ((performance.now() - start) / 1000))}/s`;

for (const callers of [1, 8, 64, 512]) {
  const log = await openLog({ host, dir: join(folder, String(callers)) });
  const waits: number[] = [];
  const start = performance.now();
  const caller = async (): Promise<void> => {
    while (performance.now() - start < 250) {
      const asked = performance.now();
      await log.durable(log.append(event));
      waits.push(performance.now() - asked);
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  const shown = rate(waits.length, start);
  waits.sort((a, b) => a - b);
  const median = (waits[waits.length >> 1] as number).toFixed(2);
  console.log(`durable appends, ${String(callers).padStart(3)} at a time: ${shown}, half of them within ${median} ms`);
  await log.close();
}

const COUNT = 500_000;
const log = await openLog({ host, dir: join(folder, "many"), durability: "no" });
let start = performance.now();
for (let i = 0; i < COUNT; i++) log.append(event);
console.log(`append alone: ${rate(COUNT, start)}`);
await log.close();
start = performance.now();
const again = await openLog({ host, dir: join(folder, "many") });
console.log(`openLog, which checks every record: ${rate(COUNT, start)}`);
start = performance.now();
await again.replay(() => {});
console.log(`replay: ${rate(COUNT, start)}`);
await again.close();
rmSync(folder, { recursive: true });
