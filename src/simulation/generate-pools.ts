/**
 * Lesson 22: the part of a random plan (generate.ts) that is about pools of workers (lesson 13):
 * the pools, a load that makes them grow, and a cloud that is late, fails, or lets workers die.
 *
 * Test: test/22-simulation.pools.test.ts
 */
import {
  END_FATES,
  ORDER_FATES,
  type EndPlan,
  type Fault,
  type FaultKind,
  type JobPlan,
  type OrderPlan,
  type PipelinePlan,
  type PoolPlan,
  type Step,
} from "./plan.ts";
import type { Prng } from "./prng.ts";

/** Only workers of pools have it, so that load with it starts some in any case. */
const POOL_TAG = "POOL";

interface Scaled {
  readonly pools: readonly PoolPlan[];
  readonly pipelines: readonly PipelinePlan[];
  readonly steps: readonly Step[];
  readonly faults: readonly Fault[];
}

export function generatePools(
  prng: Prng,
  room: {
    readonly clients: number; readonly safetyMs: number; readonly enabled: readonly FaultKind[];
  },
): Scaled {
  const pools = Array.from({ length: prng.int(1, 2) }, (_, index) => pool(prng, index));
  const loads = Array.from({ length: prng.int(1, 3) }, (_, index): PipelinePlan => {
    return { key: `load${index + 1}`, jobs: load(prng) };
  });
  const steps = loads.map(({ key }, index): Step => {
    // The first one comes early, so that there is somebody to end before faults are over.
    const at = index === 0 ? prng.int(1, 500) : prng.int(1, room.safetyMs);
    return { at, client: prng.int(1, room.clients), do: "submit", run: key };
  });
  for (const { name } of pools) steps.push(...wishes(prng, { ...room, pool: name }));
  const faults = pools.flatMap(({ name }) => workerFaults(prng, { ...room, pool: name }));
  return { pools, pipelines: loads, steps, faults };
}

function pool(prng: Prng, index: number): PoolPlan {
  const min = prng.chance(0.3) ? prng.int(1, 2) : 0;
  return {
    name: `p${index + 1}`,
    slots: prng.int(1, 3),
    tags: index === 0 ? [POOL_TAG] : prng.pick([[], [POOL_TAG], [POOL_TAG, "GPU"]]),
    min,
    max: min + prng.int(1, 4),
    upAfterMs: prng.ms(0, 1000),
    idleMs: prng.ms(50, 3000),
    cooldownMs: prng.ms(0, 2000),
    startTimeoutMs: prng.int(1500, 4000),
    orders: Array.from({ length: prng.int(1, 6) }, () => order(prng)),
    ends: Array.from({ length: prng.int(1, 4) }, () => end(prng)),
  };
}

function order(prng: Prng): OrderPlan {
  const late = prng.chance(0.15);
  return {
    fate: prng.chance(0.6) ? "comes" : prng.pick(ORDER_FATES),
    takeMs: prng.ms(1, 500),
    outlives: prng.chance(0.5),
    answerMs: prng.ms(0, 500),
    bootMs: late ? prng.int(1500, 8000) : prng.ms(1, 1200),
    livesMs: prng.ms(1, 3000),
  };
}

function end(prng: Prng): EndPlan {
  return { fate: prng.chance(0.6) ? "ends" : prng.pick(END_FATES), ms: prng.ms(1, 1500) };
}

/** People meddle now and then. */
function wishes(prng: Prng, room: { clients: number; safetyMs: number; pool: string }): Step[] {
  const { pool } = room;
  const base = () => ({ at: prng.int(1, room.safetyMs), client: prng.int(1, room.clients) });
  return [
    ...(prng.chance(0.3) ? [{ ...base(), do: "launch" as const, pool }] : []),
    ...(prng.chance(0.3)
      ? [{ ...base(), do: "retire" as const, worker: `${pool}-${prng.int(1, 4)}` }]
      : []),
    ...(prng.chance(0.3) ? [{ ...base(), do: "pools" as const }] : []),
  ];
}

function load(prng: Prng): JobPlan[] {
  return Array.from({ length: prng.int(1, 20) }, (_, index) => ({
    id: `l${index}`,
    does: `ms=${prng.ms(5, 1500)}`,
    ...(prng.chance(0.7) && { tags: [POOL_TAG] }),
  }));
}

/** The first few workers of a pool fail like all others. */
function workerFaults(
  prng: Prng, room: { safetyMs: number; enabled: readonly FaultKind[]; pool: string },
): Fault[] {
  return Array.from({ length: prng.int(0, 3) }, (): Fault[] => {
    const at = prng.int(50, room.safetyMs);
    const target = `${room.pool}-${prng.int(1, 4)}`;
    const forMs = prng.ms(5, 7000);
    const kind = prng.pick(["kill", "pause", "partition", "cut"] as const);
    if (!room.enabled.includes(kind)) return [];
    switch (kind) {
      case "kill": return [{ at, target, kind, downMs: 1 }];
      case "pause": return [{ at, target, kind, forMs }];
      case "partition": return [{ at, target: "m", peer: target, kind, way: "both", forMs }];
      case "cut": return [{ at, target: "m", peer: target, kind }];
    }
  }).flat();
}
