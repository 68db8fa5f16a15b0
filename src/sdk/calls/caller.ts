/**
 * Lesson 10: a session for those who ask, and neither submit nor watch.
 *
 * Test: test/sdk.test.ts
 */
import type { RpcConnection } from "#rpc";
import { Empty } from "#wire";
import { readDial, type ConnectOptions } from "./open-session.ts";
import { RunCalls } from "./run-calls.ts";

/** Requests that move a large pipeline or hash a large state take seconds; none takes a minute. */
export const REQUEST_DEADLINE_MS = 60_000;

/** Opens one. The errors are those of `connect`. */
export async function openCalls(options: ConnectOptions): Promise<Caller> {
  const { connection } = await readDial(options).redial();
  return new Caller(connection);
}

export class Caller extends RunCalls {
  readonly #connection: RpcConnection;

  constructor(connection: RpcConnection) {
    super();
    this.#connection = connection;
  }

  request(opcode: number, body: Buffer): Promise<Buffer> {
    return this.#connection.request(opcode, body, { deadlineMs: REQUEST_DEADLINE_MS });
  }

  parts(opcode: number, body = Empty.encode({})): AsyncIterable<Buffer> {
    return this.#connection.stream(opcode, body, { deadlineMs: REQUEST_DEADLINE_MS });
  }

  close(): void {
    this.#connection.close();
  }
}
