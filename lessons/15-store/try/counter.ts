/** Two jobs, a thousand increments each: of a number in a file that both can reach, and of a key in a store. */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nodeHost } from "#host";
import { openStore, StoreClient, startStore } from "#store";

const TIMES = 1000;
const folder = mkdtempSync(join(tmpdir(), "titan-counter-"));

// What a job's program may look like. Each is a process of its own, in plain JavaScript; it begins when it is told to.
const overFile = `
  import { readFileSync, writeFileSync } from "node:fs";
  for (let i = 0; i < ${TIMES}; i++) writeFileSync("visits.txt", String(Number(readFileSync("visits.txt")) + 1));`;
const overStore = `
  import { connect } from "node:net";
  const socket = connect(Number(process.env.PORT), "127.0.0.1");
  let answers = "";
  socket.on("data", (bytes) => (answers += bytes).split("\\r\\n").length > ${TIMES} && socket.end());
  socket.write("INCR visits\\r\\n".repeat(${TIMES}));`;

/** Runs two of them at once. */
async function twoJobs(program: string, env: Record<string, string> = {}): Promise<void> {
  const wait = 'await new Promise((go) => { process.stdin.once("data", go); process.stdout.write("ready"); });\nprocess.stdin.destroy();';
  const source = `${wait}\n${program.replace(/^ *import (.*) from (".*");/m, "const $1 = await import($2);")}`;
  const jobs = [1, 2].map(() => spawn(process.execPath, ["--input-type=module", "-e", source], { cwd: folder, env: { ...process.env, ...env }, stdio: ["pipe", "pipe", "inherit"] }));
  const ends = jobs.map((job) => new Promise((resolve) => job.on("exit", resolve)));
  await Promise.all(jobs.map((job) => new Promise((resolve) => job.stdout.once("data", resolve))));
  for (const job of jobs) job.stdin.write("go");
  await Promise.all(ends);
}

console.log(`two jobs, ${TIMES} increments each`);
writeFileSync(join(folder, "visits.txt"), "0");
await twoJobs(overFile);
const left = Number(readFileSync(join(folder, "visits.txt"), "utf8"));
console.log(`the file says ${left}`);
console.log(left === 2 * TIMES ? "which is luck: do it again" : "which is too few, and both jobs ended well");

const host = nodeHost();
const opened = await openStore({ host });
const server = await startStore({ host, store: opened.store, listen: { host: "127.0.0.1", port: 0 } });
await twoJobs(overStore, { PORT: String(server.port) });
const client = await StoreClient.connect({ host, url: `redis://127.0.0.1:${server.port}` });
console.log(`the store says ${await client.call("GET", "visits") as string}`);
client.close();
await server.close();
await opened.close();
rmSync(folder, { recursive: true });
