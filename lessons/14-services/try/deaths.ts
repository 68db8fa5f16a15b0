/** Its master dies, and it does not notice. Its worker freezes, and it moves. The worker thaws. */
import { job, service, Stage } from "../stage.ts";

await Stage.run(["w1", "w2"], async (stage) => {
  stage.script = (program) => {
    stage.say(program.request.worker, `starts web#${program.request.attempt}`);
    void program.listen();
  };
  await stage.submit(job("web", service("web")));
  await stage.at(1000);
  stage.act("the master dies, and another one starts");
  stage.world.crash("m");
  await stage.startMaster();
  await stage.at(4000);
  stage.client.close();
  stage.say("w1", `has started ${stage.programs.length} program in all`);
  stage.act("w1 is frozen");
  stage.world.pause("w1");
  await stage.at(10_000);
  stage.act("w1 thaws");
  stage.world.resume("w1");
  await stage.at(12_000);
});
