/**
 * Lesson 15: how the engine, the protocol and the server fit together.
 *
 *     bytes ─▶ parser ─▶ argv: string[] ─▶ Engine.execute(session, argv) ─▶ session.out: Replies
 *                                                                                  └─▶ bytes
 *
 * Bytes are latin1 strings on this whole way: one character is one byte, 0 to 255. Such a string is
 * a key of a `Map` without conversion, holds any binary value, and costs one byte per byte.
 *
 * Invariants: a command writes exactly one answer (of any depth), or blocks the session, or writes
 * pushes.
 * Left out: reply objects. A command writes its answer while it computes it, so nothing is built
 * only to be taken apart again.
 * Test: test/15-store.test.ts
 */
import type { Host } from "#host";

/**
 * Where a command writes its answer. RESP2 has fewer shapes than RESP3: each method says what it
 * becomes there.
 */
export interface Replies {
  /** 2 until the client says HELLO 3. The writer obeys it from the next value on. */
  protocol: 2 | 3;
  /** +OK */
  ok(): void;
  /** +text: no CR or LF inside. */
  simple(text: string): void;
  /** -text: "ERR …", "WRONGTYPE …", without the minus; no CR or LF inside. */
  error(text: string): void;
  int(value: number | bigint): void;
  bulk(latin1: string): void;
  /** Text for people (INFO): a bulk; in RESP3 a verbatim string of kind `txt`. */
  verbatim(latin1: string): void;
  /** RESP2 `$-1`, RESP3 `_`. */
  nil(): void;
  /** RESP2 `*-1`, RESP3 `_`. */
  nilArray(): void;
  /** Says that `count` values follow. */
  array(count: number): void;
  /** `2 × pairs` values follow. RESP2: an array of them. */
  map(pairs: number): void;
  /** RESP2: an array. */
  set(count: number): void;
  /** Out of band (pub/sub). RESP2: an array. */
  push(count: number): void;
}

/** The part of the host that the engine uses: no disk and no network, which are the server's. */
export type StoreHost = Pick<Host, "clock" | "timers" | "random">;

/**
 * Gets the changes that must be logged, in the order of effect: one call per atomic group. The
 * groups are deterministic and canonical: a replay of them rebuilds the same keyspace, whenever and
 * wherever it runs (SPOP arrives as SREM, EXPIRE as PEXPIREAT, BLPOP as LPOP, an expiry as DEL).
 */
export type Propagate = (group: string[][]) => void;
