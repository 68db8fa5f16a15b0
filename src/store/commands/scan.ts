/**
 * Lesson 15: the SCAN family. One walk for keys, members and fields; dict.ts says why it needs no
 * state.
 * Test: test/15-store.commands.test.ts
 */
import type { Members } from "../data/dict.ts";
import { checkPattern, matches } from "./glob.ts";
import { argumentAfter, count } from "./numbers.ts";
import { Refusal, SYNTAX_ERROR } from "../refusal.ts";
import type { Replies } from "../types.ts";

const INVALID_CURSOR = new Refusal("ERR invalid cursor");
const ONLY_HSCAN = new Refusal("ERR NOVALUES option can only be used in HSCAN");
const MAX_CURSOR = 2n ** 64n - 1n;

/** As in Redis: how many entries a call visits when the client does not say. */
const DEFAULT_COUNT = 10;

export interface ScanOptions {
  readonly match: string | undefined;
  /** Entries to visit, not to find. */
  readonly count: number;
  /** In lower case. */
  readonly type: string | undefined;
  readonly values: boolean;
}

/** `words`: what this command takes besides MATCH and COUNT. */
export function scanOptions(
  argv: readonly string[],
  { first, words }: { first: number; words: readonly string[] },
): ScanOptions {
  let match: string | undefined;
  let visits = DEFAULT_COUNT;
  let type: string | undefined;
  let values = true;
  for (let i = first; i < argv.length; i++) {
    const word = argv[i]!.toUpperCase();
    if (word === "MATCH") match = checkPattern(argumentAfter(argv, i++));
    else if (word === "COUNT") {
      visits = count(argumentAfter(argv, i++));
      if (visits < 1) throw SYNTAX_ERROR;
    } else if (word === "TYPE" && words.includes(word)) {
      type = argumentAfter(argv, i++).toLowerCase();
    } else if (word === "NOVALUES") {
      if (!words.includes(word)) throw ONLY_HSCAN;
      values = false;
    } else throw SYNTAX_ERROR;
  }
  return { match, count: visits, type, values };
}

/** An unsigned 64-bit number; beyond 2^53 it is rounded, and is past the end of any table then. */
export function scanCursor(text: string): number {
  if (!/^(?:0|[1-9]\d{0,19})$/.test(text) || BigInt(text) > MAX_CURSOR) throw INVALID_CURSOR;
  return Number(text);
}

/** Visits, and answers with [cursor, [what `select` says of each]]. */
export function scan(
  out: Replies,
  table: Members,
  {
    cursor,
    options,
    select,
  }: { cursor: number; options: ScanOptions; select: (index: number) => readonly string[] },
): void {
  const found: string[] = [];
  const next = table.scan(cursor, options.count, (index) => {
    if (options.match === undefined || matches(options.match, table.keys[index]!)) {
      found.push(...select(index));
    }
  });
  out.array(2);
  out.bulk(String(next));
  out.array(found.length);
  for (const each of found) out.bulk(each);
}

/** For a key that is not there. */
export function scanNothing(out: Replies): void {
  out.array(2);
  out.bulk("0");
  out.array(0);
}
