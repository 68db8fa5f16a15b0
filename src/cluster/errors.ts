/**
 * Why a cluster of one call does not start, for a person.
 *
 * Test: test/cli.cluster.test.ts
 */

export class ClusterError extends Error {
  override readonly name = "ClusterError";
  /** INTERRUPTED: whoever asked for it has given up. */
  readonly code: "FAILED" | "INTERRUPTED";
  /** What to do about it. */
  readonly advice: string | undefined;

  constructor(
    code: "FAILED" | "INTERRUPTED",
    message: string,
    options: { advice?: string | undefined; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.advice = options.advice;
  }
}
