/**
 * Lesson 18: the calls of one reply, from what the model wrote to the results that it reads.
 *
 *     {"name": "deploy", "arguments": "{\"to\": \"prod\"}"}
 *         │ is there such a tool? is that JSON? does it fit?   ── no ──▶ a sentence for the model
 *         │ dangerous: what does a person say?                 ── no ──▶ a sentence for the model
 *         ▼
 *     a step of this job, or a job of this run  ──▶ the result
 *
 * A mistake of the model's is no mistake of the program: it is told, and tries again. And an error
 * of a tool is a result. If it made the step fail, the step would run again in the next attempt,
 * might succeed, and the conversation that follows in the journal would be about something that
 * did not happen.
 *
 * Invariants: results have the order of the calls; nothing is called with arguments that do not fit
 * its schema, a person's included.
 * Test: test/18-agents.test.ts
 */
import { hint, plural } from "#base";
import { MAX_FIELD_BYTES } from "#wire";
import type { AgentJob, Answer } from "./job.ts";
import { MAX_CALLS, shown, type Message, type ToolCall } from "./models/model.ts";
import { misfit } from "./schema.ts";
import { isConcurrent, type Tool } from "./tool.ts";

/** Of one result: 8,000 tokens or so. A tool that reads files can offer their parts. */
export const MAX_RESULT_BYTES = 32 * 1024;
/** How often a person is asked about one call, when what they filled in does not fit. */
const MAX_ASKS = 3;
/** Bytes of a call that its question shows; a question holds 16 KiB. */
const MAX_SHOWN_BYTES = 8 * 1024;

/** Where calls are made. */
export interface Place {
  readonly job: AgentJob;
  readonly tools: readonly Tool[];
  /** Names of its steps begin with this: "coder.3". */
  readonly step: string;
  /** The agent's name, for people. */
  readonly agent: string;
}

interface Result {
  readonly text: string;
  /** The model was wrong about the tool or its arguments. */
  readonly isMistake?: true;
}

// #region calls
/**
 * Calls that only look run side by side; a call that changes something waits for those before.
 * `areMistakes`: each of them is one.
 */
export async function answerCalls(
  place: Place, calls: readonly ToolCall[],
): Promise<{ messages: Message[]; areMistakes: boolean }> {
  // #exercise answerCalls
  const results: Result[] = [];
  for (let at = 0; at < calls.length;) {
    let end = at + 1;
    const isLook = (call: ToolCall | undefined): boolean => {
      const tool = place.tools.find(({ name }) => name === call?.name);
      return tool !== undefined && isConcurrent(tool);
    };
    if (isLook(calls[at])) while (isLook(calls[end])) end++;
    const group = calls.slice(at, end);
    results.push(...await Promise.all(group.map((call, i) => answerCall(place, call, at + i + 1))));
    at = end;
  }
  const messages = results.map(({ text }, at): Message => (
    { role: "tool", call: calls[at]!.id, text: cut(text) }
  ));
  return { messages, areMistakes: results.every(({ isMistake }) => isMistake === true) };
  // #end-exercise
}
// #endregion

/** `number`: of the call in its reply, from 1. A name is then never in doubt: "coder.3.1.read". */
async function answerCall(place: Place, call: ToolCall, number: number): Promise<Result> {
  const tool = place.tools.find(({ name }) => name === call.name);
  if (tool === undefined) return mistake(noTool(place, call.name));
  if (number > MAX_CALLS) return mistake(`a reply has ${plural(MAX_CALLS, "call")} at most`);
  const read = readArguments(tool, call.arguments);
  if ("problem" in read) return mistake(read.problem);
  const key = `${place.step}.${number}.${tool.name}`;
  if (!tool.dangerous) return { text: await carryOut(place, tool, { key, args: read.args }) };
  const said = await askPerson(place, tool, { key, args: read.args });
  if ("refused" in said) return { text: said.refused };
  const text = await carryOut(place, tool, { key, args: said.args });
  const change = `A person changed the arguments to ${JSON.stringify(said.args)}. The result:\n`;
  return { text: said.isChanged ? change + text : text };
}

const mistake = (why: string): Result => ({ text: `Error: ${shown(why, 500)}`, isMistake: true });

