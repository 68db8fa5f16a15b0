/** kill -9 of a worker in mid-job: the job starts again on another one. */
import { lineText, openCluster } from "../cluster.ts";

const cluster = await openCluster();
try {
  await cluster.master();
  const amber = await cluster.worker("amber");
  await cluster.worker("birch");
  console.log("a master; amber and birch, two workers with one slot each");

  console.log("> titan run book.yaml");
  const run = await cluster.submitBook();
  const watch = cluster.watch(run, (line) => console.log(lineText(line)));
  await watch.seen("typeset", "RUNNING", 1);
  await cluster.printed(`${run}/typeset`, { attempt: 1, text: "page 2" });

  console.log("> kill -9 AMBER");
  const killedAt = Date.now();
  await amber.kill9();
  const second = await watch.seen("typeset", "RUNNING", 2);
  await cluster.printed(`${run}/typeset`, { attempt: 2, text: "page 2" });
  console.log("> touch ink");
  cluster.touch("ink");
  await watch.seen("typeset", "WAITING", 2);

  for (const attempt of ["1", "2"]) {
    console.log(`> titan logs book/typeset --attempt ${attempt}`);
    process.stdout.write((await cluster.titan("logs", `${run}/typeset`, "--attempt", attempt)).stdout);
  }
  console.log(`from the kill to the second attempt: ${second.at - killedAt} ms`);
} finally {
  await cluster.close();
}
