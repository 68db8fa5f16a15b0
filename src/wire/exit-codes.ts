/**
 * The exit codes of Titan's programs, for scripts and for the processes that start them.
 *
 * Test: test/cli.test.ts
 */

/** The contract with scripts: these numbers never change. */
export const EXIT = {
  OK: 0,
  ERROR: 1,
  /** A wrong command line, or a pipeline that is not valid. */
  USAGE: 2,
  /** The run failed, was cancelled, or was rejected. */
  RUN_FAILED: 3,
  UNAUTHORIZED: 4,
  /** No master answers. */
  UNREACHABLE: 5,
  /** No worker could ever run it. */
  UNSCHEDULABLE: 6,
  /** In a job: it is to end, and goes on later (`titan add --wait`). As EX_TEMPFAIL says. */
  WAITS: 75,
  /** As `timeout(1)` does. */
  TIMED_OUT: 124,
  /** 128 + SIGINT, as shells do. */
  INTERRUPTED: 130,
} as const;
