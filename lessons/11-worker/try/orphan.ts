/** Kills a process that runs jobs, as hard as can be, and looks for what it left. `child` is the process that runs them. */
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { nodeProcesses } from "#process";

/** A zombie, dead but not yet fetched by its parent, does not count. */
const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return !existsSync("/proc/self") || !/\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
};

if (process.argv[2] === "child") {
  const script = "sleep 1000 & echo $!; sleep 1000 & echo $!; wait";
  nodeProcesses().spawn({
    argv: ["sh", "-c", script], cwd: "/", env: { PATH: process.env["PATH"] ?? "/bin:/usr/bin" },
    onOutput: (_stream, bytes) => void process.stdout.write(bytes),
    onExit: () => undefined,
  });
} else {
  const child = spawn(process.execPath, [...process.execArgv, fileURLToPath(import.meta.url), "child"], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  await new Promise<void>((resolve) => child.stdout.on("data", (bytes) => (output += bytes).split("\n").length > 2 && resolve()));
  const pids = output.trim().split("\n").map(Number);
  console.log(`the job has ${pids.filter(isAlive).length} children`);
  child.kill("SIGKILL");
  const killed = performance.now();
  while (pids.some(isAlive) && performance.now() < killed + 3000) await new Promise((resolve) => setTimeout(resolve, 1));
  console.log(`${pids.filter(isAlive).length} of them are left, ${(performance.now() - killed).toFixed(0)} ms after kill -9`);
}
