/**
 * Lesson 18: a model without a network: replies that were written down before, for lessons, demos
 * and tests.
 *
 *     {"agent": "plan", "turn": 1, "calls": [{"tool": "answer", "arguments": {"topics": ["a"]}}]}
 *     {"agent": "research", "contains": "tides", "text": "Tides come twice a day.", "ms": 300}
 *     {"agent": "research", "contains": ["winds", "deeper"], "text": "…", "in": 900, "out": 120}
 *
 * A line is found by the call alone: the agent's name, the number of the reply, and texts that the
 * conversation contains. The first line that fits is the reply. A script that counted its calls
 * would begin anew in each attempt, and a journal would ask it for the rest only.
 *
 * Invariants: the same call has the same reply, in any process and at any time; a call that is not
 * in the script is an error, and not a guess.
 * Test: test/18-agents.models.test.ts
 */
import { hint } from "#base";
import { nodeHost, type Host } from "#host";
import {
  costOf, MAX_CALLS, ModelError, shown,
  type Model, type ModelReply, type ModelRequest, type Price, type ReplyContext, type ToolCall,
} from "./model.ts";

interface Line {
  /** 1-based, in the file. */
  readonly number: number;
  readonly agent: string | undefined;
  readonly turn: number | undefined;
  readonly contains: readonly string[];
  readonly text: string;
  readonly calls: readonly ToolCall[];
  readonly tokensIn: number | undefined;
  readonly tokensOut: number | undefined;
  readonly ms: number;
}

const KEYS = ["agent", "turn", "contains", "text", "calls", "in", "out", "ms"];

export interface ScriptOptions {
  /** What the model is called in the journal. Default: "scripted". */
  readonly name?: string;
  readonly price?: Price;
  /** For lines with `ms`. Default: the real ones. */
  readonly timers?: Host["timers"];
}

/**
 * A model of a recorded text, one JSON object a line; `#` begins a comment.
 *
 * @throws {TypeError} a line that cannot be read, with its number
 * @example
 * ```ts
 * import { scripted } from "#agent";
 * const model = scripted('{"agent": "greeter", "text": "Hello."}');
 * const asked = { agent: "greeter", turn: 1, system: "", messages: [], tools: [], maxTokens: 100 };
 * (await model.reply(asked)).text // => 'Hello.'
 * ```
 */
export function scripted(script: string, options: ScriptOptions = {}): Model {
  const lines = script.split("\n").flatMap((text, at) =>
    /^\s*(?:#|$)/.test(text) ? [] : [readLine(text, at + 1)]);
  const { name = "scripted", price, timers = nodeHost().timers } = options;
  return {
    name,
    ...(price && { price }),
    reply: async (request, context = {}) => {
      const line = lines.find((each) => fits(each, request));
      if (line === undefined) throw unscripted(lines, request);
      await play(line, timers, context);
      return replyOf(line, request, price);
    },
  };
}

// #region fits
function fits(line: Line, { agent, turn, messages }: ModelRequest): boolean {
  if (line.agent !== undefined && line.agent !== agent) return false;
  if (line.turn !== undefined && line.turn !== turn) return false;
  return line.contains.every((part) => messages.some(({ text }) => text.includes(part)));
}
// #endregion

function unscripted(lines: readonly Line[], { agent, turn, messages }: ModelRequest): ModelError {
  const near = lines.filter((line) => line.agent === agent).map(({ number }) => number);
  const agents = new Set(lines.flatMap((line) => line.agent ?? []));
  const known = near.length > 0
    ? `line ${near.slice(0, 10).join(", ")} is of this agent, and does not fit`
    : `none is of this agent${hint(agent, [...agents])}`;
  const last = shown(messages.at(-1)?.text ?? "", 120);
  const call = `reply ${turn} of agent "${agent}" to ${JSON.stringify(last)}`;
  const why = `it has no line for ${call}; ${known}`;
  return new ModelError("UNSCRIPTED", `Cannot play the script: ${why}`);
}

/** Takes the time of the recording, and shows the text in pieces, as a provider does. */
async function play(
  { ms, text }: Line, timers: Host["timers"], { onText, signal }: ReplyContext,
): Promise<void> {
  const pieces = text.match(/\s*\S+\s*/g) ?? [];
  for (const piece of pieces.length > 0 ? pieces : [""]) {
    signal?.throwIfAborted();
    if (ms > 0) {
      const each = ms / Math.max(1, pieces.length);
      await new Promise<void>((resolve) => void timers.after(each, resolve));
    }
    if (piece !== "") onText?.(piece);
  }
  signal?.throwIfAborted();
}

/** A line without tokens has as many as a text of its length has by a rule of thumb. */
function replyOf(line: Line, request: ModelRequest, price: Price | undefined): ModelReply {
  const { text, calls } = line;
  const letters = (value: unknown): number => JSON.stringify(value).length;
  const tokensIn = line.tokensIn ?? Math.ceil(letters([request.system, request.messages]) / 4);
  const tokensOut = line.tokensOut ?? Math.ceil(letters([text, calls]) / 4);
  const usdMicros = costOf({ in: tokensIn, out: tokensOut }, price);
  return { text, calls, isCut: false, usage: { tokensIn, tokensOut, usdMicros } };
}

function readLine(text: string, number: number): Line {
  const wrong = (why: string): TypeError =>
    new TypeError(`Cannot read the script: line ${number} ${why}`);
  let value: Record<string, unknown>;
  try {
    value = JSON.parse(text) as Record<string, unknown>;
  } catch {
    throw wrong(`is no JSON: ${shown(text, 80)}`);
  }
  if (typeof value !== "object" || value === null) throw wrong("is no object");
  const unknown = Object.keys(value).find((key) => !KEYS.includes(key));
  if (unknown !== undefined) throw wrong(`has the key "${unknown}"${hint(unknown, KEYS)}`);
  if (value["text"] === undefined && value["calls"] === undefined) {
    throw wrong("has no text and no calls");
  }
  const take = <T>(key: string, type: string, otherwise: T): T => {
    const found = value[key];
    if (found === undefined) return otherwise;
    if (typeof found !== type || found === null) throw wrong(`has a "${key}" that is no ${type}`);
    return found as T;
  };
  const contains = value["contains"];
  const parts = contains === undefined ? [] : Array.isArray(contains) ? contains : [contains];
  if (!parts.every((part) => typeof part === "string")) {
    throw wrong('has a "contains" that is no text');
  }
  return {
    number,
    agent: take("agent", "string", undefined),
    turn: take("turn", "number", undefined),
    contains: parts,
    text: take("text", "string", ""),
    calls: readCalls(take("calls", "object", []), wrong),
    tokensIn: take("in", "number", undefined),
    tokensOut: take("out", "number", undefined),
    ms: take("ms", "number", 0),
  };
}

/** Arguments that are a text are kept as they are, so that a script can write half a JSON. */
function readCalls(value: unknown, wrong: (why: string) => TypeError): ToolCall[] {
  if (!Array.isArray(value)) throw wrong('has "calls" that are no list');
  if (value.length > MAX_CALLS) throw wrong(`has more than ${MAX_CALLS} calls`);
  return value.map((call: { tool?: unknown; arguments?: unknown } | null, at) => {
    if (typeof call?.tool !== "string") throw wrong(`has a call ${at + 1} without a tool`);
    const { tool, arguments: given = {} } = call;
    const text = typeof given === "string" ? given : JSON.stringify(given);
    return { id: `call_${at + 1}`, name: tool, arguments: text };
  });
}
