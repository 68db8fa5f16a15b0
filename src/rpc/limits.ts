/**
 * Lesson 04: the limits of one peer.
 *
 * Every number here bounds something that a peer could otherwise grow: our memory, our timers, our
 * time.
 *
 * Test: test/04-rpc.test.ts
 */
import { invariant } from "#base";
import { MAX_BODY_BYTES } from "#framing";

/** Per connection; pass a part of it to `RpcConnection` to change some. */
export interface RpcLimits {
  /**
   * Queued output beyond which `request` is refused and `notify` says false. Twice this ends the
   * connection.
   */
  readonly maxOutboundBytes: number;
  /**
   * Queued output beyond which streams wait. Streams can wait, so they must leave room for answers.
   */
  readonly streamBacklogBytes: number;
  /** Requests of one peer that may be unanswered here at once; more are answered OVERLOADED. */
  readonly maxInFlight: number;
  /** Bodies of those requests together. */
  readonly maxInFlightBytes: number;
  /** Requests of ours that may be unanswered there at once. */
  readonly maxPending: number;
  /** The largest body, either way. */
  readonly maxBodyBytes: number;
  /** How much of a stream may be under way or waiting for its consumer. */
  readonly streamWindowBytes: number;
  /** How long a request waits when it names no deadline. */
  readonly deadlineMs: number;
  /**
   * Longest silence of the peer, counted in whole frames; 0 for any. Set it for peers that nobody
   * knows yet.
   */
  readonly idleMs: number;
  /** Longest time in which the peer may take nothing while something is queued for it. */
  readonly stallMs: number;
  /** How long `close` waits for the peer to take what is queued and to close its side. */
  readonly lingerMs: number;
}

/**
 * Memory of a request while it is served, beside its body: our object, the handler's, and the
 * promises between them.
 */
export const REQUEST_BYTES = 2 * 1024;

/**
 * A connection tells its budget only changes of at least this size. Telling it for each frame would
 * cost as much as a small frame does; 800 connections of a master hide 13 MiB that way.
 */
export const GRAIN_BYTES = 16 * 1024;

/**
 * Time that one connection's frames may take of a turn of the event loop. Then other connections
 * are served first: a read of 64 KiB holds four thousand small requests, and twenty peers that send
 * as much would keep everybody waiting for a second.
 */
export const SLICE_MS = 0.5;
/** Replies, items and notifications between two looks at the clock. */
export const SLICE_FRAMES = 16;

// #region limits
export const DEFAULT_LIMITS: RpcLimits = {
  // One body of the largest size may wait, and a second one may come on top before the connection
  // ends.
  maxOutboundBytes: MAX_BODY_BYTES + 1024,
  // Four windows: enough to keep the socket busy, however many streams there are.
  streamBacklogBytes: 1024 * 1024,
  // 1,024 small requests that each pin a read buffer of 64 KiB hold 64 MiB, as much as a master can
  // spare for a hostile peer.
  maxInFlight: 1024,
  // As much again for large requests: eight of the largest. Bounded by their number alone they
  // could hold 8 GiB.
  maxInFlightBytes: 8 * MAX_BODY_BYTES,
  // As many calls as fit in one second at the speed of this connection: 64 Ki x 200 bytes is 13
  // MiB.
  maxPending: 65_536,
  maxBodyBytes: MAX_BODY_BYTES,
  // 256 KiB every 2 ms, a round trip inside one site, is 1 Gbit/s: a larger window would only move
  // the queue to the reader.
  streamWindowBytes: 256 * 1024,
  // A person waits this long; a program would rather try another way.
  deadlineMs: 30_000,
  idleMs: 0,
  // 256 KiB (one batch) in 30 s is 70 kbit/s. A slower peer counts as gone.
  stallMs: 30_000,
  lingerMs: 5_000,
};
// #endregion

export function withDefaults(limits: Partial<RpcLimits> = {}): RpcLimits {
  const all = { ...DEFAULT_LIMITS, ...limits };
  invariant(all.maxBodyBytes <= MAX_BODY_BYTES, "maxBodyBytes is more than framing takes");
  // A sender below the limit may add one frame. The frame must fit below twice the limit, or the
  // first large reply to a peer that is a little behind would end the connection.
  invariant(
    all.maxOutboundBytes > all.maxBodyBytes,
    "a body must fit between the outbound limit and its double",
  );
  invariant(
    all.maxInFlightBytes >= all.maxBodyBytes,
    "the largest request must be one that can be served",
  );
  invariant(all.maxInFlight > 0 && all.maxPending > 0, "a connection without requests is none");
  invariant(all.streamBacklogBytes > 0, "a stream that must always wait never ends");
  invariant(all.streamWindowBytes >= 1024, "a stream window must hold a few items");
  return all;
}
