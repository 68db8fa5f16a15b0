/**
 * `titan master`: the master alone, for workers that run elsewhere.
 *
 * Test: test/cli.cluster.test.ts
 */
import { hostname } from "node:os";
import { dirname, resolve } from "node:path";
import type { PoolsOption } from "#cluster";
import type { Call, Command, Flag } from "../command.ts";
import { UsageError } from "../exit.ts";
import { serve } from "../serve.ts";
import { STORE_FLAG } from "../store-url.ts";

export const SERVE_FLAGS: Readonly<Record<string, Flag>> = {
  host: {
    type: "string",
    value: "ADDRESS",
    summary: "where to listen (default 127.0.0.1; anything else needs a token)",
  },
  port: {
    type: "string",
    value: "PORT",
    summary: "default 9090; 0 takes any free one and says which",
  },
  state: {
    type: "string",
    value: "DIR",
    summary: "state folder (default TITAN_HOME, else .titan)",
  },
  durability: {
    type: "string",
    value: "WHEN",
    values: ["always", "everysec", "no"],
    summary: "fsync always (default), everysec, or no: what a power cut may cost",
  },
  grace: {
    type: "string",
    value: "D",
    summary:
      "how long a worker whose connection broke may stay away and keep its jobs (default 80 ms)",
  },
  "accept-loss": {
    type: "boolean",
    summary: "start although the log has lost its beginning, and with it perhaps acknowledged runs",
  },
  "artifact-max-bytes": {
    type: "string",
    value: "SIZE",
    summary: "what artifacts may take of the disk, as 500mb or 100gb (default 32gb)",
  },
  "artifact-max-age": {
    type: "string",
    value: "D",
    summary: "how long artifacts stay after the end of their run (default 14d)",
  },
  notify: {
    type: "string", value: "WHAT,…",
    summary: "how gates may tell people: commands, webhooks, HOST (only there), none",
  },
  ...STORE_FLAG,
  v1: {
    type: "boolean",
    summary: "serve clients of the first Titan, too, on the master's own port",
  },
  "v1-port": {
    type: "string",
    value: "PORT",
    summary: "serve them on a port of their own, on this machine alone",
  },
  http: {
    type: "string", value: "PORT",
    summary: "serve the dashboard and HTTP at this port of this machine (default 9080 beside the " +
      "default port, else off; 0: any free one; off)",
  },
  "http-host": {
    type: "string", value: "HOST[:PORT]", many: true,
    summary: "another name by which people reach that port",
  },
};

export const master: Command = {
  name: "master",
  summary: "run a master alone; workers join from anywhere",
  usage: "",
  args: [0, 0],
  flags: {
    ...SERVE_FLAGS,
    pools: {
      type: "string",
      value: "FILE",
      summary: "pools.yaml: workers that come and go with the load, here or elsewhere",
    },
    advertise: {
      type: "string",
      value: "HOST",
      summary: "where workers of pools reach this master (default: --host)",
    },
  },
  notes: [
    "The state folder holds the log of everything that was acknowledged. A master that is killed " +
      "and started again goes on where it was.",
    "With workers far away behind flaky links, --grace 30s lets their jobs go on through a gap; " +
      "in exchange those of a worker that died wait as long. At most 10m.",
    "It has no store of its own. With --store the jobs' store is a titan store, a Redis or a " +
      "Valkey, under an address at which the workers reach it, too.",
    "It listens on loopback unless told otherwise, and refuses any other address without a token " +
      "(TITAN_TOKEN): whoever reaches it can run programs.",
  ],
  examples: [
    "titan master --state /var/lib/titan",
    "TITAN_TOKEN=… titan master --host 0.0.0.0",
    "titan master --pools pools.yaml",
  ],
  run: async (call: Call) => {
    return serve(call, { workers: 0, ownStore: false, pools: await poolsOf(call) });
  },
};

/** The file is read before anything is started, so its mistakes start nothing. */
async function poolsOf(call: Call): Promise<PoolsOption | undefined> {
  const file = call.text("pools");
  const master = call.text("advertise");
  if (file === undefined) {
    if (master === undefined) return undefined;
    throw new UsageError("Cannot use --advertise: it is for the workers of --pools FILE");
  }
  const [{ readText }, { readPools }] = await Promise.all([
    import("../submit.ts"), import("#pipeline"),
  ]);
  const pools = readPools(await readText(file, "pools"), { file: file === "-" ? "<stdin>" : file });
  const cwd = file === "-" ? process.cwd() : dirname(resolve(file));
  const host = call.text("host");
  const isAnyHost = host === "0.0.0.0" || host === "::";
  return { pools, cwd, master: master ?? (isAnyHost ? hostname() : undefined) };
}
