/**
 * Lesson 18: a model behind the wire format of OpenAI's chat completions, which nearly all
 * providers and local servers speak.
 *
 *     ask ──▶ fetch ──▶ 200, a stream of pieces   ──▶ a reply
 *      ▲               429, 5xx, reset, silence   ──▶ wait: Retry-After, else longer each time ──┐
 *      └─────────────────────────────── up to `tries` ◀──────────────────────────────────────────┘
 *                      other 4xx, too long        ──▶ an error, in words
 *
 * The answer is bytes of a peer: each part is looked at before it is believed (open-ai-wire.ts).
 *
 * Invariants: a call ends, within `tries` times `totalMs` and the waits between; memory is bounded
 * by MAX_REPLY_BYTES; the key is in no error.
 * Left out: the newer "responses" interface, pictures and sound; a reply that broke off is asked
 * for again from its beginning, and the provider may charge for both.
 * Test: test/18-agents.models.test.ts
 */
import { nodeFetch, nodeHost, type Fetch, type Host } from "#host";
import { backoffDelayMs, retryPolicy } from "#retry";
import {
  costOf, ModelError, shown,
  type Model, type ModelReply, type ModelRequest, type Price, type ReplyContext,
} from "./model.ts";
import { bodyOf, readBody, readStream, type RawReply } from "./open-ai-wire.ts";

/** Nothing comes for so long: a model that thinks before its first word needs about a minute. */
export const IDLE_MS = 120_000;
/** One try, from its first byte to its last: 128 Ki tokens at 200 a second take eleven minutes. */
export const TOTAL_MS = 15 * 60_000;
export const TRIES = 5;
/** A provider that wants a longer pause has a quota for the hour or the day, and not for now. */
export const MAX_PAUSE_MS = 60_000;
/** Pauses of a provider that names none: 1, 2, 4 … s, half of each by chance. */
const PAUSES = retryPolicy({ delayMs: 1000, backoff: 2, maxDelayMs: 30_000, jitter: 0.5 });

export interface OpenAiOptions {
  /** "https://api.openai.com/v1", "http://127.0.0.1:11434/v1". */
  readonly baseUrl: string;
  readonly model: string;
  /** Some local servers need none. */
  readonly apiKey?: string | undefined;
  /** Without it a call costs nothing, as far as a budget knows. */
  readonly price?: Price | undefined;
  /** Default: true, so that people see the reply grow. */
  readonly stream?: boolean;
  /** What the limit of a reply is called. Default: max_completion_tokens at api.openai.com. */
  readonly limitName?: "max_tokens" | "max_completion_tokens";
  readonly idleMs?: number;
  readonly totalMs?: number;
  readonly tries?: number;
  /** Default: the real ones. */
  readonly fetch?: Fetch;
  readonly host?: Pick<Host, "clock" | "timers" | "random">;
}

type Settled = Required<Omit<OpenAiOptions, "price" | "apiKey">> &
  Pick<OpenAiOptions, "price" | "apiKey"> & { readonly url: string };

/** @throws {TypeError} an option cannot be used */
export function openAiCompatible(options: OpenAiOptions): Model {
  const settled = settle(options);
  const { model: name, price } = settled;
  return {
    name,
    ...(price && { price }),
    reply: (request, context = {}) => ask(settled, request, context),
  };
}

function settle(options: OpenAiOptions): Settled {
  const { baseUrl, model, apiKey, price } = options;
  const wrong = (why: string): TypeError => new TypeError(`Cannot use a model: ${why}`);
  const base = URL.canParse(baseUrl) ? new URL(baseUrl) : undefined;
  if (base === undefined || !/^https?:$/.test(base.protocol)) {
    throw wrong(`baseUrl must be an http or https address, found ${JSON.stringify(baseUrl)}`);
  }
  if (base.username !== "" || base.search !== "" || base.hash !== "") {
    throw wrong("baseUrl takes no user, no query and no fragment; the key is apiKey");
  }
  if (typeof model !== "string" || model === "") throw wrong("it has no name");
  for (const each of [price?.in ?? 0, price?.out ?? 0]) {
    if (!(each >= 0 && each < Infinity)) throw wrong(`a price must be 0 or more, found ${each}`);
  }
  const isOpenAi = base.hostname === "api.openai.com";
  return {
    baseUrl, model, apiKey, price,
    url: `${base.href.replace(/\/+$/, "")}/chat/completions`,
    stream: options.stream ?? true,
    limitName: options.limitName ?? (isOpenAi ? "max_completion_tokens" : "max_tokens"),
    idleMs: options.idleMs ?? IDLE_MS,
    totalMs: options.totalMs ?? TOTAL_MS,
    tries: options.tries ?? TRIES,
    fetch: options.fetch ?? nodeFetch(),
    host: options.host ?? nodeHost(),
  };
}

