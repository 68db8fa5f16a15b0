/**
 * Lesson 14: a forwarded connection to a service, as it is asked for.
 *
 *     client ── FORWARD ──▶ master ── CONNECT ──▶ worker ── dials ──▶ service
 *     client ◀── PULL ──── master ◀── PULL ───── worker
 *
 * Each of the four is a request for a stream, whose items are bytes of the connection and nothing
 * else. FORWARD and CONNECT are answered with what the service says. PULL is answered with what the
 * client of the service says.
 *
 * The bytes are somebody else's, who may check them. So an item has no checksum of its own where
 * its reader has said that it knows of such items (`bare`); its header has.
 *
 * Test: test/14-services.forward.test.ts
 */
import { bool, message, string, u32, withDefault } from "#codec";

/** The asker takes items without a checksum. */
const bare = withDefault(bool(), false);

/**
 * A connection to a READY replica of a service: a name, RUN, or RUN/JOB. `id` is the client's
 * number for it; 0 opens none, and only asks whether there is such a service.
 */
export const Forward = message("Forward", {
  service: [1, string(256)], id: [2, u32()], bare: [3, bare],
});

/** The attempt to dial. It must run there under the registration `worker`. */
export const Connect = message("Connect", {
  run: [1, u32()], job: [2, u32()], attempt: [3, u32()], worker: [4, u32()],
  /** The master's number for this connection. */
  id: [5, u32()],
  bare: [6, bare],
});

/** By the number of the side that is asked. */
export const Pull = message("Pull", { id: [1, u32()], bare: [2, bare] });

/**
 * Forwarded connections of one client, and through one worker. Each costs that process a
 * descriptor, of which 1,024 are usual, and a peer may have 1,024 requests under way: half of both
 * stays free for everything else.
 */
export const MAX_FORWARDED = 500;

/**
 * The windows of a direction of a forwarded connection. Two directions of 500 may wait in a client
 * or a worker, and 2,000 in a master: at the least size that is 12 and 48 MiB, with half a window
 * more for each, for what has been taken and not passed on. The first size lets 64 KiB, a page or a
 * question to a database, through at once. The largest is 8 ms at 1 Gbit/s: what two programs that
 * take turns on one processor need to keep each other busy.
 */
export const FORWARD_WINDOWS = {
  leastBytes: 8 * 1024, firstBytes: 64 * 1024, mostBytes: 1024 * 1024,
} as const;
/** The windows of a client, or of a worker, may grow by so much in all. */
export const FORWARD_SPARE_BYTES = 32 * 1024 * 1024;
/**
 * Bytes of forwarded connections that wait on one side of a worker's connection. Behind them wait
 * heartbeats, jobs and confirmations, for a second at 2 Mbit/s.
 */
export const FORWARD_BACKLOG_BYTES = 256 * 1024;
/** Beside its window a direction may hold half as much: an item, and what has just been taken. */
export const FORWARD_WINDOW_COST = 1.5;
