/**
 * Chromium's DevTools protocol over its pipe: messages are JSON, and a NUL ends each.
 *
 *     us ──▶ fd 3 of the browser    {"id":7,"sessionId":"A1…","method":"Page.navigate",…}
 *     us ◀── fd 4                   {"id":7,"result":{…}}     an answer has the number of its call
 *                                   {"method":"Log.entryAdded",…}                 an event has none
 *
 * A pipe instead of a port: nobody else on the machine can drive this browser, and it ends when
 * its pipe does.
 */
import type { Readable, Writable } from "node:stream";

export type Params = Readonly<Record<string, unknown>>;
/** What a method answers is the protocol's to say; the caller knows. */
export type Answer = any;

interface Waiting {
  resolve(answer: Answer): void;
  reject(error: Error): void;
  readonly method: string;
}

interface Message {
  readonly id?: number;
  readonly sessionId?: string;
  readonly method?: string;
  readonly params?: Params;
  readonly result?: Answer;
  readonly error?: { readonly message: string };
}

export class Cdp {
  readonly #to: Writable;
  readonly #waiting = new Map<number, Waiting>();
  readonly #listeners = new Map<string, (method: string, params: Answer) => void>();
  #pieces: Buffer[] = [];
  #next = 1;
  #over = "";

  constructor(to: Writable, from: Readable) {
    this.#to = to;
    to.on("error", () => undefined);
    from.on("data", (piece: Buffer) => this.#read(piece));
    from.on("close", () => this.end("its pipe is closed"));
  }

  call(method: string, params: Params = {}, sessionId?: string): Promise<Answer> {
    if (this.#over !== "") return Promise.reject(new Error(`Cannot ${method}: ${this.#over}`));
    const id = this.#next++;
    this.#to.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject, method }));
  }

  /** Events of one page. */
  listen(sessionId: string, listener: (method: string, params: Answer) => void): void {
    this.#listeners.set(sessionId, listener);
  }

  /** No more answers come. */
  end(why: string): void {
    if (this.#over === "") this.#over = why;
    for (const { method, reject } of this.#waiting.values()) {
      reject(new Error(`Cannot ${method}: ${why}`));
    }
    this.#waiting.clear();
  }

  #read(piece: Buffer): void {
    let start = 0;
    for (let end = piece.indexOf(0); end >= 0; end = piece.indexOf(0, start)) {
      const text = Buffer.concat([...this.#pieces, piece.subarray(start, end)]).toString("utf8");
      this.#pieces = [];
      start = end + 1;
      this.#take(JSON.parse(text) as Message);
    }
    if (start < piece.length) this.#pieces.push(piece.subarray(start));
  }

  #take({ id, sessionId, method, params, result, error }: Message): void {
    if (id === undefined) {
      this.#listeners.get(sessionId ?? "")?.(method!, params);
      return;
    }
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.resolve(result);
    else waiting?.reject(new Error(`Cannot ${waiting.method}: ${error.message}`));
  }
}
