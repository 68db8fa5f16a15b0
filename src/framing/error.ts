/**
 * | code           | the peer sent …                                        |
 * |----------------|--------------------------------------------------------|
 * | `BAD_VERSION`  | a first byte that is not this dialect's                |
 * | `RESERVED`     | a value that the fourth byte must not have             |
 * | `TOO_LARGE`    | a length beyond the limit                              |
 * | `BAD_CHECKSUM` | bytes that were damaged, or never were a frame         |
 *
 * None is retryable on the same connection: the beginning of the next frame is no longer known.
 */
export type FramingErrorCode = "BAD_VERSION" | "RESERVED" | "TOO_LARGE" | "BAD_CHECKSUM";

/** `Cannot read frame: length 4294967295 exceeds 8388608`. */
export class FramingError extends Error {
  readonly code: FramingErrorCode;

  constructor(code: FramingErrorCode, message: string) {
    super(message);
    this.name = "FramingError";
    this.code = code;
  }
}
