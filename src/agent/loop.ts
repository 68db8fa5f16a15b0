/**
 * Lesson 18: the loop. A model that may call tools, until it has an answer or meets a brake.
 *
 *            ┌──────────────────────────────────────────────┐
 *            ▼                                              │ results
 *     is there room? ──▶ the model replies ──▶ calls of tools (calls.ts)
 *            │ no            (one step)  │
 *            ▼                           └──▶ an answer
 *       AgentStopped
 *
 * The loop keeps nothing: a reply and a result are steps, so an attempt that begins from the top
 * finds the conversation in the journal and goes on behind its last message. It costs nothing
 * again.
 *
 * Invariants: a reply is asked for only if its worst case fits into what is left of the budget; a
 * model that answers nonsense is told so MAX_BAD_REPLIES times in a row, and no more.
 * Left out: shortening a conversation that has grown too long; the model's own limit ends it.
 * Test: test/18-agents.test.ts
 */
import { createHash } from "node:crypto";
import { plural } from "#base";
import { answerCalls } from "./calls.ts";
import type { AgentJob } from "./job.ts";
import {
  costOf, type Message, type Model, type ModelReply, type ModelRequest, type ToolSpec, type Usage,
} from "./models/model.ts";
import { misfit, schemaProblem, type Schema } from "./schema.ts";
import { tool, type Tool } from "./tool.ts";

/** Replies of one run, unless the budget says otherwise: who needs more has mostly lost its way. */
export const MAX_TURNS = 20;
/** Tokens of one reply, unless the agent says otherwise: a long page. */
export const MAX_TOKENS = 4096;
/** Bad replies in a row. The second one is often better, as the model was told what is wrong. */
export const MAX_BAD_REPLIES = 3;
/** With less room than this for a reply, there is none. */
const MIN_TOKENS = 32;
/** Tokens with which a provider frames one message, at most. */
const FRAME_TOKENS = 16;

export interface AgentBudget {
  readonly turns?: number;
  readonly tokens?: number;
  /** Needs a model with prices. */
  readonly usd?: number;
}

export interface AgentOptions {
  readonly model: Model;
  /** The names of its steps begin with it. Default: "agent". */
  readonly name?: string;
  readonly system?: string;
  readonly tools?: readonly Tool[];
  /** The answer is a value of this form, and not a text. Of type object. */
  readonly answer?: Schema;
  readonly budget?: AgentBudget;
  readonly maxTokens?: number;
}

export interface AgentAnswer<T> {
  readonly answer: T;
  readonly turns: number;
  readonly usage: Usage;
}

export interface Agent<T> {
  /**
   * Works on a task until there is an answer. `name` tells several runs of one agent apart.
   *
   * @throws {AgentStopped} a brake, or too many bad replies
   * @throws {ModelError} the model cannot be reached, or refuses
   */
  run(job: AgentJob, task: string, options?: { readonly name?: string }): Promise<AgentAnswer<T>>;
}

export type StopReason = "turns" | "tokens" | "usd" | "replies";

/** The agent has no answer, and may not go on. This says how far it came. */
export class AgentStopped extends Error {
  override readonly name = "AgentStopped";
  readonly reason: StopReason;
  readonly turns: number;
  readonly usage: Usage;
  /** The text of its last reply. */
  readonly text: string;

  constructor(why: string, so: Talk & { reason: StopReason }) {
    super(`Cannot go on with ${so.name}: ${why}`);
    this.reason = so.reason;
    this.turns = so.turns;
    this.usage = so.usage;
    this.text = so.text;
  }
}

const NAME = /^[A-Za-z0-9_-]{1,40}$/;
const ANSWER = "answer";

/**
 * Makes an agent. `T` is the form of its answer, a text unless `answer` is given.
 *
 * @throws {TypeError} an option that cannot work
 */
export function agent<T = string>(options: AgentOptions): Agent<T> {
  const plan = checked(options);
  return {
    run: async (job, task, { name = plan.name } = {}) => {
      if (!NAME.test(name)) throw wrong(name, 'a name has up to 40 letters, digits, "_" and "-"');
      return apart(job, name, () => converse<T>({ ...plan, name, job, task }));
    },
  };
}

type Plan = Required<Omit<AgentOptions, "answer" | "budget">> & {
  readonly answer: Schema | undefined;
  readonly budget: AgentBudget & { readonly turns: number };
  /** As the model is told of them; the answer's is one of them. */
  readonly specs: readonly ToolSpec[];
};

