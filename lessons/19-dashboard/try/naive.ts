/** Two pages that show a state that never was: one asks again and again, one is cut and goes on. */
import { Stage } from "../stage.ts";

await Stage.run(async (stage) => {
  const { client } = stage;
  console.log("── a page that asks every two seconds: for the list of runs, and then for the jobs");
  const run = await stage.submit("release", "build", "test", "ship");
  await stage.pass(1800);
  for (let round = 0; round < 3; round++) {
    const [release] = await client.runs();
    await stage.pass(400); // the network
    const { jobs } = await client.status(run);
    const shown = jobs.map(({ id, status }) => `${id} ${status}`).join(", ");
    stage.say("page", `release ${release!.status}: ${shown}`);
    await stage.pass(1600);
  }
  console.log("── a page that hears of each event, and is unplugged for three seconds");
  const seen = new Map([["build", "PENDING"], ["test", "PENDING"], ["ship", "PENDING"]]);
  let isPlugged = true;
  const following = new AbortController();
  void (async () => {
    for await (const { facts } of client.facts({ signal: following.signal })) {
      for (const { type, text } of facts) {
        const { job } = JSON.parse(text) as { job?: string };
        if (!isPlugged || job === undefined) continue;
        seen.set(job, type === "JobStarted" ? "RUNNING" : "COMPLETED");
      }
    }
  })().catch(() => undefined);
  await stage.submit("release", "build", "test", "ship");
  for (const [ms, what, after] of [
    [2500, "is unplugged", false], [3000, "is plugged in", true], [1500, "", true],
  ] as const) {
    await stage.pass(ms);
    stage.say("page", [...seen].map(([id, status]) => `${id} ${status}`).join(", "));
    if (what !== "") stage.say("page", what);
    isPlugged = after;
  }
  following.abort();
});
