/**
 * `titan pools`, `titan launch`, `titan retire`: workers that come and go with the load.
 *
 * Test: test/13-scaling.cli.test.ts
 */
import { launchJson, poolJson } from "#rows";
import type { RunCalls } from "#calls";
import type { LaunchInfo, PoolInfo } from "#sdk";
import { openMaster } from "../address.ts";
import type { Call, Command } from "../command.ts";
import { CliError, EXIT, isRpcError } from "../exit.ts";
import { durationText, meantHint, oneLine, plural, table } from "../text.ts";

export const pools: Command = {
  name: "pools",
  summary: "list pools of workers, or the workers of one, and why there are so many",
  usage: "[POOL]",
  args: [0, 1],
  flags: {},
  notes: [
    "WANTED: those that run, those that are starting, and those that would be started if the " +
      "pool could have more. FAILED: starts in a row that did not come; each makes the pause " +
      "before the next one longer, until one comes.",
    "With POOL: its workers from the order to the end, with the handles that end them. STATE: " +
      "starting (it has not registered), running, retiring (it gets nothing new and ends when " +
      "nothing runs there), stopping.",
  ],
  examples: ["titan pools", "titan pools gpu", "titan pools --json"],
  async run(call: Call): Promise<number> {
    const { context } = call;
    const all = await (await openMaster(call)).pools();
    const named = call.args[0];
    if (named !== undefined) {
      if (!all.pools.some(({ name }) => name === named)) throw noPool(named, all.pools);
      return showLaunches(call, all.launches.filter(({ pool }) => pool === named));
    }
    if (call.json) {
      context.json(all.pools.map((pool) => poolJson(pool, all.launches)));
      return EXIT.OK;
    }
    if (all.pools.length === 0) {
      const how = "titan up --scale MAX and titan master --pools FILE make some";
      context.note(`titan: there are no pools; ${how}`);
      return EXIT.OK;
    }
    const head = ["POOL", "WANTED", "RUNNING", "STARTING", "LEAVING", "RANGE", "FAILED", "WHY"];
    context.out(table(head, all.pools.map(lineOf), context.columns));
    const [failing] = all.pools.filter(({ failures }) => failures > 0);
    if (failing !== undefined) context.note(`titan: the latest failure: ${failing.lastFailure}`);
    return EXIT.OK;
  },
};

function lineOf(pool: PoolInfo): string[] {
  const { name, wanted, running, starting, leaving, min, max, failures, why } = pool;
  const counts = [wanted, running, starting, leaving].map(String);
  return [name, ...counts, `${min}..${max}`, failures > 0 ? String(failures) : "", oneLine(why)];
}

function showLaunches({ context, json }: Call, launches: readonly LaunchInfo[]): number {
  if (json) context.json(launches.map(launchJson));
  else if (launches.length === 0) context.note("titan: it has no workers");
  else {
    const rows = launches.map(({ name, state, handle, orderedAt, reason }) => {
      return [name, state, handle, durationText(Date.now() - orderedAt), oneLine(reason)];
    });
    context.out(table(["WORKER", "STATE", "HANDLE", "FOR", "WHY"], rows, context.columns));
  }
  return EXIT.OK;
}

export const launch: Command = {
  name: "launch",
  summary: "start a worker of a pool, although nothing waits",
  usage: "POOL",
  args: [1, 1],
  flags: {},
  notes: [
    "It ends as its other workers do, when it has been idle for long enough. The pool's maximum " +
      "holds for people, too.",
  ],
  examples: ["titan launch gpu"],
  async run(call: Call): Promise<number> {
    const { context } = call;
    const pool = call.args[0]!;
    const client = await openMaster(call);
    const name = await client.launch(pool, { by: context.person }).catch(async (error: Error) => {
      if (!isRpcError(error, "NOT_FOUND")) throw error;
      throw noPool(pool, (await client.pools()).pools, error);
    });
    if (call.json) context.json({ worker: name, pool });
    else context.out(`${name} is ordered; titan pools ${pool} shows when it is there`);
    return EXIT.OK;
  },
};

export const retire: Command = {
  name: "retire",
  summary: "end a worker of a pool, once nothing runs there",
  usage: "WORKER",
  args: [1, 1],
  flags: {},
  notes: [
    "It gets nothing new from now on, and is stopped when its last job has ended. Another one " +
      "may be started in its place: if jobs wait, or below the pool's minimum.",
    "titan drain WORKER --undo takes it back until then. A worker that a person started is " +
      "drained with titan drain, and stopped where it was started.",
  ],
  examples: ["titan retire gpu-3"],
  async run(call: Call): Promise<number> {
    const { context } = call;
    const client = await openMaster(call);
    const { name, pool, running } = await asked(client, call.args[0]!, context.person);
    if (call.json) context.json({ worker: name, pool, running });
    else {
      const when = running === 0 ? "is stopped now" :
        `gets nothing new, and is stopped when its ${plural(running, "job")} ` +
        `${running === 1 ? "has" : "have"} ended`;
      context.out(`${name} ${when}`);
    }
    return EXIT.OK;
  },
};

async function asked(client: RunCalls, typed: string, by: string) {
  try {
    return await client.retire(typed, { by });
  } catch (error) {
    if (!isRpcError(error, "NOT_FOUND")) throw error;
    const names = (await client.pools()).launches.map(({ name }) => name);
    const hint = meantHint(typed, names);
    throw new CliError(EXIT.ERROR, `${(error as Error).message}${hint}`, {
      advice: hint === "" ? "titan pools POOL lists them" : undefined,
    });
  }
}

function noPool(typed: string, all: readonly PoolInfo[], error?: Error): CliError {
  const hint = meantHint(typed, all.map(({ name }) => name));
  const none = all.length === 0 ? ": this master has no pools" : "";
  const message = error?.message ?? `Cannot find pool "${typed}"${none}`;
  return new CliError(EXIT.ERROR, `${message}${hint}`, {
    advice: hint === "" && all.length > 0 ? "titan pools lists them" : undefined,
  });
}
