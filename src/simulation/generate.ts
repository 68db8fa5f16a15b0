/**
 * Lesson 22: from a seed to a plan.
 *
 * Swarm testing (Groce et al., ISSTA 2012): in a life in which everything can go wrong at once, the
 * loudest faults hide the others: a master that is killed twice a second never sees a disk error.
 * So each seed has only some of the kinds of faults, each with a chance of 0.4, and a number of its
 * own for each of them.
 *
 * Invariant: nothing but `seed` goes in.
 * Test: test/22-simulation.test.ts
 */
import {
  addSteps, generateAgents, generateBrakes, generateForks, generatePipeline,
} from "./generate-jobs.ts";
import { generatePools } from "./generate-pools.ts";
import { generateServices, generateVersions } from "./generate-services.ts";
import {
  FAULT_KINDS,
  type Fault,
  type FaultKind,
  type PipelinePlan,
  type Plan,
  type Step,
  type WorkerPlan,
} from "./plan.ts";
import { Prng } from "./prng.ts";

/** For a stream of its own: lives with and without a job that never ends are otherwise the same. */
const ENDLESS_SALT = 0xe9d;
/** The same for edges to jobs that are there before. */
const BEFORE_SALT = 0xbef;

/** Every ninth life has services in it, and the others are what they were without. */
const [SERVICE_SALT, SERVICE_LIVES] = [0x5e2, 9];
/** The same for pools, in other lives. */
const [POOL_SALT, POOL_LIVES, FIRST_POOL_LIFE] = [0x9001, 9, 2];
/** And every ninth, beginning elsewhere, has versions of a service. */
const [VERSION_SALT, VERSION_LIFE] = [0x7e2, 4];
/** In these two, some workers are of a version without services. */
const AGE_SALT = 0xa6e;
/** One life in nine has jobs that take durable steps (lesson 18). */
const [STEP_SALT, STEP_LIFE] = [0x57e9, 0];

/** And every ninth, again elsewhere, has jobs that add jobs, ask and wait. */
const [AGENT_SALT, AGENT_LIFE] = [0xa6e, 6];

/** And every ninth has agent runs whose budgets are too small for what they want. */
const [BRAKE_SALT, BRAKE_LIFE] = [0xb7a, 7];

/** And every ninth has runs that grow, and are forked. */
const [FORK_SALT, FORK_LIFE] = [0xf04c, 3];

/** Everything that happens in the life of this seed. */
export function generatePlan(seed: number): Plan {
  const prng = new Prng(seed);
  const workers = withAges(generateWorkers(prng), seed);
  const clients = prng.int(1, 3);
  const safetyMs = prng.int(4000, 9000);
  const enabled = FAULT_KINDS.filter(() => prng.chance(0.4));
  const tags = workers.some((worker) => worker.tags.length > 0) ? ["GPU"] : [];
  const crashes = enabled.includes("job-crashes-host");
  const pipelines = Array.from({ length: prng.int(2, 4) }, (_, index) =>
    generatePipeline(prng, { key: `k${index + 1}`, tags, crashes }),
  );
  if (seed % SERVICE_LIVES === STEP_LIFE) addSteps(new Prng(seed ^ STEP_SALT), pipelines);
  const room: Room = { workers, clients, safetyMs, pipelines };
  const endless = generateEndless(new Prng(seed ^ ENDLESS_SALT), room);
  const serving = generateSpecial(seed, room);
  const scaled = seed % POOL_LIVES === FIRST_POOL_LIFE
    ? generatePools(new Prng(seed ^ POOL_SALT), { ...room, enabled })
    : { pools: [], pipelines: [], steps: [], faults: [] };
  return {
    seed,
    enabled,
    safetyMs,
    latencyMs: prng.chance(0.8) ? [0.1, 2] : prng.range(1, 60),
    syncMs: prng.chance(0.8) ? [0.2, 1] : prng.range(1, 40),
    splitChunks: prng.chance(0.3),
    restartMs: [50, prng.int(60, 1500)],
    workers,
    ...(scaled.pools.length > 0 && { pools: scaled.pools }),
    clients,
    pipelines: [...pipelines, ...endless.pipelines, ...serving.pipelines, ...scaled.pipelines],
    steps: withBefore(new Prng(seed ^ BEFORE_SALT), room, generateSteps(prng, room))
      .concat(endless.steps, serving.steps, scaled.steps)
      .sort((a, b) => a.at - b.at),
    faults: enabled.flatMap((kind) => generateFaults(prng, kind, room))
      .concat(scaled.faults)
      .sort((a, b) => a.at - b.at),
    finale: prng.pick(["none", "stop", "kill", "crash"]),
  };
}

