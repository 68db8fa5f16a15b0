/**
 * Lesson 10: what cannot be told of the past, as one error with a sentence.
 *
 * Test: test/10-master.history.test.ts
 */
export class HistoryError extends Error {
  override readonly name = "HistoryError";
  /** NOT_FOUND: no such run, fact or moment. INVALID: more than one is meant. */
  readonly code: "NOT_FOUND" | "INVALID";

  constructor(code: "NOT_FOUND" | "INVALID", message: string) {
    super(message);
    this.code = code;
  }
}
