/**
 * Lesson 04: the closed list of ways in which a request can fail.
 *
 *     error body: code u8 | message (UTF-8, at most MAX_MESSAGE_BYTES)
 *
 * A caller decides by `code`, a person reads `message`. The compiler asks for a table row, and so
 * for an answer to "may it be sent again?", whenever a code is added.
 *
 * Test: test/04-rpc.test.ts
 */

// #region codes
/**
 * `wire` is the byte that travels: never reuse one. `retryable`: the same request may succeed
 * later, unchanged.
 */
const TABLE = {
  /** The connection is gone. Nobody knows whether the request was carried out. */
  CLOSED: { wire: 1, retryable: true },
  /** No answer in time; the same uncertainty. */
  DEADLINE: { wire: 2, retryable: true },
  /** The caller no longer wants an answer. */
  CANCELLED: { wire: 3, retryable: false },
  /** A limit on queued bytes or on requests in flight was reached. */
  OVERLOADED: { wire: 4, retryable: true },
  /** The body exceeds the limit. It will be as large next time. */
  TOO_LARGE: { wire: 5, retryable: false },
  /** The peer broke the framing or the protocol; the connection is closed. */
  BAD_FRAME: { wire: 6, retryable: false },
  /** The frame was good, its body was not. */
  BAD_REQUEST: { wire: 7, retryable: false },
  UNAUTHORIZED: { wire: 8, retryable: false },
  NOT_FOUND: { wire: 9, retryable: false },
  /** The request contradicts what already happened. */
  CONFLICT: { wire: 10, retryable: false },
  /** Well-formed and refused: the pipeline has a cycle, say. */
  INVALID: { wire: 11, retryable: false },
  /** No worker that could ever join may run this. */
  UNSCHEDULABLE: { wire: 12, retryable: false },
  /** The peer does not know this opcode or version. */
  UNSUPPORTED: { wire: 13, retryable: false },
  /** The peer's own bug. */
  INTERNAL: { wire: 14, retryable: false },
  /** The budget of an agent run is used up. A person may raise it; asking again does not. */
  BUDGET: { wire: 15, retryable: false },
  /** A limit that no budget raises: how deep jobs spawn jobs, and how many each. */
  LIMIT: { wire: 16, retryable: false },
} as const;
// #endregion

export type RpcErrorCode = keyof typeof TABLE;

/** All codes, in the order of their bytes on the wire. */
export const RPC_ERROR_CODES = Object.keys(TABLE) as readonly RpcErrorCode[];

const BY_WIRE = new Map<number, RpcErrorCode>(
  RPC_ERROR_CODES.map((code) => [TABLE[code].wire, code]),
);

/**
 * A few lines for a person. An error also takes no more room than this from a peer that is already
 * short of it.
 */
export const MAX_MESSAGE_BYTES = 1024;

/** How a request failed. `code` is for programs, `message` for people. */
export class RpcError extends Error {
  readonly code: RpcErrorCode;

  constructor(code: RpcErrorCode, message: string) {
    super(message);
    this.name = "RpcError";
    this.code = code;
  }

  /**
   * Whether the same request may succeed later. After CLOSED and DEADLINE it may also have
   * succeeded already, so send it again only if it carries an idempotency key or does no harm twice
   * (lesson 09).
   */
  get retryable(): boolean {
    return isRetryable(this.code);
  }
}

/** Whether a code's requests may be sent again as they are. */
export function isRetryable(code: RpcErrorCode): boolean {
  return TABLE[code].retryable;
}

export function encodeError(code: RpcErrorCode, message: string): Buffer {
  const text = Buffer.from(message, "utf8");
  return Buffer.concat([Buffer.of(TABLE[code].wire), text.subarray(0, wholeCharacters(text))]);
}

/** Never throws: an error that cannot be read is still an error. */
export function decodeError(body: Buffer): RpcError {
  const code = BY_WIRE.get(body[0] ?? 0) ?? "INTERNAL";
  return new RpcError(code, body.toString("utf8", 1, 1 + MAX_MESSAGE_BYTES));
}

/** Where to cut so that no character is cut in two: continuation bytes look like 10xxxxxx. */
function wholeCharacters(text: Buffer): number {
  let end = Math.min(text.length, MAX_MESSAGE_BYTES);
  while (end > 0 && end < text.length && (text[end]! & 0xc0) === 0x80) end--;
  return end;
}
