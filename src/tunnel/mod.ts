/**
 * Lesson 14: a byte connection as two streams of rpc, one for each direction.
 *
 *     asker                              taker
 *       stream FORWARD id ───────────────▶   item, item …   what the taker's side says
 *       item, item … ◀──────── stream PULL id               what the asker's side says
 *
 *     open.ts      the two streams: asked for, taken, and found together by a number
 *     splice.ts    a socket at the end of them
 *     join.ts      two such pairs, end to end: a relay in between
 *
 * TCP tells two ends apart, and so do the streams. A stream that ends says "no more from me, and I
 * still listen" (a half-close); a stream that fails, or that its reader cancels, says "this
 * connection is broken" (a reset), and then both directions are.
 *
 * Nothing here counts windows: each stream has one of its own, out of a pool (lesson 04). A reader
 * that is slow takes no more items, its window fills, and the socket at the other end is not read
 * any more. TCP brings that back to the program that sends. The bytes are lent from read to write.
 *
 * Invariants: bytes arrive once and in order; each connection waits for its own reader and for no
 * other; every end that one side learns of reaches the other.
 * Left out: a reset that comes while a socket is not read, as its far end has no room. It is seen
 * at the next read or write.
 * Test: test/14-services.forward.test.ts
 */
export { join } from "./join.ts";
export { accept, Opener, type End } from "./open.ts";
export { splice } from "./splice.ts";
