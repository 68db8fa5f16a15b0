/** Nobody answers, and the master is not there when the time is up. */
import { asks, job, Stage } from "../stage.ts";

await Stage.run(async (stage) => {
  const run = await stage.submit("release", asks("build"), job("ship", [0]));
  await stage.hours(40);
  stage.act("the master dies");
  stage.world.crash("m");
  await stage.hours(20);
  stage.act("it starts again, 12 hours after the deadline");
  await stage.startMaster();
  await stage.pass(1000);
  await stage.show(run);
  await stage.answer("ada", run, true);
});
