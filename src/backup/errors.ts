/**
 * Lesson 24: what can go wrong with a backup, as one error with a sentence.
 *
 * Test: test/24-packaging.backup.test.ts
 */
import { fileReason } from "#host";

export class BackupError extends Error {
  override readonly name = "BackupError";
  /** The way out, on a line of its own. */
  readonly advice: string | undefined;
  constructor(message: string, options: { advice?: string | undefined; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.advice = options.advice;
  }
}

/** The second half of a message, for `told`. */
export class Finding extends Error {
  readonly advice: string | undefined;
  constructor(message: string, advice?: string) {
    super(message);
    this.advice = advice;
  }
}

/** "Cannot DOING: what was found", with the system's codes in words. */
export function told(doing: string, error: unknown): BackupError {
  const { advice, name, message } = error as Error & { advice?: string };
  const found = name === "LogError" ? message.replace(/^Cannot [^:]*: /, "") : fileReason(error);
  return new BackupError(`Cannot ${doing}: ${found}`, { advice, cause: error });
}
