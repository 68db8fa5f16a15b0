/** The life of a service: it starts late, is killed, hangs, is blocked by a stranger on its port, and is stopped. */
import { job, service, Stage } from "../stage.ts";

await Stage.run(["w1"], async (stage) => {
  let startMs = 300;
  stage.script = (program) => void stage.pass(startMs).then(() => program.listen());
  const run = await stage.submit(job("web", service("web", { port: 8080 })), job("smoke", { dependsOn: [0] }));
  await stage.at(1000);
  stage.programs.at(-1)!.exit(0);
  await stage.at(2000);
  startMs = 10;
  stage.act("it is killed");
  stage.programs[0]!.exit(137);
  await stage.at(5000);
  stage.act("it hangs: its port takes no connection any more");
  await stage.programs.at(-1)!.hang();
  await stage.at(21_000);
  stage.act("it ends, and a stranger takes its port for five seconds");
  stage.programs.at(-1)!.exit(1);
  await stage.pass(1);
  const stranger = await stage.world.host("w1").network.listen({ host: "127.0.0.1", port: 8080 }, (socket) => socket.destroy());
  await stage.pass(5000);
  await stranger.close();
  await stage.at(36_000);
  stage.act("titan stop");
  await stage.client.stop(run);
  await stage.pass(100);
});
