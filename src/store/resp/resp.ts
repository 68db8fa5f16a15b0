/**
 * RESP, the way in: what a client sends, cut into commands.
 *
 *     *2\r\n $3\r\nGET\r\n $5\r\nvisit\r\n      an array of bulk strings: what programs send
 *     GET visit\r\n                            inline: what people type into a raw connection
 *
 * A command that lies in its chunk whole, which nearly all do, is read by `quick` in one pass over
 * local variables. All else (cut in two, wrong, from a stranger) goes through `next`, a step at a
 * time, with every limit checked before anything is kept. `quick` takes only commands that the slow
 * way would take, too.
 *
 * Invariants: the commands are the same whatever the pieces that their bytes come in; no memory is
 * kept free for a length that was promised; after an error the stream is over.
 * Left out: the lone "\r" that Redis takes for the end of a count, and the two bytes behind an
 * argument that it skips unseen. Here they must be "\r\n": a client that miscounts a length learns
 * so, instead of having its data run as commands.
 * Test: test/15-store.resp.test.ts
 */
import { splitInline } from "./inline.ts";
import { RespInput } from "./input.ts";

/** The most arguments of one command. Redis's own limit for its first ten years. */
export const MAX_ARGUMENTS = 1024 * 1024;
/**
 * The longest argument. Larger things are files: an artifact can be streamed, a value is always in
 * memory whole.
 */
export const MAX_BULK_BYTES = 64 * 1024 * 1024;
/** The longest inline command, and the longest line that says a count. As in Redis. */
export const MAX_INLINE_BYTES = 64 * 1024;
/** One command in all: four of the largest values, or a million arguments of 200 bytes. */
export const MAX_COMMAND_BYTES = 4 * MAX_BULK_BYTES;
/**
 * What an argument costs beside its bytes: the string's header and a slot. A million empty ones are
 * 24 MB.
 */
const ARGUMENT_BYTES = 24;

/** Before AUTH: AUTH and HELLO need seven arguments of a few bytes. As in Redis. */
export const MAX_UNTRUSTED_ARGUMENTS = 10;
export const MAX_UNTRUSTED_BYTES = 16 * 1024;
/** All of them together: one of the longest, and small ones. */
const MAX_UNTRUSTED_COMMAND_BYTES = MAX_UNTRUSTED_BYTES + 1024;
/** A line that says a count, from a stranger: no number needs more digits. */
const MAX_UNTRUSTED_LINE_BYTES = 64;

/** Counts beyond this take the slow way, which collects them over many chunks anyway. */
const QUICK_ARGUMENTS = 1024;

/**
 * The longest argument that is looked for among earlier words, and how many of those are kept (a
 * power of two; 50 kB in all).
 */
const WORD_BYTES = 24;
const WORDS = 1024;

const CR = 13;
const LF = 10;
const ZERO = 48;
const STAR = 42;
const DOLLAR = 36;
const HEADER = -1;

/** As Redis reads numbers in a protocol: no plus, no spaces, no leading zeros. */
const INTEGER = /^(?:0|-?[1-9][0-9]{0,17})$/;

/**
 * Cuts a stream into commands. One per connection: `push` what the socket delivers, then call
 * `next` until it yields nothing. Arguments are latin1: one char, one byte.
 *
 * @throws {RespError} from `push` and `next`; from then on every call throws the same error. Tell
 *   the client, and close.
 */
export class RespParser {
  /**
   * Whether the sender has authenticated. Until then the limits are small: strangers get no memory.
   */
  trusted = true;
  readonly #input: RespInput = new RespInput();
  /** Whether the line that is being read began with a star; undefined between lines. */
  #isMulti: boolean | undefined;
  #argv: string[] | undefined;
  #missing = 0;
  /** Bytes of the argument that comes next, or HEADER: its length has not come. */
  #bulkBytes = HEADER;
  #commandBytes = 0;

  /** The beginning of a command has been read, and not its end. */
  get isInside(): boolean {
    return this.#argv !== undefined || this.#isMulti !== undefined;
  }

  /** Hands over what the socket delivered. Views of it are kept: do not change it afterwards. */
  push(chunk: Buffer): void {
    this.#input.push(chunk);
  }

