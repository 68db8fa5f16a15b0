/** Cuts a log at every byte, opens what is left, and says what came back. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nodeHost } from "#host";
import { openLog } from "#log";

const folder = mkdtempSync(join(tmpdir(), "titan-cut-"));
process.chdir(folder);
const events = ["submitted", "dispatched", "started", "completed", "archived"];
const log = await openLog({ host: nodeHost(), dir: "log" });
for (const event of events) log.append(Buffer.from(event));
await log.close();

const segment = join("log", "0000000000000001.seg");
const whole = readFileSync(segment);
const rows = new Map<string, { first: number; last: number }>();
for (let size = 0; size <= whole.length; size++) {
  writeFileSync(segment, whole.subarray(0, size));
  const opened = await openLog({ host: nodeHost(), dir: "log" }).catch(() => undefined);
  if (opened === undefined) {
    rows.set("refused", { first: rows.get("refused")?.first ?? size, last: size });
    continue;
  }
  const found: string[] = [];
  await opened.replay((_, body) => found.push(String(body)));
  await opened.close();
  const shown = found.join(", ") || "nothing";
  rows.set(shown, { first: rows.get(shown)?.first ?? size, last: size });
  if (found.some((event, index) => event !== events[index])) throw new Error(`not a prefix: ${shown}`);
}
for (const [shown, { first, last }] of rows) {
  console.log(`${String(first).padStart(3)} to ${String(last).padStart(3)} bytes left: ${shown}`);
}
console.log(`${whole.length + 1} cuts, always a prefix or a refusal`);
rmSync(folder, { recursive: true });
