/** Flips one bit, first in the last record and then in the middle, and lets the log and its tools comment. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nodeHost } from "#host";
import { LogError, openLog, repairLog, verifyLog } from "#log";

const folder = mkdtempSync(join(tmpdir(), "titan-damage-"));
process.chdir(folder);
const host = nodeHost();
const log = await openLog({ host, dir: "log" });
for (let group = 0; group < 3; group++) {
  for (let i = 1; i <= 4; i++) log.append(Buffer.from(`event ${group * 4 + i}`));
  await log.durable();
}
await log.close();
const segment = join("log", "0000000000000001.seg");
const whole = readFileSync(segment);

for (const event of ["event 12", "event 7"]) {
  const flipped = Buffer.from(whole);
  const at = flipped.indexOf(event);
  flipped[at] = (flipped[at] as number) ^ 1;
  writeFileSync(segment, flipped);
  console.log(`\n${event}, one bit flipped at byte ${at}`);
  try {
    const opened = await openLog({ host, dir: "log" });
    const { recovery, nextSeq } = opened;
    console.log(`opens: next record is ${nextSeq}, ${recovery.tornBytes} torn bytes cut from ${recovery.tornFile}`);
    await opened.close();
  } catch (error) {
    if (!(error instanceof LogError)) throw error;
    console.log(`${error.code}: ${error.message}`);
  }
}

console.log("\nverify");
for (const { file, offset, what } of (await verifyLog(host, "log")).problems) console.log(`${file}: ${offset}: ${what}`);
console.log("\nrepair");
const { moved, keptTo } = await repairLog(host, "log");
for (const { offset, bytes, to } of moved) console.log(`bytes from ${offset} on (${bytes} of them) moved to ${to}`);
console.log(`kept records 1 to ${keptTo}`);
const repaired = await openLog({ host, dir: "log" });
console.log(`opens: next record is ${repaired.nextSeq}`);
await repaired.close();
rmSync(folder, { recursive: true });
