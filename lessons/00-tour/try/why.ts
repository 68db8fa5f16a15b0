/** One worker with one slot, and seven jobs: six that wait, each for a reason of its own. */
import { readFileSync } from "node:fs";
import { openCluster } from "../cluster.ts";

const cluster = await openCluster();
try {
  await cluster.master();
  await cluster.worker("amber");
  const text = readFileSync(new URL("../why.yaml", import.meta.url), "utf8").replace("/tmp/titan-ink", cluster.path("ink"));
  const run = await cluster.submit("why.yaml", text);
  await cluster.watch(run).seen("hold", "RUNNING");
  const { stdout } = await cluster.titan("status", run);
  console.log("> titan status why");
  console.log(stdout.replaceAll(run, "why-xxxx").trimEnd());
} finally {
  await cluster.close();
}
