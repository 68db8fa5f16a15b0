/**
 * RESP, the way out: answers, collected into one write.
 *
 *     value      RESP2                RESP3
 *     map        *2n                  %n
 *     set, push  *n                   ~n, >n
 *     double     $… (its digits)      ,digits
 *     bool       :1 :0                #t #f
 *     nil        $-1, array: *-1      _
 *
 * Small answers are joined to one latin1 string, which becomes bytes once, in `take`: a string that
 * grows is the cheapest buffer there is in JavaScript. A large value is kept as the string it
 * already is in the keyspace: until `take` it costs nothing. Text that waits for a slow reader is
 * packed into bytes now and then, since a string of many pieces weighs several times its text.
 *
 * Test: test/15-store.resp.test.ts
 */
import type { Replies } from "../types.ts";

/** From this length on a value is not joined: a place of its own costs less than a second copy. */
const LARGE_CHARS = 4 * 1024;
/**
 * Joined text is packed at this size: a pipeline's answers are below it, a waiting subscriber's are
 * not.
 */
const PACK_CHARS = 16 * 1024;

const SMALL_INTEGERS = 1024;
const INTEGERS = Array.from({ length: SMALL_INTEGERS }, (_, n) => `:${n}\r\n`);
const BULK_HEADERS = Array.from({ length: SMALL_INTEGERS }, (_, n) => `$${n}\r\n`);
const NOTHING = Buffer.alloc(0);

export class RespWriter implements Replies {
  protocol: 2 | 3 = 2;
  readonly #keepBytes: number;
  #text = "";
  #packed: (string | Buffer)[] = [];
  #packedBytes = 0;

  /** @param keepBytes beyond this only the size is kept: such a receiver is cut off */
  constructor(keepBytes = Infinity) {
    this.#keepBytes = keepBytes;
  }

  /** Bytes that were written since the last `take`, which hands them over. */
  get size(): number {
    return this.#packedBytes + this.#text.length;
  }

  ok(): void {
    this.#add("+OK\r\n");
  }

  simple(text: string): void {
    this.#add(`+${text}\r\n`);
  }

  error(text: string): void {
    // An error may quote what the client sent. A line end in it would let a key forge the next
    // answer.
    this.#add(`-${/[\r\n]/.test(text) ? text.replace(/[\r\n]/g, " ") : text}\r\n`);
  }

  int(value: number | bigint): void {
    this.#add(INTEGERS[value as number] ?? `:${value}\r\n`);
  }

  bulk(latin1: string): void {
    const { length } = latin1;
    if (length < SMALL_INTEGERS) this.#add(`${BULK_HEADERS[length]!}${latin1}\r\n`);
    else if (length < LARGE_CHARS) this.#add(`$${length}\r\n${latin1}\r\n`);
    else this.#large(latin1);
  }

  /** The same for bytes, which are not changed until `take`. */
  bulkBytes(bytes: Buffer): void {
    if (bytes.length < LARGE_CHARS) this.bulk(bytes.toString("latin1"));
    else this.#large(bytes);
  }

  #large(value: string | Buffer): void {
    this.#text += `$${value.length}\r\n`;
    this.#pack();
    this.#packed.push(value);
    this.#packedBytes += value.length;
    this.#text = "\r\n";
  }

  verbatim(latin1: string): void {
    if (this.protocol === 2) this.bulk(latin1);
    else {
      this.#add(`=${latin1.length + 4}\r\ntxt:`);
      this.#add(latin1);
      this.#add("\r\n");
    }
  }

  nil(): void {
    this.#add(this.protocol === 2 ? "$-1\r\n" : "_\r\n");
  }

  nilArray(): void {
    this.#add(this.protocol === 2 ? "*-1\r\n" : "_\r\n");
  }

  array(count: number): void {
    this.#add(`*${count}\r\n`);
  }

  map(pairs: number): void {
    this.#add(this.protocol === 2 ? `*${2 * pairs}\r\n` : `%${pairs}\r\n`);
  }

  set(count: number): void {
    this.#add(`${this.protocol === 2 ? "*" : "~"}${count}\r\n`);
  }

  push(count: number): void {
    this.#add(`${this.protocol === 2 ? "*" : ">"}${count}\r\n`);
  }

  double(value: number): void {
    const digits =
      value === Infinity ? "inf" : value === -Infinity ? "-inf" : String(value).toLowerCase();
    if (this.protocol === 2) this.bulk(digits);
    else this.#add(`,${digits}\r\n`);
  }

  bool(value: boolean): void {
    if (this.protocol === 2) this.int(value ? 1 : 0);
    else this.#add(value ? "#t\r\n" : "#f\r\n");
  }

  /** Everything so far as bytes, and nothing is left. */
  take(): Buffer {
    if (this.#packed.length === 0) {
      const bytes = this.#text === "" ? NOTHING : Buffer.from(this.#text, "latin1");
      this.#text = "";
      return bytes;
    }
    this.#pack();
    const isWhole = this.#packedBytes <= this.#keepBytes;
    const bytes = isWhole ? Buffer.allocUnsafeSlow(this.#packedBytes) : NOTHING;
    let at = 0;
    for (const piece of isWhole ? this.#packed : []) {
      at += typeof piece === "string" ? bytes.write(piece, at, "latin1") : piece.copy(bytes, at);
    }
    this.#packed = [];
    this.#packedBytes = 0;
    return bytes;
  }

  #add(text: string): void {
    this.#text += text;
    if (this.#text.length >= PACK_CHARS) this.#pack();
  }

  #pack(): void {
    this.#packedBytes += this.#text.length;
    if (this.#packedBytes > this.#keepBytes) this.#packed = [NOTHING];
    else this.#packed.push(Buffer.from(this.#text, "latin1"));
    this.#text = "";
  }
}
