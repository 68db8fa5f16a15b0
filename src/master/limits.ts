/**
 * Lesson 10: what all peers of one master may take from it together, in bytes, in places and in
 * descriptors.
 *
 *     bytes         clients 128 MiB ─┬─ the one that holds the most is ended  (lesson 04, Budget)
 *                   workers 512 MiB ─┘
 *     places        strangers 128 │ clients ≤ 800 │ workers ≤ 800      clients + workers ≤ 1,000
 *     descriptors   `ulimit -n` = our own + output + reading + uploads + strangers + connections
 *                   + store
 *
 * Clients and workers have budgets of their own: a client that does not read must not end the
 * connection of a worker that has much to do. Each may have most of the places and never all, so
 * that neither locks the other out.
 *
 * Invariants: the parts of the descriptors are no more than the whole; what is needed for work that
 * exists (output that is written, the log) is not taken by those who only read.
 * Test: test/10-master.doors.test.ts
 */
import { DEFAULT_LIMITS } from "#rpc";
import {
  FORWARD_BACKLOG_BYTES, FORWARD_WINDOW_COST, FORWARD_WINDOWS, MAX_FORWARDED,
  MAX_FRAME_BODY_BYTES, MAX_HELLO_BYTES, MAX_KV_BYTES,
} from "#wire";

/**
 * What clients may make the master hold, all together: a sixteenth of what Node's heap may have on
 * a machine with 4 GB.
 */
export const MAX_CLIENTS_BYTES = 128 * 1024 * 1024;
/** The same for workers: 64 of them that have the largest inputs to take. */
export const MAX_WORKERS_BYTES = 64 * MAX_FRAME_BODY_BYTES;
/**
 * Large answers of the store that wait for one client. With what is on its way to it they stay
 * below all clients' bytes.
 */
export const MAX_KV_WAITING_BYTES = MAX_CLIENTS_BYTES - 4 * MAX_FRAME_BODY_BYTES;
/** Commands of one client that the store has at a time: the largest answers to them fill that. */
export const MAX_KV_AT_ONCE = Math.floor(MAX_KV_WAITING_BYTES / MAX_KV_BYTES);

/**
 * Long answers in the making, each a page of 256 KiB or a reply of 4 MiB: 64 MiB at worst. Each may
 * have a file open.
 */
export const MAX_PAGES_AT_ONCE = 16;
/** Of one peer: another one finds a free place, however much the first has asked for. */
export const MAX_PAGES_PER_PEER = 4;
/**
 * What may go into pages in one turn of the event loop before others are heard: with the page that
 * passes it, 10 to 15 ms.
 */
export const PAGES_MS_PER_TURN = 4;
/**
 * Lists and blobs of one peer that have begun. More requests wait as what they are, which costs a
 * tenth.
 */
export const MAX_LONG_PER_PEER = 16;

/**
 * Peers may have one watch for each request that they may have under way, and some of those are for
 * questions.
 */
export const MAX_WATCHES = 1000;
/** Of one run over one connection. A page is made once for all of them, and still sent to each. */
export const MAX_WATCHES_OF_RUN = 32;

/**
 * Forwarded connections in all. While its bytes flow, one costs 8 KiB here: two requests that are
 * served and two that are asked. That is 16 MiB; what waits in windows counts for its client.
 */
export const MAX_FORWARDED_IN_ALL = 4 * MAX_FORWARDED;
/** Windows of forwarded connections may grow by so much in all: 24 of the largest. */
export const FORWARD_SPARE_IN_ALL = 24 * FORWARD_WINDOWS.mostBytes;

/** Connections that have introduced themselves. */
const MAX_CONNECTIONS = 1000;
/** Those that clients may not take, and those that workers may not take. */
const keptPlaces = (connections: number): number => Math.floor(connections / 5);

/**
 * Peers that have said nothing yet. 128 dials in the time of a round trip are a flood, or a cluster
 * that comes back.
 */
const MAX_STRANGERS = 128;
/**
 * A burst may be twice as large for one turn of the loop, in which those who know what to say can
 * say it.
 */
export const BURST = 2;
/**
 * A stranger says HELLO and hears one answer. With its queue and what we know of it, it costs 60
 * KiB: 15 MiB for all.
 */
export const STRANGER_LIMITS = {
  maxBodyBytes: MAX_HELLO_BYTES,
  maxOutboundBytes: 4 * MAX_HELLO_BYTES,
  maxInFlight: 8,
  maxInFlightBytes: 2 * MAX_HELLO_BYTES,
} as const;

