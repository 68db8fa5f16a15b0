/** `titan drain`: before a machine is switched off. */
import type { Client } from "#sdk";
import { dialer, openMaster } from "../address.ts";
import type { Call, Command } from "../command.ts";
import { CliError, EXIT, isConnectionError, isRpcError } from "../exit.ts";
import { pause, reconnect } from "../follow.ts";
import { durationText, nearest, plural } from "../text.ts";

/** Between two looks at how much still runs there. */
const LOOK_MS = 200;

export const drain: Command = {
  name: "drain",
  summary: "give a worker nothing new, and wait until it can be stopped",
  usage: "WORKER",
  args: [1, 1],
  flags: {
    undo: { type: "boolean", summary: "it may get work again" },
    detach: { type: "boolean", summary: "do not wait for what still runs there" },
    timeout: { type: "string", value: "D", summary: "wait no longer than this (exit code 124); it goes on draining" },
  },
  notes: [
    "WORKER is a name as titan workers prints it, or the id that titan workers --json has: two workers may have one name.",
    "What runs there goes on, and jobs that wanted this very worker may run anywhere. Draining survives a restart of the master, and ends with the worker's process.",
    "Ctrl-C ends the waiting, not the draining.",
  ],
  examples: ["titan drain w3", "titan drain w3 --timeout 10m", "titan drain w3 --undo"],
  run,
};

async function run(call: Call): Promise<number> {
  const { context } = call;
  const undo = call.on("undo");
  const timeoutMs = await call.durationMs("timeout");
  const client = await openMaster(call);
  const { id, name, running } = await named(client, call.args[0]!, (worker) => client.drain(worker, { undo }));
  const say = (left: number, gone = false): number => {
    if (call.json) context.json({ worker: name, id, draining: !undo, running: left, drained: !undo && left === 0, gone });
    else if (undo) context.out(`${name} may get work again`);
    else if (gone) context.out(`${name} has left`);
    else if (left === 0) context.out(`${name} is drained: nothing runs there, and it can be stopped now`);
    else context.out(`${name} gets nothing new; ${plural(left, "job")} still ${left === 1 ? "runs" : "run"} there (titan workers shows when it is drained)`);
    return EXIT.OK;
  };
  if (undo || running === 0 || call.on("detach")) return say(running);

  context.note(`titan: ${name} gets nothing new; waiting for ${plural(running, "job")} to end there (Ctrl-C stops the waiting only)`);
  const end = await waitUntilIdle(call, { client, id, running, timeoutMs });
  if (end.why === "idle") return say(0);
  if (end.why === "gone") return say(0, true);
  context.note(`titan: ${end.why === "time" ? `not over after ${durationText(timeoutMs!)}` : "interrupted"}; ${name} goes on draining, and ${plural(end.running, "job")} still ${end.running === 1 ? "runs" : "run"} there`);
  if (call.json) say(end.running);
  return end.why === "time" ? EXIT.TIMED_OUT : EXIT.INTERRUPTED;
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

async function waitUntilIdle(call: Call, options: { client: Client; id: number; running: number; timeoutMs: number | undefined }): Promise<Waited> {
  const { id, timeoutMs } = options;
  let { client, running } = options;
  const leaving = new AbortController();
  const { signal } = leaving;
  // A master that is stopped takes connections and does not answer: the wait for its answer must end with ours.
  const aborted = new Promise<never>((_, reject) => void signal.addEventListener("abort", () => reject(signal.reason as Error)));
  aborted.catch(() => undefined);
  call.context.onInterrupt((_signal, times) => {
    if (times > 1) process.exit(EXIT.INTERRUPTED);
    leaving.abort(new Leave("interrupted"));
  });
  const timer = timeoutMs === undefined ? undefined : setTimeout(() => leaving.abort(new Leave("time")), timeoutMs);
  try {
    for (;;) {
      try {
        const worker = (await Promise.race([client.workers(), aborted])).find((info) => info.id === id);
        if (worker === undefined) return { why: "gone", running: 0 };
        running = worker.running;
        if (running === 0) return { why: "idle", running };
        await pause(LOOK_MS, signal);
      } catch (error) {
        if (!isConnectionError(error)) throw error;
        // The wish is in the log, and the worker's jobs go on: whoever restarts the master goes on draining.
        call.context.note(`titan: the connection to the master broke (${(error as Error).message}); trying again`);
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

/** Asks with the name as it was typed; only if there is none, looks which one was meant. */
async function named<T>(client: Client, typed: string, ask: (worker: string) => Promise<T>): Promise<T> {
  try {
    return await ask(typed);
  } catch (error) {
    if (!isRpcError(error, "NOT_FOUND")) throw error;
    const names = (await client.workers()).map(({ name }) => name);
    if (names.length === 0) throw error;
    const meant = nearest(typed, names);
    throw new CliError(EXIT.ERROR, `${(error as Error).message}${meant === undefined ? "" : ` (did you mean ${meant}?)`}`, { advice: meant === undefined ? "titan workers lists them" : undefined });
  }
}
