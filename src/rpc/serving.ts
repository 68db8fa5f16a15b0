/**
 * Lesson 04: the peer's questions that we have not answered yet, by id.
 *
 * Test: test/04-rpc.test.ts
 */
import { FreshMap } from "#base";
import type { Incoming } from "./incoming.ts";
import { REQUEST_BYTES, type RpcLimits } from "./limits.ts";

export class Serving {
  readonly #serving = new FreshMap<number, Incoming>();
  #bytes = 0;

  get size(): number {
    return this.#serving.size;
  }

  get heldBytes(): number {
    return this.#bytes + REQUEST_BYTES * this.#serving.size;
  }

  has(id: number): boolean {
    return this.#serving.has(id);
  }

  get(id: number): Incoming | undefined {
    return this.#serving.get(id);
  }

  /** Undefined: it is served now. Else there are as many as there may be, in words. */
  add(
    id: number, incoming: Incoming, most: Pick<RpcLimits, "maxInFlight" | "maxInFlightBytes">,
  ): string | undefined {
    const { length } = incoming.body;
    if (this.size >= most.maxInFlight || this.#bytes + length > most.maxInFlightBytes) {
      return `${this.size} requests of ${this.#bytes} bytes`;
    }
    this.#serving.set(id, incoming);
    this.#bytes += length;
    return undefined;
  }

  forget(id: number): void {
    this.#bytes -= this.#serving.get(id)?.body.length ?? 0;
    this.#serving.delete(id);
  }

  /** Nobody waits for their answers any more. */
  end(): void {
    for (const request of [...this.#serving.values()]) request.cancel();
  }
}
