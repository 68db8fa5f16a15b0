/**
 * Lesson 17: how large the parts of a pipeline may be.
 *
 * The wire (src/wire) carries no more than this, so that every valid pipeline can be submitted: a
 * limit here is never larger than its twin there, and a test compares the two.
 * Test: test/17-pipelines.wire.test.ts
 */

/** As many as one run may have: at about 40 encoded bytes each they fit one log record. */
export const MAX_JOBS = 1_000_000;
/** A reader of the report gives up after this many, so the checks stop. */
export const MAX_PROBLEMS = 100;
/** Names of pipelines and jobs become parts of paths and run ids: short, one character class. */
export const MAX_ID_CHARS = 128;
/** A script or an argument. Linux refuses arguments beyond 128 KiB each; scripts may be longer. */
export const MAX_TEXT_BYTES = 1024 * 1024;
export const MAX_ARGS = 100_000;
/** PATH_MAX of Linux. */
export const MAX_PATH_BYTES = 4096;
export const MAX_ENV = 10_000;
export const MAX_ENV_NAME_CHARS = 1024;
/** The longest single string that Linux passes to a program (MAX_ARG_STRLEN, 32 pages). */
export const MAX_ENV_BYTES = 128 * 1024;
export const MAX_TAGS = 64;
export { MAX_TAG_CHARS, TAG } from "#base";
export const MAX_MESSAGE_BYTES = 16 * 1024;
/** A call's input as JSON: an eighth of a frame, so that a batch of calls still fits one. */
export const MAX_INPUT_BYTES = 1024 * 1024;
/**
 * Longer pauses belong to cron, not to a run that occupies the master's memory; and a timer holds
 * at most 24.8 days.
 */
export const MAX_DURATION_MS = 24 * 24 * 3600 * 1000;
/** A job that has failed a thousand times needs a person. */
export const MAX_ATTEMPTS = 1000;
export const MAX_BACKOFF = 100;
/** Priorities fit 32 bits with a sign, in any language that reads them. */
export const MAX_PRIORITY = 2 ** 31 - 1;
/** The person who is asked has two days: a weekend. */
export const DEFAULT_GATE_WAIT_MS = 172_800_000;

/** As the wire has them: of a gate and its form. */
export const MAX_FORM_FIELDS = 32;
export const MAX_CHOICES = 100;
export const MAX_FIELD_BYTES = 4096;
export const MAX_LABEL_BYTES = 1024;
export const MAX_APPROVERS = 100;
export const MAX_PERSON_BYTES = 256;
export const MAX_NOTIFY_ARGS = 64;
export const MAX_NOTIFY_ARG_BYTES = 4096;
export const MAX_URL_BYTES = 2048;

// ── agents ───────────────────────────────────────────────────────────────────────────────────────

/** As the wire has them: the name of a group of agent runs, and its limits. */
export const MAX_GROUP_CHARS = 160;
export const MAX_DEPTH_BUDGET = 8;
export const MAX_COUNT_BUDGET = 1_000_000_000;
export const MAX_TOKENS_BUDGET = 1_000_000_000_000;
export const MICROS_PER_USD = 1_000_000;
export const MAX_USD_BUDGET = 1_000_000;

// ── files ────────────────────────────────────────────────────────────────────────────────────────

/** Inputs, and outputs, of one job; the paths of these. As the wire has them. */
export const MAX_FILES = 1000;
export const MAX_FILE_PATH_BYTES = 895;

// ── services ─────────────────────────────────────────────────────────────────────────────────────

/** As the wire has them. */
export const MAX_REPLICAS = 100;
export const MAX_RESTARTS = 100;
export const MAX_CHECK_ARGS = 64;
export const MAX_PATH_CHARS = 2048;
/** At one check a second a quarter of an hour: somebody who wants to wait longer wants no check. */
export const MAX_CHECKS_IN_A_ROW = 1000;
/** Half of what `docker stop` gives, as for every job. */
export const DEFAULT_STOP_GRACE_MS = 5000;

/** A service is asked every other second, and three failures in a row are no chance. */
export const DEFAULT_HEALTH = {
  check: { type: "tcp" },
  intervalMs: 2000,
  timeoutMs: 2000,
  healthyAfter: 1,
  unhealthyAfter: 3,
  startPeriodMs: 30_000,
} as const;

/** For ever: a service that gives up at night is found in the morning. */
export const DEFAULT_RESTART = {
  policy: "always",
  delayMs: 1000,
  backoff: 2,
  maxDelayMs: 60_000,
  /** 0: no limit. */
  attempts: 0,
  windowMs: 600_000,
} as const;

export const DEFAULT_RETRY = {
  maxAttempts: 1,
  delayMs: 1000,
  backoff: 2,
  maxDelayMs: 60_000,
  jitter: 0.5,
} as const;
