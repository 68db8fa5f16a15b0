/**
 * Watching a run to its end, over any number of connections.
 *
 * `#sdk` does the watching and the dialling; here is what a person is told meanwhile.
 *
 * Invariants: returns a run that has ended, or throws; what was shown once is not shown again.
 * Test: test/cli.test.ts
 */
import { setTimeout as sleep } from "node:timers/promises";
import { nodeHost } from "#host";
import type { Client } from "#sdk";
import type { RunInfo } from "#wire";
import { EXIT, exitCodeOf } from "./exit.ts";
import type { Progress } from "./progress.ts";
import type { Tracker } from "./tracker.ts";

export interface FollowOptions {
  readonly client: Client;
  redial(): Promise<Client>;
  readonly run: string;
  readonly tracker: Tracker;
  readonly progress: Progress;
  /** Ends the watch: the run goes on. */
  readonly signal?: AbortSignal | undefined;
}

type Persistence = Pick<FollowOptions, "redial" | "signal">;

/** @throws {CliError} UNREACHABLE when the master stays away; the signal's reason when it is aborted */
export async function followRun(options: FollowOptions): Promise<RunInfo> {
  const { run, tracker, progress } = options;
  const sdk = await import("#sdk");
  let { client } = options;
  const redial = async (): Promise<Client> => {
    client.close(); // it may hang rather than be gone
    return (client = await options.redial());
  };
  const news = sdk.followRun({
    ...persistence({ ...options, redial }), client, run,
    onBroken: ({ message: why }) =>
      progress.note(`the connection to the master broke (${why}); the run goes on, trying again`),
    onRejoined: () => {
      const known = tracker.run === undefined ? "" : `; ${run} went on meanwhile`;
      progress.note(`connected again${known}`);
    },
  });
  for await (const event of news) progress.news(tracker.take(event));
  return tracker.run!;
}

/** Dials until somebody answers. */
export async function reconnect(options: Persistence): Promise<Client> {
  const sdk = await import("#sdk");
  return sdk.reconnect(persistence(options));
}

function persistence({ redial, signal }: Persistence) {
  const isAway = (error: unknown): boolean => exitCodeOf(error) === EXIT.UNREACHABLE;
  return { host: nodeHost(), redial, signal, isAway };
}

/** @throws the signal's reason, at once, when it is aborted */
export async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  const options = signal === undefined ? {} : { signal };
  await sleep(ms, undefined, options).catch(() => signal?.throwIfAborted());
}
