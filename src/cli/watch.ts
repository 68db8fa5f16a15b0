/**
 * Watches a run with everything around it: progress, Ctrl-C, a time limit, and the summary. For
 * `titan run` and `titan watch`.
 *
 *     ended ──▶ summary, 0 or 3
 *     PAUSED ──▶ summary, 3           its budget is used up, and a person has to raise it
 *     Ctrl-C ──▶ detach, 130          on a cluster of our own: cancel, wait for the end, 130
 *     --timeout ──▶ detach, 124       on a cluster of our own: cancel, wait for the end, 124
 *
 * Invariants: leaving never cancels a run on somebody else's master.
 * Test: test/cli.test.ts
 */
import { hostPort } from "#base";
import type { EmbeddedCluster } from "#cluster";
import type { RunInfo } from "#wire";
import type { Call } from "./command.ts";
import { CliError, EXIT } from "./exit.ts";
import { followRun } from "./follow.ts";
import { startProgress, type Progress } from "./progress.ts";
import type { Target } from "./submit.ts";
import { exitOf, summarize } from "./summary.ts";
import { durationText, shellWord } from "./text.ts";
import { Tracker } from "./tracker.ts";

/** A cancelled job has 5 s until it is killed, and its report needs a moment. */
const CANCEL_MS = 7000;

export interface WatchOptions extends Target {
  readonly run: string;
  readonly timeoutMs: number | undefined;
  /** Stay while nothing but services is left, or while it is PAUSED. */
  readonly toEnd?: boolean | undefined;
  /** Set by the command that has just submitted the run. */
  readonly submitted?: { readonly id: string; readonly name: string };
}

/** The reason to stop before the run does. */
class Leave extends Error {
  readonly exitCode: number;
  constructor(exitCode: number, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}

export async function watchToEnd(call: Call, options: WatchOptions): Promise<number> {
  const { context } = call;
  const { client, redial, cluster, where, run, timeoutMs } = options;
  const tracker = new Tracker();
  const leaving = new AbortController();
  context.onInterrupt((signal, times) => {
    if (times > 1) process.exit(EXIT.INTERRUPTED);
    leaving.abort(new Leave(EXIT.INTERRUPTED, signal === "SIGINT" ? "interrupted" : signal));
  });
  const late = (): void =>
    leaving.abort(new Leave(EXIT.TIMED_OUT, `not over after ${durationText(timeoutMs!)}`));
  const timer = timeoutMs === undefined ? undefined : setTimeout(late, timeoutMs);
  const slots = context.live && !call.json ? await countSlots(options) : 0;
  const progress = startProgress({
    context,
    tracker,
    json: call.json,
    slots,
    where: cluster === undefined ? where : "",
    submitted: options.submitted,
  });
  try {
    const { signal } = leaving;
    // Services on a cluster of our own end with this command.
    const toEnd = options.toEnd === true || cluster !== undefined;
    const onNews = cluster && tellOnce(cluster, { tracker, progress });
    const ended = await followRun({
      client, redial, run, tracker, progress, signal, toEnd, throughPauses: options.toEnd,
      ...(onNews && { onNews }),
    });
    progress.end();
    if (!call.json) {
      const state = call.text("state");
      const vanishes = cluster !== undefined && state === undefined;
      const kept = cluster === undefined ? undefined : state;
      const now = await live(options);
      await summarize(ended, { context, client: now, tracker, vanishes, kept, where });
    }
    return exitOf(ended);
  } catch (error) {
    if (!(error instanceof Leave)) {
      progress.end();
      throw gaveUp(error, options);
    }
    if (cluster !== undefined) await cancelOwn(options, { tracker, progress, why: error.message });
    progress.end();
    if (cluster === undefined) {
      context.note(
        `titan: ${error.message}; ${run} goes on. ` +
          `Watch it again with: titan watch${where} ${run}`,
      );
    }
    return error.exitCode;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Says how another command reaches a cluster of our own, as soon as a job waits for a person. Its
 * token is in a file that this user alone may read.
 */
function tellOnce(
  { master, stateDir, token }: EmbeddedCluster,
  { tracker, progress }: { tracker: Tracker; progress: Progress },
): () => void {
  let told = false;
  return () => {
    if (told || tracker.waiting.size === 0) return;
    told = true;
    void import("#cluster").then(async ({ writeTokenFile }) => {
      const file = await writeTokenFile(stateDir, token);
      const proof = file === undefined ? "" : ` TITAN_TOKEN_FILE=${shellWord(file)}`;
      progress.note(
        "to answer, while this command runs, from another terminal:\n" +
          `  export TITAN_MASTER=${hostPort(master)}${proof}\n` +
          "  titan gates",
      );
    });
  };
}

/** The connection of the watch may have been replaced meanwhile. */
async function live({ client, redial }: WatchOptions) {
  return client.closed ? redial() : client;
}

async function countSlots({ client }: WatchOptions): Promise<number> {
  const workers = await client.workers().catch(() => []);
  return workers.reduce((sum, worker) => sum + (worker.connected ? worker.slots : 0), 0);
}

/** Our cluster ends with us, so the run cannot go on: we end it properly, and show how it ended. */
async function cancelOwn(
  options: WatchOptions,
  shown: { tracker: Tracker; progress: Progress; why: string },
): Promise<RunInfo | undefined> {
  const { run } = options;
  shown.progress.note(
    `${shown.why}; cancelling ${run}, because its cluster ends with this command ` +
      "(again: leave at once)",
  );
  try {
    const client = await live(options);
    await client.cancel(run);
    const signal = AbortSignal.timeout(CANCEL_MS);
    return await followRun({ client, redial: options.redial, run, ...shown, signal });
  } catch {
    return undefined; // a job that does not end in time is killed with the cluster
  }
}

function gaveUp(error: unknown, { run, where, cluster }: WatchOptions): unknown {
  if (!(error instanceof CliError) || error.exitCode !== EXIT.UNREACHABLE) return error;
  if (cluster !== undefined) return error;
  return new CliError(EXIT.UNREACHABLE, error.message, {
    advice: `${run} is not lost: once the master is back, titan watch${where} ${run}`,
    cause: error,
  });
}