const wrong = (name: string, why: string): TypeError =>
  new TypeError(`Cannot use agent "${name}": ${why}`);

function checked(options: AgentOptions): Plan {
  const { model, name = "agent", tools = [], answer } = options;
  const { budget = {}, maxTokens = MAX_TOKENS } = options;
  if (typeof model?.reply !== "function") throw wrong(name, "it has no model");
  const names = tools.map((each) => tool(each).name);
  const twice = names.find((each, at) => names.indexOf(each) !== at);
  if (twice !== undefined) throw wrong(name, `it has two tools "${twice}"`);
  if (answer !== undefined) {
    if (names.includes(ANSWER)) throw wrong(name, `the tool "${ANSWER}" takes its answer`);
    const problem = answer.type === "object" ? schemaProblem(answer) : "it is not of type object";
    if (problem !== undefined) throw wrong(name, `of its answer, ${problem}`);
  }
  if (budget.usd !== undefined && model.price === undefined) {
    throw wrong(name, `a budget in usd needs the price of ${model.name}`);
  }
  for (const [what, limit] of [...Object.entries(budget), ["maxTokens", maxTokens] as const]) {
    if (!(limit > 0)) throw wrong(name, `${what} must be more than 0, found ${limit}`);
  }
  const specs = tools.map((each) => (
    { name: each.name, description: each.description, parameters: each.parameters }
  ));
  if (answer !== undefined) {
    specs.push({ name: ANSWER, description: "Give your answer.", parameters: answer });
  }
  const { system = "" } = options;
  return {
    model, name, system, tools, answer, maxTokens, specs,
    budget: { ...budget, turns: budget.turns ?? MAX_TURNS },
  };
}

const running = new WeakMap<AgentJob, Set<string>>();

/** Two conversations with one name would find one another's steps in the journal. */
async function apart<T>(job: AgentJob, name: string, work: () => Promise<T>): Promise<T> {
  const names = running.get(job) ?? new Set();
  running.set(job, names);
  if (names.has(name)) throw wrong(name, "it runs in this job already; give this run another name");
  names.add(name);
  try {
    return await work();
  } finally {
    names.delete(name);
  }
}

type Work = Plan & { readonly job: AgentJob; readonly task: string };

/** A conversation so far, as a brake reports it. */
interface Talk {
  readonly name: string;
  turns: number;
  usage: Usage;
  text: string;
}

const NOTHING: Usage = { tokensIn: 0, tokensOut: 0, usdMicros: 0 };

// #region loop
async function converse<T>(work: Work): Promise<AgentAnswer<T>> {
  const { name, job, tools, budget } = work;
  const messages: Message[] = [{ role: "user", text: work.task }];
  const talk: Talk = { name, turns: 0, usage: NOTHING, text: "" };
  const beginning = [work.model.name, work.system, work.specs, messages];
  let said = digest("", beginning);
  // No token is shorter than a byte.
  let tokensIn = bytesOf(beginning);
  for (let bad = 0; bad < MAX_BAD_REPLIES;) {
    if (talk.turns === budget.turns) {
      throw new AgentStopped(`no answer after ${plural(talk.turns, "reply", "replies")}`, {
        ...talk, reason: "turns",
      });
    }
    const room = roomFor(work, talk, tokensIn);
    const reply = await nextReply(work, messages, { turn: ++talk.turns, room, said });
    talk.usage = sum(talk.usage, reply.usage);
    talk.text = reply.text;
    const answer = answerIn<T>(work, reply);
    if ("found" in answer) return { answer: answer.found, turns: talk.turns, usage: talk.usage };
    const place = { job, tools, agent: name, step: `${name}.${talk.turns}` };
    const { messages: results, areMistakes } = answer.problem !== undefined
      ? { messages: told(reply, answer.problem), areMistakes: true }
      : await answerCalls(place, reply.calls);
    bad = areMistakes ? bad + 1 : 0;
    const more: Message[] = [
      { role: "assistant", text: reply.text, calls: reply.calls }, ...results,
    ];
    messages.push(...more);
    said = digest(said, more);
    tokensIn = reply.usage.tokensIn + reply.usage.tokensOut + bytesOf(results) +
      FRAME_TOKENS * (results.length + 1);
  }
  const last = messages.at(-1)!.text;
  throw new AgentStopped(`${MAX_BAD_REPLIES} replies in a row cannot be used; the last: ${last}`, {
    ...talk, reason: "replies",
  });
}
// #endregion

const bytesOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));

/** Stands for all that was said, at the cost of what is new. */
function digest(before: string, more: unknown): string {
  return createHash("sha256").update(before).update(JSON.stringify(more)).digest("hex");
}

function sum(a: Usage, b: Usage): Usage {
  return {
    tokensIn: a.tokensIn + b.tokensIn,
    tokensOut: a.tokensOut + b.tokensOut,
    usdMicros: a.usdMicros + b.usdMicros,
  };
}

interface Room {
  readonly maxTokens: number;
  readonly reserve: { readonly tokens: number; readonly usdMicros: number };
}

// #region room
/** How long the next reply may be, so that its worst case stays within the budget. */
function roomFor({ budget, model, maxTokens }: Work, talk: Talk, tokensIn: number): Room {
  const { usage } = talk;
  const { price } = model;
  const tokens = (budget.tokens ?? Infinity) - usage.tokensIn - usage.tokensOut - tokensIn;
  const limit = Math.floor((budget.usd ?? Infinity) * 1e6);
  const micros = limit - usage.usdMicros - tokensIn * (price?.in ?? 0);
  const affordable = price === undefined || price.out === 0 ? Infinity : micros / price.out;
  const most = Math.floor(Math.min(maxTokens, tokens, micros < 0 ? 0 : affordable));
  if (most < Math.min(MIN_TOKENS, maxTokens)) {
    const isTokens = tokens <= affordable;
    const spent = isTokens ? `${usage.tokensIn + usage.tokensOut} of ${budget.tokens} tokens`
      : `$${(usage.usdMicros / 1e6).toFixed(4)} of $${budget.usd}`;
    throw new AgentStopped(`${spent} are spent, and the next reply may cost more than the rest`, {
      ...talk, reason: isTokens ? "tokens" : "usd",
    });
  }
  const usdMicros = costOf({ in: tokensIn, out: most }, price);
  return { maxTokens: most, reserve: { tokens: tokensIn + most, usdMicros } };
}
// #endregion

// #region reply
/** One call of the model: one step of the job. A call that was cut off is made again. */
function nextReply(
  { job, model, name, system, specs }: Work,
  messages: readonly Message[], { turn, room, said }: { turn: number; room: Room; said: string },
): Promise<ModelReply> {
  const { maxTokens } = room;
  const request: ModelRequest = {
    agent: name, turn, system, messages: [...messages], tools: specs, maxTokens,
  };
  return job.step(`${name}.${turn}`, { conversation: said }, async (call) => {
    const { idempotencyKey } = call;
    const onText = (piece: string): void => call.emit(piece);
    const reply = await model.reply(request, { onText, signal: job.cancelled, idempotencyKey });
    if (/[^\n]$/.test(reply.text)) call.emit("\n");
    call.usage({ model: model.name, ...reply.usage });
    return reply;
  }, { effect: "idempotent", reserve: room.reserve });
}
// #endregion

/** The answer, or what is wrong with the reply; neither: it has calls to be made. */
function answerIn<T>(
  { answer: schema }: Work, { text, calls, isCut, usage }: ModelReply,
): { found: T } | { problem: string | undefined } {
  if (isCut) {
    return { problem: `your reply was cut off after ${usage.tokensOut} tokens; be shorter` };
  }
  if (calls.length === 0 && schema !== undefined) {
    return { problem: `call the tool "${ANSWER}" when you know the answer` };
  }
  if (calls.length === 0) {
    return text.trim() === "" ? { problem: "your reply was empty" } : { found: text as T };
  }
  const call = calls.find(({ name }) => name === ANSWER);
  if (schema === undefined || call === undefined) return { problem: undefined };
  if (calls.length > 1) return { problem: `call "${ANSWER}" alone, after all other calls` };
  let value: unknown;
  try {
    value = JSON.parse(call.arguments);
  } catch (error) {
    return { problem: `your answer is no JSON: ${(error as Error).message}` };
  }
  const problem = misfit(schema, value);
  return problem === undefined ? { found: value as T } : { problem: `of your answer, ${problem}` };
}

/** Each call of a reply must have a result, or providers refuse the conversation. */
function told({ calls }: ModelReply, problem: string): Message[] {
  const text = `Error: ${problem}`;
  if (calls.length === 0) return [{ role: "user", text }];
  return calls.map(({ id }): Message => ({ role: "tool", call: id, text }));
}
