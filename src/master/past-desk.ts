/**
 * Lesson 10: questions about the past, and who answers them.
 *
 * The past is read from the log on disk, and folded again beside the present. That takes memory and
 * time that the master has not to give: so a reader is opened for the first question, in a thread
 * of its own if the master was given one, and closed when nobody has asked for a while.
 *
 * Invariants: nothing is told before it is durable; whatever becomes of the reader, the master goes
 * on; of each peer one answer is in memory at a time.
 * Test: test/10-master.history.test.ts
 */
import type { Host, Timer } from "#host";
import { RpcError } from "#rpc";

/** A person who looks at a moment looks at another one soon. */
const IDLE_MS = 120_000;

/** Which question a body is. */
export type PastKind = "moment" | "facts" | "step";

export interface PastQuestion {
  readonly kind: PastKind;
  readonly body: Buffer;
  /** The last fact that is durable. */
  readonly until: number;
}

export interface PastReader {
  /** The pages of the answer. */
  ask(question: PastQuestion): Promise<Buffer[]>;
  close(): Promise<void>;
}

/** `dir`: the folder of the log. */
export type OpenPast = (dir: string) => PastReader;

export class PastDesk {
  readonly #host: Host;
  readonly #open: () => PastReader;
  #reader: PastReader | undefined;
  /** Of each peer: resolves when its answers so far have been read. */
  readonly #lines = new WeakMap<object, Promise<unknown>>();
  #asking = 0;
  #idle: Timer | undefined;

  constructor(host: Host, dir: string, open: OpenPast = (log) => readHere(host, log)) {
    this.#host = host;
    this.#open = () => open(`${dir}/log`);
  }

  /** Questions that have no answer yet. */
  get asking(): number {
    return this.#asking;
  }

  /**
   * An answer is made whole, and may have 20 MB. So the next question of a peer waits until the
   * answer to the one before has been read: `work` asks and sends.
   */
  inLine(peer: object, work: () => Promise<void>): Promise<void> {
    const own = (this.#lines.get(peer) ?? Promise.resolve()).then(work);
    this.#lines.set(peer, own.catch(() => undefined));
    return own;
  }

  /** @throws {RpcError} */
  async ask(question: PastQuestion): Promise<Buffer[]> {
    this.#idle?.cancel();
    this.#asking += 1;
    try {
      return await (this.#reader ??= this.#open()).ask(question);
    } catch (error) {
      throw asRpcError(error);
    } finally {
      this.#asking -= 1;
      if (this.#asking === 0) this.#rest();
    }
  }

  #rest(): void {
    this.#idle = this.#host.timers.after(IDLE_MS, () => void this.close());
    this.#idle.unref?.();
  }

  async close(): Promise<void> {
    const reader = this.#reader;
    this.#reader = undefined;
    this.#idle?.cancel();
    await reader?.close().catch(() => undefined);
  }
}

/** In this thread: for a master in a test, or in a simulation. */
function readHere(host: Host, log: string): PastReader {
  const opened = import("#history").then(({ answerHistory, History }) => {
    const history = new History(host, log);
    return { history, answer: (question: PastQuestion) => answerHistory(history, question) };
  });
  return {
    ask: async (question) => (await opened).answer(question),
    close: async () => (await opened).history.close(),
  };
}

const CODES = ["NOT_FOUND", "INVALID", "BAD_REQUEST"] as const;

/** Nobody's promise hangs on the past: what is wrong with it is told, and the master goes on. */
function asRpcError(error: unknown): RpcError {
  const { name, code, message } = error as Error & { code?: unknown };
  const known = name === "HistoryError" ? CODES.find((each) => each === code)
    : name === "CodecError" ? "BAD_REQUEST" : undefined;
  if (known !== undefined) return new RpcError(known, message);
  return new RpcError("INTERNAL", `Cannot tell the past: ${message}`);
}
