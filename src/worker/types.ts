/**
 * Lesson 11: what a worker is told, and what its owner sees of it.
 *
 * Test: test/11-worker.test.ts
 */
import type { Executor, LocalExecutor } from "#exec";
import type { Address, Host } from "#host";
import type { PortRange } from "#services";

export interface WorkerOptions {
  readonly host: Host;
  readonly master: Address;
  readonly token?: string;
  /** Default: the master chooses (`w1`, `w2`, …). */
  readonly name?: string;
  /** Capabilities besides GENERAL, such as GPU. */
  readonly tags?: readonly string[];
  /** The number of jobs at once. */
  readonly slots: number;
  readonly executor: Executor & Partial<Pick<LocalExecutor, "sharedRuns" | "linkPackage">> & {
    endRun?(run: string, cluster?: string): unknown;
  };
  /** Projects are kept here between jobs. */
  readonly cacheDir: string;
  readonly version?: string;
  /** What it understands, in words of KNOWLEDGE. Default: all that this version does. */
  readonly knows?: readonly string[];
  /** Ports for services that name none. Default: DEFAULT_PORTS. */
  readonly ports?: PortRange;
  /** Where others reach the services here. Default: the address of our connection. */
  readonly advertise?: string;
  /** No pool ends it. Default false. */
  readonly permanent?: boolean;
  /** The process that listens on a port of this machine ("pid 4711"), if that can be known. */
  readonly portHolder?: (port: number) => Promise<string | undefined>;
  /** Called with a line for the worker's own log. */
  readonly onNote?: (text: string) => void;
}

/** The master refuses this worker, and asking again would not change that. */
export class WorkerError extends Error {
  override readonly name = "WorkerError";
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export interface Worker {
  /**
   * Resolves after the first registration. Rejects with a WorkerError when the master refuses it.
   */
  readonly ready: Promise<{ name: string }>;
  /**
   * Resolves after `stop`; rejects with a WorkerError when the master refuses a later registration.
   */
  readonly done: Promise<void>;
  readonly running: number;
  /**
   * The sizes of its collections: each is 0 when nothing runs here and the master has all reports.
   */
  counts(): WorkerCounts;
  /** Kills what runs, says goodbye, and closes. */
  stop(): Promise<void>;
}

export interface WorkerCounts {
  /** Attempts, from their dispatch until their report is on the master's disk. */
  readonly attempts: number;
  /** Reports that wait for their turn. */
  readonly reports: number;
  /** Runs that may have left something in this worker's folders. */
  readonly runs: number;
  /** Requests that wait for the master. */
  readonly waiting: number;
  /** Ports that services hold, and forwarded connections to them. */
  readonly ports: number;
  readonly forwards: number;
  /** Services that are checked. */
  readonly watched: number;
}
