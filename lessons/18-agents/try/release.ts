/** The release: a person sees the call, and changes its arguments. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "#sdk";
import { show } from "../stage.ts";

await show("examples/release/release.yaml", "publish", answer);

/** Ada answers when the agent has gone away. */
async function answer(titan: Client, run: string): Promise<void> {
  for (;;) {
    const [gate] = await titan.gates();
    const { jobs } = await titan.status(run, "publish");
    if (gate !== undefined && jobs[0]?.status === "WAITING") {
      console.log(`ada reads: ${gate.message.slice(0, 76)}…`);
      const args = '{"version": "2.0.0", "channel": "beta", "notes": "Breaking: durations are checked."}';
      await titan.decide(gate.id, { approve: true, by: "ada", values: { arguments: args } });
      return;
    }
    await sleep(50);
  }
}
