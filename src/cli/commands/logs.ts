/** `titan logs`: what a job printed, byte for byte, each stream to its own. */
import { openMaster } from "../address.ts";
import type { Call, Command } from "../command.ts";
import { EXIT } from "../exit.ts";
import { parseJobRef, withRun } from "../refs.ts";

const MAX_ATTEMPT = 2 ** 32 - 1;

export const logs: Command = {
  name: "logs",
  summary: "what a job printed; -f follows it",
  usage: "RUN/JOB",
  args: [1, 1],
  flags: {
    follow: { type: "boolean", short: "f", summary: "go on until the attempt ends" },
    attempt: { type: "string", value: "N", summary: "of an earlier attempt (default: the latest)" },
  },
  notes: [
    "Its stdout comes to stdout and its stderr to stderr, unchanged. With --json each piece is a line: stream, at (ms since 1970), and data (text, or base64 where it is no UTF-8).",
  ],
  examples: ["titan logs nightly-7k2m/train", "titan logs nightly-7k2m/train -f", "titan logs nightly/train --attempt 1 2>/dev/null"],
  async run(call: Call): Promise<number> {
    const { context } = call;
    const { run: typed, job } = parseJobRef(call.args[0]!);
    const attempt = call.count("attempt", { min: 1, max: MAX_ATTEMPT }) ?? 0;
    const client = await openMaster(call);
    await withRun(client, typed, async (run) => {
      for await (const { stream, at, data } of client.logs(run, job, { attempt, follow: call.on("follow") })) {
        if (call.json) await context.pour("stdout", Buffer.from(`${JSON.stringify({ type: "log", run, job, stream, at, ...dataOf(data) })}\n`));
        else await context.pour(stream, data);
      }
    });
    return EXIT.OK;
  },
};

function dataOf(bytes: Buffer): { data: string } | { base64: string } {
  const text = bytes.toString("utf8");
  return Buffer.from(text).equals(bytes) ? { data: text } : { base64: bytes.toString("base64") };
}
