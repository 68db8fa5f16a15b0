/**
 * Lesson 04: what a frame is for, in its flags byte.
 *
 *     0               request                  expects exactly one final answer
 *     MORE            request for a stream     followed by CREDIT: how many bytes may come
 *     REPLY           final answer             ends a stream, too
 *     REPLY|MORE      one item of a stream
 *     REPLY|ERROR     final answer, failed     with id 0: why the connection is about to close
 *     CANCEL          the requester no longer wants an answer
 *     CREDIT          body u32: that many more bytes may come
 *     ONEWAY          expects nothing; id 0
 *
 * Each side counts its ids from 1: REPLY tells whose request is meant, so both sides may use the
 * same ids. Any other combination is refused: a guess at the meaning of a newer peer could send an
 * answer to the wrong caller.
 * Test: test/04-rpc.test.ts
 */
export const REPLY = 1;
export const ERROR = 2;
export const MORE = 4;
export const CANCEL = 8;
export const ONEWAY = 16;
export const CREDIT = 32;
