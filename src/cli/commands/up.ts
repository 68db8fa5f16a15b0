/**
 * `titan up`: everything in one command.
 *
 * Test: test/cli.cluster.test.ts
 */
import { MAX_SLOTS } from "#wire";
import type { Call, Command } from "../command.ts";
import { refuseDashboard, serve } from "../serve.ts";
import { SERVE_FLAGS } from "./master.ts";

/** More workers on one machine are a load test and not a cluster; slots are cheaper. */
const MAX_WORKERS = 256;

export const up: Command = {
  name: "up",
  summary: "start a cluster on this machine: a master, workers, a store",
  usage: "",
  args: [0, 0],
  flags: {
    workers: { type: "string", value: "N", summary: "worker processes (default 2)" },
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
    "The store speaks Redis's protocol and keeps its data in the state folder. Jobs find its " +
      "address, password included, in TITAN_STORE. With a token the store has a password: " +
      "TITAN_STORE_PASSWORD, else one that is made from the token.",
    "Ctrl-C or SIGTERM stops in order; a second Ctrl-C stops at once. Either way nothing that " +
      "was acknowledged is lost: the next titan up goes on.",
  ],
  examples: [
    "titan up",
    "titan up --workers 4 --slots 8 --tags GPU",
    "titan up --port 0 --json",
    "titan up --store redis://10.0.0.7:6379",
  ],
  run: (call: Call) => {
    refuseDashboard(call);
    const workers = call.count("workers", { min: 0, max: MAX_WORKERS }) ?? 2;
    const slots = call.count("slots", { min: 1, max: MAX_SLOTS });
    return serve(call, { workers, ownStore: true, slots, tags: call.tags() });
  },
};
