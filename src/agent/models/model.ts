/**
 * Lesson 18: what a model is to an agent: a conversation goes in, a reply comes out, and it costs.
 *
 *     user      the task                     ─▶ ┌───────┐
 *     assistant a reply, with calls of tools ◀─ │ model │
 *     tool      the result of each call      ─▶ │       │
 *     assistant the answer                   ◀─ └───────┘
 *
 * A model has no memory: each call carries the whole conversation. So a call can be repeated by
 * another process, and its reply can be kept under the name of the step that made it.
 *
 * Test: test/18-agents.test.ts
 */
import type { Schema } from "../schema.ts";

/** A tool as the model is told of it. */
export interface ToolSpec {
  readonly name: string;
  readonly description: string;
  readonly parameters: Schema;
}

/** A call of a tool, as the model wrote it: nobody has checked it yet. */
export interface ToolCall {
  /** The result is sent back under this id. */
  readonly id: string;
  readonly name: string;
  /** Meant to be JSON. */
  readonly arguments: string;
}

export type Message =
  | { readonly role: "user"; readonly text: string }
  | { readonly role: "assistant"; readonly text: string; readonly calls: readonly ToolCall[] }
  | { readonly role: "tool"; readonly call: string; readonly text: string };

export interface ModelRequest {
  /** The agent's name and the number of this reply, from 1: a script finds its line by them. */
  readonly agent: string;
  readonly turn: number;
  readonly system: string;
  readonly messages: readonly Message[];
  readonly tools: readonly ToolSpec[];
  /** The reply has no more tokens than this. */
  readonly maxTokens: number;
}

export interface Usage {
  readonly tokensIn: number;
  readonly tokensOut: number;
  /** Millionths of a dollar; 0 for a model without prices. */
  readonly usdMicros: number;
}

export interface ModelReply {
  readonly text: string;
  readonly calls: readonly ToolCall[];
  /** It reached `maxTokens` before its end. */
  readonly isCut: boolean;
  readonly usage: Usage;
}

/** What a model may use while it replies. */
export interface ReplyContext {
  /** Pieces of the text, as they come, for a person who watches. */
  readonly onText?: (piece: string) => void;
  readonly signal?: AbortSignal;
  /** The same at every try of one call, and of no other call. */
  readonly idempotencyKey?: string;
}

/** Dollars for a million tokens, which is the same number as millionths of a dollar for one. */
export interface Price {
  readonly in: number;
  readonly out: number;
}

export interface Model {
  readonly name: string;
  readonly price?: Price;
  /** @throws {ModelError} */
  reply(request: ModelRequest, context?: ReplyContext): Promise<ModelReply>;
}

/** Rounded up: a budget must not be passed by many roundings. */
export function costOf(tokens: { in: number; out: number }, price: Price | undefined): number {
  return price === undefined ? 0 : Math.ceil(tokens.in * price.in + tokens.out * price.out);
}

/**
 * Bytes of one reply, its calls included. The longest replies of today's models are 128 Ki tokens,
 * at six bytes a token less than this.
 */
export const MAX_REPLY_BYTES = 1024 * 1024;
/** Calls of tools in one reply. */
export const MAX_CALLS = 128;

/** Why a model gave no reply, and whether asking again can help. */
const CODES = {
  /** The provider hangs, is too busy, or is not there. */
  TIMEOUT: true,
  BUSY: true,
  UNREACHABLE: true,
  /** There was an answer, and it was no reply. */
  BROKEN: true,
  TOO_LONG: false,
  /** The key, the name of the model, or the request: the same request will be refused again. */
  REFUSED: false,
  /** The script has no line for this call. */
  UNSCRIPTED: false,
} as const;
export type ModelErrorCode = keyof typeof CODES;

/** A model gave no reply that can be used. */
export class ModelError extends Error {
  override readonly name = "ModelError";
  readonly code: ModelErrorCode;
  /** The provider's wish: how long to wait before the next try. */
  readonly retryAfterMs: number | undefined;

  constructor(
    code: ModelErrorCode, message: string, more: { retryAfterMs?: number; cause?: unknown } = {},
  ) {
    super(message, { cause: more.cause });
    this.code = code;
    this.retryAfterMs = more.retryAfterMs;
  }

  get isRetryable(): boolean {
    return CODES[this.code];
  }
}

/** A text of somebody else in a message of ours: one line, and no longer than a person reads. */
export function shown(text: string, most = 200): string {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > most ? `${line.slice(0, most)}…` : line;
}
