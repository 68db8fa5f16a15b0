/**
 * RESP, the client's way in: what a server answers, cut into values.
 *
 *     + simple   - error   : integer   $ bulk   * array                  RESP2
 *     _ null   # bool   , double   ( big number   ! error   = text       RESP3
 *     % map    ~ set    > push                                           RESP3
 *
 * Arrays are collected on a stack of frames, not by recursion: the peer decides how deep they go,
 * and must not fill our stack of calls.
 *
 * Invariants: as for `RespParser`; one reply costs at most `maxReplyBytes`, counting slots; depth
 * is bounded.
 * Left out: streamed strings and attributes, which no server sends unasked.
 * Test: test/15-store.client.test.ts
 */
import { RespInput } from "./input.ts";

/** Arrays in arrays. EXEC of a command that answers with nested arrays needs four. */
export const MAX_REPLY_DEPTH = 32;
/** The largest value four times over, as the server limits a command. */
export const MAX_REPLY_BYTES = 256 * 1024 * 1024;
/** What a value costs beside its bytes: an object and a slot, or, for bytes, a view. */
const VALUE_BYTES = 96;
/** A line other than an error or a status is a few digits. */
const MAX_LINE_BYTES = 64 * 1024;

/**
 * An error answer. `code` is its first word: ERR, WRONGTYPE, NOAUTH, … It is a value inside the
 * answer of EXEC.
 */
export class StoreError extends Error {
  override readonly name = "StoreError";
  readonly code: string;

  constructor(message: string, code = /^[A-Z][A-Z0-9]*(?= |$)/.exec(message)?.[0] ?? "ERR") {
    super(message);
    this.code = code;
  }
}

/**
 * `bigint` for an integer that a number cannot hold exactly. A RESP3 set is an array, a map a Map.
 */
export type Value =
  string | Buffer | number | bigint | boolean | null | StoreError | Value[] | Map<Value, Value>;

/** A message that the server sends without being asked: pub/sub. */
export class Push {
  readonly items: readonly Value[];

  constructor(items: readonly Value[]) {
    this.items = items;
  }
}

interface Frame {
  readonly kind: "array" | "map" | "push";
  readonly items: Value[];
  missing: number;
}

