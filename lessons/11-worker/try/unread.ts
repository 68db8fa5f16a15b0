/** A job that prints for ever, and a reader that stops after the first chunk: where do the bytes wait? */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createExecutor } from "#exec";
import { nodeWorkerHost } from "#process";

const folder = mkdtempSync(join(tmpdir(), "titan-unread-"));
const host = nodeWorkerHost();
const executor = createExecutor({ host, workDir: folder });
const sleep = (ms: number) => new Promise<void>((resolve) => void host.timers.after(ms, resolve));
const counter = join(folder, "counter");

let received = 0;
// The job writes down how much it got rid of, 1,000 bytes at a time.
const script = `n=0; block=$(printf '%01000d' 0); while :; do printf %s "$block"; n=$((n + 1000)); echo $n >${counter}; done`;
const request = { run: "r", job: "j", attempt: 1, worker: "w", env: {}, timeoutMs: 0, inputs: [] };
const running = executor.start({ ...request, action: { type: "shell", script } }, (_stream, bytes) => {
  if (received === 0) running.pauseOutput(); // The first chunk is one too many.
  received += bytes.length;
});
let count = -1;
/** What the job has written down. The file is empty for a moment whenever it writes. */
const written = () => (count = existsSync(counter) ? Number(readFileSync(counter, "utf8").trim() || count) : -1);
const report = (when: string) => console.log(`${when}: the pipe holds ${((written() - received) / 1000).toFixed(0)} kB`);

/** Waits until the count has not moved for a while: the pipe is full, or the job is stuck. */
async function settle(): Promise<void> {
  for (let last = -2; last < 0 || written() !== last; await sleep(200)) last = written();
}

await settle();
const before = written();
report("nobody reads");
await sleep(300);
report("still nobody");
console.log(written() === before ? "the job has not printed one byte more" : "the job went on printing");
running.resumeOutput();
for (let i = 0; i < 300 && written() === before; i++) await sleep(10);
console.log(written() > before ? "somebody reads: it goes on" : "stuck");
running.pauseOutput();
running.cancel();
console.log(`cancelled, and nobody reads: ${(await running.done).signal}`);
await executor.close();
rmSync(folder, { recursive: true, force: true });