// #region ask
/** Asks until there is a reply, or no reason to ask again. */
async function ask(
  so: Settled, request: ModelRequest, context: ReplyContext,
): Promise<ModelReply> {
  const { random, timers } = so.host;
  for (let tried = 1; ; tried++) {
    try {
      return priced(so, request, await askOnce(so, request, context));
    } catch (error) {
      context.signal?.throwIfAborted();
      const failed = error instanceof ModelError ? error : unreached(so, error);
      const pauseMs = failed.retryAfterMs ?? backoffDelayMs(PAUSES, tried, () => random.unit());
      if (!failed.isRetryable || tried >= so.tries) throw after(failed, tried);
      if (pauseMs > MAX_PAUSE_MS) throw after(failed, tried, pauseMs);
      // A person who watches has seen the beginning of the reply that broke off.
      context.onText?.(`\n[${failed.message}; asking again]\n`);
      await pause(timers, pauseMs, context.signal);
    }
  }
}
// #endregion

function after(failed: ModelError, tried: number, pauseMs?: number): ModelError {
  const wish = pauseMs === undefined ? ""
    : `; it asks for a pause of ${Math.ceil(pauseMs / 1000)} s`;
  const count = tried > 1 ? ` (after ${tried} tries)` : "";
  if (wish + count === "") return failed;
  return new ModelError(failed.code, `${failed.message}${wish}${count}`, { cause: failed });
}

function unreached({ model, baseUrl }: Settled, error: unknown): ModelError {
  const cause = (error as { cause?: { code?: string; message?: string } }).cause;
  const why = cause?.code ?? cause?.message ?? (error as Error).message;
  return new ModelError("UNREACHABLE", `Cannot ask ${model} at ${baseUrl}: ${shown(why)}`, {
    cause: error,
  });
}

async function askOnce(
  so: Settled, request: ModelRequest, context: ReplyContext,
): Promise<RawReply> {
  const watch = new Watch(so, context.signal);
  try {
    const response = await so.fetch(so.url, {
      method: "POST",
      // A redirect would take the conversation, and perhaps the key, to another server.
      redirect: "error",
      signal: watch.signal,
      headers: {
        "content-type": "application/json",
        ...(so.apiKey && { authorization: `Bearer ${so.apiKey}` }),
        ...(context.idempotencyKey && { "idempotency-key": context.idempotencyKey }),
      },
      body: JSON.stringify(bodyOf(so, request)),
    });
    const chunks = watch.over(response);
    if (!response.ok) throw await refusal(so, response, chunks);
    const isStream = /^text\/event-stream\b/i.test(response.headers.get("content-type") ?? "");
    const read = { who: so.model, ...(context.onText && { onText: context.onText }) };
    return await (isStream ? readStream(chunks, read) : readBody(chunks, read));
  } catch (error) {
    context.signal?.throwIfAborted();
    throw watch.expired ?? error;
  } finally {
    watch.end();
  }
}

/** The wire gives tokens, or nothing: then a token is taken to be three bytes. */
function priced(so: Settled, request: ModelRequest, raw: RawReply): ModelReply {
  const { text, calls, isCut } = raw;
  const guess = (value: unknown): number => Math.ceil(Buffer.byteLength(JSON.stringify(value)) / 3);
  const tokensIn = raw.tokensIn ?? guess([request.system, request.messages, request.tools]);
  const tokensOut = raw.tokensOut ?? guess([text, calls]);
  const usdMicros = costOf({ in: tokensIn, out: tokensOut }, so.price);
  return { text, calls, isCut, usage: { tokensIn, tokensOut, usdMicros } };
}

