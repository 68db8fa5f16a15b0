/**
 * Watching a run to its end, over any number of connections.
 *
 * `#sdk` watches and dials; this file tells a person about it meanwhile.
 *
 * Invariants: returns a run that has ended or is PAUSED, or throws; nothing is shown twice.
 * Test: test/cli.test.ts
 */
import { setTimeout as sleep } from "node:timers/promises";
import { nodeHost } from "#host";
import type { Client } from "#sdk";
import type { RunInfo } from "#wire";
import { EXIT, exitCodeOf, isRpcError } from "./exit.ts";
import type { Progress } from "./progress.ts";
import type { Tracker } from "./tracker.ts";
import { MAX_ASKED, type Wait } from "./waits.ts";

/** A job that still waits after this long is worth a word. */
const WHY_MS = 500;

export interface FollowOptions {
  readonly client: Client;
  redial(): Promise<Client>;
  readonly run: string;
  readonly tracker: Tracker;
  readonly progress: Progress;
  /** Go on while nothing but services is left. */
  readonly toEnd?: boolean | undefined;
  /** Go on, too, while it is PAUSED: somebody else may raise its budget. */
  readonly throughPauses?: boolean | undefined;
  /** After each of the news. */
  readonly onNews?: () => void;
  /** Ends the watch: the run goes on. */
  readonly signal?: AbortSignal | undefined;
}

type Persistence = Pick<FollowOptions, "redial" | "signal">;

/**
 * @throws {CliError} UNREACHABLE when the master stays away
 * @throws the signal's reason when the signal is aborted
 */
export async function followRun(options: FollowOptions): Promise<RunInfo> {
  const { run, tracker, progress } = options;
  const sdk = await import("#sdk");
  let { client } = options;
  const redial = async (): Promise<Client> => {
    client.close(); // the connection may hang rather than be gone
    return (client = await options.redial());
  };
  const news = sdk.followRun({
    ...persistence({ ...options, redial }),
    client,
    run,
    toEnd: options.toEnd,
    onBroken: ({ message: why }) =>
      progress.note(`the connection to the master broke (${why}); the run goes on, trying again`),
    onRejoined: () => {
      const known = tracker.run === undefined ? "" : `; ${run} went on meanwhile`;
      progress.note(`connected again${known}`);
    },
  });
  const over = new AbortController();
  const ask = (): Client => client;
  void askWhy(ask, { run, tracker, progress, signal: over.signal }).catch(() => undefined);
  try {
    for await (const event of news) {
      progress.news(tracker.take(event));
      options.onNews?.();
      if (tracker.run?.status === "PAUSED" && options.throughPauses !== true) break;
    }
  } finally {
    over.abort(new Error("the watch is over"));
  }
  return tracker.run!;
}

type Asking = Pick<FollowOptions, "run" | "tracker" | "progress"> & { signal: AbortSignal };

/**
 * Asks again and again why jobs wait, as long as some do. Reasons change without any job moving (a
 * worker joins), so they do not come with the news. Ends when the signal is aborted, or with an
 * older master, which does not know the question.
 */
async function askWhy(client: () => Client, options: Asking): Promise<void> {
  const { progress, signal } = options;
  for (;;) {
    await pause(WHY_MS, signal);
    try {
      const waits = await whyNow(client(), options);
      if (signal.aborted) return;
      progress.waits(waits);
    } catch (error) {
      if (isRpcError(error, "UNSUPPORTED")) return;
      // The watch itself notices, tells and replaces a connection that broke.
    }
  }
}

async function whyNow(client: Client, { run, tracker }: Asking): Promise<Wait[]> {
  const rows = new Map(tracker.pending(MAX_ASKED).map((row) => [row.index, row]));
  const waits: Wait[] = [];
  const answers = rows.size === 0 ? [] : await client.reasons(run, [...rows.keys()]);
  for (const { index, kind, reason } of answers) {
    const row = rows.get(index);
    // It may have moved while the answer was on its way.
    if (row?.status !== "PENDING") continue;
    row.reason = reason;
    waits.push({ job: row.id, kind, reason });
  }
  return waits;
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
