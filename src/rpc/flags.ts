/**
 * Lesson 04: what a frame is for, in its flags byte.
 *
 *     0               request                  expects exactly one final answer
 *     MORE            request for a stream     followed by CREDIT: how many bytes may come
 *     REPLY           final answer             ends a stream, too
 *     REPLY|MORE      one item of a stream
 *     REPLY|ERROR     final answer, failed     with id 0: why the connection is about to close
 *     CANCEL          the requester no longer wants an answer
 *     CREDIT          body u32: that many more bytes may come
 *     ONEWAY          expects nothing; id 0
 *
 * Each side counts its ids from 1: REPLY tells whose request is meant, so both sides may use the
 * same ids. Any other combination is refused: a guess at the meaning of a newer peer could send an
 * answer to the wrong caller.
 * Test: test/04-rpc.test.ts
 */
import type { Frame } from "#framing";
import { decodeError } from "./errors.ts";

export const REPLY = 1;
export const ERROR = 2;
export const MORE = 4;
export const CANCEL = 8;
export const ONEWAY = 16;
export const CREDIT = 32;

/** One line for people and transcripts, e.g. `#7 item "hello"`. */
export function describeFrame(frame: Frame): string {
  const { flags, requestId: id, opcode, body } = frame;
  const text = body.length > 40 ? `${body.length} bytes` : JSON.stringify(body.toString("latin1"));
  switch (flags) {
    case 0: return `#${id} request op=${opcode} ${text}`;
    case MORE: return `#${id} stream op=${opcode} ${text}`;
    case REPLY: return `#${id} reply ${text}`;
    case REPLY | MORE: return `#${id} item ${text}`;
    case REPLY | ERROR: {
      const error = decodeError(body);
      return `#${id} error ${error.code} ${JSON.stringify(error.message)}`;
    }
    case CANCEL: return `#${id} cancel`;
    case CREDIT: return `#${id} credit ${body.length === 4 ? body.readUInt32BE() : "?"}`;
    case ONEWAY: return `notify op=${opcode} ${text}`;
    default: return `#${id} flags=${flags} op=${opcode} ${text}`;
  }
}
