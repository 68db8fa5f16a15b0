/**
 * Why a cluster does not start, for a person.
 *
 * Test: test/cli.cluster.test.ts
 */

export class ClusterError extends Error {
  override readonly name = "ClusterError";
  /** INTERRUPTED: the caller has given up. */
  readonly code: "FAILED" | "INTERRUPTED";
  /** The way out. */
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
