/** A worker is frozen past its lease, and wakes up: what becomes of its result? `freeze 12`: of a job that takes 12 s. */
import { Stage } from "../stage.ts";

await Stage.run(["w1", "w2"], async (stage) => {
  const { ended } = await stage.submit("report", Number(process.argv[2] ?? 6));
  await stage.at(2000);
  stage.act("w1 is frozen");
  stage.world.pause("w1");
  await stage.at(9000);
  stage.act("w1 thaws");
  stage.world.resume("w1");
  await stage.at(10_000);
  const { refused } = await stage.client.info();
  if (refused > 0) stage.say("master", `has refused ${refused} report`);
  await ended;
});
