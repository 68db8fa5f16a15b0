/** Observations for the tests of chapter 13: what is not said is usual. */
import {
  definePool, plan, type Observation, type Plan, type Pool, type PoolHistory, type StartFacts,
  type WaitingClass, type WorkerFacts,
} from "#scaling";

export const NOW = 1_000_000;

/** 4 slots and a maximum of 10, called web. */
export function web(fields: Partial<Pool> = {}): Pool {
  return definePool({ name: "web", slots: 4, max: 10, ...fields });
}

export function gpu(fields: Partial<Pool> = {}): Pool {
  return definePool({ name: "gpu", tags: ["GPU"], slots: 2, max: 10, ...fields });
}

/** Jobs that have waited for `waitedMs`, long enough by default. */
export function waits(key: string, jobs: number, waitedMs = 2000): WaitingClass {
  return { key, jobs, since: NOW - waitedMs };
}

/** An idle worker of pool web, for ten seconds. */
export function worker(id: number, fields: Partial<WorkerFacts> = {}): WorkerFacts {
  return {
    id,
    name: `web-${id}`,
    pool: "web",
    tags: [],
    slots: 4,
    busy: 0,
    services: 0,
    idleSince: NOW - 10_000,
    permanent: false,
    state: "ready",
    ...fields,
  };
}

export function start(id: number, fields: Partial<StartFacts> = {}): StartFacts {
  return { name: `web-${id}`, pool: "web", at: NOW - 500, state: "starting", ...fields };
}

export interface Seen {
  readonly waiting?: Observation["waiting"];
  readonly workers?: Observation["workers"];
  readonly starts?: Observation["starts"];
  readonly history?: Readonly<Record<string, PoolHistory>>;
  readonly neededAt?: Readonly<Record<string, number>>;
}

export function seen({ waiting, workers, starts, history, neededAt }: Seen): Observation {
  return {
    waiting: waiting ?? [],
    workers: workers ?? [],
    starts: starts ?? [],
    history: new Map(Object.entries(history ?? {})),
    ...(neededAt && { neededAt: new Map(Object.entries(neededAt)) }),
  };
}

/** A plan for what is seen, at NOW. */
export function planFor(what: Seen, pools: readonly Pool[] = [web()], now = NOW): Plan {
  return plan(seen(what), pools, now);
}

/** The actions in short: `start web 3`, `drain web-7`, `stop web-7`, `cancel web-9 failed`. */
export function acts(made: Pick<Plan, "actions">): string[] {
  return made.actions.map((action) => {
    switch (action.type) {
      case "start":
        return `start ${action.pool} ${action.count}`;
      case "cancel":
        return `cancel ${action.start}${action.failed ? " failed" : ""}`;
      default:
        return `${action.type} ${action.name}`;
    }
  });
}
