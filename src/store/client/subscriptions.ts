/**
 * Lesson 15: who listens to which channel: a client subscribes again to all of them when it has a
 * new connection.
 *
 * Test: test/15-store.client.test.ts
 */
import type { Value } from "../resp/replies.ts";
import type { Listener } from "./options.ts";

/** A channel, or a glob that channels match. */
interface Heard {
  readonly verb: "SUBSCRIBE" | "PSUBSCRIBE";
  readonly channel: string;
}

export class Subscriptions {
  readonly #all = new Map<string, Heard & { readonly listeners: Set<Listener> }>();

  get size(): number {
    return this.#all.size;
  }

  [Symbol.iterator](): Iterator<Heard> {
    return this.#all.values();
  }

  /** Returns what ends it, and then says whether nobody listens any more. */
  add(heard: Heard, listener: Listener): () => boolean {
    const key = keyOf(heard);
    const entry = this.#all.get(key) ?? { ...heard, listeners: new Set() };
    // The same function may listen twice.
    const own: Listener = (...message) => listener(...message);
    entry.listeners.add(own);
    this.#all.set(key, entry);
    return () => entry.listeners.delete(own) && entry.listeners.size === 0 && this.#all.delete(key);
  }

  tell(heard: Heard, channel: string, message: Value): void {
    for (const listener of [...(this.#all.get(keyOf(heard))?.listeners ?? [])]) {
      listener(message, channel);
    }
  }
}

function keyOf({ verb, channel }: Heard): string {
  return `${verb} ${channel}`;
}
