/**
 * Lesson 22: people and programs that use the cluster, and do not give up.
 *
 *     submit(key) ─✗ connection lost ─▶ connect again ─▶ submit(key) ─▶ acknowledged
 *                                                       the judge is told, at that moment ◀─┘
 *
 * Invariant: an operation of a client whose machine dies is begun again by its next life, as its
 * owner would.
 * Test: test/22-simulation.test.ts
 */
import { RpcError } from "#rpc";
import { connect, ConnectError, type Client } from "#sdk";
import { MASTER, TOKEN, type Stage } from "./stage.ts";

/** After so long without an answer a person tries again. */
const PATIENCE_MS = 4000;

/** What became of an operation: its result, or what the master had against it. */
export type Answer<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly refused: RpcError };

interface Operation {
  begin(): void;
}

export class SimClient {
  readonly name: string;
  readonly #stage: Stage;
  readonly #open = new Set<Operation>();
  #connection: Promise<Client> | undefined;
  #life = 0;

  readonly #isUp: () => boolean;

  constructor(stage: Stage, name: string, isUp: () => boolean) {
    this.#stage = stage;
    this.name = name;
    this.#isUp = isUp;
  }

  /** Its machine has (again) been started. */
  boot(): void {
    this.#life += 1;
    this.#connection = undefined;
    for (const operation of this.#open) operation.begin();
  }

  /** Operations that have no answer yet. */
  get waiting(): number {
    return this.#open.size;
  }

  /**
   * Does something until it is answered. With `giveUp`, only until that says so: then the promise
   * never settles, and nobody waits.
   */
  perform<T>(
    what: string,
    work: (client: Client) => Promise<T>,
    giveUp?: () => boolean,
  ): Promise<Answer<T>> {
    return new Promise((resolve) => {
      const operation: Operation = {
        begin: () =>
          void this.#attempt(what, work, { giveUp }).then((answer) => {
            if (answer === undefined) return void (giveUp?.() && this.#open.delete(operation));
            this.#open.delete(operation);
            resolve(answer);
          }),
      };
      this.#open.add(operation);
      if (this.#isUp()) operation.begin();
    });
  }

  async #attempt<T>(
    what: string,
    work: (client: Client) => Promise<T>,
    { giveUp }: { giveUp: (() => boolean) | undefined },
  ): Promise<Answer<T> | undefined> {
    const life = this.#life;
    for (;;) {
      if (giveUp?.() || this.#stage.broken !== undefined) return undefined;
      const connection = this.#connect();
      try {
        const client = await connection;
        const value = await this.#patiently(work(client));
        return life === this.#life ? { ok: true, value } : undefined;
      } catch (thrown) {
        if (life !== this.#life) return undefined;
        const error = thrown instanceof ConnectError ? thrown.cause : thrown;
        if (error instanceof RpcError && !error.retryable) return { ok: false, refused: error };
        if (!isExpected(error)) {
          this.#stage.breaks(
            "no-crash",
            `${this.name} ${what} failed with ${(error as Error).stack}`,
          );
          return undefined;
        }
        this.#drop(connection);
      }
      await this.#sleep(50 + this.#stage.random.unit() * 400);
    }
  }

  #connect(): Promise<Client> {
    this.#connection ??= connect({
      host: this.#stage.world.host(this.name),
      master: MASTER,
      token: TOKEN,
    });
    return this.#connection;
  }

  #drop(connection: Promise<Client>): void {
    if (this.#connection === connection) this.#connection = undefined;
    connection.then(
      (client) => client.close(),
      () => undefined,
    );
  }

  #patiently<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = this.#stage.world
        .host(this.name)
        .timers.after(PATIENCE_MS, () => reject(new RpcError("DEADLINE", "out of patience")));
      work.then(resolve, reject).finally(() => timer.cancel());
    });
  }

  #sleep(ms: number): Promise<void> {
    return new Promise(
      (resolve) => void this.#stage.world.host(this.name).timers.after(ms, resolve),
    );
  }
}

/** Of the connection, not of the request. */
function isExpected(error: unknown): boolean {
  if (error instanceof RpcError) return true;
  return error instanceof Error && /^E[A-Z]+$/.test(String((error as { code?: unknown }).code));
}