function noTool({ tools }: Place, name: string): string {
  const names = tools.map((tool) => tool.name);
  return `there is no tool "${name}"${hint(name, names)}: there is ${names.join(", ") || "none"}`;
}

type Read = { readonly args: unknown } | { readonly problem: string };

// #region arguments
function readArguments({ name, parameters }: Tool, text: string): Read {
  let args: unknown;
  try {
    // A tool without parameters is often called with nothing at all.
    args = JSON.parse(text.trim() === "" ? "{}" : text);
  } catch (error) {
    return { problem: `the arguments of ${name} are no JSON: ${(error as Error).message}` };
  }
  const problem = misfit(parameters, args);
  return problem === undefined ? { args } : { problem: `${problem} (arguments of ${name})` };
}
// #endregion

/** A step that says nothing of its cost would wait for the budget of tokens and dollars. */
const NOTHING = { tokens: 0, usdMicros: 0 };

interface Planned {
  readonly key: string;
  readonly args: unknown;
}

// #region run
async function carryOut(
  { job }: Place, { name, effect = "once", run, job: jobOf }: Tool, { key, args }: Planned,
): Promise<string> {
  if (jobOf !== undefined) {
    const spawned = await job.spawn(key, [jobOf(args as never)]);
    const [child] = await job.settled(spawned);
    if (child?.status === "COMPLETED") return textOf(child.result);
    const why = child?.failure === undefined ? "" : `: ${child.failure}`;
    return `Error: the job of ${name} is ${child?.status ?? "gone"}${why}`;
  }
  const signal = job.cancelled;
  return job.step(key, args, async ({ idempotencyKey, emit }) => {
    try {
      return cut(textOf(await run!(args as never, { idempotencyKey, emit, signal })));
    } catch (error) {
      signal.throwIfAborted();
      return cut(`Error: ${error instanceof Error ? error.message : String(error)}`);
    }
  }, { effect, reserve: NOTHING });
}

// #endregion

function textOf(result: unknown): string {
  if (typeof result === "string") return result;
  return JSON.stringify(result) ?? "done";
}

function cut(text: string): string {
  const bytes = Buffer.byteLength(text);
  if (bytes <= MAX_RESULT_BYTES) return text;
  // The last letter may be cut in two.
  const kept = Buffer.from(text).subarray(0, MAX_RESULT_BYTES - 64).toString();
  return `${kept.replace(/\uFFFD$/, "")}\n[${bytes} bytes; the rest is left out]`;
}

// ── dangerous tools ──────────────────────────────────────────────────────────────────────────────

type Said =
  | { readonly args: unknown; readonly isChanged: boolean }
  | { readonly refused: string };

// #region ask
/** A person sees the call, may change its arguments, and says yes or no. */
async function askPerson(
  { job, agent }: Place, tool: Tool, { key, args }: Planned,
): Promise<Said> {
  const json = JSON.stringify(args);
  const call = `${agent} wants to call ${tool.name}: ${shown(json, MAX_SHOWN_BYTES)}`;
  // A text that is too long for a form is shown, and can be refused, but not changed.
  const isShort = Buffer.byteLength(json) <= MAX_FIELD_BYTES;
  const form = [{ name: "arguments", label: "Arguments, as JSON", default: json }];
  const rules = typeof tool.dangerous === "object" ? tool.dangerous : {};
  let problem = "";
  for (let asked = 1; asked <= MAX_ASKS; asked++) {
    const message = `${call}${problem && ` (${problem})`}`;
    const question = { ...rules, message, ...(isShort && { form }) };
    const answer = await job.ask(asked === 1 ? key : `${key}.${asked}`, question);
    if (answer.outcome !== "approved") return { refused: refusalOf(answer) };
    const filled = String(answer.fields["arguments"] ?? json);
    if (filled === json) return { args, isChanged: false };
    const read = readArguments(tool, filled);
    if ("args" in read) return { args: read.args, isChanged: true };
    problem = `what ${answer.by} filled in cannot be used: ${shown(read.problem)}`;
  }
  return { refused: `The call was not made: ${problem}` };
}
// #endregion

function refusalOf({ outcome, by, comment }: Answer): string {
  const why = comment === "" ? "" : `: ${comment}`;
  if (outcome === "skipped") return `The call was passed over${why}`;
  return `The call was refused by ${by}${why}`;
}