/** What lives of one kind have besides. */
function generateSpecial(
  seed: number, room: Room,
): { pipelines: PipelinePlan[]; steps: Step[] } {
  switch (seed % SERVICE_LIVES) {
    case SERVICE_LIVES - 1: return generateServices(new Prng(seed ^ SERVICE_SALT), room);
    case VERSION_LIFE: return generateVersions(new Prng(seed ^ VERSION_SALT), room);
    case AGENT_LIFE: return generateAgents(new Prng(seed ^ AGENT_SALT), room);
    case BRAKE_LIFE: return generateBrakes(new Prng(seed ^ BRAKE_SALT), room);
    case FORK_LIFE: return generateForks(new Prng(seed ^ FORK_SALT), room);
    default: return { pipelines: [], steps: [] };
  }
}

/** What steps and faults can be about. */
export interface Room {
  readonly workers: readonly WorkerPlan[];
  readonly clients: number;
  readonly safetyMs: number;
  readonly pipelines: readonly PipelinePlan[];
}

function generateWorkers(prng: Prng): WorkerPlan[] {
  return Array.from({ length: prng.int(1, 4) }, (_, index) => ({
    name: `w${index + 1}`,
    slots: prng.int(1, 3),
    tags: prng.chance(0.3) ? ["GPU"] : [],
  }));
}

/** The first one can run services. */
function withAges(workers: readonly WorkerPlan[], seed: number): readonly WorkerPlan[] {
  const life = seed % SERVICE_LIVES;
  if (life !== SERVICE_LIVES - 1 && life !== VERSION_LIFE) return workers;
  const prng = new Prng(seed ^ AGE_SALT);
  return workers.map((worker, index) =>
    index > 0 && prng.chance(0.3) ? { ...worker, isOld: true } : worker);
}

// ── what the clients do ──────────────────────────────────────────────────────────────────────────

export function generateSteps(prng: Prng, room: Room): Step[] {
  const steps: Step[] = [];
  const client = (): number => prng.int(1, room.clients);
  for (const [index, { key, jobs }] of room.pipelines.entries()) {
    // The first one comes early, so that there is something to break; the others come at any time.
    const at = index === 0 ? prng.int(1, 500) : prng.int(1, Math.floor(room.safetyMs * 0.7));
    steps.push({ at, client: client(), do: "submit", run: key });
    if (prng.chance(0.4)) {
      steps.push({ at: at + prng.ms(0, 3000), client: client(), do: "submit", run: key });
    }
    steps.push(...generateMeddling(prng, { room, key, at }));
    for (const job of jobs) {
      if (job.gateMs === undefined) continue;
      const after = at + prng.ms(0, 4000);
      steps.push({
        at: after,
        client: client(),
        do: "gate",
        run: key,
        job: job.id,
        approve: prng.chance(0.7),
      });
      if (prng.chance(0.5)) {
        steps.push({
          at: after,
          client: client(),
          do: "gate",
          run: key,
          job: job.id,
          approve: prng.chance(0.5),
        });
      }
    }
  }
  for (let count = prng.int(1, 5); count > 0; count--) {
    steps.push({
      at: prng.int(200, room.safetyMs),
      client: client(),
      do: prng.pick(["runs", "workers", "gates", "hash", "hash", "snapshot", "dead"] as const),
    });
  }
  if (prng.chance(0.3)) {
    const at = prng.int(100, room.safetyMs);
    const worker = prng.pick(room.workers).name;
    steps.push({ at, client: client(), do: "drain", worker, undo: false });
    if (prng.chance(0.6)) {
      steps.push({ at: at + prng.ms(10, 3000), client: client(), do: "drain", worker, undo: true });
    }
  }
  return steps.sort((a, b) => a.at - b.at);
}

