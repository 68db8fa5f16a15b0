/**
 * Limits that both ends of a connection must agree on (lesson 10), with where each comes from.
 *
 * Invariants: the relations at the bottom are checked when the module loads, so a limit that is raised
 * alone fails at start-up and not in the one run that reaches it.
 * Test: test/10-master.test.ts
 */

/** Spoken in HELLO. Peers with another number are refused by name rather than misread. */
export const PROTOCOL = 2;

/** The port of a Titan master unless told otherwise. */
export const DEFAULT_PORT = 9090;

/** A frame's body, as in lesson 01. */
export const MAX_FRAME_BODY_BYTES = 8 * 1024 * 1024;

/** Bytes of one blob chunk: small enough that a dispatch never waits behind more than a millisecond of upload. */
export const BLOB_CHUNK_BYTES = 256 * 1024;

/** A packed project: what fits through a home uplink in a minute (10 Mbit/s × 60 s ≈ 75 MB). */
export const MAX_BLOB_BYTES = 64 * 1024 * 1024;

/** A submission smaller than this travels inside SUBMIT; a larger one is uploaded as a blob first. */
export const MAX_INLINE_SPEC_BYTES = 4 * 1024 * 1024;

/** The largest record of the log, as in lesson 05. */
const MAX_RECORD_BYTES = 64 * 1024 * 1024;
/** A peer may leave out what equals its default. The log writes all of it: four fields of a job, of two bytes. */
const JOB_DEFAULTS_BYTES = 8;

/** An encoded pipeline must fit into one log record, with its defaults and with room for the event around it. */
export const MAX_SPEC_BYTES = 56 * 1024 * 1024;

/** Jobs of one run: a million jobs at about 40 encoded bytes each stay under MAX_SPEC_BYTES. */
export const MAX_JOBS_PER_RUN = 1_000_000;

/** What a job hands to its children: a value, not a file. Files go through shared storage. */
export const MAX_RESULT_BYTES = 64 * 1024;

/** Results of all parents of one job together: with the job itself they must fit into one frame. */
export const MAX_INPUTS_BYTES = 4 * 1024 * 1024;

/** Assignments or reports in one DISPATCH or FINISHED frame; a full frame is sent and a new one begun. */
export const MAX_BATCH_ITEMS = 1024;
/** …and their bytes: one more item of the largest size still fits below the frame limit. */
export const MAX_BATCH_BYTES = 1024 * 1024;

/** One store command on its way through the master, or its answer. Larger ones are for a connection to the store itself. */
export const MAX_KV_BYTES = 6 * 1024 * 1024;
/** Its arguments: each costs the master an object of about 100 bytes, so that as many cost no more than their bytes may. */
export const MAX_KV_ARGS = 64 * 1024;

/** Slots that one worker may offer. Beyond this a machine has other limits (processes, descriptors). */
export const MAX_SLOTS = 4096;

// #region lease
/** A worker says it is alive this often. */
export const BEAT_MS = 1000;
/** A worker is lost after four missed beats: three for the network, one for a slow turn. */
export const LEASE_MS = 4 * BEAT_MS;
// #endregion

/** A worker without a master dials again at least this often. */
export const REDIAL_MAX_MS = 2000;

// #region grace
/** A worker whose session breaks dials at once, which is after a random part of this: many break at the same time. */
export const FIRST_REDIAL_MAX_MS = 40;
/**
 * A worker whose connection closed may be back within this time and keeps what it runs: its first dial, and two round trips
 * (to connect, and to introduce itself) of 20 ms. With an fsync after it, its jobs are elsewhere within 100 ms.
 */
export const GRACE_MS = FIRST_REDIAL_MAX_MS + 2 * 20;
// #endregion
/** A grace that was asked for: what a night train spends in a tunnel. Jobs of a dead worker wait for as long. */
export const MAX_GRACE_MS = 10 * 60_000;

/** Registrations that a master keeps, the absent ones included: with the longest grace, seven new ones a second. */
export const MAX_WORKERS = 4096;

/**
 * A peer that has connected must introduce itself within this time: a lost packet is sent again
 * after 1 s.
 */
export const HELLO_TIMEOUT_MS = 2000;
/**
 * …and in a frame of this size, for it may be anybody. The longest HELLO of a client has a token of
 * 3 KiB. A worker that has more to say (tags, what it runs) says HELLO as a client first, and then
 * all of it.
 */
export const MAX_HELLO_BYTES = 4096;

function relate(ok: boolean, why: string): void {
  if (!ok) throw new Error(`Limits disagree: ${why}`);
}
relate(LEASE_MS > 2 * BEAT_MS, "one lost beat must not kill a worker");
relate(LEASE_MS >= 2 * REDIAL_MAX_MS, "a worker must have dialled again before a restarted master gives its jobs away");
relate(LEASE_MS > 3 * BEAT_MS, "a master that sleeps for a moment must notice it before it calls its workers silent");
relate(GRACE_MS < BEAT_MS, "a worker that died must not look as if it were only between two beats");
relate(MAX_INLINE_SPEC_BYTES < MAX_FRAME_BODY_BYTES, "an inline pipeline must fit into a frame");
relate(MAX_INPUTS_BYTES + MAX_BATCH_BYTES < MAX_FRAME_BODY_BYTES, "a batch that is nearly full plus the largest assignment must fit into a frame");
relate(MAX_KV_BYTES + 5 * MAX_KV_ARGS + 64 < MAX_FRAME_BODY_BYTES, "the largest store command must fit into a frame, with the length of each argument");
relate(MAX_RESULT_BYTES + MAX_BATCH_BYTES < MAX_FRAME_BODY_BYTES, "a batch that is nearly full plus the largest report must fit into a frame");
relate(MAX_SPEC_BYTES + JOB_DEFAULTS_BYTES * MAX_JOBS_PER_RUN + 4096 < MAX_RECORD_BYTES, "the largest pipeline must fit into a log record, its defaults written out");
relate(MAX_SPEC_BYTES < MAX_BLOB_BYTES, "the largest pipeline must fit into a blob");
