/**
 * Lesson 18: the words of the wire: a conversation as OpenAI's chat completions take it, and what
 * comes back, whole or in pieces.
 *
 *     {"choices": [{"message": {"content": "…", "tool_calls": [{"id", "function": {…}}]}}]}
 *     {"choices": [{"delta": {"content": "…"}}]}
 *     {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": "…"}}]}}]}
 *
 * Invariant: whatever the bytes say, the outcome is a reply or a `ModelError`, and no more than
 * MAX_REPLY_BYTES of it are kept.
 * Test: test/18-agents.models.test.ts
 */
import {
  MAX_CALLS, MAX_REPLY_BYTES, ModelError, shown,
  type Message, type ModelRequest, type ToolCall,
} from "./model.ts";
import { readEvents } from "./sse.ts";

export interface RawReply {
  readonly text: string;
  readonly calls: readonly ToolCall[];
  readonly isCut: boolean;
  readonly tokensIn: number | undefined;
  readonly tokensOut: number | undefined;
}

interface Reading {
  /** The model's name, for messages. */
  readonly who: string;
  readonly onText?: (piece: string) => void;
}

/**
 * Bytes of one body or of one event: a control character of a reply is six bytes of JSON, and a
 * letter of two bytes may be as many.
 */
const MAX_WIRE_BYTES = 6 * MAX_REPLY_BYTES;

// ── the request ──────────────────────────────────────────────────────────────────────────────────

export function bodyOf(
  so: { model: string; stream: boolean; limitName: string }, request: ModelRequest,
): object {
  const { system, messages, tools, maxTokens } = request;
  return {
    model: so.model,
    messages: [
      ...(system === "" ? [] : [{ role: "system", content: system }]),
      ...messages.map(sent),
    ],
    ...(tools.length > 0 && {
      tools: tools.map((tool) => ({ type: "function", function: tool })),
    }),
    [so.limitName]: maxTokens,
    ...(so.stream && { stream: true, stream_options: { include_usage: true } }),
  };
}

function sent(message: Message): object {
  switch (message.role) {
    case "user": return { role: "user", content: message.text };
    case "tool": return { role: "tool", tool_call_id: message.call, content: message.text };
    case "assistant": return {
      role: "assistant",
      content: message.text,
      ...(message.calls.length > 0 && {
        tool_calls: message.calls.map(({ id, name, arguments: text }) => (
          { id, type: "function", function: { name, arguments: text } }
        )),
      }),
    };
  }
}

// ── the answer ───────────────────────────────────────────────────────────────────────────────────

export async function readBody(
  chunks: AsyncIterable<Uint8Array>, reading: Reading,
): Promise<RawReply> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    if ((bytes += chunk.length) > MAX_WIRE_BYTES) throw tooLong(reading);
    parts.push(chunk);
  }
  const draft = new Draft(reading);
  draft.take(Buffer.concat(parts).toString());
  return draft.done();
}

export async function readStream(
  chunks: AsyncIterable<Uint8Array>, reading: Reading,
): Promise<RawReply> {
  const draft = new Draft(reading);
  const limit = { maxBytes: MAX_WIRE_BYTES, tooLong: () => tooLong(reading) };
  for await (const data of readEvents(chunks, limit)) {
    if (data === "[DONE]") return draft.done();
    draft.take(data);
  }
  // Some servers leave the last line out; a reply that says why it ended is whole.
  if (draft.isEnded) return draft.done();
  throw new ModelError("BROKEN", `Cannot read the reply of ${reading.who}: it broke off`);
}

function tooLong({ who }: Reading): ModelError {
  const found = `it has more than ${MAX_REPLY_BYTES} bytes`;
  return new ModelError("TOO_LONG", `Cannot read the reply of ${who}: ${found}`);
}

