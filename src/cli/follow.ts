/**
 * Watching a run to its end, over any number of connections.
 *
 * The run does not depend on us: when the connection breaks it goes on, and so we dial again, watch again, and are told
 * how things stand. Only a master that stays away makes us give up.
 *
 * Invariants: returns a run that has ended, or throws; what was shown once is not shown again.
 * Test: test/cli.test.ts
 */
import type { Client } from "#sdk";
import type { RunInfo } from "#wire";
import { CliError, EXIT, exitCodeOf, isConnectionError } from "./exit.ts";
import type { Progress } from "./progress.ts";
import type { Tracker } from "./tracker.ts";

/** A master that restarts replays its log in seconds; one that is away for longer needs a person. */
const GIVE_UP_MS = 30_000;
const WAIT_MIN_MS = 100;
const WAIT_MAX_MS = 2000;

export interface FollowOptions {
  readonly client: Client;
  redial(): Promise<Client>;
  readonly run: string;
  readonly tracker: Tracker;
  readonly progress: Progress;
  /** Ends the watch: the run goes on. */
  readonly signal?: AbortSignal | undefined;
}

/** @throws {CliError} UNREACHABLE when the master stays away; the signal's reason when it is aborted */
export async function followRun(options: FollowOptions): Promise<RunInfo> {
  const { run, tracker, progress, signal } = options;
  let client = options.client;
  for (;;) {
    try {
      return await watchOnce(client, options);
    } catch (error) {
      signal?.throwIfAborted();
      if (!isConnectionError(error)) throw error;
      progress.note(`the connection to the master broke (${(error as Error).message}); the run goes on, trying again`);
      client.close();
      client = await reconnect(options);
      progress.note(`connected again${tracker.run === undefined ? "" : `; ${run} went on meanwhile`}`);
    }
  }
}

async function watchOnce(client: Client, { run, tracker, progress, signal }: FollowOptions): Promise<RunInfo> {
  const events = client.watch(run);
  const aborted = new Promise<never>((_, reject) => {
    if (signal?.aborted) reject(signal.reason as Error);
    signal?.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
  });
  aborted.catch(() => undefined);
  for (;;) {
    const next = await Promise.race([events.next(), aborted]);
    if (next.done) break;
    const news = tracker.take(next.value);
    progress.news(news);
    if (tracker.run !== undefined && tracker.run.status !== "RUNNING") return tracker.run;
  }
  throw new CliError(EXIT.ERROR, `Cannot watch ${run}: the master ended the watch before the run had ended`);
}

/** Dials until somebody answers. */
export async function reconnect(options: { redial(): Promise<Client>; readonly signal?: AbortSignal | undefined }): Promise<Client> {
  const until = performance.now() + GIVE_UP_MS;
  for (let waitMs = WAIT_MIN_MS; ; waitMs = Math.min(WAIT_MAX_MS, waitMs * 2)) {
    await pause(waitMs, options.signal);
    try {
      return await options.redial();
    } catch (error) {
      if (exitCodeOf(error) !== EXIT.UNREACHABLE || performance.now() > until) throw error;
    }
  }
}

/** @throws the signal's reason, at once, when it is aborted */
export function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal!.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, ms);
    if (signal?.aborted) abort();
    else signal?.addEventListener("abort", abort, { once: true });
  });
}
