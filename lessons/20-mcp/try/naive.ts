/** An assistant that may approve: it has read somewhere that it should. */
import { release, say } from "../assistant.ts";
import { Stage } from "../stage.ts";

await Stage.run(async (stage) => {
  const pipe = stage.pipe({ allowApprove: true });
  await pipe.initialize();
  const run = await release(pipe);
  await stage.titan.wait(run);
  for await (const { data } of stage.titan.logs(run, "ship")) say("ship", data.toString());
});
