/** The same assistant, twice: before a client that cannot ask its person, and before one that can. */
import { release, say } from "../assistant.ts";
import { Stage } from "../stage.ts";

await Stage.run(async (stage) => {
  console.log("── a client that cannot ask");
  const plain = stage.pipe();
  await plain.initialize();
  await release(plain);

  console.log("── a client that can");
  const asking = stage.pipe();
  await asking.initialize("2025-11-25", { elicitation: {} });
  const over = release(asking);
  const { id, params } = await asking.next();
  say("person", `is asked: ${params.message.replaceAll("\n", " · ")}`);
  say("person", "declines");
  asking.send({ jsonrpc: "2.0", id, result: { action: "decline" } });
  await over;
  say("titan", `${(await stage.titan.gates()).length} gates are open`);
});
