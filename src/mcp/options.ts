/**
 * Lesson 20: what the dispatcher (dispatch.ts) is told when a server of MCP is started.
 *
 * Test: test/20-mcp.test.ts
 */
import type { Host } from "#host";
import type { Client } from "#sdk";

export interface DispatcherOptions {
  readonly host: Host;
  readonly version: string;
  /** As people type it behind `--master`. Empty: they need not. */
  readonly master: string;
  /** A session with the master. The first call waits for it. */
  readonly session: () => Promise<Client>;
  /** Only tools that change nothing. */
  readonly readOnly?: boolean;
  /** Only these. */
  readonly allow?: readonly string[] | undefined;
  /** Approvals need no person in front of the client. */
  readonly allowApprove?: boolean;
  /** The folder in which relative paths begin. Undefined: callers have other files than we. */
  readonly folder?: string | undefined;
}
