/** A gate outlives its master, opens once, and everything that happened is in the log. */
import { Event } from "#core";
import { nodeHost } from "#host";
import { openLog } from "#log";
import { openCluster } from "../cluster.ts";

const cluster = await openCluster();
try {
  const first = await cluster.master();
  await cluster.worker("amber");
  cluster.touch("ink");
  const run = await cluster.submitBook();
  const watch = cluster.watch(run);
  await watch.seen("typeset", "WAITING");
  const say = async (...args: string[]): Promise<void> => {
    const { code, stdout } = await cluster.titan(...args.map((arg) => arg.replace("book", run)));
    console.log(`> titan ${args.map((arg) => (arg.includes(" ") ? `"${arg}"` : arg)).join(" ")}`);
    console.log(stdout.replaceAll(run, "book-xxxx").replace(/ by .* at /, " by you at ").trimEnd());
    if (code !== 0) console.log(`exit code ${code}`);
  };

  await say("gates");
  console.log("> kill -9 MASTER; titan master --state state");
  await first.kill9();
  const second = await cluster.master();
  await say("approve", "book/typeset", "--comment", "read it twice");
  await say("reject", "book/typeset");
  await watch.seen("print", "COMPLETED");

  console.log("> kill -9 MASTER");
  await second.kill9();
  await say("log", "verify", "state");
  const log = await openLog({ host: nodeHost(), dir: cluster.path("state/log") });
  await log.replay((seq, body) => console.log(`  ${String(seq).padStart(2)} ${describe(Event.decode(body))}`));
  await log.close();
} finally {
  await cluster.close();
}

function describe(event: Event): string {
  const jobs = ["typeset", "print"];
  switch (event.type) {
    case "WorkerJoined": return `WorkerJoined  ${event.name}`;
    case "RunSubmitted": return `RunSubmitted  ${event.spec.name}, ${event.spec.jobs.length} jobs`;
    case "JobStarted": return `JobStarted    ${jobs[event.job]}, attempt ${event.attempt}`;
    case "JobSucceeded": return `JobSucceeded  ${jobs[event.job]}, attempt ${event.attempt}`;
    case "GateDecided": return `GateDecided   ${jobs[event.job]}, ${event.approve ? "approved" : "rejected"}: ${event.comment}`;
    default: return event.type;
  }
}