/**
 * Now and then there is a job that goes on until it is cancelled: only beside such a job does one
 * ever see a cancel that got lost, or a program that nobody ends.
 */
export function generateEndless(
  prng: Prng,
  { clients, safetyMs }: Room,
): { pipelines: PipelinePlan[]; steps: Step[] } {
  if (!prng.chance(0.3)) return { pipelines: [], steps: [] };
  const run = "endless";
  const forever = Array.from({ length: prng.int(1, 3) }, (_, index) => ({
    id: String.fromCharCode(97 + index),
    does: prng.chance(0.2) ? "forever ignore-term" : "forever",
  }));
  const at = prng.int(1, 1500);
  const after = { at: at + prng.int(100, safetyMs), client: prng.int(1, clients), run };
  const end: Step = { ...after, do: "cancel", ...(prng.chance(0.5) && { job: "a" }) };
  return {
    pipelines: [
      { key: run, jobs: [...forever, { id: "z", does: "ms=5", dependsOn: [0], when: "always" }] },
    ],
    steps: [
      { at, client: prng.int(1, clients), do: "submit", run },
      ...generateSecondThoughts(prng, { at, run, clients }),
      end,
    ],
  };
}

/**
 * The job that waits for an endless one is cancelled and then retried, while its parent runs on.
 */
function generateSecondThoughts(
  prng: Prng,
  options: { at: number; run: string; clients: number },
): Step[] {
  const { run, clients } = options;
  if (!prng.chance(0.5)) return [];
  const cancelAt = options.at + prng.int(50, 1500);
  return [
    { at: cancelAt, client: prng.int(1, clients), do: "cancel", run, job: "z" },
    {
      at: cancelAt + prng.int(20, 1500), client: prng.int(1, clients), do: "retry", run, from: "z",
    },
  ];
}

function generateMeddling(prng: Prng, options: { room: Room; key: string; at: number }): Step[] {
  const { room, key, at } = options;
  const { jobs } = room.pipelines.find((pipeline) => pipeline.key === key)!;
  const base = () => ({ at: at + prng.ms(50, 6000), client: prng.int(1, room.clients), run: key });
  const steps: Step[] = [];
  if (prng.chance(0.2)) {
    steps.push({ ...base(), do: "cancel", ...(prng.chance(0.5) && { job: prng.pick(jobs).id }) });
  }
  if (prng.chance(0.25)) {
    steps.push({ ...base(), do: "retry", ...(prng.chance(0.4) && { from: prng.pick(jobs).id }) });
  }
  if (prng.chance(0.2)) {
    const more = generatePipeline(prng, { key, tags: [], crashes: false }).jobs.slice(0, 2);
    steps.push({
      ...base(),
      do: "add",
      jobs: more.map(({ id, does }, index) => ({
        id: `added-${id}`,
        does,
        dependsOn: index === 0 ? [0] : [],
      })),
    });
  }
  if (prng.chance(0.6)) steps.push({ ...base(), do: "status" });
  if (prng.chance(0.3)) steps.push({ ...base(), do: "watch" });
  if (prng.chance(0.2)) steps.push({ ...base(), do: "logs", job: prng.pick(jobs).id });
  return steps;
}