  /** The bytes that were pushed and not asked for yet, with the cost of keeping them. */
  get unreadBytes(): number {
    return this.#input.unreadBytes;
  }

  /**
   * All that is kept of what has arrived. A promise is not counted: of the argument that is coming,
   * only the bytes that have come, which are the input's.
   */
  get heldBytes(): number {
    if (this.#argv === undefined) return this.#input.heldBytes;
    return this.#input.heldBytes + this.#commandBytes - Math.max(0, this.#bulkBytes);
  }

  /** The next whole command, never empty, or `undefined` until more bytes are pushed. */
  next(): string[] | undefined {
    if (this.#input.dead) throw this.#input.dead;
    while (this.#input.more()) {
      if (this.#argv === undefined) {
        const whole = (this.#isMulti === undefined ? this.#quick() : undefined) ?? this.#begin();
        if (whole !== undefined) return whole;
      }
      if (this.#argv !== undefined && !this.#collect(this.#argv)) return undefined;
      if (this.#argv !== undefined) {
        const argv = this.#argv;
        this.#argv = undefined;
        return argv;
      }
    }
    return undefined;
  }

  /** A command that is here in full and in order. Otherwise nothing, and nothing has been read. */
  #quick(): string[] | undefined {
    const { chunk } = this.#input;
    let at = this.#input.at;
    if (!this.trusted || chunk[at] !== STAR) return undefined;
    const last = chunk.length - 1;
    let digit = chunk[++at]! - ZERO;
    let count = digit;
    if (!(digit >= 1 && digit <= 9)) return undefined;
    while (at < last && (digit = chunk[++at]! - ZERO) >= 0 && digit <= 9) {
      count = count * 10 + digit;
    }
    if (count > QUICK_ARGUMENTS || at >= last || chunk[at] !== CR || chunk[++at] !== LF) {
      return undefined;
    }
    // The count is bounded, so the array is made at once: one that grows by itself, with room for
    // more, took a third of the time to replay a log.
    const argv = new Array<string>(count);
    let filled = 0;
    do {
      if (at + 2 > last || chunk[++at] !== DOLLAR) return undefined;
      let bytes = (digit = chunk[++at]! - ZERO);
      if (!(digit >= 0 && digit <= 9)) return undefined;
      // A zero may only stand alone: "$03" is an error, and errors are the slow way's.
      while (at < last && (digit = chunk[++at]! - ZERO) >= 0 && digit <= 9 && bytes > 0) {
        bytes = bytes * 10 + digit;
      }
      const start = at + 2;
      const end = start + bytes;
      if (end >= last || chunk[at] !== CR || chunk[at + 1] !== LF) return undefined;
      if (chunk[end] !== CR || chunk[end + 1] !== LF) return undefined;
      argv[filled++] =
        bytes <= WORD_BYTES ? word(chunk, start, end) : chunk.toString("latin1", start, end);
      at = end + 1;
    } while (filled < count);
    this.#input.at = at + 1;
    return argv;
  }

  /**
   * Reads the first line of a command. Returns a whole inline command; otherwise `#argv` is set up
   * to be collected, or the line's end has not come.
   */
  #begin(): string[] | undefined {
    // The first byte says which of the two it is. It may have come long before the line's end.
    this.#isMulti ??= this.#input.chunk[this.#input.at] === STAR;
    const line = this.#isMulti
      ? this.#input.line(this.#mostLine, "Protocol error: too big mbulk count string")
      : this.#inlineLine();
    if (line === undefined) return undefined;
    const multi = this.#isMulti;
    this.#isMulti = undefined;
    if (!multi) return this.#inline(line);
    const count = number(line.slice(1));
    if (count === undefined || count > MAX_ARGUMENTS) {
      this.#input.die("MALFORMED", "Protocol error: invalid multibulk length");
    }
    if (!this.trusted && count > MAX_UNTRUSTED_ARGUMENTS) {
      this.#input.die("TOO_LARGE", "Protocol error: unauthenticated multibulk length");
    }
    // Redis ignores an empty command, and even one of -1 arguments
    if (count <= 0) return undefined;
    this.#argv = [];
    this.#missing = count;
    this.#commandBytes = 0;
    return undefined;
  }

  get #mostLine(): number {
    return this.trusted ? MAX_INLINE_BYTES : MAX_UNTRUSTED_LINE_BYTES;
  }

  #inlineLine(): string | undefined {
    return this.#input.line(
      this.trusted ? MAX_INLINE_BYTES : MAX_UNTRUSTED_BYTES,
      "Protocol error: too big inline request",
    );
  }

  #inline(line: string): string[] | undefined {
    const argv = splitInline(line);
    if (argv === undefined) {
      this.#input.die("MALFORMED", "Protocol error: unbalanced quotes in request");
    }
    if (!this.trusted && argv.length > MAX_UNTRUSTED_ARGUMENTS) {
      this.#input.die("TOO_LARGE", "Protocol error: unauthenticated multibulk length");
    }
    // A browser that was tricked into POSTing here would run its body's lines as commands. As in
    // Redis, it may not.
    if (/^(?:post|host:)$/i.test(argv[0] ?? "")) {
      this.#input.die("MALFORMED", "Protocol error: this is HTTP");
    }
    return argv.length > 0 ? argv : undefined;
  }

  /** Goes on with `argv`; true when it is complete. */
  #collect(argv: string[]): boolean {
    while (this.#missing > 0) {
      if (this.#bulkBytes === HEADER && !this.#bulkHeader()) return false;
      const block = this.#input.take(this.#bulkBytes + 2);
      if (block === undefined) return false;
      if (block[this.#bulkBytes] !== CR || block[this.#bulkBytes + 1] !== LF) {
        this.#input.die("MALFORMED", "Protocol error: expected CRLF behind an argument");
      }
      argv.push(block.toString("latin1", 0, this.#bulkBytes));
      this.#bulkBytes = HEADER;
      this.#missing--;
    }
    return true;
  }

  // #region header
  /** The line before an argument: how many bytes it has. False: the line's end has not come. */
  #bulkHeader(): boolean {
    // #exercise bulkHeader
    const line = this.#input.line(this.#mostLine, "Protocol error: too big bulk count string");
    if (line === undefined) return false;
    if (line[0] !== "$") {
      this.#input.die("MALFORMED", `Protocol error: expected '$', got '${line[0] ?? "\r"}'`);
    }
    const bytes = number(line.slice(1));
    if (bytes === undefined || bytes < 0) {
      this.#input.die("MALFORMED", "Protocol error: invalid bulk length");
    }
    if (!this.trusted && bytes > MAX_UNTRUSTED_BYTES) {
      this.#input.die("TOO_LARGE", "Protocol error: unauthenticated bulk length");
    }
    if (bytes > MAX_BULK_BYTES) this.#input.die("MALFORMED", "Protocol error: invalid bulk length");
    this.#commandBytes += bytes + ARGUMENT_BYTES;
    const most = this.trusted ? MAX_COMMAND_BYTES : MAX_UNTRUSTED_COMMAND_BYTES;
    if (this.#commandBytes > most) {
      this.#input.die("TOO_LARGE", `Protocol error: command exceeds ${most} bytes`);
    }
    this.#bulkBytes = bytes;
    return true;
    // #end-exercise
  }
  // #endregion
}

/**
 * Command names, hot keys and small values are the same few words again and again. To compare one
 * with an earlier word takes half the time of making a string, and the string that is found has its
 * hash already, which a map needs. Each word has one place, and another word of the same place
 * pushes it out, so that the table neither grows nor needs to be swept.
 */
const words: string[] = new Array<string>(WORDS).fill("");

function word(chunk: Buffer, start: number, end: number): string {
  const length = end - start;
  // Keys differ at their ends: "user:1001", "user:1002". Before a shorter word stands its header.
  const last = chunk[end - 1]! + chunk[end - 2]! * 31 + chunk[end - 3]! * 131;
  const place = (last + chunk[start]! * 17 + length * 7) & (WORDS - 1);
  const known = words[place]!;
  if (known.length === length) {
    let i = 0;
    while (i < length && known.charCodeAt(i) === chunk[start + i]) i++;
    if (i === length) return known;
  }
  return (words[place] = chunk.toString("latin1", start, end));
}

function number(text: string): number | undefined {
  return INTEGER.test(text) ? Number(text) : undefined;
}
