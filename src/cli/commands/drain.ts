/**
 * `titan drain`: before a machine is switched off.
 *
 * Test: test/cli.test.ts
 */
import type { Client } from "#sdk";
import { dialer, openClient } from "../address.ts";
import type { Call, Command } from "../command.ts";
import { CliError, EXIT, isConnectionError, isRpcError } from "../exit.ts";
import { pause, reconnect } from "../follow.ts";
import { durationText, meantHint, plural } from "../text.ts";

/** Between two looks at the number of jobs that still run there. */
const LOOK_MS = 200;

export const drain: Command = {
  name: "drain",
  summary: "give a worker nothing new, and wait until it can be stopped",
  usage: "WORKER",
  args: [1, 1],
  flags: {
    undo: { type: "boolean", summary: "it may get work again" },
    detach: { type: "boolean", summary: "do not wait for what still runs there" },
    timeout: {
      type: "string",
      value: "D",
      summary: "wait no longer than this (exit code 124); it goes on draining",
    },
  },
  notes: [
    "WORKER is a name as titan workers prints it, or the id that titan workers --json has: " +
      "two workers may have one name.",
    "What runs there goes on, and jobs that wanted this very worker may run anywhere. " +
      "Draining survives a restart of the master, and ends with the worker's process.",
    "Ctrl-C ends the waiting, not the draining.",
  ],
  examples: ["titan drain w3", "titan drain w3 --timeout 10m", "titan drain w3 --undo"],
  run,
};

async function run(call: Call): Promise<number> {
  const { context } = call;
  const undo = call.on("undo");
  const timeoutMs = await call.durationMs("timeout");
  const client = await openClient(call);
  const asked = await drainNamed(client, call.args[0]!, (worker) => client.drain(worker, { undo }));
  const { id, name, running } = asked;
  const say = (left: number, gone = false): number => {
    if (call.json) context.json(drainJson(asked, { undo, left, gone }));
    else context.out(drainText(name, { undo, left, gone }));
    return EXIT.OK;
  };
  if (undo || running === 0 || call.on("detach")) return say(running);

  context.note(
    `titan: ${name} gets nothing new; waiting for ${plural(running, "job")} to end there ` +
      "(Ctrl-C stops the waiting only)",
  );
  const end = await waitUntilIdle(call, { client, id, running, timeoutMs });
  if (end.why === "idle") return say(0);
  if (end.why === "gone") return say(0, true);
  const why = end.why === "time" ? `not over after ${durationText(timeoutMs!)}` : "interrupted";
  context.note(
    `titan: ${why}; ${name} goes on draining, and ${stillRunning(end.running)} there`,
  );
  if (call.json) say(end.running);
  return end.why === "time" ? EXIT.TIMED_OUT : EXIT.INTERRUPTED;
}

interface Said {
  readonly undo: boolean;
  /** Jobs that still run there. */
  readonly left: number;
  /** The worker has gone away. */
  readonly gone: boolean;
}

function drainText(name: string, { undo, left, gone }: Said): string {
  if (undo) return `${name} may get work again`;
  if (gone) return `${name} has left`;
  if (left === 0) return `${name} is drained: nothing runs there, and it can be stopped now`;
  const still = stillRunning(left);
  return `${name} gets nothing new; ${still} there (titan workers shows when it is drained)`;
}

function drainJson({ id, name }: { id: number; name: string }, { undo, left, gone }: Said): object {
  const drained = !undo && left === 0;
  return { worker: name, id, draining: !undo, running: left, drained, gone };
}

function stillRunning(jobs: number): string {
  return `${plural(jobs, "job")} still ${jobs === 1 ? "runs" : "run"}`;
}

interface Waited {
  readonly why: "idle" | "gone" | "time" | "interrupted";
  readonly running: number;
}

/** Why the waiting ends before the worker is idle. */
class Leave extends Error {
  readonly why: "time" | "interrupted";
  constructor(why: "time" | "interrupted") {
    super(why);
    this.why = why;
  }
}

interface WaitOptions {
  readonly client: Client;
  readonly id: number;
  readonly running: number;
  readonly timeoutMs: number | undefined;
}

async function waitUntilIdle(call: Call, options: WaitOptions): Promise<Waited> {
  const { id, timeoutMs } = options;
  let { client, running } = options;
  const leaving = new AbortController();
  const { signal } = leaving;
  // A stopped master takes connections and does not answer: our wait must end without its answer.
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as Error));
  });
  aborted.catch(() => undefined);
  call.context.onInterrupt((_signal, times) => {
    if (times > 1) process.exit(EXIT.INTERRUPTED);
    leaving.abort(new Leave("interrupted"));
  });
  const leave = (): void => leaving.abort(new Leave("time"));
  const timer = timeoutMs === undefined ? undefined : setTimeout(leave, timeoutMs);
  try {
    for (;;) {
      try {
        const workers = await Promise.race([client.workers(), aborted]);
        const worker = workers.find((info) => info.id === id);
        if (worker === undefined) return { why: "gone", running: 0 };
        running = worker.running;
        if (running === 0) return { why: "idle", running };
        await pause(LOOK_MS, signal);
      } catch (error) {
        if (!isConnectionError(error)) throw error;
        // The wish is in the log, and the jobs of the worker go on: after a restart of the master
        // the draining goes on.
        const why = (error as Error).message;
        call.context.note(`titan: the connection to the master broke (${why}); trying again`);
        client.close();
        client = await reconnect({ redial: dialer(call), signal });
      }
    }
  } catch (error) {
    if (error instanceof Leave) return { why: error.why, running };
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** Asks with the name as it was typed. Only if there is none, looks which one was meant. */
async function drainNamed<T>(
  client: Client,
  typed: string,
  ask: (worker: string) => Promise<T>,
): Promise<T> {
  try {
    return await ask(typed);
  } catch (error) {
    if (!isRpcError(error, "NOT_FOUND")) throw error;
    const names = (await client.workers()).map(({ name }) => name);
    if (names.length === 0) throw error;
    const hint = meantHint(typed, names);
    throw new CliError(EXIT.ERROR, `${(error as Error).message}${hint}`, {
      advice: hint === "" ? "titan workers lists them" : undefined,
    });
  }
}
