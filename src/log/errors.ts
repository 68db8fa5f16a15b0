/**
 * Lesson 05: what can go wrong with a log, as a closed list.
 *
 * Test: test/05-log.test.ts
 */

/**
 * - `DAMAGED`: bytes on disk are not what was written. The log refuses to open; a person decides
 *   about `titan eventlog repair`.
 * - `GAP`: records are missing: a segment file is gone, or the snapshot that should cover them is.
 * - `BAD_FORMAT`: a file of another program, or of a newer Titan.
 * - `TOO_LARGE`: a record exceeds MAX_RECORD_BYTES. Nothing was appended; the log goes on.
 * - `BACKLOG`: MAX_PENDING_BYTES wait for the disk already. Nothing was appended; retry after
 *   `durable()`.
 * - `FULL`: the disk is full. Nothing was appended; the log tries again by itself and says when it
 *   goes on (`onRoom`).
 * - `WRITE_FAILED`: a write or an fsync failed. The log is dead; only a restart helps.
 * - `CLOSED`: used after `close()`.
 */
export type LogErrorCode =
  | "DAMAGED"
  | "GAP"
  | "BAD_FORMAT"
  | "TOO_LARGE"
  | "BACKLOG"
  | "FULL"
  | "WRITE_FAILED"
  | "CLOSED";

export class LogError extends Error {
  override readonly name = "LogError";
  readonly code: LogErrorCode;
  /** The file the error is about, as a path that starts with the log's folder. */
  readonly file?: string;
  /** Byte offset inside `file`. */
  readonly offset?: number;

  constructor(
    code: LogErrorCode,
    message: string,
    details: { file?: string; offset?: number; cause?: unknown } = {},
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    if (details.file !== undefined) this.file = details.file;
    if (details.offset !== undefined) this.offset = details.offset;
  }
}
