/**
 * Lesson 04: our questions that have no answer yet, by id.
 *
 * Invariants: no two of them have one id; each ends once.
 * Test: test/04-rpc.test.ts
 */
import { FreshMap } from "#base";
import type { FrameInit } from "#framing";
import type { Deadline, Deadlines } from "./deadlines.ts";
import { RpcError } from "./errors.ts";
import { CANCEL, CREDIT } from "./flags.ts";
import type { Call } from "./stream.ts";

interface PendingOptions {
  readonly remote: string;
  readonly deadlines: Deadlines;
  readonly firstId: number;
  send(frame: FrameInit): void;
}

interface Asked {
  readonly opcode: number;
  readonly flags: number;
  readonly body: Uint8Array;
  readonly deadlineMs: number;
}

const NOTHING = new Uint8Array(0);

export class Pending {
  readonly #remote: string;
  readonly #deadlines: Deadlines;
  readonly #send: PendingOptions["send"];
  readonly #pending = new FreshMap<number, { readonly call: Call; readonly deadline: Deadline }>();
  #lastId: number;

  constructor({ remote, deadlines, firstId, send }: PendingOptions) {
    this.#remote = remote;
    this.#deadlines = deadlines;
    this.#send = send;
    this.#lastId = firstId - 1;
  }

  get size(): number {
    return this.#pending.size;
  }

  get(id: number): Call | undefined {
    return this.#pending.get(id)?.call;
  }

  /** Asks. Returns the id. */
  start(call: Call, { opcode, flags, body, deadlineMs }: Asked): number {
    const id = this.#nextId();
    const deadline = this.#deadlines.add(deadlineMs, () => {
      this.abandon(id);
      const what = `Request ${opcode} to ${this.#remote}`;
      call.fail(new RpcError("DEADLINE", `${what}: no answer within ${deadlineMs} ms`));
    });
    this.#pending.set(id, { call, deadline });
    this.#send({ opcode, flags, requestId: id, body });
    return id;
  }

  #nextId(): number {
    // #exercise nextId
    // 0 is for frames without a conversation. After 2^32 requests the ids start again, and a stream
    // may still hold one of them.
    do this.#lastId = this.#lastId === 0xffffffff ? 1 : this.#lastId + 1;
    while (this.#pending.has(this.#lastId));
    return this.#lastId;
    // #end-exercise
  }

  // #region forget
  /** The conversation is over: frames that still arrive for this id are ignored. */
  forget(id: number): Call | undefined {
    const pending = this.#pending.get(id);
    if (pending === undefined) return undefined;
    this.#pending.delete(id);
    this.#deadlines.remove(pending.deadline);
    return pending.call;
  }
  // #endregion

  /** We no longer want the answer, and the peer may stop working on it. */
  abandon(id: number): void {
    if (this.forget(id) === undefined) return;
    this.#send({ opcode: 0, flags: CANCEL, requestId: id, body: NOTHING });
  }

  grant(id: number, bytes: number): void {
    if (!this.#pending.has(id)) return;
    const body = Buffer.allocUnsafe(4);
    body.writeUInt32BE(bytes);
    this.#send({ opcode: 0, flags: CREDIT, requestId: id, body });
  }

  /** None of them will be answered. */
  end(reason: RpcError): void {
    const calls = [...this.#pending.values()];
    this.#pending.clear();
    for (const { call } of calls) call.fail(reason);
  }
}