/** Peers that have introduced themselves. Jobs wait behind the bytes for a worker's services. */
export const PEER_LIMITS = {
  client: DEFAULT_LIMITS,
  worker: { ...DEFAULT_LIMITS, streamBacklogBytes: FORWARD_BACKLOG_BYTES },
} as const;

/** Output files that are being written. */
const MAX_OUTPUTS = 128;
/** Uploads that have a file open, of all peers. */
const MAX_UPLOADS = 32;
/** The embedded store takes as many clients as Redis does, if there are descriptors for them. */
const MAX_STORE_CLIENTS = 10_000;
/**
 * Standard streams, event loop, log, lock, snapshot, the store's log, threads, modules that are
 * loaded late.
 */
const OWN_DESCRIPTORS = 64;
/**
 * Of a worker process that this one has started: three pipes, and one for a moment while it starts.
 */
const WORKER_DESCRIPTORS = 4;
/** Below this a cluster of one machine does not work well. */
export const MIN_DESCRIPTORS = 256;

export interface Places {
  /** Introduced peers of both kinds. */
  readonly connections: number;
  /** Those of them that only clients may take, and as many that only workers may. */
  readonly kept: number;
  readonly strangers: number;
  readonly outputs: number;
  readonly reading: number;
  readonly uploads: number;
  /** Clients of the embedded store. */
  readonly store: number;
}

/**
 * Divides the descriptors of a process.
 *
 * @param use.store whether the store of the cluster lives in this process
 * @param use.workers worker processes that it starts
 */
export function placesFor(
  descriptors: number,
  use: { store?: boolean; workers?: number } = {},
): Places {
  const part = (of: number, most: number): number =>
    Math.min(most, Math.max(4, Math.floor(descriptors / of)));
  const [outputs, uploads, strangers] = [
    part(8, MAX_OUTPUTS),
    part(32, MAX_UPLOADS),
    part(16, MAX_STRANGERS),
  ];
  const ours = OWN_DESCRIPTORS + WORKER_DESCRIPTORS * (use.workers ?? 0);
  const rest = descriptors - ours - outputs - uploads - MAX_PAGES_AT_ONCE - BURST * strangers;
  const open = Math.max(8, rest);
  // Two thirds for those whom the master knows; what they cannot use is the store's.
  const connections = Math.min(
    MAX_CONNECTIONS,
    use.store === true ? Math.ceil((2 * open) / 3) : open,
  );
  const store = use.store === true ? Math.min(MAX_STORE_CLIENTS, open - connections) : 0;
  return {
    connections,
    kept: keptPlaces(connections),
    strangers,
    outputs,
    reading: MAX_PAGES_AT_ONCE,
    uploads,
    store,
  };
}

/** Descriptors that `places` may need, with those of the process itself. */
export function descriptorsOf(places: Places, workers = 0): number {
  const { connections, strangers, outputs, reading, uploads, store } = places;
  return (
    OWN_DESCRIPTORS +
    WORKER_DESCRIPTORS * workers +
    connections +
    BURST * strangers +
    outputs +
    reading +
    uploads +
    store
  );
}

/** Where nobody says how many descriptors there are: the usual limit. */
export const DEFAULT_PLACES = placesFor(1024);

function relate(ok: boolean, why: string): void {
  if (!ok) throw new Error(`Limits disagree: ${why}`);
}
relate(
  MAX_KV_AT_ONCE >= 12,
  "the store answers a client that sends many small commands by the dozen",
);
relate(
  MAX_KV_WAITING_BYTES + 2 * MAX_FRAME_BODY_BYTES < MAX_CLIENTS_BYTES,
  "one client alone must not use up the bytes of all",
);
relate(MAX_PAGES_PER_PEER < MAX_PAGES_AT_ONCE, "one peer must not make all others wait");
relate(
  FORWARD_WINDOW_COST *
    (2 * MAX_FORWARDED_IN_ALL * FORWARD_WINDOWS.leastBytes + FORWARD_SPARE_IN_ALL) <=
    MAX_CLIENTS_BYTES - 4 * MAX_FRAME_BODY_BYTES,
  "a client whose forwarded connections all stall must not be ended for it",
);
relate(
  2 * MAX_FORWARDED <= DEFAULT_LIMITS.maxInFlight,
  "a worker whose connections are all in use must still be able to report and to beat",
);
relate(
  descriptorsOf(placesFor(MIN_DESCRIPTORS, { store: true })) <= MIN_DESCRIPTORS,
  "the parts are no more than the whole",
);
