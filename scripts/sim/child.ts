/**
 * Lives the seeds that it is told, one after the other, and says of each how it went. Ends when its
 * parent does.
 */
import { generatePlan, simulate } from "#simulation";
import { summaryOf } from "./totals.ts";

process.on("message", async ({ seed }: { seed: number }) => {
  const outcome = await simulate(generatePlan(seed));
  process.send!(summaryOf(outcome));
});
process.on("disconnect", () => process.exit(0));
// Ctrl-C reaches the whole group; the parent still wants to print what there is.
process.on("SIGINT", () => undefined);
