/** kill -9 of the master in mid-run: the job does not notice, and ends while nobody is there to be told. */
import { lineText, openCluster, until } from "../cluster.ts";
import { existsSync } from "node:fs";

const cluster = await openCluster();
try {
  const master = await cluster.master();
  await cluster.worker("amber");
  console.log("> titan run book.yaml");
  const run = await cluster.submitBook();
  const watch = cluster.watch(run, (line) => console.log(lineText(line)));
  await watch.seen("typeset", "RUNNING", 1);
  await cluster.printed(`${run}/typeset`, { attempt: 1, text: "page 2" });

  console.log("> kill -9 MASTER");
  await master.kill9();
  const { code, stderr } = await cluster.titan("runs");
  console.log(`> titan runs\n${stderr.split("\n")[0]}\n  exit code ${code}`);
  console.log("> touch ink");
  cluster.touch("ink");
  await until(() => !existsSync(cluster.path("ink")), "the ink to be used"); // the last thing that the job does
  console.log("  the job has ended, and amber has nobody to tell");

  console.log("> titan master --state state");
  const { ready } = await cluster.master();
  const { events, runs } = ready["recovered"] as { events: number; runs: number };
  console.log(`  recovered ${runs} run from ${events} events`);
  await watch.seen("typeset", "WAITING");
  console.log(`attempts of typeset: ${Math.max(...watch.lines.filter(({ job }) => job === "typeset").map(({ attempt }) => attempt))}`);
} finally {
  await cluster.close();
}
