/**
 * Lesson 10: errors as answers: what a peer did wrong, or what the disk did.
 *
 * Test: test/10-master.server.test.ts
 */
import { CodecError } from "#codec";
import { Refusal } from "#core";
import { RpcError, type IncomingRequest } from "#rpc";
import { BlobError } from "./blobs.ts";

/** Tells the peer what it did wrong, or what the disk did. False: neither. */
export function answerError(request: IncomingRequest, error: unknown): boolean {
  if (error instanceof Refusal || error instanceof RpcError) {
    request.fail(error.code, error.message);
  } else if (error instanceof CodecError) {
    request.fail("BAD_REQUEST", error.message);
  } else if (error instanceof BlobError) {
    request.fail("INVALID", error.message);
  } else if (isSystemError(error)) {
    request.fail("INTERNAL", `Cannot serve opcode ${request.opcode}: ${error.message}`);
  } else {
    return false;
  }
  return true;
}

/**
 * Of a file that is not the log (whose failures are LogErrors): a blob or a job's output. Nobody's
 * promise hangs on those.
 */
export function isSystemError(error: unknown): error is Error {
  const { code } = error as { code?: unknown };
  return error instanceof Error && typeof code === "string" && /^E[A-Z0-9]+$/.test(code);
}
