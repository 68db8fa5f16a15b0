/**
 * What the tests of agents play on: a job without a cluster, whose journal outlives its attempts,
 * and a provider of models on loopback that can be told to misbehave.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { AgentJob, Answer, Model, ModelReply, ModelRequest, Question } from "#agent";
import type { SettledJob, StepCall } from "#sdk";

type StepOptions = Parameters<AgentJob["step"]>[3];

/** Ends an attempt: there is no answer yet, and the process goes away. */
export class Waits extends Error {}
/** Ends an attempt at a place that a test names. */
export class Crash extends Error {}

interface Entry {
  readonly hash: string;
  readonly json: string;
  readonly options: StepOptions;
}

/** In memory, what the master's log is for a job. `attempt()` is the next process. */
export class FakeRun {
  readonly journal = new Map<string, Entry>();
  readonly answers = new Map<string, Answer>();
  readonly asked = new Map<string, Question>();
  readonly spawned = new Map<string, unknown>();
  readonly usage: unknown[] = [];
  readonly output: string[] = [];
  /** Steps whose function ran, in order. */
  readonly began: string[] = [];
  /** What a job that was added has for a result. */
  child: (id: string) => Partial<SettledJob> = () => ({});
  /** Called after a step's function and before its result is kept. */
  beforeEnd: (name: string) => void = () => undefined;

  attempt(): AgentJob & { readonly stop: AbortController } {
    const stop = new AbortController();
    const seen = new Map<string, number>();
    return {
      stop,
      cancelled: stop.signal,
      step: (name, input, fn, options) => {
        const ordinal = (seen.get(name) ?? 0) + 1;
        seen.set(name, ordinal);
        return this.#step(`${name}#${ordinal}`, input, fn, options);
      },
      ask: async (key, question) => {
        this.asked.set(key, question);
        const answer = this.answers.get(key);
        if (answer === undefined) throw new Waits(key);
        return answer;
      },
      spawn: async (key, jobs) => {
        if (!this.spawned.has(key)) this.spawned.set(key, jobs);
        return { key, jobs: (this.spawned.get(key) as { id: string }[]).map(({ id }) => id) };
      },
      settled: async <T>(jobs: { jobs: readonly string[] } | readonly string[]) =>
        ("jobs" in jobs ? jobs.jobs : jobs).map((id) => ({
          id, status: "COMPLETED", result: undefined, failure: undefined, ...this.child(id),
        }) as SettledJob<T>),
    };
  }

  async #step<T>(
    key: string, input: unknown, fn: (call: StepCall) => Promise<T> | T, options: StepOptions,
  ): Promise<T> {
    const hash = createHash("sha256").update(JSON.stringify(input)).digest("hex");
    const done = this.journal.get(key);
    if (done !== undefined && done.hash !== hash) throw new Error(`STEP_CHANGED ${key}`);
    if (done !== undefined) return JSON.parse(done.json) as T;
    this.began.push(key);
    const result = await fn({
      idempotencyKey: createHash("sha256").update(key).digest("hex"),
      emit: (text) => void this.output.push(text),
      usage: (cost) => void this.usage.push(cost),
    });
    this.beforeEnd(key);
    this.journal.set(key, { hash, json: JSON.stringify(result), options });
    return result;
  }
}

/** A model that a test writes: a reply for each call, and the calls that were made. */
export function modelOf(
  ...replies: (Partial<ModelReply> | ((request: ModelRequest) => Partial<ModelReply>))[]
): Model & { readonly requests: ModelRequest[] } {
  const requests: ModelRequest[] = [];
  return {
    name: "test",
    price: { in: 1, out: 10 },
    requests,
    reply: async (request) => {
      requests.push(request);
      const reply = replies[request.turn - 1] ?? replies.at(-1)!;
      const made = typeof reply === "function" ? reply(request) : reply;
      const usage = { tokensIn: 100, tokensOut: 10, usdMicros: 200 };
      return { text: "", calls: [], isCut: false, usage, ...made };
    },
  };
}

export function callOf(name: string, args: unknown, id = "c1"): ModelReply["calls"][number] {
  return { id, name, arguments: typeof args === "string" ? args : JSON.stringify(args) };
}

// ── a provider ───────────────────────────────────────────────────────────────────────────────────

export interface Asked {
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: Record<string, unknown>;
}

type Behave = (response: ServerResponse, asked: Asked) => void;

/** Speaks the wire format; what it does at each call is the test's. The last one is repeated. */
export class Provider {
  readonly asked: Asked[] = [];
  readonly #server: Server;
  #script: readonly Behave[] = [];

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(...script: Behave[]): Promise<Provider> {
    const server = createServer((request, response) => void provider.#answer(request, response));
    const provider = new Provider(server);
    provider.#script = script;
    await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
    return provider;
  }

  get baseUrl(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1`;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const body = JSON.parse(Buffer.concat(parts).toString()) as Record<string, unknown>;
    const asked = { path: request.url ?? "", headers: request.headers, body };
    this.asked.push(asked);
    response.on("error", () => undefined);
    (this.#script[this.asked.length - 1] ?? this.#script.at(-1)!)(response, asked);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => void this.#server.close(resolve));
  }
}

/** A reply as one body. */
export function whole(message: object, more: object = {}): Behave {
  const usage = { prompt_tokens: 12, completion_tokens: 7 };
  return (response) => {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({
      choices: [{ message, finish_reason: "stop" }], usage, ...more,
    }));
  };
}

export const event = (value: unknown): string =>
  `data: ${typeof value === "string" ? value : JSON.stringify(value)}\n\n`;
export const delta = (piece: object, finish: string | null = null): string =>
  event({ choices: [{ index: 0, delta: piece, finish_reason: finish }] });

/** A reply in pieces, as they are given; afterwards the connection ends in order. */
export function pieces(...texts: (string | Uint8Array)[]): Behave {
  return (response) => {
    response.setHeader("content-type", "text/event-stream");
    const next = (at: number): void => {
      if (at === texts.length) return void response.end();
      response.write(texts[at], () => next(at + 1));
    };
    next(0);
  };
}

export function status(code: number, body: unknown, headers: Record<string, string> = {}): Behave {
  return (response) => {
    response.writeHead(code, { "content-type": "application/json", ...headers });
    response.end(typeof body === "string" ? body : JSON.stringify(body));
  };
}

/** The connection is cut. */
export function reset(...texts: string[]): Behave {
  return (response) => {
    if (texts.length === 0) return void response.socket?.resetAndDestroy();
    response.setHeader("content-type", "text/event-stream");
    response.write(texts.join(""), () => setImmediate(() => response.socket?.resetAndDestroy()));
  };
}

export const hang: Behave = () => undefined;
