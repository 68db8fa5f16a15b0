/**
 * Lesson 22: the master's side of the pools: the real Autoscaler (lesson 13) with a driver whose
 * commands go to the cloud.
 *
 * Invariant: answers reach the master as they would reach a process: not after its death, and
 * late while it is stopped.
 * Test: test/22-simulation.pools.test.ts
 */
import type { Host } from "#host";
import { Autoscaler, StartError, type Driver, type Master } from "#master";
import { definePool } from "#scaling";
import type { Cloud, CloudAnswer } from "./cloud.ts";
import type { PoolPlan } from "./plan.ts";
import type { Stage } from "./stage.ts";

/** A command that has not ended by then is killed. */
const COMMAND_MS = 5000;

/** The program that ends a machine. Only that there is one matters here. */
const DOWN = ["down"];

interface Parts {
  readonly cloud: Cloud;
  /** The master's machine, in this life. */
  readonly host: Pick<Host, "timers">;
  readonly master: Master;
}

/** Undefined: this life has no pools. */
export function startPools(stage: Stage, parts: Parts): Autoscaler | undefined {
  const { pools } = stage.plan;
  if (pools === undefined) return undefined;
  const driver = cloudDriver(parts);
  return new Autoscaler({
    host: parts.host,
    fleet: parts.master.fleet,
    pools: pools.map(offered),
    drivers: { command: driver, process: driver },
    onNote: (text) => stage.note(`m ${text}`),
  });
}

function offered(plan: PoolPlan) {
  const { orders: _orders, ends: _ends, ...limits } = plan;
  return { ...definePool(limits), driver: { type: "command", down: DOWN } } as const;
}

function cloudDriver({ cloud, host }: Parts): Driver {
  /** Runs a command: undefined if it had to be killed. */
  const command = (run: (answer: (how: CloudAnswer) => void) => void) =>
    new Promise<CloudAnswer | undefined>((resolve) => {
      const patience = host.timers.after(COMMAND_MS, () => resolve(undefined));
      run((answer) => void host.timers.after(0, () => {
        patience.cancel();
        resolve(answer);
      }));
    });
  return {
    isOurs: false,
    start: async ({ name: pool }, name) => {
      const answer = await command((told) => cloud.up({ pool, name }, told));
      if (answer !== undefined && "handle" in answer) return answer.handle;
      throw new StartError(answer?.error ?? "it did not end", { isUnsure: true });
    },
    stop: async ({ pool, name, handle = "" }) => {
      const answer = await command((told) => cloud.down({ pool, name, handle }, told));
      if (answer === undefined || "error" in answer) throw new Error(answer?.error ?? "it hangs");
    },
  };
}
