/** This time it is the master that stops, for 10 s. Who is to blame? */
import { Stage } from "../stage.ts";

await Stage.run(["w1", "w2"], async (stage) => {
  const { ended } = await stage.submit("report", 15);
  await stage.at(1000);
  stage.act("the master is stopped");
  stage.world.pause("m");
  await stage.at(11_000);
  stage.act("the master continues");
  stage.world.resume("m");
  await ended;
});
