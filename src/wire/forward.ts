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
 * Test: test/14-services.forward.test.ts
 */
import { message, string, u32 } from "#codec";

/**
 * A connection to a READY replica of a service: a name, RUN, or RUN/JOB. `id` is the client's
 * number for it; 0 opens none, and only asks whether there is such a service.
 */
export const Forward = message("Forward", { service: [1, string(256)], id: [2, u32()] });

/** The attempt to dial. It must run there under the registration `worker`. */
export const Connect = message("Connect", {
  run: [1, u32()], job: [2, u32()], attempt: [3, u32()], worker: [4, u32()],
  /** The master's number for this connection. */
  id: [5, u32()],
});

/** By the number of the side that is asked. */
export const Pull = message("Pull", { id: [1, u32()] });

/**
 * Forwarded connections of one client, and through one worker. Each costs that process a
 * descriptor, of which 1,024 are usual, and a peer may have 1,024 requests under way: half of both
 * stays free for everything else.
 */
export const MAX_FORWARDED = 500;
