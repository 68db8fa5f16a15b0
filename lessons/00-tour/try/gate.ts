/** A gate outlives its master, opens once, and everything that happened is in the log. */
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
    const text = stdout.replaceAll(run, "book-xxxx").replace(/ by .* at /, " by you at ");
    console.log(text.replace(/by \S+@\S+:/, "by you:").replace(/key cli-\w+/, "key cli-…").trimEnd());
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
  await say("eventlog", "show", "state");
} finally {
  await cluster.close();
}
