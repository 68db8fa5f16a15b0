/**
 * Lesson 04: what one connection holds, as the budget of all is told.
 *
 * Invariant: a connection that is closed is in no budget.
 * Test: test/04-rpc.budget.test.ts
 */
import type { Budget, Debtor } from "./budget.ts";
import type { RpcError } from "./errors.ts";
import { GRAIN_BYTES } from "./limits.ts";

interface Owner {
  readonly remote: string;
  readonly heldBytes: number;
  destroy(error: RpcError): void;
}

export class Account implements Debtor {
  readonly #owner: Owner;
  #budget: Budget | undefined;
  /** The bytes that the budget counts for this connection. */
  #charged = 0;
  #isClosed = false;

  constructor(owner: Owner, budget: Budget | undefined) {
    this.#owner = owner;
    this.#budget = budget;
  }

  get remote(): string {
    return this.#owner.remote;
  }

  /** Tells the budget how many bytes are held now, if they have changed by GRAIN_BYTES. */
  charge(): void {
    if (this.#budget === undefined || this.#isClosed) return;
    const { heldBytes } = this.#owner;
    if (Math.abs(heldBytes - this.#charged) < GRAIN_BYTES) return;
    this.#charged = heldBytes;
    this.#budget.charge(this, heldBytes);
  }

  measure(): number {
    return this.#isClosed ? 0 : (this.#charged = this.#owner.heldBytes);
  }

  evict(error: RpcError): void {
    this.#budget = undefined;
    this.#owner.destroy(error);
  }

  /** From now on another budget counts it, or none. */
  move(budget: Budget | undefined): void {
    this.#budget?.leave(this);
    this.#budget = budget;
    this.#charged = 0;
    this.charge();
  }

  close(): void {
    this.#isClosed = true;
    this.#budget?.leave(this);
  }
}
