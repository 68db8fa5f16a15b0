/**
 * Lesson 14: two ends, joined by somebody in between who reads neither.
 *
 *     a.says ──▶ b.hears       an item is taken when the one before it has room over there
 *     b.says ──▶ a.hears
 *
 * Memory: one window (and one item) for each direction, and only while its reader is slow.
 *
 * Test: test/14-services.forward.test.ts
 */
import { RpcError, type IncomingRequest, type RpcStream } from "#rpc";
import type { End } from "./open.ts";

/** Resolves when both directions are over. Never rejects. */
export async function join(a: End, b: End): Promise<void> {
  const reset = (error: Error): void => {
    const { code, message } = error instanceof RpcError ? error : broken(error);
    for (const { says, hears } of [a, b]) {
      says.cancel();
      if (!hears.over) hears.fail(code, message);
    }
  };
  const gone = (): void => reset(new RpcError("CANCELLED", "The other end has gone"));
  a.hears.onCancel(gone);
  b.hears.onCancel(gone);
  await Promise.all([relay(a.says, b.hears).catch(reset), relay(b.says, a.hears).catch(reset)]);
}

// #region relay
async function relay(from: RpcStream, to: IncomingRequest): Promise<void> {
  await from.pour((bytes, bodyCrc) => {
    const isWelcome = to.lentItem(bytes, bodyCrc);
    if (!isWelcome) void to.drained().then(() => from.flow());
    return isWelcome;
  });
  to.end();
}
// #endregion

function broken(error: Error): RpcError {
  return new RpcError("INTERNAL", error.message);
}
