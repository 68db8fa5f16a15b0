/**
 * The golden transcript of chapter 04: lessons/04-rpc/exchange.txt says what two sides do and,
 * after `---`, what that puts on the wire and how it ends. `TITAN_RECORD=1` writes down what
 * happens now; review it as a diff.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { FrameDecoder, type Frame } from "#framing";
import type { Socket } from "#host";
import type { IncomingRequest, RpcErrorCode, RpcStream } from "#rpc";
import { decodeError } from "../src/rpc/errors.ts";
import { CANCEL, CREDIT, ERROR, MORE, ONEWAY, REPLY } from "../src/rpc/flags.ts";
import { simPair, type SimPair } from "./04-rpc.support.ts";

const FILE = join(import.meta.dirname, "../lessons/04-rpc/exchange.txt");
const RECORD = process.env["TITAN_RECORD"] === "1";

type Side = "a" | "b";

/** A frame in one line, e.g. `#7 item "hello"`. */
function describeFrame(frame: Frame): string {
  const { flags, requestId: id, opcode, body } = frame;
  const text = body.length > 40 ? `${body.length} bytes` : JSON.stringify(body.toString("latin1"));
  switch (flags) {
    case 0: return `#${id} request op=${opcode} ${text}`;
    case MORE: return `#${id} stream op=${opcode} ${text}`;
    case REPLY: return `#${id} reply ${text}`;
    case REPLY | MORE: return `#${id} item ${text}`;
    case REPLY | ERROR: {
      const error = decodeError(body);
      return `#${id} error ${error.code} ${JSON.stringify(error.message)}`;
    }
    case CANCEL: return `#${id} cancel`;
    case CREDIT: return `#${id} credit ${body.length === 4 ? body.readUInt32BE() : "?"}`;
    case ONEWAY: return `notify op=${opcode} ${text}`;
    default: return `#${id} flags=${flags} op=${opcode} ${text}`;
  }
}

test("RpcConnection puts on the wire what the transcript says", async () => {
  const recorded = readFileSync(FILE, "utf8");
  const played = await play(recorded);
  if (RECORD) writeFileSync(FILE, played);
  else assert.equal(played, recorded);
});

/** The same text with each trace as it is now. */
async function play(text: string): Promise<string> {
  const exchange = await Exchange.begin();
  const out: string[] = [];
  for (const paragraph of text.trim().split(/\n{2,}/)) {
    if (paragraph.startsWith("#")) {
      out.push(paragraph);
      continue;
    }
    const [script = ""] = paragraph.split("\n---");
    const started = exchange.trace.length;
    for (const line of script.split("\n")) await exchange.perform(line);
    out.push([script, "---", ...exchange.trace.slice(started)].join("\n"));
  }
  return `${out.join("\n\n")}\n`;
}

/**
 * Two sides that do what the script says. Requests are numbered on each side as they are made, and
 * as they arrive.
 */
class Exchange {
  readonly trace: string[] = [];
  readonly #asked = { a: 0, b: 0 };
  readonly #arrived = { a: 0, b: 0 };
  readonly #serving = {
    a: new Map<number, IncomingRequest>(),
    b: new Map<number, IncomingRequest>(),
  };
  readonly #streams = new Map<string, { stream: RpcStream; iterator: AsyncIterator<Buffer> }>();
  #pair!: SimPair;

  static async begin(): Promise<Exchange> {
    const exchange = new Exchange();
    exchange.#pair = await simPair(exchange.#side("a"), exchange.#side("b"), {
      latencyMs: [1, 1],
      wrap: (socket, name) => exchange.#tap(socket, name),
    });
    return exchange;
  }

  #side(name: Side) {
    return {
      limits: { deadlineMs: 40, streamWindowBytes: 1024 },
      onRequest: (request: IncomingRequest) =>
        void this.#serving[name].set(++this.#arrived[name], request),
      onClose: () => this.#note(name, "is closed"),
    };
  }

  async perform(line: string): Promise<void> {
    const [name = "", verb = "", first = "", ...rest] = line.split(" ");
    if (name === "wait") return this.#pair.pass(Number(verb));
    assert.ok(name === "a" || name === "b", `"${line}" begins with a, b or wait`);
    this.#act(name, { verb, number: Number(first), words: rest });
    await this.#pair.pass(5);
  }

  #act(
    name: Side,
    { verb, number, words }: { verb: string; number: number; words: string[] },
  ): void {
    const me = this.#pair[name];
    const body = Buffer.from(words.join(" "));
    const served = this.#serving[name].get(number);
    const stream = this.#streams.get(`${name}${number}`);
    switch (verb) {
      case "request": {
        const id = ++this.#asked[name];
        return this.#watch(
          name,
          `#${id}`,
          me.request(number, body).then((reply) => `"${reply}"`),
        );
      }
      case "stream": {
        const opened = me.stream(number, body);
        this.#streams.set(`${name}${++this.#asked[name]}`, {
          stream: opened,
          iterator: opened[Symbol.asyncIterator](),
        });
        return;
      }
      case "read":
        return this.#watch(
          name,
          `#${number}`,
          stream!.iterator.next().then(({ done, value }) => (done ? "the end" : `"${value}"`)),
        );
      case "cancel":
        return stream!.stream.cancel();
      case "notify":
        return void me.notify(number, body);
      case "close":
        return me.close();
      case "reply":
        return served!.reply(body);
      case "item":
        return void served!.item(body);
      case "end":
        return served!.end();
      case "fail":
        return served!.fail(words[0] as RpcErrorCode, words.slice(1).join(" "));
      default:
        assert.fail(`unknown verb ${verb}`);
    }
  }

  #watch(name: Side, what: string, promise: Promise<string>): void {
    promise.then(
      (text) => this.#note(name, `${what} gets ${text}`),
      (error) => this.#note(name, `${what} fails ${error.code}`),
    );
  }

  #note(name: Side, text: string): void {
    this.trace.push(`        ${name} ${text}`);
  }

  /** Writes down each frame as it leaves. */
  #tap(socket: Socket, name: Side): Socket {
    const decoder = new FrameDecoder();
    const arrow = name === "a" ? "a ──▶ b" : "a ◀── b";
    const { trace } = this;
    const tapped: Socket = {
      remote: socket.remote,
      get pendingBytes() {
        return socket.pendingBytes;
      },
      handle: (handlers) => socket.handle(handlers),
      pause: () => socket.pause(),
      resume: () => socket.resume(),
      end: () => {
        trace.push(`${arrow} end`);
        socket.end();
      },
      destroy: () => socket.destroy(),
      reset: () => socket.reset(),
      write: (bytes) => {
        decoder.push(Buffer.from(bytes));
        for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) {
          trace.push(`${arrow} ${describeFrame(frame)}`);
        }
        return socket.write(bytes);
      },
      writeLent: (...pieces) => tapped.write(Buffer.concat(pieces)),
    };
    return tapped;
  }
}
