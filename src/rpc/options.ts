/**
 * Lesson 04: what a connection is told by its owner.
 *
 * Test: test/04-rpc.test.ts
 */
import type { Host } from "#host";
import type { Budget } from "./budget.ts";
import type { IncomingRequest } from "./incoming.ts";
import type { RpcLimits } from "./limits.ts";

export interface RpcOptions {
  readonly host: Host;
  /**
   * Without it every request of the peer is answered UNSUPPORTED. An error that it throws becomes
   * an answer, too.
   */
  readonly onRequest?: (request: IncomingRequest) => void;
  /** One-way frames. `body` is a slice of the read buffer: copy what must outlive the call. */
  readonly onNotify?: (opcode: number, body: Buffer) => void;
  /** Exactly once. No error: both sides closed in order. */
  readonly onClose?: (error?: Error) => void;
  /** An error that a request handler threw, after it was answered: for a log. */
  readonly onHandlerError?: (error: unknown, opcode: number) => void;
  readonly limits?: Partial<RpcLimits>;
  /**
   * Bounds the bytes that this peer and others make us hold together. Default: nobody counts them.
   */
  readonly budget?: Budget;
  /**
   * The id of the first request, 1 by default. A test that starts at 2^32 - 1 need not send 4
   * billion.
   */
  readonly firstId?: number;
}
