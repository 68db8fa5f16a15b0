/**
 * Lesson 20: waiting, in pieces that a client's patience can take.
 *
 * Clients give up on a call after a minute or so, and runs take hours. So one call waits for less
 * than a minute, says how far the run is, and is called again. The waiting ends with the caller;
 * the run does not.
 *
 * Test: test/20-mcp.tools.test.ts
 */
import { integer, boolean, list, runJson, shapes, text } from "#rows";
import type { RunEvent, RunInfo } from "#sdk";
import { findRun } from "../names.ts";
import { isRpcError } from "../rpc-error.ts";
import { ended, isNews, nextOf, runText } from "./runs.ts";
import { fields, READS, textOf, whole, words, type Tool, type ToolContext } from "./tool.ts";

/** Most clients give up after 60 s. */
export const MAX_WAIT_S = 50;
const WAIT_S = 25;

export const waitRun: Tool = {
  name: "wait_run", title: "Wait for a run", ...READS,
  description: "Waits until a run is over, or until only a person can go on with it, at most " +
    `${MAX_WAIT_S} seconds. If it says over: false, call it again.`,
  input: fields({
    run: words("The run's id."),
    "timeout_s?": whole("How long, in seconds.", { minimum: 1, maximum: MAX_WAIT_S,
      default: WAIT_S }),
  }),
  output: fields({
    run: shapes.run, over: boolean, waiting_for_person: list(text), waited_ms: integer,
  }),
  async run(args, context) {
    const { titan, host } = context;
    const id = await findRun(titan, textOf(args, "run")!);
    const began = host.clock.monotonic();
    await waitFor(id, ((args["timeout_s"] as number | undefined) ?? WAIT_S) * 1000, context);
    const { run, jobs } = await titan.status(id);
    const gates = (await titan.gates()).map((gate) => gate.id)
      .filter((gate) => gate.startsWith(`${id}/`));
    const over = run.status !== "RUNNING";
    const waited_ms = Math.round(host.clock.monotonic() - began);
    const more = over || gates.length > 0 ? nextOf(run, jobs) : `Next: wait_run ${id} again.`;
    return {
      text: `${runText(run)} after ${(waited_ms / 1000).toFixed(1)} s of waiting\n${more}`.trim(),
      data: { run: runJson(run), over, waiting_for_person: gates, waited_ms },
    };
  },
};

/** Resolves when there is news, when the time is up, or when the caller is gone. */
async function waitFor(
  id: string, timeoutMs: number, { titan, caller }: ToolContext,
): Promise<void> {
  const news = new AbortController();
  const states = new Map<string, string>();
  let run: RunInfo | undefined;
  const onEvent = (event: RunEvent): void => {
    if (event.type === "job") states.set(event.job, event.change.status);
    else run = event.run;
    if (event.type === "snapshot") for (const job of event.jobs) states.set(job.id, job.status);
    const done = ended(states.values());
    caller.progress?.(done, states.size, `${done} of ${states.size} jobs of ${id} have ended`);
    if (run !== undefined && isNews(run, states.values())) news.abort();
  };
  const signal = AbortSignal.any([news.signal, caller.signal]);
  try {
    await titan.wait(id, { timeoutMs, signal, onEvent });
  } catch (error) {
    if (signal.aborted) return;
    if (!isRpcError(error, "DEADLINE")) throw error;
  }
}
