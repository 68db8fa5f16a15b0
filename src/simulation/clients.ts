/**
 * Lesson 22: people and programs that use the cluster, and do not give up.
 *
 *     submit(key) ─✗ connection lost ─▶ connect again ─▶ submit(key) ─▶ acknowledged
 *                                                       the judge is told, at that moment ◀─┘
 *
 * Invariant: a client whose machine dies begins its open operations again in its next life, as
 * its owner would.
 * Test: test/22-simulation.test.ts
 */
import { RpcError } from "#rpc";
import { ConnectError, type Client } from "#sdk";
import type { Scene } from "./scene.ts";

/** A person tries again after so long without an answer. */
const PATIENCE_MS = 4000;

/** How an operation ended: with its result, or with the error by which the master refused it. */
export type Answer<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly refused: RpcError };

interface Operation {
  begin(): void;
}

export class PatientClient {
  readonly name: string;
  /** Requests that had to be made again. */
  repeats = 0;
  readonly #scene: Scene;
  readonly #open = new Set<Operation>();
  #connection: Promise<Client> | undefined;
  #life = 0;
  readonly #isUp: () => boolean;

  constructor(scene: Scene, name: string, isUp: () => boolean) {
    this.#scene = scene;
    this.name = name;
    this.#isUp = isUp;
  }

  /** The client's machine has (again) been started. */
  boot(): void {
    this.#life += 1;
    this.#connection = undefined;
    for (const operation of this.#open) operation.begin();
  }

  /** Closes the connection. Open operations begin again on another one, until the scene is over. */
  close(): void {
    if (this.#connection !== undefined) this.#drop(this.#connection);
  }

  /** Operations that have no answer yet. */
  get waiting(): number {
    return this.#open.size;
  }

  /**
   * Repeats some work until it is answered. With `giveUp`, only until that returns true: then the
   * promise never settles, and nobody waits for it.
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
      if (giveUp?.() || this.#scene.broken !== undefined) return undefined;
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
          this.#scene.breaks(
            "no-crash",
            `${this.name} ${what} failed with ${(error as Error).stack}`,
          );
          return undefined;
        }
        this.#drop(connection);
        this.repeats += 1;
      }
      await this.#sleep(50 + this.#scene.random.unit() * 400);
    }
  }

  #connect(): Promise<Client> {
    this.#connection ??= this.#scene.connect(this.name);
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
      const giveUp = (): void => reject(new RpcError("DEADLINE", "out of patience"));
      const timer = this.#scene.timersOf(this.name).after(PATIENCE_MS, giveUp);
      work.then(resolve, reject).finally(() => timer.cancel());
    });
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#scene.timersOf(this.name).after(ms, resolve));
  }
}

/** Whether an error is of the connection, not of the request. */
function isExpected(error: unknown): boolean {
  if (error instanceof RpcError) return true;
  return error instanceof Error && /^E[A-Z]+$/.test(String((error as { code?: unknown }).code));
}
