/**
 * Lesson 15: answers as values, for callers without a socket.
 *
 *     array(2) bulk("a") int(1)   ─▶   [ "a", 1 ]
 *
 * Invariants: `take` gives whole answers only; an array that is not complete holds back the answers
 * behind it, as on the wire.
 * Left out: which shape a value had on the wire (an array or a set, a simple or a bulk string).
 * Tests of the protocol look at bytes.
 * Test: test/15-store.test.ts
 */
import { Refusal } from "./refusal.ts";
import type { Replies } from "./types.ts";

/** Strings are latin1: one character, one byte. An error is a `Refusal`; a RESP3 map is a `Map`. */
export type Reply =
  string | number | bigint | boolean | null | Refusal | Reply[] | Map<Reply, Reply>;

interface Open {
  readonly items: Reply[];
  left: number;
  readonly isMap: boolean;
}

export class ReplyBuffer implements Replies {
  protocol: 2 | 3;
  #answers: Reply[] = [];
  #open: Open[] = [];

  constructor(protocol: 2 | 3 = 2) {
    this.protocol = protocol;
  }

  /** The answers since the last `take`. */
  take(): Reply[] {
    const answers = this.#answers;
    this.#answers = [];
    return answers;
  }

  clear(): void {
    this.#answers.length = 0;
    this.#open.length = 0;
  }

  ok(): void {
    this.#add("OK");
  }

  simple(text: string): void {
    this.#add(text);
  }

  error(text: string): void {
    this.#add(new Refusal(text));
  }

  int(value: number | bigint): void {
    this.#add(value);
  }

  bulk(latin1: string): void {
    this.#add(latin1);
  }

  verbatim(latin1: string): void {
    this.#add(latin1);
  }

  nil(): void {
    this.#add(null);
  }

  nilArray(): void {
    this.#add(null);
  }

  array(count: number): void {
    this.#begin(count, false);
  }

  map(pairs: number): void {
    this.#begin(2 * pairs, this.protocol === 3);
  }

  set(count: number): void {
    this.#begin(count, false);
  }

  push(count: number): void {
    this.#begin(count, false);
  }

  #begin(count: number, isMap: boolean): void {
    if (count === 0) this.#add(isMap ? new Map<Reply, Reply>() : []);
    else this.#open.push({ items: [], left: count, isMap });
  }

  /** An array that has its last item becomes an item of the array around it. */
  #add(reply: Reply): void {
    for (;;) {
      const open = this.#open.at(-1);
      if (open === undefined) return void this.#answers.push(reply);
      open.items.push(reply);
      if (--open.left > 0) return;
      this.#open.pop();
      reply = open.isMap ? pairs(open.items) : open.items;
    }
  }
}

function pairs(items: readonly Reply[]): Map<Reply, Reply> {
  const map = new Map<Reply, Reply>();
  for (let i = 0; i < items.length; i += 2) map.set(items[i]!, items[i + 1]!);
  return map;
}

const ignore = (): void => {};

/**
 * Drops all answers. Nobody reads the answers of a replay, and to keep them would take a fifth of
 * its time.
 */
export const discard: Replies = {
  protocol: 2,
  ok: ignore,
  simple: ignore,
  error: ignore,
  int: ignore,
  bulk: ignore,
  verbatim: ignore,
  nil: ignore,
  nilArray: ignore,
  array: ignore,
  map: ignore,
  set: ignore,
  push: ignore,
};
