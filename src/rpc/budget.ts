/**
 * Lesson 04: a bound on the memory of all peers together.
 *
 *     connection ──charge(+bytes)──▶ ┌────────┐   over the limit: count again, and then
 *     connection ──charge(-bytes)──▶ │ Budget │──▶ end the one that holds the most
 *     connection ──charge(+bytes)──▶ └────────┘
 *
 * `RpcLimits` bounds one peer. Eight hundred peers at their limits would still be 13 GB, so their
 * sum has a limit, too. Refusing the next byte of any peer would be unfair: a peer that reads its
 * answers would pay for one that does not. So the connection that holds the most memory ends, never
 * one that holds little.
 *
 * Invariants: `bytes` is the sum of what the members were charged; after `charge` it is at most the
 * limit.
 * Left out: the bytes in a socket that still takes more (HIGH_WATER_BYTES at most): they are on
 * their way.
 * Test: test/04-rpc.budget.test.ts
 */
import { invariant } from "#base";
import { RpcError } from "./errors.ts";

/** A connection that makes us hold memory. */
export interface Debtor {
  readonly remote: string;
  /** Counts anew the bytes that it makes us hold. */
  measure(): number;
  /** Ends it, and frees what it holds. */
  evict(error: RpcError): void;
}

export class Budget {
  readonly limitBytes: number;
  readonly #charged = new Map<Debtor, number>();
  #bytes = 0;
  #settling = false;

  constructor(limitBytes: number) {
    invariant(limitBytes > 0, "a budget of nothing serves nobody");
    this.limitBytes = limitBytes;
  }

  /** The bytes that all members hold, as they last reported. */
  get bytes(): number {
    return this.#bytes;
  }

  get size(): number {
    return this.#charged.size;
  }

  /** From now on this debtor holds `bytes`. The first charge makes it a member. */
  charge(debtor: Debtor, bytes: number): void {
    this.#bytes += bytes - (this.#charged.get(debtor) ?? 0);
    this.#charged.set(debtor, bytes);
    if (this.#bytes > this.limitBytes && !this.#settling) this.#settle();
  }

  /** The debtor holds nothing any more, or another budget counts it now. */
  leave(debtor: Debtor): void {
    this.#bytes -= this.#charged.get(debtor) ?? 0;
    this.#charged.delete(debtor);
  }

  // #region settle
  /** Counts all members anew, and only here: bytes that were charged may have left since. */
  #settle(): void {
    this.#settling = true;
    for (const debtor of [...this.#charged.keys()]) this.charge(debtor, debtor.measure());
    while (this.#bytes > this.limitBytes) {
      const debtor = this.#largest();
      const bytes = this.#charged.get(debtor)!;
      const what = `Peer ${debtor.remote} makes this side hold ${bytes} bytes, the most of ` +
        `${this.size} peers`;
      const error = new RpcError(
        "OVERLOADED",
        `${what}, which hold more than ${this.limitBytes} together`,
      );
      this.leave(debtor); // first, so that it is not chosen again while it ends
      debtor.evict(error);
    }
    this.#settling = false;
  }
  // #endregion

  #largest(): Debtor {
    let largest: Debtor | undefined;
    let most = 0;
    for (const [debtor, bytes] of this.#charged) {
      if (bytes > most) [largest, most] = [debtor, bytes];
    }
    invariant(largest !== undefined, "a sum over the budget has a member that holds something");
    return largest;
  }
}
