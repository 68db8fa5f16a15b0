/**
 * Lesson 13: how the workers of a pool are started and ended.
 *
 *     process    a child of this process, which ends with it
 *     command    `up` orders one and prints its handle; `down` gets the handle, and ends it
 *
 * Both programs of a pool are told in their environment what they are to do: TITAN_POOL,
 * TITAN_MASTER, TITAN_WORKER_NAME, TITAN_SLOTS, TITAN_TAGS; `down` has TITAN_HANDLE, too, and the
 * handle as its last argument. The token is in a file that the user of this process may read
 * (TITAN_TOKEN_FILE), since everybody can read a command line, and many an environment.
 *
 * Invariants: an order has one end, within a time; the handle is empty, and no argument, if `up`
 * never answered. Then the name is all that `down` has, and it must be able to find the worker by
 * it.
 * Test: test/13-scaling.command.test.ts, test/13-scaling.up.test.ts
 */
import type { Launch } from "#core";
import { StartError, type Driver } from "#master";
import type { PoolDefinition } from "#pipeline";
import { runCommand, type RunningCommand } from "#process";
import { MAX_HANDLE_BYTES } from "#scaling";
import type { Supervisor } from "./supervisor.ts";

/** Ending a machine is asking for it, which takes seconds at most. */
export const DOWN_TIMEOUT_MS = 60_000;

/** Workers that are children of this process. */
export function processDriver(
  supervisor: Supervisor, argsOf: (pool: PoolDefinition) => string[],
): Driver<PoolDefinition> {
  const living = new Map<string, { stop(): Promise<void> }>();
  return {
    isOurs: true,
    async start(pool, name, onEnd) {
      const ended = (how: string): void => {
        living.delete(name);
        onEnd(how);
      };
      const worker = supervisor.start(name, [...argsOf(pool), "--name", name], ended);
      living.set(name, worker);
      return `process ${worker.pid ?? "that never started"}`;
    },
    async stop({ name }) {
      await living.get(name)?.stop();
    },
  };
}

export interface CommandDriverOptions {
  /** The folder of the file with the pools: paths in it mean files there. */
  readonly cwd: string;
  /** HOST:PORT that workers dial. */
  readonly master: string;
  readonly tokenFile: string | undefined;
  readonly env: NodeJS.ProcessEnv;
}

export class CommandDriver implements Driver<PoolDefinition> {
  readonly isOurs = false;
  readonly #options: CommandDriverOptions;
  readonly #running = new Set<RunningCommand>();

  constructor(options: CommandDriverOptions) {
    this.#options = options;
  }

  // #region start
  async start(pool: PoolDefinition, name: string): Promise<string> {
    const { driver, startTimeoutMs: timeoutMs } = pool;
    const up = driver.type === "command" ? driver.up : [];
    const told = { pool, poolName: pool.name, name };
    const { line, failure, isUnsure } = await this.#run(up, { ...told, timeoutMs });
    if (failure !== undefined) throw new StartError(`${up[0]}: ${failure}`, { isUnsure });
    const unsure = (what: string) => new StartError(`${up[0]}: ${what}`, { isUnsure: true });
    if (line === "") throw unsure("it printed no handle, and exited with 0");
    if (Buffer.byteLength(line) <= MAX_HANDLE_BYTES) return line;
    throw unsure(`its first line is longer than a handle of ${MAX_HANDLE_BYTES} bytes`);
  }
  // #endregion

  async stop(launch: Launch, pool: PoolDefinition | undefined): Promise<void> {
    const { name, handle, pool: poolName } = launch;
    const down = pool?.driver.type === "command" ? pool.driver.down : launch.down;
    const argv = handle === "" ? down : [...down, handle];
    const timeoutMs = DOWN_TIMEOUT_MS;
    const { failure } = await this.#run(argv, { pool, poolName, name, handle, timeoutMs });
    if (failure !== undefined) throw new Error(`${down[0]}: ${failure}`);
  }

  /** Ends what still runs: the process that holds this one ends. */
  kill(): void {
    for (const command of this.#running) command.kill("its master ended");
  }

  async #run(argv: readonly string[], about: {
    pool: PoolDefinition | undefined; poolName: string; name: string; handle?: string;
    timeoutMs: number;
  }) {
    const { master, tokenFile, cwd, env: around } = this.#options;
    const { pool, poolName, name, handle, timeoutMs } = about;
    const env: Record<string, string> = {
      ...(around as Record<string, string>),
      TITAN_POOL: poolName,
      TITAN_MASTER: master,
      TITAN_WORKER_NAME: name,
      ...(pool && { TITAN_SLOTS: String(pool.slots), TITAN_TAGS: pool.tags.join(",") }),
      ...(tokenFile !== undefined && { TITAN_TOKEN_FILE: tokenFile }),
      ...(handle !== undefined && { TITAN_HANDLE: handle }),
    };
    const command = runCommand({ argv, cwd, env, timeoutMs });
    this.#running.add(command);
    const end = await command.ended;
    this.#running.delete(command);
    return end;
  }
}
