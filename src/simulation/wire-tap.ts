/**
 * Lesson 22: listens to what a worker and its master say to one another, for the trace and for the
 * judge.
 *
 *     worker ──▶ tapped socket ──▶ the world's network
 *                   └─ frames, decoded: "w1 <- DISPATCH nightly-7k2m/a#1"
 *
 * The tap is at the worker's end, because only there is it known what has really arrived. It
 * follows a request to its answer by the id, so that the judge hears when a report was confirmed.
 *
 * Left out: beats, which would be most of the trace.
 * Test: test/22-simulation.test.ts
 */
import { FrameDecoder, type Frame } from "#framing";
import type { Host, Network, Socket } from "#host";
import { ONEWAY, REPLY } from "#rpc";
import { Dispatch, Finished, Hello, Kill, Op, Welcome, type AttemptKey, type Report } from "#wire";
import type { Stage } from "./stage.ts";

/** A request has no flag. */
const REQUEST = 0;

/** The same host; the tap hears what goes over its connections. */
export function tapped<H extends Host>(host: H, options: { stage: Stage; worker: string }): H {
  const network: Network = {
    listen: (at, onSocket) => host.network.listen(at, onSocket),
    dial: async (to, how) =>
      tapSocket(await host.network.dial(to, how), new Tap(options.stage, options.worker)),
  };
  return { ...host, network };
}

function tapSocket(socket: Socket, tap: Tap): Socket {
  return {
    remote: socket.remote,
    get pendingBytes() {
      return socket.pendingBytes;
    },
    handle: (handlers) =>
      socket.handle({
        ...bound(handlers),
        onData: (chunk) => {
          tap.received(Buffer.from(chunk));
          handlers.onData(chunk);
        },
      }),
    write: (bytes) => {
      tap.sent(bytes);
      return socket.write(bytes);
    },
    writeLent: (...pieces) => {
      for (const piece of pieces) tap.sent(Buffer.from(piece));
      return socket.writeLent(...pieces);
    },
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    end: () => socket.end(),
    destroy: () => socket.destroy(),
    reset: () => socket.reset(),
  };
}

function bound(handlers: Parameters<Socket["handle"]>[0]): Parameters<Socket["handle"]>[0] {
  return {
    borrows: handlers.borrows,
    onData: (chunk) => handlers.onData(chunk),
    onDrain: () => handlers.onDrain?.(),
    ...(handlers.onEnd !== undefined && { onEnd: () => handlers.onEnd!() }),
    onClose: (error) => handlers.onClose(error),
  };
}

class Tap {
  readonly #stage: Stage;
  readonly #worker: string;
  readonly #out = new FrameDecoder();
  readonly #in = new FrameDecoder();
  /** Reports that have no answer yet, by request. */
  readonly #reports = new Map<number, readonly Report[]>();

  constructor(stage: Stage, worker: string) {
    this.#stage = stage;
    this.#worker = worker;
  }

  sent(bytes: Uint8Array): void {
    for (const frame of framesOf(this.#out, bytes)) this.#sent(frame);
  }

  received(bytes: Uint8Array): void {
    for (const frame of framesOf(this.#in, bytes)) this.#received(frame);
  }

  #sent({ opcode, flags, requestId, body }: Frame): void {
    if (opcode === Op.FINISHED && flags === REQUEST) {
      const { items } = Finished.decode(body);
      this.#reports.set(requestId, items);
      const ends = items.map((item) => `${this.#name(item)} ${item.failure?.kind ?? "ok"}`);
      this.#say("->", `FINISHED ${ends.join(", ")}`);
    } else if (opcode === Op.HELLO && flags === REQUEST) {
      this.#say("->", `HELLO${this.#list(Hello.decode(body).running, ", running ")}`);
      this.#hello = requestId;
    } else if (opcode === Op.GOODBYE) this.#say("->", "GOODBYE");
  }
  #hello = 0;

  #received({ opcode, flags, requestId, body }: Frame): void {
    if (flags === ONEWAY && opcode === Op.DISPATCH) {
      this.#say(
        "<-",
        `DISPATCH ${Dispatch.decode(body)
          .items.map(({ runId, jobId, attempt }) => `${runId}/${jobId}#${attempt}`)
          .join(", ")}`,
      );
    } else if (flags === ONEWAY && opcode === Op.KILL) {
      this.#say("<-", `KILL${this.#list(Kill.decode(body).items, " ")}`);
    } else if (flags === REPLY && requestId === this.#hello) {
      const { worker, stale } = Welcome.decode(body);
      this.#say("<-", `WELCOME, number ${worker}${this.#list(stale, ", without ")}`);
    } else if (flags === REPLY) this.#confirmed(requestId);
  }

  #confirmed(requestId: number): void {
    const reports = this.#reports.get(requestId);
    if (reports === undefined) return;
    this.#reports.delete(requestId);
    this.#say("<-", `confirmed${this.#list(reports, " ")}`);
    for (const { run, job, attempt } of reports) {
      this.#stage.ask(() => this.#stage.judge.confirmed({ run, job, attempt }));
    }
  }

  #say(way: string, what: string): void {
    this.#stage.note(`${this.#worker} ${way} ${what}`);
  }

  #name(key: AttemptKey): string {
    return this.#stage.names.attempt(key);
  }

  #list(keys: readonly AttemptKey[], before: string): string {
    return keys.length === 0 ? "" : before + keys.map((key) => this.#name(key)).join(", ");
  }
}

function* framesOf(decoder: FrameDecoder, bytes: Uint8Array): Generator<Frame> {
  decoder.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) yield frame;
}
