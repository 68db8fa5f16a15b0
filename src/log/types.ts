/**
 * Lesson 05: what opening a log has found, what the log starts from, and what it counts.
 *
 * Test: test/05-log.test.ts
 */
import type { Host } from "#host";
import type { LogFolder } from "./folder.ts";
import type { RoomEvents } from "./room.ts";

export type Durability = "always" | "everysec" | "no";

export interface LogRecovery {
  /** Segment files found. */
  readonly segments: number;
  /** Intact records in them (those that the snapshot covers included). */
  readonly records: number;
  /**
   * Bytes cut from the end of the last segment: a group that was being written when the process
   * died.
   */
  readonly tornBytes: number;
  readonly tornFile?: string;
  /**
   * Damage that did not keep the log from opening: a snapshot whose records are all still there,
   * or, with `acceptLoss`, a last segment without its header, whose content nobody can tell any
   * more. Tell a person; RECOVERIES keeps it.
   */
  readonly ignored: readonly string[];
}

export interface LogStats {
  /** Since this log was opened. */
  readonly appends: number;
  readonly commits: number;
  readonly fsyncs: number;
  /** Bytes written, record headers included. */
  readonly bytes: number;
  /** Segment files that make up the log now. */
  readonly segments: number;
}

/** What `openLog` found or made; the log starts from here. */
export interface LogState extends RoomEvents {
  readonly host: Host;
  readonly folder: LogFolder;
  readonly nextSeq: number;
  readonly durability: Durability;
  readonly segmentBytes: number;
  readonly onFatal: ((error: Error) => void) | undefined;
  readonly recovery: LogRecovery;
}
