/**
 * Lesson 22: from a seed to a plan.
 *
 * Swarm testing (Groce et al., ISSTA 2012): a life in which everything can go wrong at once is dominated by whatever is
 * loudest: no disk error is seen by a master that is killed twice a second. So each seed has some of the kinds of faults only, each
 * with a chance of 0.4, and draws for each of them how often it comes.
 *
 * Invariant: nothing but `seed` goes in.
 * Test: test/22-simulation.test.ts
 */
import { seededRandom, type Random } from "#host";
import { drawPipeline } from "./draw-jobs.ts";
import { FAULT_KINDS, type Fault, type FaultKind, type PipelinePlan, type Plan, type Range, type Step, type WorkerPlan } from "./plan.ts";

/** Chance, in the words of a plan. */
export class Dice {
  readonly #random: Random;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  /** A whole number, both ends possible. */
  int(least: number, most: number): number {
    return least + (this.#random.u32() % (most - least + 1));
  }

  chance(probability: number): boolean {
    return this.#random.unit() < probability;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.#random.u32() % list.length]!;
  }

  /** Mostly short, sometimes long: the way in which most waits are distributed. */
  ms(least: number, most: number): number {
    const unit = this.#random.unit();
    return Math.round(least + (most - least) * unit * unit * unit);
  }

  range(least: number, most: number): Range {
    const from = this.ms(least, most);
    return [from, from + this.ms(0, most)];
  }
}

/** So that lives with and without a job that never ends are otherwise the same. */
const ENDLESS_DICE = 0xe9d;

/** Everything that happens in the life of this seed. */
export function drawPlan(seed: number): Plan {
  const dice = new Dice(seed);
  const workers = drawWorkers(dice);
  const clients = dice.int(1, 3);
  const safetyMs = dice.int(4000, 9000);
  const enabled = FAULT_KINDS.filter(() => dice.chance(0.4));
  const tags = workers.some((worker) => worker.tags.length > 0) ? ["GPU"] : [];
  const crashes = enabled.includes("job-crashes-host");
  const pipelines = Array.from({ length: dice.int(2, 4) }, (_, index) => drawPipeline(dice, { key: `k${index + 1}`, tags, crashes }));
  const room: Room = { workers, clients, safetyMs, pipelines };
  const endless = drawEndless(new Dice(seed ^ ENDLESS_DICE), room);
  return {
    seed,
    enabled,
    safetyMs,
    latencyMs: dice.chance(0.8) ? [0.1, 2] : dice.range(1, 60),
    syncMs: dice.chance(0.8) ? [0.2, 1] : dice.range(1, 40),
    splitChunks: dice.chance(0.3),
    restartMs: [50, dice.int(60, 1500)],
    workers,
    clients,
    pipelines: [...pipelines, ...endless.pipelines],
    steps: [...drawSteps(dice, room), ...endless.steps].sort((a, b) => a.at - b.at),
    faults: enabled.flatMap((kind) => drawFaults(dice, kind, room)).sort((a, b) => a.at - b.at),
    finale: dice.pick(["none", "stop", "kill", "crash"]),
  };
}

interface Room {
  readonly workers: readonly WorkerPlan[];
  readonly clients: number;
  readonly safetyMs: number;
  readonly pipelines: readonly PipelinePlan[];
}

function drawWorkers(dice: Dice): WorkerPlan[] {
  return Array.from({ length: dice.int(1, 4) }, (_, index) => ({
    name: `w${index + 1}`,
    slots: dice.int(1, 3),
    tags: dice.chance(0.3) ? ["GPU"] : [],
  }));
}

// ── what the clients do ──────────────────────────────────────────────────────────────────────────

function drawSteps(dice: Dice, room: Room): Step[] {
  const steps: Step[] = [];
  const client = (): number => dice.int(1, room.clients);
  for (const [index, { key, jobs }] of room.pipelines.entries()) {
    // The first one early, so that there is something to break; the others whenever.
    const at = index === 0 ? dice.int(1, 500) : dice.int(1, Math.floor(room.safetyMs * 0.7));
    steps.push({ at, client: client(), do: "submit", run: key });
    if (dice.chance(0.4)) steps.push({ at: at + dice.ms(0, 3000), client: client(), do: "submit", run: key });
    steps.push(...drawMeddling(dice, { room, key, at }));
    for (const job of jobs) {
      if (job.gateMs === undefined) continue;
      const after = at + dice.ms(0, 4000);
      steps.push({ at: after, client: client(), do: "gate", run: key, job: job.id, approve: dice.chance(0.7) });
      if (dice.chance(0.5)) steps.push({ at: after, client: client(), do: "gate", run: key, job: job.id, approve: dice.chance(0.5) });
    }
  }
  for (let count = dice.int(1, 5); count > 0; count--) {
    steps.push({ at: dice.int(200, room.safetyMs), client: client(), do: dice.pick(["runs", "workers", "gates", "hash", "hash", "snapshot", "dead"] as const) });
  }
  if (dice.chance(0.3)) {
    const at = dice.int(100, room.safetyMs);
    const worker = dice.pick(room.workers).name;
    steps.push({ at, client: client(), do: "drain", worker, undo: false });
    if (dice.chance(0.6)) steps.push({ at: at + dice.ms(10, 3000), client: client(), do: "drain", worker, undo: true });
  }
  return steps.sort((a, b) => a.at - b.at);
}

/** Now and then a job that goes on until it is cancelled: only beside such a one is a cancel that got lost, or a program that nobody ends, ever seen. */
function drawEndless(dice: Dice, { clients, safetyMs }: Room): { pipelines: PipelinePlan[]; steps: Step[] } {
  if (!dice.chance(0.3)) return { pipelines: [], steps: [] };
  const run = "endless";
  const forever = Array.from({ length: dice.int(1, 3) }, (_, index) => ({ id: String.fromCharCode(97 + index), does: dice.chance(0.2) ? "forever ignore-term" : "forever" }));
  const at = dice.int(1, 1500);
  const after = { at: at + dice.int(100, safetyMs), client: dice.int(1, clients), run };
  const end: Step = { ...after, do: "cancel", ...(dice.chance(0.5) && { job: "a" }) };
  return {
    pipelines: [{ key: run, jobs: [...forever, { id: "z", does: "ms=5", dependsOn: [0], when: "always" }] }],
    steps: [
      { at, client: dice.int(1, clients), do: "submit", run },
      ...drawSecondThoughts(dice, { at, run, clients }),
      end,
    ],
  };
}

/**
 * The job that waits for an endless one is called off, and then wanted again, while its
 * parent runs on.
 */
function drawSecondThoughts(
  dice: Dice,
  options: { at: number; run: string; clients: number },
): Step[] {
  const { run, clients } = options;
  if (!dice.chance(0.5)) return [];
  const cancelAt = options.at + dice.int(50, 1500);
  return [
    { at: cancelAt, client: dice.int(1, clients), do: "cancel", run, job: "z" },
    {
      at: cancelAt + dice.int(20, 1500), client: dice.int(1, clients), do: "retry", run, from: "z",
    },
  ];
}

function drawMeddling(dice: Dice, options: { room: Room; key: string; at: number }): Step[] {
  const { room, key, at } = options;
  const { jobs } = room.pipelines.find((pipeline) => pipeline.key === key)!;
  const base = () => ({ at: at + dice.ms(50, 6000), client: dice.int(1, room.clients), run: key });
  const steps: Step[] = [];
  if (dice.chance(0.2)) steps.push({ ...base(), do: "cancel", ...(dice.chance(0.5) && { job: dice.pick(jobs).id }) });
  if (dice.chance(0.25)) steps.push({ ...base(), do: "retry", ...(dice.chance(0.4) && { from: dice.pick(jobs).id }) });
  if (dice.chance(0.2)) {
    const more = drawPipeline(dice, { key, tags: [], crashes: false }).jobs.slice(0, 2);
    steps.push({ ...base(), do: "add", jobs: more.map(({ id, does }, index) => ({ id: `added-${id}`, does, dependsOn: index === 0 ? [0] : [] })) });
  }
  if (dice.chance(0.6)) steps.push({ ...base(), do: "status" });
  if (dice.chance(0.3)) steps.push({ ...base(), do: "watch" });
  if (dice.chance(0.2)) steps.push({ ...base(), do: "logs", job: dice.pick(jobs).id });
  return steps;
}

// ── what goes wrong ──────────────────────────────────────────────────────────────────────────────

// #region faults
function drawFaults(dice: Dice, kind: FaultKind, room: Room): Fault[] {
  return Array.from({ length: dice.int(1, 3) }, () => drawFault(dice, kind, room)).filter((fault) => fault !== undefined);
}

/** How long a fault lasts: mostly too short to be noticed, sometimes longer than any lease. */
const lasting = (dice: Dice): number => dice.ms(5, 7000);
// #endregion

function drawFault(dice: Dice, kind: FaultKind, room: Room): Fault | undefined {
  const at = dice.int(50, room.safetyMs);
  const worker = dice.pick(room.workers).name;
  const client = `c${dice.int(1, room.clients)}`;
  const anybody = dice.chance(0.5) ? "m" : dice.chance(0.8) ? worker : client;
  const server = dice.chance(0.6) ? "m" : worker;
  const link = { at, target: "m", peer: dice.chance(0.8) ? worker : client };
  const downMs = dice.ms(1, 3000);
  switch (kind) {
    case "kill": return { at, target: anybody, kind, downMs };
    case "crash": return { at, target: anybody, kind, downMs, torn: dice.chance(0.7), garbage: dice.chance(0.3), silent: dice.chance(0.4) };
    case "stop": return { at, target: server, kind, downMs };
    case "pause": return { at, target: server, kind, forMs: lasting(dice) };
    case "cut": return { ...link, kind };
    case "reset": return { ...link, kind };
    case "partition": return { ...link, kind, way: dice.pick(["to", "from", "both", "both"]), forMs: lasting(dice) };
    case "stall": return { ...link, kind, chance: dice.int(1, 40) / 100, ms: dice.range(20, 1500), forMs: lasting(dice) };
    case "one-byte": return { ...link, kind, forMs: Math.min(2000, lasting(dice)) };
    case "slow-link": return { ...link, kind, ms: dice.range(10, 600), forMs: lasting(dice) };
    case "slow-disk": return { at, target: "m", kind, ms: dice.range(10, 900), forMs: lasting(dice) };
    case "disk-error": return { at, target: "m", kind, ...dice.pick(DISK_ERRORS) };
    case "disk-full": return { at, target: "m", kind, bytes: dice.int(0, 400), forMs: lasting(dice) };
    case "drift": return { at, target: anybody, kind, rate: dice.pick([0.5, 0.9, 0.999, 1.001, 1.1, 2]), forMs: lasting(dice) };
    case "jump": return { at, target: anybody, kind, ms: dice.pick([-30_000, -1000, -10, 10, 1000, 30_000]) };
    case "second-master": return { at, target: "m", kind };
    case "job-crashes-host": return undefined; // that is in the jobs
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
