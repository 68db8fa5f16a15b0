/** Two connections to one service, through the master. The program behind the first one stalls. */
import { job, service, Stage } from "../stage.ts";

await Stage.run(["w1"], async (stage) => {
  let sent = 0;
  stage.script = (program) => void program.listen((socket) => {
    const pour = (): void => {
      for (let taken = true; taken;) {
        sent += 100_000;
        taken = socket.write(Buffer.alloc(100_000));
      }
    };
    socket.handle({
      onData: (bytes) => (bytes.length > 4 ? pour() : void socket.write(bytes)),
      onDrain: pour,
      onClose: () => undefined,
    });
  });
  const run = await stage.submit(job("web", service("web")));
  await stage.at(1000);
  const local = await stage.client.forward(run);
  const dial = () =>
    stage.world.host("client").network.dial({ host: "127.0.0.1", port: local.port });
  const stalled = await dial();
  stalled.handle({ onData: () => undefined, onClose: () => undefined });
  stage.act("the first program asks for everything, and does not read");
  stalled.pause();
  stalled.write(Buffer.from("everything"));
  const mb = (): string => `${(sent / 1e6).toFixed(1)} MB`;
  for (const at of [1500, 10_000]) {
    await stage.at(at);
    stage.say("w1", `web could send ${mb()}`);
  }
  const other = await dial();
  other.handle({ onData: (bytes) => stage.say("client", `${bytes}`), onClose: () => undefined });
  stage.act("the second one says ping");
  other.write(Buffer.from("ping"));
  await stage.at(11_000);
  stage.act("the first one reads");
  stalled.resume();
  await stage.at(11_500);
  stage.say("w1", `web could send ${sent > 5e6 ? "much more" : mb()}`);
});
