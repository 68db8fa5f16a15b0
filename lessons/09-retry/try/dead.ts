/** A dead letter in a real cluster: one worker is lost, two tries are spent, a person mends what was wrong and tries again. */
import { openCluster } from "../../00-tour/cluster.ts";

const YAML = `name: nightly
jobs:
  - id: load
    run: 'if [ "$TITAN_ATTEMPT" = 1 ]; then echo started; sleep 60; fi; sleep 0.3; cat FOLDER/figures'
    retry: {max_attempts: 2, delay: 0.1}
  - id: report
    depends_on: [load]
    run: echo done
`;

const cluster = await openCluster();
let run = "";
/** As the terminal shows it, but for the part of the run's id that is chance. */
const show = (text: string): void => void process.stdout.write(text.replaceAll(run, "nightly-7k2m").replace(/^(?=.)/gm, "  "));
try {
  await cluster.master();
  const amber = await cluster.worker("amber");
  run = await cluster.submit("nightly.yaml", YAML.replace("FOLDER", cluster.folder));
  const watch = cluster.watch(run);
  await watch.seen("load", "RUNNING", 1); // it takes a moment to begin, and shows no change before
  await cluster.printed(`${run}/load`, { attempt: 1, text: "started" });
  console.log("> kill -9 AMBER, which runs load");
  await amber.kill9();
  await cluster.worker("birch");
  await watch.seen("load", "DEAD");
  for (const { job, status, attempt, worker } of watch.lines.filter(({ job }) => job === "load")) {
    if (status === "RUNNING") console.log(`  attempt ${attempt} on ${worker}`);
    if (status === "DEAD") console.log(`  ${job} is ${status}`);
  }
  console.log("> titan dead");
  show((await cluster.titan("dead")).stdout);
  console.log(`> touch figures\n> titan retry nightly --from load`);
  cluster.touch("figures");
  show((await cluster.titan("retry", run, "--from", "load")).stdout);
  await cluster.watch(run).seen("report", "COMPLETED");
  console.log("  report is COMPLETED");
} finally {
  await cluster.close();
}