/** What of a choice is looked at. Nothing in it is certain. */
interface Piece {
  readonly content?: unknown;
  readonly tool_calls?: unknown;
}
interface PieceOfCall {
  readonly index?: unknown;
  readonly id?: unknown;
  readonly function?: { readonly name?: unknown; readonly arguments?: unknown };
}

/** A reply that grows. */
class Draft {
  readonly #reading: Reading;
  readonly #text: string[] = [];
  readonly #calls: { id: string; name: string; arguments: string }[] = [];
  #bytes = 0;
  #finish: string | undefined;
  #tokensIn: number | undefined;
  #tokensOut: number | undefined;

  constructor(reading: Reading) {
    this.#reading = reading;
  }

  get isEnded(): boolean {
    return this.#finish !== undefined;
  }

  take(json: string): void {
    const value = this.#parse(json);
    const { error, choices, usage } = value;
    if (error !== undefined && error !== null) {
      const said = (error as { message?: unknown }).message ?? JSON.stringify(error);
      throw this.#broken(`it says: ${shown(String(said))}`);
    }
    if (usage !== undefined && usage !== null) {
      const { prompt_tokens: tokensIn, completion_tokens: tokensOut } = usage as never;
      if (isCount(tokensIn)) this.#tokensIn = tokensIn;
      if (isCount(tokensOut)) this.#tokensOut = tokensOut;
    }
    // The piece with the usage has no choice.
    const choice = (Array.isArray(choices) ? choices[0] : undefined) as
      { message?: Piece; delta?: Piece; finish_reason?: unknown } | undefined;
    if (typeof choice?.finish_reason === "string") this.#finish = choice.finish_reason;
    const piece = choice?.delta ?? choice?.message;
    if (typeof piece !== "object" || piece === null) return;
    if (typeof piece.content === "string" && piece.content !== "") this.#addText(piece.content);
    if (Array.isArray(piece.tool_calls)) {
      piece.tool_calls.forEach((call: PieceOfCall, at) => this.#addCall(call, at));
    }
  }

  #parse(json: string): { error?: unknown; choices?: unknown; usage?: unknown } {
    try {
      const value: unknown = JSON.parse(json);
      if (typeof value === "object" && value !== null) return value;
    } catch {
      // Said below.
    }
    throw this.#broken(`it is no JSON object: ${shown(json, 80)}`);
  }

  #addText(piece: string): void {
    this.#grow(Buffer.byteLength(piece));
    this.#text.push(piece);
    this.#reading.onText?.(piece);
  }

  #addCall(piece: PieceOfCall | null, place: number): void {
    const index = piece?.index ?? place;
    const isNext = index === this.#calls.length;
    if (!isCount(index) || index > this.#calls.length || index >= MAX_CALLS) {
      throw this.#broken(`a call of a tool has the index ${shown(String(index), 20)}`);
    }
    if (isNext) this.#calls.push({ id: `call_${index + 1}`, name: "", arguments: "" });
    const call = this.#calls[index]!;
    const { name = "", arguments: text = "" } = piece?.function ?? {};
    // Some servers send the arguments as a value.
    const written = typeof text === "string" ? text : JSON.stringify(text);
    if (typeof piece?.id === "string" && piece.id !== "") call.id = piece.id;
    if (typeof name === "string") call.name += name;
    call.arguments += written;
    this.#grow(Buffer.byteLength(written) + call.id.length + call.name.length);
  }

  #grow(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > MAX_REPLY_BYTES) throw tooLong(this.#reading);
  }

  done(): RawReply {
    if (this.#finish === undefined && this.#text.length + this.#calls.length === 0) {
      throw this.#broken("there is no choice in it");
    }
    return {
      text: this.#text.join(""),
      calls: this.#calls,
      isCut: this.#finish === "length",
      tokensIn: this.#tokensIn,
      tokensOut: this.#tokensOut,
    };
  }

  #broken(found: string): ModelError {
    return new ModelError("BROKEN", `Cannot read the reply of ${this.#reading.who}: ${found}`);
  }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