/** Half of the additions come before some job, which may have started, or have to come first. */
function withBefore(prng: Prng, { pipelines }: Room, steps: readonly Step[]): Step[] {
  return steps.map((step) => {
    if (step.do !== "add" || !prng.chance(0.5)) return step;
    const { jobs } = pipelines.find(({ key }) => key === step.run)!;
    return { ...step, before: [prng.int(0, jobs.length - 1)] };
  });
}

// ── what goes wrong ──────────────────────────────────────────────────────────────────────────────

// #region faults
function generateFaults(prng: Prng, kind: FaultKind, room: Room): Fault[] {
  const faults = Array.from({ length: prng.int(1, 3) }, () => generateFault(prng, kind, room));
  return faults.filter((fault) => fault !== undefined);
}

/** How long a fault lasts: mostly too short to be noticed, sometimes longer than any lease. */
const lasting = (prng: Prng): number => prng.ms(5, 7000);
// #endregion

/** One fault of a kind. Undefined for the kind that is part of a job. */
export function generateFault(prng: Prng, kind: FaultKind, room: Room): Fault | undefined {
  const at = prng.int(50, room.safetyMs);
  const worker = prng.pick(room.workers).name;
  const client = `c${prng.int(1, room.clients)}`;
  const anybody = prng.chance(0.5) ? "m" : prng.chance(0.8) ? worker : client;
  const server = prng.chance(0.6) ? "m" : worker;
  const link = { at, target: "m", peer: prng.chance(0.8) ? worker : client };
  const downMs = prng.ms(1, 3000);
  switch (kind) {
    case "kill": return { at, target: anybody, kind, downMs };
    case "crash": {
      const [torn, garbage, silent] = [prng.chance(0.7), prng.chance(0.3), prng.chance(0.4)];
      return { at, target: anybody, kind, downMs, torn, garbage, silent };
    }
    case "stop": return { at, target: server, kind, downMs };
    case "pause": return { at, target: server, kind, forMs: lasting(prng) };
    case "cut": return { ...link, kind };
    case "reset": return { ...link, kind };
    case "partition": {
      const way = prng.pick(["to", "from", "both", "both"] as const);
      return { ...link, kind, way, forMs: lasting(prng) };
    }
    case "stall": {
      const chance = prng.int(1, 40) / 100;
      return { ...link, kind, chance, ms: prng.range(20, 1500), forMs: lasting(prng) };
    }
    case "one-byte": return { ...link, kind, forMs: Math.min(2000, lasting(prng)) };
    case "slow-link": return { ...link, kind, ms: prng.range(10, 600), forMs: lasting(prng) };
    case "slow-disk":
      return { at, target: "m", kind, ms: prng.range(10, 900), forMs: lasting(prng) };
    case "disk-error": return { at, target: "m", kind, ...prng.pick(DISK_ERRORS) };
    case "disk-full":
      return { at, target: "m", kind, bytes: prng.int(0, 400), forMs: lasting(prng) };
    case "drift": {
      const rate = prng.pick([0.5, 0.9, 0.999, 1.001, 1.1, 2]);
      return { at, target: anybody, kind, rate, forMs: lasting(prng) };
    }
    case "jump":
      return { at, target: anybody, kind, ms: prng.pick([-30_000, -1000, -10, 10, 1000, 30_000]) };
    case "second-master": return { at, target: "m", kind };
    case "job-crashes-host": return undefined; // The jobs have this fault.
  }
}

const DISK_ERRORS = [
  { op: "append", code: "EIO", path: "/state/log" },
  { op: "append", code: "ENOSPC", path: "/state/log" },
  { op: "sync", code: "EIO", path: "/state/log" },
  { op: "open", code: "EIO", path: ".snap" },
  { op: "rename", code: "EIO", path: "MANIFEST" },
  { op: "append", code: "ENOSPC", path: "/state/output" },
  { op: "open", code: "EMFILE", path: "/state/output" },
] as const;
