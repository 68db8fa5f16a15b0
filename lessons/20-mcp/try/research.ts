/** The scripted assistant of examples/, before a cluster of its own and a real `titan mcp`. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { hostPort } from "#base";
import { startEmbeddedCluster } from "#cluster";
import { ensureBuilt, ROOT } from "../../../scripts/bootstrap.mjs";

await ensureBuilt();
const cluster = await startEmbeddedCluster({ workers: 1, slots: 4 });
const assistant = fileURLToPath(new URL("../examples/assistant.mjs", import.meta.url));
const server = [process.execPath, join(ROOT, "dist", "cli", "main.js"), "mcp"];
const env = { ...process.env, TITAN_MASTER: hostPort(cluster.master), TITAN_TOKEN: cluster.token ?? "" };
const child = spawn(process.execPath, [assistant, ...server], { stdio: ["ignore", "pipe", "inherit"], env });
// The id of the run is another one each time.
createInterface({ input: child.stdout }).on("line", (line) => console.log(line.replace(/\bpi-[a-z0-9]{4}\b/g, "pi-7k2m")));
process.exitCode = await new Promise<number>((resolve) => child.on("close", (code) => resolve(code ?? 1)));
await cluster.stop();
