/** Three jobs with a timeout: one that obeys, one that tidies up first, one that is deaf. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createExecutor } from "#exec";
import { nodeWorkerHost } from "#process";

const folder = mkdtempSync(join(tmpdir(), "titan-deaf-"));
const executor = createExecutor({ host: nodeWorkerHost(), workDir: folder });
const scripts = {
  obeys: "sleep 1000",
  tidies: "trap 'echo checkpoint written; exit 0' TERM; while :; do sleep 0.01; done",
  deaf: "trap '' TERM; while :; do sleep 0.01; done",
};
for (const [job, script] of Object.entries(scripts)) {
  const request = { run: "r", job, attempt: 1, worker: "w", env: {}, timeoutMs: 150, graceMs: 300, inputs: [] };
  let output = "";
  const { message, exitCode, signal, durationMs } = await executor.start({ ...request, action: { type: "shell", script } }, (stream, bytes) => {
    if (stream === "stdout") output += bytes;
  }).done;
  console.log(`${job}: ${message}`);
  console.log(`  after ${durationMs.toFixed(0)} ms, ${signal ? `by ${signal}` : `by itself, exit code ${exitCode}`}${output && `, having said: ${output.trim()}`}`);
}
await executor.close();
rmSync(folder, { recursive: true, force: true });
