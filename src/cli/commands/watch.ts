/** `titan watch`: watch a run that somebody else submitted, or that we left, to its end. */
import { dialer, openClient } from "../address.ts";
import type { Call, Command } from "../command.ts";
import { findRun } from "../refs.ts";
import { watchToEnd } from "../watch.ts";

export const watch: Command = {
  name: "watch",
  summary: "watch a run until it ends",
  usage: "RUN",
  args: [1, 1],
  flags: {
    timeout: {
      type: "string",
      value: "TIME",
      summary: "stop watching after this long (90s, 10m, 2h): exit 124",
    },
  },
  notes: [
    "Exit codes as for titan run: 0 completed, 3 failed or cancelled, 124 --timeout, " +
      "130 interrupted. Leaving never cancels.",
  ],
  examples: [
    "titan watch nightly-7k2m",
    "titan watch nightly --json | jq -c 'select(.type == \"job\")'",
  ],
  async run(call: Call): Promise<number> {
    const timeoutMs = await call.durationMs("timeout");
    const client = await openClient(call);
    const run = await findRun(client, call.args[0]!);
    const flag = call.text("master");
    const where = flag === undefined ? "" : ` --master ${flag}`;
    const redial = dialer(call);
    const target = { client, redial, cluster: undefined, where };
    return watchToEnd(call, { ...target, run, timeoutMs, toEnd: true });
  },
};
