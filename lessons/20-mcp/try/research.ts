/** The scripted assistant of examples/, before a cluster of its own and a real `titan mcp`. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { hostPort } from "#base";
import { startEmbeddedCluster } from "#cluster";
import { ensureBuilt, ROOT } from "../../../scripts/bootstrap.mjs";

await ensureBuilt();
const cluster = await startEmbeddedCluster({ workers: 1, slots: 4 });
const assistant = fileURLToPath(new URL("../examples/assistant.mjs", import.meta.url));
const server = [process.execPath, join(ROOT, "dist", "cli", "main.js"), "mcp"];
const env = { ...process.env, TITAN_MASTER: hostPort(cluster.master), TITAN_TOKEN: cluster.token ?? "" };
const child = spawn(process.execPath, [assistant, ...server], { stdio: "inherit", env });
process.exitCode = await new Promise<number>((resolve) => child.on("exit", (code) => resolve(code ?? 1)));
await cluster.stop();
