/**
 * One role of a benchmark cluster, as a process of its own: `role.ts master DIR` or `role.ts worker
 * DIR PORT SLOTS`. Prints one JSON line when ready.
 */
import { createExecutor } from "#exec";
import { nodeWorkerHost } from "#process";
import { startMaster } from "#master";
import { startWorker } from "#worker";

const [role, dir = "", port = "0", slots = "1"] = process.argv.slice(2);
const host = nodeWorkerHost();
let stop: () => Promise<void>;
if (role === "master") {
  const listen = { host: "127.0.0.1", port: 0 };
  const onFatal = (error: Error): never => { throw error; };
  // With an id, so that jobs get the shared folder that they get in a cluster of `titan up`.
  const master = await startMaster({ host, dir, listen, cluster: "bench", onFatal });
  stop = () => master.stop();
  console.log(JSON.stringify({ port: master.port }));
} else {
  await host.storage.mkdir(dir); // the shared root's own folder has to be there, as /tmp is
  const baseEnv = { PATH: process.env.PATH ?? "" };
  const folders = { workDir: `${dir}/work`, sharedRoot: `${dir}/shared` };
  const executor = createExecutor({ host, ...folders, baseEnv });
  const worker = startWorker({
    host,
    master: { host: "127.0.0.1", port: Number(port) },
    slots: Number(slots),
    executor,
    cacheDir: `${dir}/cache`,
  });
  await worker.ready;
  stop = () => worker.stop();
  console.log(JSON.stringify({ ready: true }));
}
// The parent closes our stdin when it is done with us, or when it dies.
process.stdin.resume().on("end", () => void stop().then(() => process.exit(0)));
