/**
 * Limits that both ends of a connection must agree on (lesson 10), each with its derivation.
 *
 * Invariants: the relations at the bottom are checked when the module loads, so a limit that is
 * raised alone fails at start-up and not in the one run that reaches it.
 * Test: test/10-master.test.ts
 */
import { invariant } from "#base";

/** Spoken in HELLO. Peers with another number are refused by name rather than misread. */
export const PROTOCOL = 2;

/** The port of a Titan master unless told otherwise. */
export const DEFAULT_PORT = 9090;

/** A frame's body, as in lesson 01. */
export const MAX_FRAME_BODY_BYTES = 8 * 1024 * 1024;

/**
 * Bytes of one blob chunk: small enough that a dispatch never waits behind more than a millisecond
 * of upload.
 */
export const BLOB_CHUNK_BYTES = 256 * 1024;

/** A packed project: as much as a home uplink carries in a minute (10 Mbit/s × 60 s ≈ 75 MB). */
export const MAX_BLOB_BYTES = 64 * 1024 * 1024;

/** The name of an artifact: as long as that of a file. */
export const MAX_ARTIFACT_NAME_BYTES = 255;
/** JOB/PATH, the name of a declared output: an id of 128 bytes, and a path. */
export const MAX_ARTIFACT_PATH_BYTES = 1024;
/**
 * One artifact: what a link of 1 Gbit/s carries in a minute (7.5 GB), rounded up to the largest
 * file that a tar archive holds (lesson 24), because backups have them.
 */
export const MAX_ARTIFACT_BYTES = 8 * 1024 * 1024 * 1024 - 1;
/**
 * Pieces of one upload that are under way at once. 1 MiB every 8 ms is 1 Gbit/s, and little enough
 * for the master to hold of each sender.
 */
export const ARTIFACT_WINDOW = 4;

/** Uploads of artifacts that one connection may have under way: a worker's jobs end together. */
export const MAX_ARTIFACT_UPLOADS = 4;

/** A smaller submission travels inside SUBMIT; a larger one is uploaded as a blob first. */
export const MAX_INLINE_SPEC_BYTES = 4 * 1024 * 1024;

/** The largest record of the log, as in lesson 05. */
const MAX_RECORD_BYTES = 64 * 1024 * 1024;
/**
 * A peer may leave out a field that equals its default. The log writes them all: four fields of a
 * job, of two bytes.
 */
const JOB_DEFAULTS_BYTES = 8;

/**
 * An encoded pipeline must fit into one log record, with its defaults and with room for the event
 * around it.
 */
export const MAX_SPEC_BYTES = 56 * 1024 * 1024;

/** Jobs of one run: a million jobs at about 40 encoded bytes each stay under MAX_SPEC_BYTES. */
export const MAX_JOBS_PER_RUN = 1_000_000;

/** The result that a job hands to its children is a value. Files go through shared storage. */
export const MAX_RESULT_BYTES = 64 * 1024;

/** Results of all parents of one job together: with the job itself they must fit into one frame. */
export const MAX_INPUTS_BYTES = 4 * 1024 * 1024;

/** Assignments or reports in one DISPATCH or FINISHED frame. A full frame is sent at once. */
export const MAX_BATCH_ITEMS = 1024;
/** Bytes of such a frame: one more item of the largest size still fits below the frame limit. */
export const MAX_BATCH_BYTES = 1024 * 1024;

/**
 * One store command on its way through the master, or its answer. Larger ones need a connection to
 * the store itself.
 */
export const MAX_KV_BYTES = 6 * 1024 * 1024;
/**
 * Arguments of such a command. Each costs the master an object of about 100 bytes, so this many
 * cost no more memory than their bytes may.
 */
export const MAX_KV_ARGS = 64 * 1024;

/** Slots of one worker. With more, a machine reaches other limits (processes, descriptors). */
export const MAX_SLOTS = 4096;

// #region lease
/** A worker says this often that it is alive. */
export const HEARTBEAT_MS = 1000;
/** A worker is lost after four missed beats: three for the network, one for a slow turn. */
export const LEASE_MS = 4 * HEARTBEAT_MS;
// #endregion

/** A worker without a master dials again at least this often. */
export const REDIAL_MAX_MS = 2000;

// #region grace
/**
 * A worker whose session breaks dials after a random part of this time: many sessions break at the
 * same moment.
 */
export const FIRST_REDIAL_MAX_MS = 40;
/**
 * A worker whose connection closed keeps its jobs if it is back within this time. That is its first
 * dial and two round trips of 20 ms: one to connect, one to introduce itself. With an fsync after
 * it, the jobs of a lost worker are elsewhere within 100 ms.
 */
export const REJOIN_GRACE_MS = FIRST_REDIAL_MAX_MS + 2 * 20;
// #endregion
/** The longest grace that may be asked for: a night train spends this time in a tunnel. */
export const MAX_GRACE_MS = 10 * 60_000;

/** Registrations that a master keeps, absent ones too: seven new ones a second, with any grace. */
export const MAX_WORKERS = 4096;

/**
 * A peer that has connected must introduce itself within this time: a lost packet is sent again
 * after 1 s.
 */
export const HELLO_TIMEOUT_MS = 2000;
/**
 * The first frame of a peer is of this size at most, since the peer may be anybody. The longest
 * HELLO of a client has a token of 3 KiB. A worker with more to say (its tags, its running jobs)
 * says HELLO as a client first, and then again with all of it.
 */
export const MAX_HELLO_BYTES = 4096;

invariant(
  LEASE_MS > 3 * HEARTBEAT_MS,
  "one lost beat must not kill a worker, and a master that sleeps for a moment must notice it " +
    "before it calls its workers silent",
);
invariant(
  LEASE_MS >= 2 * REDIAL_MAX_MS,
  "a worker must have dialled again before a restarted master gives its jobs away",
);
invariant(
  REJOIN_GRACE_MS < HEARTBEAT_MS,
  "a worker that died must not look as if it were only between two beats",
);
invariant(
  MAX_INLINE_SPEC_BYTES < MAX_FRAME_BODY_BYTES,
  "an inline pipeline must fit into a frame",
);
invariant(
  MAX_INPUTS_BYTES + MAX_BATCH_BYTES < MAX_FRAME_BODY_BYTES,
  "a batch that is nearly full plus the largest assignment must fit into a frame",
);
invariant(
  MAX_KV_BYTES + 5 * MAX_KV_ARGS + 64 < MAX_FRAME_BODY_BYTES,
  "the largest store command must fit into a frame, with the length of each argument",
);
invariant(
  MAX_RESULT_BYTES + MAX_BATCH_BYTES < MAX_FRAME_BODY_BYTES,
  "a batch that is nearly full plus the largest report must fit into a frame",
);
invariant(
  MAX_SPEC_BYTES + JOB_DEFAULTS_BYTES * MAX_JOBS_PER_RUN + 4096 < MAX_RECORD_BYTES,
  "the largest pipeline must fit into a log record, its defaults written out",
);
invariant(MAX_SPEC_BYTES < MAX_BLOB_BYTES, "the largest pipeline must fit into a blob");
