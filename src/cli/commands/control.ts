/**
 * `titan cancel`, `titan retry`: changing what happens to a run.
 *
 * Test: test/cli.test.ts
 */
import type { Client } from "#sdk";
import { isOpenRun, isTerminal, type RunStatus } from "#wire";
import { openClient } from "../address.ts";
import type { Call, Command } from "../command.ts";
import { EXIT } from "../exit.ts";
import { parseRef, withRun } from "../refs.ts";
import { plural } from "../text.ts";

export const cancel: Command = {
  name: "cancel",
  summary: "cancel a run, or one job of it",
  usage: "RUN[/JOB]",
  args: [1, 1],
  flags: {
    wait: {
      type: "boolean",
      summary: "return when it is over, not when it has been asked to end",
    },
  },
  notes: [
    "What runs gets SIGTERM, and SIGKILL 5 s later; until then it is cancelling. " +
      "What waits is cancelled at once. Cancelling what has ended changes nothing.",
    "Jobs that depend on a cancelled one are skipped, unless their `when` says otherwise.",
  ],
  examples: ["titan cancel nightly-7k2m", "titan cancel nightly-7k2m/train --wait"],
  async run(call: Call): Promise<number> {
    const { context } = call;
    const ref = parseRef(call.args[0]!);
    const client = await openClient(call);
    const { run, jobs } = await withRun(client, ref.run, async (id) => {
      return { run: id, jobs: await client.cancel(id, ref.job) };
    });
    const what = ref.job === undefined ? run : `${run}/${ref.job}`;
    const ask = call.on("wait") ? waitForEnd : currentStatus;
    const status = await ask(client, run, ref.job);
    const over = ref.job === undefined
      ? !isOpenRun(status as RunStatus)
      : isTerminal(status as never);
    if (call.json) context.json({ run, job: ref.job ?? null, jobs, status, cancelling: !over });
    else context.out(`${what} ${cancelText({ run, jobs, status, over })}`);
    return EXIT.OK;
  },
};

/**
 * `jobs`: the number that this command has touched. None: somebody had asked before, or there was
 * nothing to cancel.
 */
function cancelText(
  { run, jobs, status, over }: { run: string; jobs: number; status: string; over: boolean },
): string {
  if (over) return jobs === 0 ? `had ended already: ${status}` : status;
  const asked = jobs === 0
    ? "was asked to end before, and still runs"
    : `is cancelling (${plural(jobs, "job")})`;
  return `${asked}; titan watch ${run} sees it end`;
}

async function currentStatus(
  client: Client,
  run: string,
  job: string | undefined,
): Promise<string> {
  if (job !== undefined) return (await client.status(run, job)).jobs[0]!.status;
  return (await client.runs()).find((info) => info.id === run)?.status ?? "RUNNING";
}

async function waitForEnd(client: Client, run: string, job: string | undefined): Promise<string> {
  for await (const event of client.watch(run)) {
    if (job === undefined && event.type !== "job" && !isOpenRun(event.run.status)) {
      return event.run.status;
    }
    if (event.type === "job" && event.job === job && isTerminal(event.change.status)) {
      return event.change.status;
    }
    const row = event.type === "snapshot" ? event.jobs.find((info) => info.id === job) : undefined;
    if (row !== undefined && isTerminal(row.status)) return row.status;
  }
  return currentStatus(client, run, job);
}

export const retry: Command = {
  name: "retry",
  summary: "give failed jobs of a run another chance",
  usage: "RUN",
  args: [1, 1],
  flags: {
    from: {
      type: "string",
      value: "JOB",
      summary: "this job and all that depend on it, even if they completed",
    },
    "accept-changed": {
      type: "boolean",
      summary: "steps that are done stand, although the program asks for others (STEP_CHANGED)",
    },
  },
  notes: [
    "Without --from: everything that did not complete. Results of the jobs that did are kept, " +
      "and so are the steps of all jobs: a step that is done is not run again.",
  ],
  examples: ["titan retry nightly-7k2m", "titan retry nightly-7k2m --from train"],
  async run(call: Call): Promise<number> {
    const { context } = call;
    const client = await openClient(call);
    const { run, jobs } = await withRun(client, call.args[0]!, async (id) => {
      const acceptChanged = call.on("accept-changed");
      return { run: id, jobs: await client.retry(id, call.text("from"), { acceptChanged }) };
    });
    if (call.json) context.json({ run, jobs });
    else context.out(`${run}: ${plural(jobs, "job")} will run again; titan watch ${run}`);
    return EXIT.OK;
  },
};
