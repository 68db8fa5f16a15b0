/**
 * | code         | what the peer sent                                              |
 * |--------------|-----------------------------------------------------------------|
 * | `MALFORMED`  | bytes that are not RESP                                         |
 * | `TOO_LARGE`  | a length, a count or a depth beyond what we are willing to hold |
 *
 * None is retryable on the same connection: where the next message begins is no longer known.
 */
export type RespErrorCode = "MALFORMED" | "TOO_LARGE";

/** For requests the message is Redis's own: `Protocol error: invalid bulk length`. */
export class RespError extends Error {
  override readonly name = "RespError";
  readonly code: RespErrorCode;

  constructor(code: RespErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
