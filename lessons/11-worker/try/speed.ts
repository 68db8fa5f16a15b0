/**
 * How many jobs a second, by the way they are started. Each is /bin/true, four at a time; the last two are calls.
 * A number behind it multiplies the jobs, for steadier rates.
 */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createExecutor, type ExecRequest } from "#exec";
import { nodeWorkerHost } from "#process";

async function measure(name: string, count: number, atOnce: number, run: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const before = performance.now();
  await Promise.all(Array.from({ length: atOnce }, async () => {
    while (next < count) await run(next++);
  }));
  const perSecond = (count / (performance.now() - before)) * 1000;
  console.log(`${name.padEnd(34)} ${Math.round(perSecond).toLocaleString("en-US").padStart(8)} jobs/s`);
}

const scale = Number(process.argv[2] ?? 1);
await measure("fork Node", 200 * scale, 4, () => new Promise((resolve) => spawn("/bin/true").on("exit", resolve)));
const host = nodeWorkerHost();
await measure("a line to a launcher", 400 * scale, 4, () => new Promise((resolve) => {
  host.processes.spawn({ argv: ["/bin/true"], cwd: "/", env: {}, onOutput: () => undefined, onExit: resolve });
}));
const folder = mkdtempSync(join(tmpdir(), "titan-speed-"));
const executor = createExecutor({ host, workDir: folder });
const project = join(folder, "project");
mkdirSync(project);
writeFileSync(join(project, "m.mjs"), "export const nothing = () => {};");
const given = { run: "r", attempt: 1, worker: "w", env: {}, timeoutMs: 60_000, inputs: [] };
const attempt = (i: number, more: Pick<ExecRequest, "action" | "project">) =>
  executor.start({ ...given, job: `j${i}`, ...more }, () => undefined).done;
const call = (target: string) => ({ type: "call", target, input: Buffer.alloc(0) }) as const;
await measure("an attempt: folder, timeout, result", 400 * scale, 4, (i) => attempt(i, { action: { type: "command", argv: ["/bin/true"] } }));
const module = { project, action: call("m.mjs#nothing") };
await measure("a module's call, 8 at a time", 2000 * scale, 8, (i) => attempt(i, module));
await measure("a built-in call, 64 at a time", 10_000 * scale, 64, (i) => attempt(i, { action: call("titan:noop") }));
await executor.close();
rmSync(folder, { recursive: true, force: true });
