/** Three ways to keep "who has paid what" on disk, each cut at every byte and each with every bit flipped. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nodeHost } from "#host";
import { openLog } from "#log";

const PAYMENTS = ["ann 1250", "bob 80", "cid 4000", "dan 7", "eve 310"];

/** What a reader gets back, or undefined when it refuses. */
type Read = (bytes: Buffer) => Promise<string[] | undefined>;

const wholeFile = Buffer.from(JSON.stringify(PAYMENTS));
const readWhole: Read = async (bytes) => {
  try {
    return JSON.parse(String(bytes)) as string[];
  } catch {
    return undefined;
  }
};

const lines = Buffer.from(PAYMENTS.map((line) => `${line}\n`).join(""));
const readLines: Read = async (bytes) => String(bytes).split("\n").filter((line) => line !== "");

const folder = mkdtempSync(join(tmpdir(), "titan-naive-"));
process.chdir(folder);
const log = await openLog({ host: nodeHost(), dir: "log" });
for (const payment of PAYMENTS) log.append(Buffer.from(payment));
await log.close();
const segment = join("log", "0000000000000001.seg");
const records = readFileSync(segment);
const readLog: Read = async (bytes) => {
  writeFileSync(segment, bytes);
  try {
    const opened = await openLog({ host: nodeHost(), dir: "log", durability: "no" });
    const found: string[] = [];
    await opened.replay((_, body) => found.push(String(body)));
    await opened.close();
    return found;
  } catch {
    return undefined;
  }
};

/** A truth is a prefix of what was written. */
function judge(found: string[] | undefined): "refused" | "a prefix" | "LIES" {
  if (found === undefined) return "refused";
  return found.every((payment, index) => payment === PAYMENTS[index]) ? "a prefix" : "LIES";
}

async function survey(name: string, bytes: Buffer, read: Read): Promise<void> {
  const cuts = { refused: 0, "a prefix": 0, LIES: 0 };
  for (let size = 0; size < bytes.length; size++) cuts[judge(await read(bytes.subarray(0, size)))]++;
  const flips = { refused: 0, "a prefix": 0, LIES: 0 };
  for (let bit = 0; bit < bytes.length * 8; bit += 3) {
    const flipped = Buffer.from(bytes);
    flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
    flips[judge(await read(flipped))]++;
  }
  for (const [what, counts] of [["cut", cuts], ["bit flipped", flips]] as const) {
    const columns = [counts.refused, counts["a prefix"], counts.LIES].map((count) => String(count).padStart(9));
    console.log(`${name.padEnd(20)}${what.padEnd(12)}${columns.join("")}`);
  }
}

console.log(`${" ".repeat(32)}  refused a prefix     LIES`);
await survey("JSON, rewritten", wholeFile, readWhole);
await survey("lines, appended", lines, readLines);
await survey("this chapter's log", records, readLog);
rmSync(folder, { recursive: true });
