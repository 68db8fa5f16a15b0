/**
 * `titan up`: everything in one command.
 *
 * Test: test/cli.cluster.test.ts
 */
import { MAX_SLOTS } from "#wire";
import type { Scale } from "#cluster";
import type { Call, Command } from "../command.ts";
import { UsageError } from "../exit.ts";
import { serve } from "../serve.ts";
import { SERVE_FLAGS } from "./master.ts";

/** More workers on one machine are a load test and not a cluster; slots are cheaper. */
const MAX_WORKERS = 256;

export const up: Command = {
  name: "up",
  summary: "start a cluster on this machine: a master, workers, a store",
  usage: "",
  args: [0, 0],
  flags: {
    workers: {
      type: "string",
      value: "N",
      summary: "worker processes (default 2; with --scale 0)",
    },
    scale: {
      type: "string",
      value: "MIN..MAX",
      summary: "workers that come and go with the load; 4 is 0..4",
    },
    slots: {
      type: "string",
      value: "N",
      summary: "jobs at once per worker (default: one per processor)",
    },
    tags: {
      type: "string",
      value: "TAG,TAG",
      summary: "capabilities of these workers beyond GENERAL",
    },
    ...SERVE_FLAGS,
    "store-port": {
      type: "string",
      value: "PORT",
      summary:
        "of its own store (default 9379 if the master's is the default one, else any free one)",
    },
    "no-store": { type: "boolean", summary: "without a store" },
  },
  notes: [
    "The workers are processes of their own, and end with this one, however it ends. One that " +
      "dies is replaced.",
    "With --scale there are more of them when jobs have waited for a second, as many as the jobs " +
      "need; one that has been idle for 45 seconds ends. Those of --workers stay.",
    "The store speaks Redis's protocol and keeps its data in the state folder. Jobs find its " +
      "address, password included, in TITAN_STORE. With a token the store has a password: " +
      "TITAN_STORE_PASSWORD, else one that is made from the token.",
    "With --v1, programs that were written for the first Titan work unchanged. They can show no " +
      "token, so they must be on this machine, or beside a worker or client that has shown it.",
    "Ctrl-C or SIGTERM stops in order; a second Ctrl-C stops at once. Either way nothing that " +
      "was acknowledged is lost: the next titan up goes on.",
  ],
  examples: [
    "titan up",
    "titan up --workers 4 --slots 8 --tags GPU",
    "titan up --scale 0..4",
    "titan up --port 0 --json",
    "titan up --store redis://10.0.0.7:6379",
  ],
  run: (call: Call) => {
    const scale = scaleOf(call);
    const fixed = scale === undefined ? 2 : 0;
    const workers = call.count("workers", { min: 0, max: MAX_WORKERS }) ?? fixed;
    const slots = call.count("slots", { min: 1, max: MAX_SLOTS });
    return serve(call, { workers, ownStore: true, scale, slots, tags: call.tags() });
  },
};

/** `2..6`; `6` is `0..6`. */
function scaleOf(call: Call): Scale | undefined {
  const text = call.text("scale");
  if (text === undefined) return undefined;
  const [, low, high] = /^(?:(\d{1,15})\.\.)?(\d{1,15})$/.exec(text) ?? [];
  const [min, max] = [Number(low ?? 0), Number(high)];
  const wrong = (why: string) => new UsageError(`Cannot use --scale ${text}: ${why}`);
  if (high === undefined) throw wrong("must be MIN..MAX, such as 0..4, or MAX alone");
  if (max < min) throw wrong(`MAX is ${max}, below MIN, which is ${min}`);
  if (max === 0 || max > MAX_WORKERS) throw wrong(`MAX must be from 1 to ${MAX_WORKERS}`);
  return { min, max };
}
