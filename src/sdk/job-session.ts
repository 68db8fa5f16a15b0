/**
 * Lesson 18: the session of a job with its master: opened when it is first needed, and again when
 * it breaks.
 *
 *     TITAN_MASTER, TITAN_TOKEN ──▶ connect ──▶ request ──▶ answer
 *                                      ▲           │ the connection breaks, the master is full
 *                                      └── pause ◀─┘
 *
 * Every request of a job may be made again: the master knows a repeat (by a key, or by `call`). So
 * a master that restarts is a pause, and no error of the program.
 *
 * Invariants: an idle session keeps no process from ending; a request that was refused is not made
 * again.
 * Test: test/18-agents.steps.test.ts
 */
import { ConnectError } from "#calls";
import { nodeHost, type Host } from "#host";
import { backoffDelayMs, type RetryPolicy } from "#retry";
import { RpcError } from "#rpc";
import { isJobToken, MAX_GRACE_MS } from "#wire";
import type { Client } from "./client.ts";
import { connect } from "./connect.ts";

/** From 50 ms up: a restart takes half a second, and a machine that comes back some minutes. */
const AGAIN: RetryPolicy = {
  maxAttempts: 10_000, delayMs: 50, backoff: 1.6, maxDelayMs: 2000, jitter: 0.5,
};
/** After the longest grace of any master, this attempt has been given to somebody else. */
const PATIENCE_MS = MAX_GRACE_MS;

export interface JobSettings {
  readonly master: string | undefined;
  readonly token: string | undefined;
  readonly run: string | undefined;
  readonly job: string | undefined;
  readonly attempt: string | undefined;
  readonly inputs?: string | undefined;
  readonly output?: string | undefined;
  readonly store?: string | undefined;
}

/** The settings that a worker gives to a program. */
export function jobSettings(
  setting: (name: string) => string | undefined = (name) => process.env[name] || undefined,
): JobSettings {
  return {
    master: setting("TITAN_MASTER"), token: setting("TITAN_TOKEN"), run: setting("TITAN_RUN"),
    job: setting("TITAN_JOB"), attempt: setting("TITAN_ATTEMPT"),
    inputs: setting("TITAN_INPUTS"), output: setting("TITAN_OUTPUT"),
    store: setting("TITAN_STORE"),
  };
}

export class JobSession {
  readonly host: Host;
  readonly #settings: JobSettings;
  #client: Promise<Client> | undefined;
  #asked = 0;
  /** In a simulated world nothing comes from the environment. */
  readonly #isGiven: boolean;

  constructor(settings: JobSettings, host?: Host) {
    this.#settings = settings;
    this.#isGiven = host !== undefined;
    this.host = host ?? nodeHost();
  }

  /** Makes a request, and makes it again for as long as a master may be away. */
  async ask<T>(request: (client: Client) => Promise<T>): Promise<T> {
    const { clock, random, timers } = this.host;
    const until = clock.monotonic() + PATIENCE_MS;
    for (let tries = 1; ; tries++) {
      try {
        return await this.#once(request);
      } catch (error) {
        if (!isPassing(error) || clock.monotonic() >= until) throw error;
        const pauseMs = backoffDelayMs(AGAIN, tries, () => random.unit());
        await new Promise<void>((resolve) => void timers.after(pauseMs, resolve));
      }
    }
  }

  /** Goes on with what a request has begun: the process does not end meanwhile. */
  hold<T>(work: () => Promise<T>): Promise<T> {
    return this.#once(work);
  }

  async #once<T>(request: (client: Client) => Promise<T>): Promise<T> {
    const client = await this.#open();
    this.#asked += 1;
    if (this.#asked === 1) client.keepAlive(true);
    try {
      return await request(client);
    } finally {
      this.#asked -= 1;
      if (this.#asked === 0) client.keepAlive(false);
    }
  }

  async #open(): Promise<Client> {
    const known = await this.#client?.catch(() => undefined);
    if (known?.closed === false) return known;
    const { master, token } = this.#settings;
    if (master === undefined || token === undefined || !isJobToken(token)) {
      throw Object.assign(new TypeError(NO_JOB), { code: "NO_JOB" });
    }
    this.#client = connect({ master, token, ...(this.#isGiven && { host: this.host }) });
    const client = await this.#client;
    client.keepAlive(this.#asked > 0);
    return client;
  }

  close(): void {
    this.#client?.then((client) => client.close(), () => undefined);
  }
}

const NO_JOB = "Cannot ask the master: this program does not run as a job of Titan (TITAN_MASTER " +
  "and TITAN_TOKEN are not those of a job; a call has none, and is run as a program instead)";

/** Trouble with the way to the master, or with its disk: the same request may be answered later. */
function isPassing(error: unknown): boolean {
  return error instanceof ConnectError || (error instanceof RpcError && error.retryable);
}
