/**
 * Lesson 20: failures as a model reads them: what was being done, what was found, and what to do
 * next.
 *
 * Test: test/20-mcp.tools.test.ts
 */
import type { PipelineError, RpcErrorCode } from "#sdk";
import { isRpcError } from "../rpc-error.ts";
import { ToolProblem } from "./tool.ts";

/** Advice to the caller for each. */
const NEXT: Readonly<Partial<Record<RpcErrorCode, string>>> = {
  NOT_FOUND: "list_runs lists the runs, list_gates the open gates",
  CONFLICT: "look at it with get_run before you try again",
  OVERLOADED: "the master is busy: wait a few seconds and repeat the call with the same key",
  UNAUTHORIZED: "the person who set this server up must give it the cluster's token (TITAN_TOKEN)",
  TOO_LARGE: "send less at a time",
  DEADLINE: "it may have happened: repeat it with the same idempotency_key",
};
const AWAY: ReadonlySet<string> = new Set(["CLOSED", "BAD_FRAME"]);
/** Errors of ours that say it all. */
const PLAIN: ReadonlySet<string> = new Set([
  "ToolProblem", "ArchiveError", "StoreError", "CodecError", "TypeError",
]);

/** Undefined: it is no failure of the call, but of this server. */
export function failureText(error: unknown, { master }: { master: string }): string | undefined {
  if (error instanceof ToolProblem) return error.message;
  if (!(error instanceof Error)) return undefined;
  if (error.name === "PipelineError") {
    const next = "Mend the text and call again; titan://pipelines/schema has every key.";
    return `${(error as PipelineError).format()}\n${next}`;
  }
  if (error.name === "ConnectError" || (isRpcError(error) && AWAY.has(error.code))) {
    const where = master === "" ? "" : ` (${master})`;
    return `${error.message}\nNext: ask the person to start Titan${where}: titan up`;
  }
  if (isRpcError(error)) {
    const next = NEXT[error.code];
    return next === undefined ? error.message : `${error.message}\nNext: ${next}`;
  }
  return PLAIN.has(error.name) ? error.message : undefined;
}
