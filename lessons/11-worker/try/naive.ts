/** Three ordinary jobs, run by twenty lines that everybody has written once, and by this chapter's executor. */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createExecutor } from "#exec";
import { nodeWorkerHost } from "#process";

interface Started {
  output(): string;
  bytes(): number;
  stop(): void;
  isOver(): boolean;
}

/** The twenty lines. */
function naive(script: string): Started {
  const child = spawn("sh", ["-c", script]);
  const chunks: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  let over = false;
  child.on("exit", () => (over = true));
  return {
    output: () => Buffer.concat(chunks).toString(),
    bytes: () => chunks.reduce((sum, chunk) => sum + chunk.length, 0),
    stop: () => void child.kill(),
    isOver: () => over,
  };
}

const folder = mkdtempSync(join(tmpdir(), "titan-naive-"));
const executor = createExecutor({ host: nodeWorkerHost(), workDir: folder });
let jobs = 0;
function careful(script: string): Started {
  const chunks: Buffer[] = [];
  let bytes = 0;
  let over = false;
  const request = { run: "r", job: `j${++jobs}`, attempt: 1, worker: "w", env: {}, timeoutMs: 0, graceMs: 100, inputs: [] };
  const running = executor.start({ ...request, action: { type: "shell", script } }, (_stream, chunk) => {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > 100) running.pauseOutput(); // Nobody has read the first of it yet.
  });
  void running.done.then(() => (over = true));
  return { output: () => Buffer.concat(chunks).toString(), bytes: () => bytes, stop: () => running.cancel(), isOver: () => over };
}

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
async function until(ms: number, isTrue: () => boolean): Promise<boolean> {
  for (const end = performance.now() + ms; performance.now() < end; await sleep(5)) if (isTrue()) return true;
  return false;
}
/** A zombie, dead but not yet fetched by its parent, does not count. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !existsSync("/proc/self") || !/\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

const rows: string[][] = [["", "twenty lines", "this chapter"], ["a job with two children, told to stop"], ["a job that ignores SIGTERM, told to stop"], ["a job that prints 100 MB, nobody reads"]];
const strays: number[] = [];
for (const start of [naive, careful]) {
  const family = start("sleep 1000 & echo $!; sleep 1000 & echo $!; wait");
  await until(2000, () => family.output().split("\n").length === 3);
  const children = family.output().trim().split("\n").map(Number);
  family.stop();
  await until(2000, family.isOver);
  await until(300, () => !children.some(isAlive));
  const left = children.filter(isAlive);
  strays.push(...left);
  rows[1]!.push(left.length === 0 ? "no process left" : `${left.length} processes left`);

  const deaf = start("trap '' TERM; echo $$; while :; do sleep 0.02; done");
  await until(2000, () => deaf.output() !== "");
  deaf.stop();
  rows[2]!.push((await until(600, deaf.isOver)) ? "ended" : "still running");
  if (!deaf.isOver()) strays.push(Number(deaf.output()));

  const loud = start("head -c 100000000 /dev/zero");
  await until(300, () => loud.bytes() === 100_000_000);
  rows[3]!.push(`${(loud.bytes() / 1e6).toFixed(1)} MB in memory`);
  loud.stop();
}
for (const row of rows) console.log(`${row[0]!.padEnd(41)}  ${row[1]!.padEnd(18)}  ${row[2]}`);
for (const pid of strays) process.kill(pid, "SIGKILL");
await executor.close();
rmSync(folder, { recursive: true, force: true });
