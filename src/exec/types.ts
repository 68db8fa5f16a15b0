/**
 * Lesson 11: the request and the outcome of an attempt.
 *
 * Test: test/11-worker.exec.test.ts
 */
import type { Action, FailureKind } from "#wire";

/** One attempt, with everything that it needs. */
export interface ExecRequest {
  readonly run: string;
  readonly job: string;
  /** From 1. */
  readonly attempt: number;
  /** The worker's id, for TITAN_WORKER. */
  readonly worker: string;
  readonly action: Action;
  readonly env: Readonly<Record<string, string>>;
  /** 0: no timeout. */
  readonly timeoutMs: number;
  /** From SIGTERM to SIGKILL. Default: KILL_GRACE_MS. */
  readonly graceMs?: number;
  /** The results of the jobs that this one depends on. */
  readonly inputs: readonly { readonly job: string; readonly result: Buffer }[];
  /** The addresses of the job's cluster. */
  readonly cluster?: ClusterEndpoints;
  /** Folder of the unpacked project. A program gets its own copy; a `call` imports from here. */
  readonly project?: string;
  /** What the job may ask of its master, for TITAN_TOKEN. Calls have none. */
  readonly token?: string;
  /** The port of a service, for TITAN_PORT. */
  readonly port?: number;
  /** Puts into its folder what it is given, before its program starts. A rejection fails it. */
  prepare?(folder: string, signal: AbortSignal): Promise<void>;
  /**
   * Takes out of its folder what it hands on, after its program has succeeded. Resolves with the
   * reason why that fails the attempt, if it does. The signal: nobody wants it any more.
   */
  collect?(
    folder: string, signal: AbortSignal,
  ): Promise<{ readonly kind: FailureKind; readonly message: string } | undefined>;
}

/** The facts about its cluster that a job gets. */
export interface ClusterEndpoints {
  /** Durable and unique, if the master has given one: for TITAN_SHARED. */
  readonly id?: string | undefined;
  /** host:port, for TITAN_MASTER. */
  readonly master: string;
  /** `redis://…`, for TITAN_STORE, when the cluster has a store. */
  readonly store?: string | undefined;
}

/** How an attempt ended. */
export interface ExecOutcome {
  readonly status: "ok" | "failed";
  readonly kind?: FailureKind;
  /** One sentence for people. */
  readonly message?: string;
  readonly exitCode?: number;
  readonly signal?: string;
  /** At most MAX_RESULT_BYTES. */
  readonly result?: Buffer;
  readonly durationMs: number;
}

export type StreamName = "stdout" | "stderr";
export type OnOutput = (stream: StreamName, bytes: Buffer) => void;

/** An attempt under way. */
export interface Running {
  /** The process group; undefined for calls. */
  readonly pid?: number | undefined;
  /** SIGTERM, the grace, SIGKILL. Idempotent; ignored after the end. */
  cancel(reason?: string): void;
  /**
   * Stops `onOutput` soon: bytes that were read already still come. The job blocks once its pipe is
   * full.
   */
  pauseOutput(): void;
  resumeOutput(): void;
  /**
   * Runs another program beside it, in its folder and with its environment, and drops its output:
   * the check of a service. Resolves with the reason why it failed, undefined if it exits with 0.
   * Absent where there is no folder.
   */
  check?(argv: readonly string[], timeoutMs: number): Promise<string | undefined>;
  /** Never rejects. Settles after the last `onOutput`. */
  readonly done: Promise<ExecOutcome>;
}

/** From SIGTERM to SIGKILL: enough to write a checkpoint, and half of what `docker stop` gives. */
export const KILL_GRACE_MS = 5_000;
/**
 * A result travels in a frame and stays in an event and in the master's memory; larger things are
 * files.
 */
export const MAX_RESULT_BYTES = 64 * 1024;

/** The message for a result that breaks the limit. `bytes`: its size, if it was counted. */
export function tooLarge(bytes?: number): string {
  const advice = "put it into an artifact or a file, and return its name";
  const size = bytes === undefined ? "it has, as JSON, more than" : `${bytes} bytes exceed`;
  return `Cannot keep the result: ${size} ` +
    `${MAX_RESULT_BYTES}${bytes === undefined ? " bytes" : ""}; ${advice}`;
}

/** A duration for people: "250 ms", "1.5 s". */
export function durationText(ms: number): string {
  return ms < 1000 ? `${ms} ms` : `${ms / 1000} s`;
}
