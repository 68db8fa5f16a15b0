/**
 * What the scripts and tests of this chapter play on: a real master, a worker, and the server of
 * MCP, in virtual time. Jobs are scripts of four words: print TEXT, result JSON, sleep SECONDS,
 * exit N.
 */
import assert from "node:assert/strict";
import type { ExecOutcome, Executor } from "#exec";
import type { Mount, MountedAnswer } from "#http";
import { startMaster } from "#master";
import { loadHeavy, mcpOverHttp, mcpOverLines, type DispatcherOptions } from "#mcp";
import { connect, type Client } from "#sdk";
import { SimWorld } from "#simhost";
import { startWorker } from "#worker";

// Loading takes real time, and virtual time would pass meanwhile.
await loadHeavy();

const AT = { host: "m", port: 9090 };
const HEADERS = {
  "content-type": "application/json",
  accept: "application/json, text/event-stream",
};

export type Json = Record<string, any>;
export type Options = Partial<DispatcherOptions>;

export class Stage {
  readonly world = new SimWorld({ seed: 20, latencyMs: [1, 1], syncMs: [1, 1] });
  titan!: Client;

  /** Virtual time passes while `play` waits for anything. */
  static run(play: (stage: Stage) => Promise<void>): Promise<void> {
    const stage = new Stage();
    return stage.world.settle(stage.#perform(play));
  }

  async #perform(play: (stage: Stage) => Promise<void>): Promise<void> {
    const listen = { ...AT, host: "127.0.0.1" };
    await startMaster({ host: this.world.host("m"), dir: "/state", listen });
    const executor: Executor = {
      start: ({ action }, onOutput) => ({
        done: this.#program(JSON.stringify(action), (text) =>
          onOutput("stdout", Buffer.from(text)),
        ),
        pid: 1,
        cancel: () => undefined,
        pauseOutput: () => undefined,
        resumeOutput: () => undefined,
      }),
      close: async () => undefined,
    };
    const host = this.world.host("w1");
    await startWorker({ host, master: AT, name: "w1", slots: 4, executor, cacheDir: "/cache" })
      .ready;
    this.titan = await connect({ host: this.world.host("client"), master: AT });
    await this.pass(1500);
    await play(this);
  }

  async #program(action: string, print: (text: string) => void): Promise<ExecOutcome> {
    let result: Buffer | undefined;
    let printed = "";
    for (const [, word, rest = ""] of action.matchAll(/\b(print|result|sleep|exit) ([^;"]*)/g)) {
      if (word === "print") printed += `${rest.trim()}\n`;
      if (word === "result") result = Buffer.from(rest.trim());
      if (word === "sleep" && printed !== "") print(printed);
      if (word === "sleep") {
        printed = "";
        await this.pass(Number(rest) * 1000);
      }
      if (word !== "exit" || Number(rest) === 0) continue;
      if (printed !== "") print(printed);
      const [exitCode, message] = [Number(rest), `exit code ${rest}`];
      return { status: "failed", kind: "exit", message, exitCode, durationMs: 1 };
    }
    if (printed !== "") print(printed);
    return { status: "ok", durationMs: 1, ...(result !== undefined && { result }) };
  }

  pass(ms: number): Promise<void> {
    return new Promise((resolve) => void this.world.host("client").timers.after(ms, resolve));
  }

  #options(options: Options): DispatcherOptions {
    const session = async (): Promise<Client> => this.titan;
    return { host: this.world.host("client"), version: "1.0.0", master: "", session, ...options };
  }

  /** A client at the ends of a pipe. */
  pipe(options: Options = {}): Pipe {
    return new Pipe((write) => mcpOverLines(this.#options(options), write));
  }

  /** A client over HTTP, without a socket. */
  http(options: Options = {}): Http {
    return new Http(mcpOverHttp(this.#options(options)));
  }
}

/** Sends lines, and sorts what comes back: responses to whom they answer, the rest in order. */
export class Pipe {
  /** All of it, as it came. */
  readonly seen: Json[] = [];
  readonly connection: ReturnType<typeof mcpOverLines>;
  /** Requests and notifications that nobody has read. */
  readonly #news: Json[] = [];
  readonly #waiting = new Map<unknown, (response: Json) => void>();
  #wake: () => void = () => undefined;
  #id = 0;
  /** What each request of `ask` has beside its own parameters: the modern era's `_meta`. */
  meta: Json | undefined;

  constructor(open: (write: (line: string) => void) => ReturnType<typeof mcpOverLines>) {
    this.connection = open((line) => {
      assert.doesNotMatch(line, /\n/);
      const message = JSON.parse(line) as Json;
      this.seen.push(message);
      const waiting = this.#waiting.get(message["id"]);
      if (waiting !== undefined && !("method" in message)) return waiting(message);
      this.#news.push(message);
      this.#wake();
    });
  }

  send(message: Json | string): void {
    const line = typeof message === "string" ? message : JSON.stringify(message);
    this.connection.take(Buffer.from(`${line}\n`));
  }

  /** The next message that answers no request of ours. */
  async next(): Promise<Json> {
    while (this.#news.length === 0) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    return this.#news.shift()!;
  }

  /** A request, and its response. */
  ask(method: string, params: Json = {}, id: unknown = ++this.#id): Promise<Json> {
    const meta = this.meta === undefined ? {} : { _meta: { ...this.meta, ...params["_meta"] } };
    return new Promise((resolve) => {
      this.#waiting.set(id, (response) => {
        this.#waiting.delete(id);
        resolve(response);
      });
      this.send({ jsonrpc: "2.0", id, method, params: { ...params, ...meta } });
    });
  }

  async call(name: string, args: Json = {}, more: Json = {}): Promise<Json> {
    const { result, error } = await this.ask("tools/call", { name, arguments: args, ...more });
    if (error !== undefined) throw new Error(`${error.code} ${error.message}`);
    return result as Json;
  }

  async initialize(protocolVersion = "2025-11-25", capabilities: Json = {}): Promise<Json> {
    const clientInfo = { name: "reader", version: "1" };
    const { result } = await this.ask("initialize", { protocolVersion, capabilities, clientInfo });
    this.send({ jsonrpc: "2.0", method: "notifications/initialized" });
    return result as Json;
  }
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Of a stream: its messages; otherwise the one that there is. */
  readonly messages: Json[];
}

export class Http {
  readonly #mount: Mount;

  constructor(mount: Mount) {
    this.#mount = mount;
  }

  async open(
    body: Json | string,
    headers: Json = {},
    { method = "POST", signal = new AbortController().signal } = {},
  ): Promise<MountedAnswer> {
    const text = typeof body === "string" ? body : JSON.stringify(body);
    return this.#mount({
      method,
      headers: { ...HEADERS, ...headers },
      body: Buffer.from(text),
      signal,
    });
  }

  async post(
    body: Json | string,
    headers: Json = {},
    more: { method?: string } = {},
  ): Promise<Answer> {
    const { status, headers: found, body: answer } = await this.open(body, headers, more);
    const messages: Json[] = [];
    if (typeof answer === "string") {
      if (answer !== "") messages.push(JSON.parse(answer) as Json);
    } else for await (const piece of answer) messages.push(...messagesIn(piece));
    return { status, headers: found, messages };
  }
}

export function messagesIn(piece: string): Json[] {
  return [...piece.matchAll(/^data: (.*)$/gm)].map(([, data]) => JSON.parse(data!) as Json);
}

const PREFIX = "io.modelcontextprotocol/";

/** The `_meta` of a modern request. */
export function modernMeta(capabilities: Json = {}, version = "2026-07-28"): Json {
  return {
    [`${PREFIX}protocolVersion`]: version, [`${PREFIX}clientCapabilities`]: capabilities,
    [`${PREFIX}clientInfo`]: { name: "reader", version: "1" },
  };
}

/** A modern request, and the headers that repeat what is in it. */
export function modern(
  id: number | string, method: string, params: Json = {}, capabilities: Json = {},
): { body: Json; headers: Json } {
  const meta = { ...modernMeta(capabilities), ...params["_meta"] };
  const name = params["name"] ?? params["uri"];
  return {
    body: { jsonrpc: "2.0", id, method, params: { ...params, _meta: meta } },
    headers: {
      "mcp-protocol-version": "2026-07-28", "mcp-method": method,
      ...(name !== undefined && { "mcp-name": name }),
    },
  };
}
