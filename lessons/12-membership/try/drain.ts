/** A machine is to be switched off, in order. */
import { Stage } from "../stage.ts";

await Stage.run(["w1"], async (stage) => {
  const { ended } = await stage.submit("report", 3);
  await stage.at(1000);
  const { name, running } = await stage.client.drain("w1");
  stage.act(`${name} is drained: ${running} job runs there`);
  const mail = await stage.submit("mail", 1);
  await ended;
  await stage.pass(1000);
  const { jobs } = await stage.client.status(mail.run);
  stage.say("mail", `waits: ${jobs[0]!.reason}`);
  await stage.client.drain("w1", { undo: true });
  stage.act("no, it stays");
  await mail.ended;
});
