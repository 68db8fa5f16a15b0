/**
 * Lesson 10: watching a run to its end, over any number of connections.
 *
 *     watch ──▶ events … the run ends ──▶ done
 *       ▲          │ the connection breaks
 *       └─ redial ◀┘ 100, 200, 400, 500, 500 … ms apart, for 30 s
 *
 * The run does not depend on its watcher. When the connection breaks the run goes on, so we dial
 * again, watch again, and begin with the whole state. We give up only when the master stays away.
 *
 * Invariant: the sequence ends after the run's terminal event (or when nothing but services is
 * left, unless it is to go on), or throws.
 * Test: test/sdk.test.ts
 */
import type { Host } from "#host";
import { RpcError } from "#rpc";
import { isConnectionError, isOpenRun, type RunStatus } from "#wire";
import type { RunEvent } from "./watch.ts";

/** A master replays its log in seconds; one that is away for longer needs a person. */
const GIVE_UP_MS = 30_000;
const WAIT_MIN_MS = 100;
/** A person looks at the screen: a watcher is back half a second after its master at the latest. */
const WAIT_MAX_MS = 500;

/** The part of a client that is needed here. */
export interface Watcher {
  watch(run: string, options: { signal?: AbortSignal | undefined }): AsyncIterable<RunEvent>;
}

export interface RedialOptions<Client> {
  readonly host: Host;
  redial(): Promise<Client>;
  /** Ends the wait; the run goes on. */
  readonly signal?: AbortSignal | undefined;
  /** Whether a failed redial is worth another one. Default: after errors of the connection only. */
  isAway?(error: unknown): boolean;
}

export interface FollowOptions<Client extends Watcher> extends RedialOptions<Client> {
  readonly client: Client;
  readonly run: string;
  /** Go on while the run is SERVING (nothing but services is left) or PAUSED (by its budget). */
  readonly toEnd?: boolean | undefined;
  onBroken?(error: Error): void;
  onRejoined?(): void;
}

/** @throws the signal's reason when it is aborted; the last error when the master stays away */
export async function* followRun<Client extends Watcher>(
  options: FollowOptions<Client>,
): AsyncGenerator<RunEvent> {
  const { run, signal, toEnd = false } = options;
  const isAwaited = (status: RunStatus): boolean =>
    status === "RUNNING" || (toEnd && isOpenRun(status));
  let client = options.client;
  for (;;) {
    try {
      for await (const event of client.watch(run, { signal })) {
        yield event;
        if (event.type !== "job" && !isAwaited(event.run.status)) return;
      }
      const why = "the master ended the watch before the run had ended";
      throw new RpcError("BAD_REQUEST", `Cannot watch ${run}: ${why}`);
    } catch (error) {
      signal?.throwIfAborted();
      if (!isConnectionError(error)) throw error;
      options.onBroken?.(error as Error);
      client = await reconnect(options);
      options.onRejoined?.();
    }
  }
}

/** Dials until somebody answers. */
export async function reconnect<Client>(options: RedialOptions<Client>): Promise<Client> {
  const { host, redial, signal, isAway = isConnectionError } = options;
  const until = host.clock.monotonic() + GIVE_UP_MS;
  for (let waitMs = WAIT_MIN_MS; ; waitMs = Math.min(WAIT_MAX_MS, waitMs * 2)) {
    await pause(host, { ms: waitMs, signal });
    try {
      return await redial();
    } catch (error) {
      if (!isAway(error) || host.clock.monotonic() > until) throw error;
    }
  }
}

/** @throws the signal's reason, at once, when it is aborted */
function pause(
  host: Host,
  { ms, signal }: { ms: number; signal: AbortSignal | undefined },
): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      timer.cancel();
      reject(signal!.reason as Error);
    };
    const timer = host.timers.after(ms, () => {
      signal?.removeEventListener("abort", abort);
      resolve();
    });
    if (signal?.aborted) abort();
    else signal?.addEventListener("abort", abort, { once: true });
  });
}
