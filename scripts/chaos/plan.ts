/**
 * The plan of a chaos run: made of the parts of a simulated life's plan (lesson 22), in the size
 * that was asked for, and with those faults only that can be done to real processes.
 *
 * Invariant: as many kills of the master, and as many of workers, as were asked for.
 * Left out: the same outcome for the same seed. Real processes meet the plan when the system lets
 * them; `npm run sim` repeats itself exactly.
 */
import {
  generateEndless, generateFault, generatePipeline, generateSteps, Prng,
  type Fault, type FaultKind, type JobPlan, type PipelinePlan, type Plan, type Room, type Step,
} from "#simulation";
import { LEFTOVERS } from "./programs.ts";

export interface PlanOptions {
  readonly seed: number;
  /** Of the big run. */
  readonly jobs: number;
  /** Of the master, and of workers: each. */
  readonly kills: number;
  readonly workers: number;
  readonly slots: number;
  /** Time per kill of the master. */
  readonly paceMs: number;
  /** How often a worker is stopped for longer than its lease. */
  readonly freezes: number;
  /** Also stop the master once. */
  readonly freezeMaster: boolean;
}

/** Two, so that the same is asked twice at the same time. */
const CLIENTS = 2;
/** Clients do in such a stretch of time what they do in one simulated life. */
const STRETCH = { ms: 4000, pipelines: 4 } as const;
/** A worker's lease is 4 s, and the worker needs a moment to notice. */
const PAST_LEASE_MS = 4800;
/** Workers give a request up after 4 s without an answer: two and a half times that. */
const MASTER_FREEZE_MS = 10_000;
/** Small pipelines that go on side by side in the big run. */
const LANES = 4;
/** Of a pipeline that has jobs for the one special worker: more would only wait for it. */
const TAGGED_CHANCE = 0.25;
/** Of a job. */
const LEFTOVER_CHANCE = 0.05;
/** The network's, of which there are two for three kills of the master. */
const LINK_FAULTS = ["cut", "reset", "partition", "stall", "slow-link"] as const;

export function chaosPlan(options: PlanOptions): Plan {
  const { seed, kills, paceMs, slots } = options;
  const prng = new Prng(seed);
  const safetyMs = kills * paceMs;
  // One worker is special, so that some jobs have nowhere else to go.
  const workers = Array.from({ length: options.workers }, (_, index) => ({
    name: `w${index + 1}`, slots, tags: index === 0 ? ["GPU"] : [],
  }));
  const room: Room = {
    workers, clients: CLIENTS, safetyMs, pipelines: [bigPipeline(prng, options.jobs)],
  };
  const work = [generateEndless(prng, room)];
  for (let at = 0; at < safetyMs; at += STRETCH.ms) {
    work.push(stretchOfWork(prng, at === 0 ? room : { ...room, pipelines: [] }, at));
  }
  const faults = generateFaults(prng, room, options);
  return {
    seed, safetyMs, workers, clients: CLIENTS,
    enabled: [...new Set(faults.map(({ kind }) => kind))],
    pipelines: work.flatMap(({ pipelines }) => pipelines),
    steps: work.flatMap(({ steps }) => steps).filter(isPossible).sort(byTime),
    faults: faults.sort(byTime),
    // The machine is as it is.
    latencyMs: [0, 0], syncMs: [0, 0], splitChunks: false, restartMs: [0, 0], finale: "none",
  };
}

const byTime = (a: { at: number }, b: { at: number }): number => a.at - b.at;

/** A client cannot ask for a snapshot. */
const isPossible = (step: Step): boolean => step.do !== "snapshot";

// ── work ─────────────────────────────────────────────────────────────────────────────────────────

/** Small pipelines and what clients do with them, from `startMs` on. */
function stretchOfWork(
  prng: Prng,
  room: Room,
  startMs: number,
): { pipelines: PipelinePlan[]; steps: Step[] } {
  const small = Array.from({ length: STRETCH.pipelines }, (_, index) =>
    pipeline(prng, `k${startMs / 1000}-${index}`));
  const pipelines = [...room.pipelines, ...small];
  const steps = generateSteps(prng, { ...room, safetyMs: STRETCH.ms, pipelines });
  return { pipelines, steps: steps.map((step) => ({ ...step, at: startMs + step.at })) };
}

