/**
 * Lesson 15: changes as text: what the log holds and what replicas hear.
 *
 *     *3 set greeting hello                        a group of one command is the command
 *     *1 multi  *3 lpush …  *2 del …  *1 exec      a group of several stands between MULTI and EXEC
 *
 * It is the protocol's own text (RESP arrays of bulk strings), so there is one parser and one dump
 * format, and a real Redis reads the log as it would read its own.
 *
 * Invariants: one spelling for each command, so that its length can be told from its arguments
 * (`encodedBytes`): a replica counts with it how far it has come. `GroupReader` hands out a group
 * whole or not at all.
 * Test: test/15-store.log.test.ts
 */

/** Lengths that need no formatting. */
const HEADERS = Array.from({ length: 1024 }, (_, n) => `$${n}\r\n`);

/**
 * From this length on a value is a piece of its own; below it, joining is cheaper than one more
 * piece.
 */
const LARGE_CHARS = 16 * 1024;

/** One command as RESP; latin1, as everywhere. */
export function encodeCommand(argv: readonly string[]): string {
  let text = `*${argv.length}\r\n`;
  for (const arg of argv) text += `${HEADERS[arg.length] ?? `$${arg.length}\r\n`}${arg}\r\n`;
  return text;
}

/**
 * One group, framed so that a reader does it at once, too. In pieces: a group may be longer than a
 * string can be.
 */
export function encodeGroup(group: readonly (readonly string[])[]): Iterable<string> {
  // Nearly all groups have one command, and a generator costs as much as its text.
  return group.length === 1 ? encodePieces(group[0]!) : transaction(group);
}

function* transaction(group: readonly (readonly string[])[]): Generator<string> {
  yield MULTI;
  for (const argv of group) yield* encodePieces(argv);
  yield EXEC;
}

/** `encodeCommand(argv)`, its large arguments by themselves. */
export function encodePieces(argv: readonly string[]): Iterable<string> {
  for (const arg of argv) if (arg.length >= LARGE_CHARS) return cutAtLarge(argv);
  return [encodeCommand(argv)];
}

function* cutAtLarge(argv: readonly string[]): Generator<string> {
  let text = `*${argv.length}\r\n`;
  for (const arg of argv) {
    text += `$${arg.length}\r\n`;
    if (arg.length >= LARGE_CHARS) {
      yield text;
      yield arg;
      text = "\r\n";
    } else text += `${arg}\r\n`;
  }
  yield text;
}

/**
 * Text on its way to bytes. Small pieces are joined. A large one is not, since V8 would copy it
 * into the joined string first: twice the time of a large SET.
 */
export class TextBuffer {
  #text = "";
  #pieces: string[] = [];
  #piecesLength = 0;

  get length(): number {
    return this.#piecesLength + this.#text.length;
  }

  add(piece: string): void {
    if (piece.length < LARGE_CHARS) {
      this.#text += piece;
      return;
    }
    this.#piecesLength += this.#text.length + piece.length;
    this.#pieces.push(this.#text, piece);
    this.#text = "";
  }

  /** All of it as bytes; nothing is left. */
  take(): Buffer {
    const [pieces, text, length] = [this.#pieces, this.#text, this.length];
    this.#text = "";
    if (pieces.length === 0) return Buffer.from(text, "latin1");
    this.#pieces = [];
    this.#piecesLength = 0;
    const bytes = Buffer.allocUnsafeSlow(length);
    let at = 0;
    for (const piece of pieces) at += bytes.write(piece, at, "latin1");
    bytes.write(text, at, "latin1");
    return bytes;
  }
}

const MULTI = encodeCommand(["multi"]);
const EXEC = encodeCommand(["exec"]);

/** `encodeCommand(argv).length`, without making it. */
export function encodedBytes(argv: readonly string[]): number {
  let bytes = lineBytes(argv.length);
  for (const arg of argv) bytes += lineBytes(arg.length) + arg.length + 2;
  return bytes;
}

/** A sign, the digits, CR and LF. */
function lineBytes(count: number): number {
  let digits = 1;
  for (let rest = count; rest >= 10; rest = Math.floor(rest / 10)) digits++;
  return digits + 3;
}

/** Takes commands one by one and returns whole groups. */
export class GroupReader {
  #open: string[][] | undefined;

  /** A MULTI whose EXEC has not come. */
  get isOpen(): boolean {
    return this.#open !== undefined;
  }

  /**
   * Takes one command; returns the group that it completes, if it does. An empty one (MULTI, EXEC)
   * is a group too.
   */
  add(argv: string[]): string[][] | undefined {
    if (argv.length === 1) {
      const name = argv[0]!.toLowerCase();
      if (name === "multi") {
        this.#open = [];
        return undefined;
      }
      if (name === "exec") {
        const group = this.#open ?? [];
        this.#open = undefined;
        return group;
      }
    }
    if (this.#open === undefined) return [argv];
    this.#open.push(argv);
    return undefined;
  }
}