const INTEGER = /^[+-]?[0-9]{1,20}$/;
const BIG = /^[+-]?[0-9]{1,4096}$/;
const DOUBLE = /^[+-]?(?:[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|inf|nan)$/;
const CR = 13;
const LF = 10;
const NONE = -1;

export class ReplyParser {
  readonly #input: RespInput = new RespInput();
  readonly #asBuffers: boolean;
  readonly #maxBytes: number;
  #frames: Frame[] = [];
  /** The bulk whose bytes come next: its kind, and how many, or NONE. */
  #bulkKind = "$";
  #bulkBytes = NONE;
  #replyBytes = 0;

  /** @param options.buffers bulk strings as Buffers; otherwise as text, read as UTF-8 */
  constructor(options: { buffers?: boolean; maxReplyBytes?: number } = {}) {
    this.#asBuffers = options.buffers ?? false;
    this.#maxBytes = options.maxReplyBytes ?? MAX_REPLY_BYTES;
  }

  /** Hands over what the socket delivered. Views of it are kept: do not change it afterwards. */
  push(chunk: Buffer): void {
    this.#input.push(chunk);
  }

  /**
   * The next whole reply or push, or `undefined` until more bytes are pushed. @throws {RespError}
   * once and for ever
   */
  next(): Value | Push | undefined {
    if (this.#input.dead) throw this.#input.dead;
    while (this.#input.more()) {
      const value = this.#bulkBytes === NONE ? this.#header() : this.#bulk();
      if (value === undefined) continue;
      const whole = this.#place(value);
      if (whole === undefined) continue;
      this.#replyBytes = 0;
      return whole;
    }
    return undefined;
  }

  /** Reads a line: a value, or the beginning of one. */
  #header(): Value | undefined {
    const line = this.#input.line(MAX_LINE_BYTES, "Cannot read reply: a line is too long");
    if (line === undefined) return undefined;
    this.#pay(VALUE_BYTES + line.length);
    const rest = line.slice(1);
    switch (line[0]) {
      case "+": return rest;
      case "-": return new StoreError(text(rest));
      case ":": return integer(INTEGER.test(rest) ? rest : this.#malformed(line));
      case "(": return integer(BIG.test(rest) ? rest : this.#malformed(line));
      case ",": return double(DOUBLE.test(rest) ? rest : this.#malformed(line));
      case "#": return rest === "t" ? true : rest === "f" ? false : this.#malformed(line);
      case "_": return rest === "" ? null : this.#malformed(line);
      case "$": case "!": case "=": return this.#beginBulk(line);
      case "*": case "~": return this.#open("array", line);
      case "%": return this.#open("map", line);
      case ">": return this.#open("push", line);
      default: return this.#malformed(line);
    }
  }

  #beginBulk(line: string): Value | undefined {
    if (line === "$-1") return null;
    const bytes = this.#count(line);
    this.#pay(bytes);
    this.#bulkKind = line[0]!;
    this.#bulkBytes = bytes;
    return undefined;
  }

  #bulk(): Value | undefined {
    const count = this.#bulkBytes;
    const block = this.#input.take(count + 2);
    if (block === undefined) return undefined;
    if (block[count] !== CR || block[count + 1] !== LF) this.#malformed("a bulk without its end");
    this.#bulkBytes = NONE;
    if (this.#bulkKind === "!") return new StoreError(block.toString("utf8", 0, count));
    const start = this.#bulkKind === "=" ? Math.min(4, count) : 0; // "txt:"
    if (!this.#asBuffers) return block.toString("utf8", start, count);
    const bytes = block.subarray(start, count);
    // A copy, unless it is most of its memory: a view of a few bytes would keep the whole chunk.
    return 2 * bytes.length >= bytes.buffer.byteLength ? bytes : Buffer.from(bytes);
  }

  #open(kind: Frame["kind"], line: string): Value | undefined {
    if (line === "*-1") return null;
    const count = this.#count(line) * (kind === "map" ? 2 : 1);
    if (count === 0) {
      return kind === "map" ? new Map() : kind === "array" ? [] : this.#malformed(line);
    }
    // The slots are counted here, and the array grows as values come: a promise allocates nothing.
    this.#pay(count);
    if (this.#frames.length === MAX_REPLY_DEPTH) {
      this.#input.die("TOO_LARGE", `Cannot read reply: depth exceeds ${MAX_REPLY_DEPTH}`);
    }
    this.#frames.push({ kind, items: [], missing: count });
    return undefined;
  }

  /** Puts a value into the frame that waits for it; returns the reply that is complete with it. */
  #place(value: Value): Value | Push | undefined {
    for (;;) {
      const frame = this.#frames.at(-1);
      if (frame === undefined) return value;
      frame.items.push(value);
      if (--frame.missing > 0) return undefined;
      this.#frames.pop();
      if (frame.kind === "push") {
        return this.#frames.length === 0
          ? new Push(frame.items)
          : this.#malformed("a push inside a reply");
      }
      value = frame.kind === "map" ? pairs(frame.items) : frame.items;
    }
  }

  #count(line: string): number {
    return /^.(?:0|[1-9][0-9]{0,11})$/.test(line) ? Number(line.slice(1)) : this.#malformed(line);
  }

  #pay(bytes: number): void {
    this.#replyBytes += bytes;
    if (this.#replyBytes > this.#maxBytes) {
      this.#input.die("TOO_LARGE", `Cannot read reply: it exceeds ${this.#maxBytes} bytes`);
    }
  }

  #malformed(found: string): never {
    this.#input.die("MALFORMED", `Cannot read reply: found ${JSON.stringify(found.slice(0, 32))}`);
  }
}

function integer(digits: string): number | bigint {
  const value = Number(digits);
  return Number.isSafeInteger(value) ? value : BigInt(digits);
}

function double(digits: string): number {
  return /inf/.test(digits) ? (digits[0] === "-" ? -Infinity : Infinity) : Number(digits);
}

function pairs(items: readonly Value[]): Map<Value, Value> {
  const map = new Map<Value, Value>();
  for (let i = 0; i < items.length; i += 2) map.set(items[i]!, items[i + 1]!);
  return map;
}

function text(latin1: string): string {
  return Buffer.from(latin1, "latin1").toString();
}
