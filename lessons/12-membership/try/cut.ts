/** The same closed connection twice: once somebody pulled the cable, once the machine is gone. */
import { Stage } from "../stage.ts";

await Stage.run(["w1", "w2"], async (stage) => {
  const { ended } = await stage.submit("report", 3);
  await stage.at(1000);
  stage.act("the connection of w1 is cut");
  stage.world.cut("m", "w1");
  await stage.at(2000);
  stage.act("w1 loses its power");
  stage.world.crash("w1");
  await ended;
});
