/**
 * Lesson 10: what single jobs keep beside their own fields: services (lesson 14), and jobs that ask
 * their master for something while they run (lesson 18).
 *
 * Invariant: records are replaced, and never changed: copies of a state share them.
 * Test: test/14-services.test.ts, test/18-agents.core.test.ts
 */
import type { Decision, Gate, GateVote, Notice, ServicePhase, Wait } from "#wire";

/** What a job keeps that is a service (lesson 14). */
export interface ServiceRecord {
  readonly phase: ServicePhase;
  readonly since: number;
  readonly reason: string;
  /** It has been READY: its children have started. */
  readonly settled: boolean;
  /** Where it is reached; empty and 0 while it is not. */
  readonly host: string;
  readonly port: number;
  readonly pid: number;
  /** Attempts that ended by themselves and were followed by another one… */
  readonly restarts: number;
  /** …and when the latest of them ended. */
  readonly restartTimes: number[];
  /**
   * Somebody has asked for it, and the attempt has not ended yet. `drain`: nobody new is sent to
   * it, and it is stopped when its connections have ended…
   */
  readonly asked: "nothing" | "stop" | "restart" | "drain";
  /** …at this moment at the latest. */
  readonly drainUntil: number | undefined;
  /** It was scaled away: whatever it has come to, no child misses it. */
  readonly surplus: boolean | undefined;
}

/** Jobs that a job has added to its run, under a key of its own (lesson 18). */
export interface SpawnRecord {
  readonly key: string;
  /** SHA-256 of what was asked for: the same key means the same jobs. */
  readonly digest: Buffer;
  /** They have these numbers: `count` of them, from this one on. */
  readonly from: number;
  readonly count: number;
  /** The part of the work that they belong to, for people. Empty: nobody said. */
  readonly stage: string;
}

/** A question that a job has put to people while it ran (lesson 18). */
export interface AskRecord {
  readonly key: string;
  readonly gate: Gate;
  /** The attempt that asked. */
  readonly attempt: number;
  readonly deadline: number;
  readonly votes: GateVote[];
  /** Undefined: it is open. */
  readonly decision?: Decision | undefined;
  /** Undefined: people look for themselves. */
  readonly notice?: Notice | undefined;
}

/** The gate behind an attempt of a job, or a question that the attempt has asked. */
export interface NoticeRef {
  readonly run: number;
  readonly job: number;
  readonly attempt: number;
  readonly key?: string | undefined;
}

/** What a job keeps that asks its master for something while it runs. Replaced, never changed. */
export interface AgentRecord {
  readonly spawns: SpawnRecord[];
  readonly asks: AskRecord[];
  /**
   * It goes on when one of them is met. While it is RUNNING this is a wish, and the end of the
   * attempt makes it true.
   */
  readonly waits: Wait[];
  /** Attempts that have ended to wait. */
  readonly pauses: number;
  /** A person has tried it again: its questions have an attempt in their names from then on. */
  readonly retried: boolean;
}
