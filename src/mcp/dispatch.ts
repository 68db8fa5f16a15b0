/**
 * Lesson 20: one dispatcher for all eras and transports. It knows nothing of versions, headers or
 * streams, and loads what it offers (offer.ts) when somebody asks for it.
 *
 * Test: test/20-mcp.test.ts
 */
import type { Host } from "#host";
import type { Client } from "#sdk";
import type { Caller } from "./caller.ts";
import { INSTRUCTIONS } from "./instructions.ts";
import type { Params } from "./json-rpc.ts";
import type { DispatcherOptions } from "./options.ts";

/** Once for all connections: later calls wait for nothing. */
let loading: Promise<typeof import("./offer.ts")> | undefined;

export function loadOffer(): Promise<typeof import("./offer.ts")> {
  return (loading ??= import("./offer.ts"));
}

export class Dispatcher {
  readonly #options: DispatcherOptions;
  #offer: Promise<{ dispatch: Dispatcher["dispatch"] }> | undefined;

  constructor(options: DispatcherOptions) {
    this.#options = options;
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

  /** Begins to load what will be asked for. If that fails, the first request says so. */
  warm(): void {
    this.#load().catch(() => undefined);
  }

  async dispatch(method: string, params: Params, caller: Caller): Promise<object> {
    return (await this.#load()).dispatch(method, params, caller);
  }

  #load(): Promise<{ dispatch: Dispatcher["dispatch"] }> {
    return (this.#offer ??= loadOffer().then(({ Offer }) => new Offer(this.#options)));
  }
}