function pipeline(prng: Prng, key: string): PipelinePlan {
  const tags = prng.chance(TAGGED_CHANCE) ? ["GPU"] : [];
  const { jobs } = generatePipeline(prng, { key, tags, crashes: false });
  return { key, jobs: jobs.map((job) => withLeftover(prng, job)) };
}

function withLeftover(prng: Prng, job: JobPlan): JobPlan {
  if (job.does === "missing" || !prng.chance(LEFTOVER_CHANCE)) return job;
  return { ...job, does: `${job.does} ${prng.pick(Object.keys(LEFTOVERS))}` };
}

/**
 * Small pipelines one after another as one run, which lives as long as the faults do. Each begins
 * whatever became of the one before it in its lane.
 */
export function bigPipeline(prng: Prng, size: number): PipelinePlan {
  const jobs: JobPlan[] = [];
  const ends: number[] = [];
  for (let lane = 0; jobs.length < size; lane = (lane + 1) % LANES) {
    const first = jobs.length;
    const end = ends[lane];
    const after = end === undefined ? {} : { dependsOn: [end], when: "always" as const };
    for (const job of pipeline(prng, "big").jobs.slice(0, size - first)) {
      const { gateMs: _, dependsOn = [], affinity, ...rest } = job;
      const parents = dependsOn.map((index) => first + index);
      jobs.push({
        ...rest,
        id: `j${jobs.length}`,
        ...(parents.length === 0 ? after : { dependsOn: parents }),
        ...(affinity !== undefined && { affinity: first + affinity }),
      });
    }
    ends[lane] = jobs.length - 1;
  }
  return { key: "big", jobs };
}

// ── faults ───────────────────────────────────────────────────────────────────────────────────────

function generateFaults(prng: Prng, room: Room, options: PlanOptions): Fault[] {
  const { kills, freezes, freezeMaster } = options;
  const some = (count: number, kinds: readonly FaultKind[], fits: (fault: Fault) => boolean) =>
    someFaults(prng, room, { count, kinds, fits });
  const isWorker = ({ target }: Fault): boolean => target.startsWith("w");
  const frozen = some(freezes, ["pause"], (fault) =>
    isWorker(fault) && fault.kind === "pause" && fault.forMs > PAST_LEASE_MS);
  const sleeps = ({ at, target }: Fault): boolean =>
    frozen.some((nap) => nap.target === target && at >= nap.at && at <= nap.at + PAST_LEASE_MS);
  return [
    ...frozen,
    ...some(kills, ["kill"], ({ target }) => target === "m"),
    // A frozen worker lives to see what it has missed; now and then it is killed in its sleep.
    ...some(kills, ["kill", "kill", "kill", "crash"], (fault) =>
      isWorker(fault) && (!sleeps(fault) || prng.chance(0.1))).map(harmless),
    ...some(Math.round((kills * 2) / 3), LINK_FAULTS, () => true),
    ...(freezeMaster ? [masterFreeze(room)] : []),
  ];
}

function someFaults(
  prng: Prng,
  room: Room,
  wanted: { count: number; kinds: readonly FaultKind[]; fits: (fault: Fault) => boolean },
): Fault[] {
  const faults: Fault[] = [];
  while (faults.length < wanted.count) {
    const fault = generateFault(prng, prng.pick(wanted.kinds), room);
    if (fault !== undefined && wanted.fits(fault)) faults.push(fault);
  }
  return faults;
}

/** A disk cannot be spoiled here: a crash is the death of a worker and its reaper at once. */
function harmless(fault: Fault): Fault {
  if (fault.kind !== "crash") return fault;
  return { ...fault, torn: false, garbage: false, silent: false };
}

function masterFreeze({ safetyMs }: Room): Fault {
  return { at: Math.round(safetyMs * 0.6), target: "m", kind: "pause", forMs: MASTER_FREEZE_MS };
}
