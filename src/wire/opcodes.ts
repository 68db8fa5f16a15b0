/**
 * Lesson 10: one table of opcodes, grouped by their senders.
 *
 * Invariants: an opcode is never reused; replies have no opcode of their own, the request id finds
 * them.
 * Test: test/10-master.test.ts
 */

/**
 * Requests and notices. 1–31 and 96–127: any peer; 32–63: workers to the master; 64–95: master to
 * workers.
 */
export const Op = {
  HELLO: 1,
  SUBMIT: 2,
  RUNS: 3,
  STATUS: 4,
  WATCH: 5,
  LOGS: 6,
  CANCEL: 7,
  RETRY: 8,
  WORKERS: 9,
  GATES: 10,
  DECIDE: 11,
  BLOB_HAS: 12,
  BLOB_PUT: 13,
  BLOB_GET: 14,
  PING: 15,
  ADD_JOBS: 16,
  INFO: 17,
  DRAIN: 18,
  DEAD: 19,
  KV: 20,
  WHY: 21,
  /** Services: what there is, and the wish to stop or to restart some (lesson 14). */
  SERVICES: 22,
  STOP: 23,
  RESTART: 24,
  /** Pools: what there is, and the wish to start or to end a worker of one (lesson 13). */
  POOLS: 28,
  LAUNCH: 29,
  RETIRE: 30,
  /**
   * A connection to a service (lesson 14): a stream of what the service says. The side that takes
   * FORWARD or CONNECT asks back with PULL: a stream of what the other side says.
   */
  FORWARD: 25,
  PULL: 26,
  /** Another number of replicas; and the version before. */
  SCALE: 27,
  ROLLBACK: 31,
  OUTPUT: 32,
  FINISHED: 33,
  BEAT: 34,
  GOODBYE: 35,
  /** The worker ends its jobs, and wants nothing new meanwhile; then it says GOODBYE. */
  LEAVING: 36,
  /** How a service is. */
  HEALTH: 40,
  /** Artifacts (lesson 11), from anybody: the numbers for any peer are used up. */
  ARTIFACT_PUT: 48,
  ARTIFACT_GET: 49,
  ARTIFACTS: 50,
  REMOVE_ARTIFACTS: 51,
  DISPATCH: 64,
  KILL: 65,
  /** Dial one of your services: see FORWARD. */
  CONNECT: 66,
  /** A job begins and ends a step (lesson 18). */
  STEP_START: 96,
  STEP_END: 97,
  /** What the jobs of a run have in their journals; and a new run that begins with some of it. */
  STEPS: 98,
  /** A worker asks: does an attempt that has ended go on later? */
  PAUSING: 115,
  /** Agent runs (lesson 18): all of them, one, a larger budget, an end. */
  AGENTS: 104,
  AGENT: 105,
  BUDGET: 106,
  FORK: 107,
  CANCEL_AGENT: 108,
  /** The log's facts as they happen, and the rows that they have changed. */
  FACTS: 110,
  ROWS: 111,
  /** The pipeline of a run, as it was submitted. */
  DEFINITION: 120,
  /** What the master measures. */
  METRICS: 112,
  /** The past, from the log: a moment, facts in words, and how one of them came and what it did. */
  HISTORY: 121,
  HISTORY_FACTS: 122,
  HISTORY_STEP: 123,
  /** It waits, asks people, adds jobs. */
  WAIT: 100,
  ASK: 101,
  SPAWN: 102,
} as const;
