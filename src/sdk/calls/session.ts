/**
 * Lesson 10: a session with a master, and how to have another one after it.
 *
 * Test: test/sdk.test.ts
 */
import type { IncomingRequest, RpcConnection } from "#rpc";

/** One connection on which HELLO has been answered. */
export interface Session {
  readonly connection: RpcConnection;
  /** The master's version. */
  readonly version: string;
  /** Whether the open connection keeps this process from ending. */
  keepAlive(on: boolean): void;
}

/** What a master asks of its client: only of one that forwards connections. */
export type OnRequest = (request: IncomingRequest, connection: RpcConnection) => void;

export type Redial = (onRequest?: OnRequest) => Promise<Session>;
