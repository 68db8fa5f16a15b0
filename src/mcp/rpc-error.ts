/**
 * Lesson 20: refusals of the master, told by their name. Their class would bring the whole SDK
 * along, and somebody who asks for the list of tools waits for none of it.
 *
 * Test: test/20-mcp.tools.test.ts
 */
import type { RpcError, RpcErrorCode } from "#sdk";

/** `code`: only this one. */
export function isRpcError(error: unknown, code?: RpcErrorCode): error is RpcError {
  if (!(error instanceof Error) || error.name !== "RpcError") return false;
  return code === undefined || (error as RpcError).code === code;
}
