/**
 * Lesson 20: one dispatcher for all eras and transports. It knows nothing of versions, headers or
 * streams.
 *
 * What is offered (offer.ts) is words and schemas, and there from the start. The code with which
 * tools work is loaded later (heavy.ts).
 *
 * Test: test/20-mcp.test.ts
 */
import type { Host } from "#host";
import type { Client } from "#sdk";
import type { Caller } from "./caller.ts";
import { loadHeavy } from "./heavy.ts";
import { INSTRUCTIONS } from "./instructions.ts";
import type { Params } from "./json-rpc.ts";
import { Offer } from "./offer.ts";
import type { DispatcherOptions } from "./options.ts";

export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #offer: Offer;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#offer = new Offer(options);
  }

  get serverInfo(): object {
    return { name: "titan", title: "Titan", version: this.#options.version };
  }

  get capabilities(): object {
    return { tools: {}, resources: { subscribe: true }, prompts: {} };
  }

  get instructions(): string {
    return INSTRUCTIONS;
  }

  get host(): Host {
    return this.#options.host;
  }

  session(): Promise<Client> {
    return this.#options.session();
  }

  /** Begins to load what the first call needs. If that fails, the call says so. */
  warm(): void {
    loadHeavy().catch(() => undefined);
  }

  dispatch(method: string, params: Params, caller: Caller): Promise<object> {
    return this.#offer.dispatch(method, params, caller);
  }
}
