/**
 * The mistakes of a peer, a file or a caller.
 *
 * | code              | the bytes or the value …                                             |
 * |-------------------|----------------------------------------------------------------------|
 * | `TRUNCATED`       | end before the message does                                          |
 * | `TRAILING`        | go on after the message, or a length says more than it holds          |
 * | `BAD_VARINT`      | hold a number longer than 8 bytes, above 2^53-1, or padded with zeros |
 * | `BAD_WIRE_TYPE`   | use a wire type that does not exist, or not this field's              |
 * | `FIELD_ORDER`     | repeat a field, or go back to a lower number                          |
 * | `MISSING_FIELD`   | lack a field that has no default                                      |
 * | `BAD_VALUE`       | hold something outside the field's type or range                      |
 * | `BAD_UTF8`        | hold text that is not UTF-8 (or a lone surrogate)                     |
 * | `TOO_LARGE`       | exceed a declared limit                                               |
 * | `UNKNOWN_VARIANT` | name a union variant that this side was not built with                |
 *
 * None is retryable: the same bytes fail the same way every time.
 */
export type CodecErrorCode =
  | "TRUNCATED"
  | "TRAILING"
  | "BAD_VARINT"
  | "BAD_WIRE_TYPE"
  | "FIELD_ORDER"
  | "MISSING_FIELD"
  | "BAD_VALUE"
  | "BAD_UTF8"
  | "TOO_LARGE"
  | "UNKNOWN_VARIANT";

/** `Cannot decode Hello.name: string of 70000 bytes exceeds 65536`. */
export class CodecError extends Error {
  readonly code: CodecErrorCode;

  constructor(code: CodecErrorCode, message: string) {
    super(message);
    this.name = "CodecError";
    this.code = code;
  }
}
