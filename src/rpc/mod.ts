/**
 * Lesson 04: rpc. Many conversations over one connection, in both directions.
 *
 *     ┌ RpcConnection ───────────────────────────────────────────────────────────────┐
 *     │ request(op, body) ─▶ pending: id → caller ──┐                                │
 *     │ stream(op, body)  ─▶ pending: id → queue  ──┼▶ outbox ─▶ batches ─▶ socket   │
 *     │ notify(op, body)  ──────────────────────────┘                                │
 *     │ onRequest ◀─ serving: id → IncomingRequest ◀─┬─ dispatch ◀─ frames ◀─ socket │
 *     │ onNotify  ◀──────────────────────────────────┘  by flags                     │
 *     └──────────────────────────────────────────────────────────────────────────────┘
 *
 *     connection.ts                 the drawing above; stream.ts an answer in many parts
 *     pending.ts · serving.ts       its two tables; options.ts what its owner tells it
 *     incoming.ts · outbox.ts       a request of the peer; the way out, in batches
 *     deadlines.ts                  ten thousand deadlines with one timer
 *     stall-watchdog.ts             peers that fall silent, or take nothing
 *     redialer.ts                   a connection that is dialled again and again
 *     limits.ts · budget.ts         what one peer may cost us, and what all of them may;
 *     account.ts · rests.ts         what the budget is told of one; whose slice of time is next
 *     windows.ts                    how much of a stream may be under way, where there are many
 *     flags.ts · errors.ts          what a frame is for; the ways in which a request can fail
 *
 * Invariants: every request ends exactly once (answer, error, deadline, or CLOSED); an answer
 * reaches only the request whose id it carries; `RpcLimits` bounds the memory of one peer and
 * `Budget` that of all peers, whatever they do; a connection has at most one timer armed.
 * Left out: asking again on the next connection (only the caller knows whether a thing may be done
 * twice, lesson 11), heartbeats (lesson 12), priorities between requests: an 8 MiB body holds up
 * the frames behind it for 70 ms at 1 Gbit/s.
 * Test: test/04-rpc.test.ts
 */
export { Budget, type Debtor } from "./budget.ts";
export { RpcConnection } from "./connection.ts";
export { isRetryable, RPC_ERROR_CODES, RpcError, type RpcErrorCode } from "./errors.ts";
export { ONEWAY, REPLY } from "./flags.ts";
export type { IncomingRequest } from "./incoming.ts";
export { DEFAULT_LIMITS, REQUEST_BYTES, type RpcLimits } from "./limits.ts";
export type { RpcOptions } from "./options.ts";
export { Redialer } from "./redialer.ts";
export type { RpcStream, StreamOptions } from "./stream.ts";
export { Windows } from "./windows.ts";
