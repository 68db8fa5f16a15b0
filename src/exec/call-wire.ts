/**
 * Lesson 11: the messages in the pipes of a process that carries calls.
 *
 *     request: length u32 | JSON                       one at a time
 *     reply:   kind u8 | length u32 | content          kind = 1 stdout · 2 stderr · 3 done, as JSON
 *
 * Invariants: output is passed on as it comes, whatever length its head claims; only a Done is
 * collected, and one beyond its limit is refused. So a call that writes into the pipe by itself can
 * harm only itself.
 * Test: test/11-worker.calls.test.ts
 */
import type { Done } from "./call-encode.ts";
import { MAX_RESULT_BYTES, type StreamName } from "./types.ts";

export const STDOUT = 1;
export const STDERR = 2;
export const DONE = 3;
const HEAD_BYTES = 5;
/**
 * A result as a text within JSON, in which each of its bytes may take six; and room for the rest.
 */
const MAX_DONE_BYTES = 6 * MAX_RESULT_BYTES + 64 * 1024;

export interface Call {
  readonly id: number;
  /** The module, as a file URL. */
  readonly url: string;
  readonly name: string;
  readonly target: string;
  readonly input: string;
  /** JSON text of the parents' results. */
  readonly inputs: string;
  readonly context: { readonly run: string; readonly job: string; readonly attempt: number };
  readonly env: Readonly<Record<string, string>>;
}

export function encodeCall(call: Call): Buffer {
  const body = Buffer.from(JSON.stringify(call));
  const bytes = Buffer.allocUnsafe(4 + body.length);
  bytes.writeUInt32BE(body.length, 0);
  bytes.set(body, 4);
  return bytes;
}

export interface ReplyHandlers {
  onOutput(stream: StreamName, bytes: Buffer): void;
  onDone(done: Done): void;
  /** The bytes are no reply. Nothing is read after them. */
  onBroken(): void;
}

/** Takes the bytes of the reply pipe apart. */
export class ReplyReader {
  readonly #handlers: ReplyHandlers;
  #head: Buffer = Buffer.alloc(0);
  #kind!: number; // set by #begin
  /** Bytes of the content that are still to come. */
  #left = 0;
  #parts: Buffer[] = [];
  #broken = false;

  constructor(handlers: ReplyHandlers) {
    this.#handlers = handlers;
  }

  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length && !this.#broken; ) {
      if (this.#left === 0) {
        const piece = chunk.subarray(at, at + HEAD_BYTES - this.#head.length);
        at += piece.length;
        this.#head = Buffer.concat([this.#head, piece]);
        if (this.#head.length === HEAD_BYTES) this.#begin();
        continue;
      }
      const piece = chunk.subarray(at, at + this.#left);
      at += piece.length;
      this.#left -= piece.length;
      this.#content(piece);
    }
  }

  #begin(): void {
    this.#kind = this.#head.readUInt8(0);
    this.#left = this.#head.readUInt32BE(1);
    this.#head = Buffer.alloc(0);
    const known = this.#kind === STDOUT || this.#kind === STDERR || this.#kind === DONE;
    if (!known || (this.#kind === DONE && this.#left > MAX_DONE_BYTES)) this.#break();
  }

  #content(piece: Buffer): void {
    if (this.#kind !== DONE) {
      return this.#handlers.onOutput(this.#kind === STDOUT ? "stdout" : "stderr", piece);
    }
    this.#parts.push(piece);
    if (this.#left > 0) return;
    const text = Buffer.concat(this.#parts.splice(0)).toString("utf8");
    let done: Done;
    try {
      done = JSON.parse(text) as Done;
      if (typeof done.id !== "number" || typeof done.text !== "string") throw new Error("no Done");
    } catch {
      return this.#break();
    }
    this.#handlers.onDone(done);
  }

  #break(): void {
    this.#broken = true;
    this.#handlers.onBroken();
  }
}
