/** A gate that wants two people is open over a weekend, and its master dies meanwhile. */
import { asks, job, Stage } from "../stage.ts";

await Stage.run(async (stage) => {
  const run = await stage.submit("release", asks("build", { required: 2 }), job("ship", [0]));
  await stage.pass(120_000);
  await stage.submit("nightly", job("backup"));
  await stage.hours(2);
  await stage.answer("ada", run, true);
  await stage.answer("ada", run, true);
  await stage.hours(10);
  stage.act("the master dies");
  stage.world.crash("m");
  await stage.hours(5);
  stage.act("it starts again");
  await stage.startMaster();
  await stage.show(run);
  await stage.hours(10);
  await stage.answer("bob", run, true);
  await stage.answer("eve", run, false);
  await stage.pass(120_000);
  await stage.show(run);
});
