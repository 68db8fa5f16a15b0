/**
 * Frames of version 1: eight bytes, then text. One request and one reply a connection.
 *
 *     version = 1 u8 | opcode u8 | flags u8 | spare u8 | length u32 | body, UTF-8     (big-endian)
 *
 * Invariants: nothing is kept of a frame whose header is wrong or whose body is too long; bytes
 * after the first frame are ignored.
 * Test: test/dialect.frame.test.ts
 */

const VERSION = 1;
const HEADER_BYTES = 8;
/** As version 1 had it. A longer body was never answered: the connection was closed. */
export const MAX_BODY_BYTES = 10 * 1024 * 1024;

/** Requests, by their numbers of old. */
export const OP = {
  REGISTER: 0x02,
  SUBMIT_JOB: 0x03,
  SUBMIT_DAG: 0x04,
  DEPLOY: 0x05,
  RUN: 0x06,
  STOP: 0x07,
  STATS: 0x08,
  STATS_JSON: 0x09,
  CLEAN_STATS: 0x0b,
  KILL_WORKER: 0x11,
  GET_LOGS: 0x16,
  UPLOAD_ASSET: 0x53,
  FETCH_ASSET: 0x54,
  GET_JOB_STATUS: 0x55,
  CANCEL_JOB: 0x56,
  DEPLOY_SCRIPT: 0x57,
  KV_SET: 0x60,
  KV_GET: 0x61,
  KV_SADD: 0x62,
  KV_SMEMBERS: 0x63,
} as const;

/** The two opcodes of replies. */
const ACK = 0x50;
const ERROR = 0x51;

export interface OldRequest {
  readonly opcode: number;
  readonly body: Buffer;
}

/** An answer: bytes that are data, or a text that may say that something went wrong. */
export type OldReply = Buffer | string;

/** Puts one request together, however its bytes arrive. */
export class RequestReader {
  readonly #pieces: Buffer[] = [];
  #bytes = 0;
  /** Of the whole frame; undefined while the header is not complete. */
  #total: number | undefined;

  /** Bytes that are kept. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The header has arrived, and is in order. */
  get begun(): boolean {
    return this.#total !== undefined;
  }

  /** The request once it is whole; "bad" if it can be none. Not to be called again after either. */
  push(chunk: Buffer): OldRequest | "bad" | undefined {
    this.#pieces.push(chunk);
    this.#bytes += chunk.length;
    if (this.#total === undefined) {
      if (this.#bytes < HEADER_BYTES) return undefined;
      const header = this.#joined();
      const length = header.readUInt32BE(4);
      if (header[0] !== VERSION || length > MAX_BODY_BYTES) return "bad";
      this.#total = HEADER_BYTES + length;
    }
    if (this.#bytes < this.#total) return undefined;
    const frame = this.#joined();
    return { opcode: frame[1]!, body: frame.subarray(HEADER_BYTES, this.#total) };
  }

  #joined(): Buffer {
    if (this.#pieces.length > 1) this.#pieces.splice(0, Infinity, Buffer.concat(this.#pieces));
    return this.#pieces[0]!;
  }
}

/** Texts that begin like this are errors to old clients. */
const FAILED = /^(ERROR|UNKNOWN|SERVER_ERROR|UPLOAD_FAILED|DEPLOY_FAILED)/;

export function encodeReply(reply: OldReply): Buffer {
  const isError = typeof reply === "string" && FAILED.test(reply);
  const body = typeof reply === "string" ? Buffer.from(reply) : reply;
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt8(VERSION, 0);
  header.writeUInt8(isError ? ERROR : ACK, 1);
  header.writeUInt32BE(body.length, 4);
  return Buffer.concat([header, body]);
}