/** Bytes of an error that are read: providers write a few hundred. */
const MAX_ERROR_BYTES = 16 * 1024;

async function refusal(
  so: Settled, { status, headers }: Response, chunks: AsyncIterable<Uint8Array>,
): Promise<ModelError> {
  const { message, code } = errorIn(await textOf(chunks));
  // Some providers repeat the key that they refuse.
  const said = so.apiKey ? message.replaceAll(so.apiKey, "…") : message;
  const text = `${so.model} answered ${status}${said === "" ? "" : `: ${shown(said)}`}`;
  // An empty account answers 429 as well, and stays empty.
  const isFull = status === 429 && code !== "insufficient_quota";
  const isBusy = isFull || status === 408 || status >= 500;
  if (!isBusy) return new ModelError("REFUSED", text);
  const retryAfterMs = readRetryAfter(headers.get("retry-after"), so.host.clock.wall());
  return new ModelError("BUSY", text, retryAfterMs === undefined ? {} : { retryAfterMs });
}

async function textOf(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const chunk of chunks) {
      parts.push(chunk);
      if ((bytes += chunk.length) > MAX_ERROR_BYTES) break;
    }
  } catch {
    // The status has said what counts.
  }
  return Buffer.concat(parts).toString();
}

function errorIn(text: string): { message: string; code: string } {
  try {
    const { error } = JSON.parse(text) as { error?: { message?: unknown; code?: unknown } };
    const message = typeof error === "string" ? error : (error?.message ?? text);
    return { message: String(message), code: String(error?.code ?? "") };
  } catch {
    return { message: text, code: "" };
  }
}

/** Seconds, or a date (RFC 9110, section 10.2.3). Undefined: neither. */
export function readRetryAfter(value: string | null, now: number): number | undefined {
  if (value === null) return undefined;
  const seconds = Number(value);
  if (value.trim() !== "" && seconds >= 0) return seconds * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

/** Ends a try that is silent for too long, or that never ends. */
class Watch {
  readonly #controller = new AbortController();
  readonly #so: Settled;
  readonly #total: { cancel(): void };
  #idle: { cancel(): void };
  readonly signal: AbortSignal;
  /** Why it was ended from here. */
  expired: ModelError | undefined;

  constructor(so: Settled, outer: AbortSignal | undefined) {
    this.#so = so;
    this.signal = outer === undefined
      ? this.#controller.signal : AbortSignal.any([outer, this.#controller.signal]);
    this.#total = so.host.timers.after(so.totalMs, () => this.#expire("is not done", so.totalMs));
    this.#idle = this.#newIdle();
  }

  #newIdle(): { cancel(): void } {
    const { host, idleMs } = this.#so;
    return host.timers.after(idleMs, () => this.#expire("says nothing", idleMs));
  }

  #expire(what: string, ms: number): void {
    const text = `Cannot ask ${this.#so.model}: it ${what} within ${ms / 1000} s`;
    this.expired = new ModelError("TIMEOUT", text);
    this.#controller.abort(this.expired);
  }

  /** The body of a response; each piece is a sign of life. */
  async *over({ body }: Response): AsyncGenerator<Uint8Array> {
    if (body === null) return;
    for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
      this.#idle.cancel();
      this.#idle = this.#newIdle();
      yield chunk;
    }
  }

  /** Also drops the connection of a response that was not read to its end. */
  end(): void {
    this.#idle.cancel();
    this.#total.cancel();
    this.#controller.abort();
  }
}

function pause(
  timers: Host["timers"], ms: number, signal: AbortSignal | undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      timer.cancel();
      reject(signal!.reason as Error);
    };
    const timer = timers.after(ms, () => {
      signal?.removeEventListener("abort", stop);
      resolve();
    });
    signal?.addEventListener("abort", stop, { once: true });
  });
}
