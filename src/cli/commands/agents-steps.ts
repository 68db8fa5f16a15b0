/**
 * `titan agents steps` and `titan agents fork`: what the steps of a run have done, and a new run
 * that begins with some of it (lesson 18).
 *
 * Test: test/18-agents.kill.test.ts
 */
import { stepJson } from "#rows";
import { MICROS_PER_USD, type StepInfo } from "#wire";
import { openMaster } from "../address.ts";
import type { Call } from "../command.ts";
import { EXIT, UsageError } from "../exit.ts";
import { parseRef, withRun } from "../refs.ts";
import { durationText, oneLine, plural, table } from "../text.ts";

/** Of a result in a line of the table. */
const SHOWN_CHARS = 60;

/** The journal of a run or of one of its jobs, results included. */
export async function showSteps(call: Call, named: string): Promise<number> {
  const { context } = call;
  const { run, job } = parseRef(named);
  const client = await openMaster(call);
  const steps = await withRun(client, run, (id) => client.steps(id, job));
  if (call.json) context.json(steps.map(stepJson));
  else if (steps.length === 0) context.note(`titan: ${named} has begun no steps`);
  else {
    const head = ["STEP", "JOB", "STATUS", "TIME", "USD", "RESULT"];
    context.out(table(head, steps.map(lineOf), context.columns));
  }
  return EXIT.OK;
}

function lineOf(step: StepInfo): string[] {
  const { name, ordinal, job, status, startedAt, endedAt, usage } = step;
  const time = durationText((endedAt ?? Date.now()) - startedAt);
  const usd = usage === undefined ? "" : (usage.usdMicros / MICROS_PER_USD).toFixed(4);
  return [`${name}#${ordinal}`, job, status, time, usd, endOf(step)];
}

function endOf({ result, blob, failure }: StepInfo): string {
  if (blob !== undefined) return `${blob.size} bytes`;
  const text = oneLine(failure === "" ? result?.toString("utf8") ?? "" : failure);
  return text.length <= SHOWN_CHARS ? text : `${text.slice(0, SHOWN_CHARS)}…`;
}

/** A new run with the steps up to `--from`, of which `--set` replaces results. */
export async function forkRun(call: Call, named: string): Promise<number> {
  const { context } = call;
  const from = call.text("from");
  if (from === undefined) {
    const advice = `titan agents steps ${named} lists them`;
    const missing = "Cannot fork a run: --from names the last step that it takes over";
    throw new UsageError(missing, advice);
  }
  const set = Object.fromEntries(call.texts("set").map(readSet));
  const client = await openMaster(call);
  const by = context.person;
  const { run, steps } = await withRun(client, named, (id) => client.fork(id, from, { set, by }));
  if (call.json) context.json({ run, steps });
  else context.out(`${run} begins with ${plural(steps, "step")}; titan watch ${run}`);
  return EXIT.OK;
}

/** STEP=JSON. */
function readSet(text: string): [string, unknown] {
  const at = text.indexOf("=");
  try {
    if (at > 0) return [text.slice(0, at), JSON.parse(text.slice(at + 1))];
  } catch {
    // told below
  }
  throw new UsageError(`Cannot use --set ${text}: must be STEP=JSON, such as plan='["a"]'`);
}
