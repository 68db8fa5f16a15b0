/** The answer to the exercise: where the four jobs of puzzle.yaml go, and why one of them waits. */
import { readFileSync } from "node:fs";
import { openCluster, until } from "../cluster.ts";

const cluster = await openCluster();
try {
  await cluster.master();
  await cluster.worker("amber", "--tags", "GPU");
  await cluster.worker("birch", "--slots", "2");
  const text = readFileSync(new URL("../puzzle.yaml", import.meta.url), "utf8").replaceAll("/tmp/titan-ink", cluster.path("ink"));
  const run = await cluster.submit("puzzle.yaml", text);
  const watch = cluster.watch(run);
  await until(() => watch.lines.filter(({ status }) => status === "RUNNING").length === 3, "three jobs on three slots");
  const { stdout } = await cluster.titan("status", run);
  console.log(stdout.replaceAll(run, "puzzle-xxxx").trimEnd());
} finally {
  await cluster.close();
}
