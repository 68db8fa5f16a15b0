/**
 * When what is broken: drawn from the seed before anything starts, so that a seed is a schedule.
 *
 * Invariant: as many kills of the master, and as many of workers, as were asked for.
 * Left out: the same outcome for the same seed. Real processes meet the schedule when the system
 * lets them; what repeats exactly is `npm run sim`.
 */
import type { Draw } from "./draw.ts";

export type Step =
  | { at: number; do: "kill master"; downMs: number; whileStarting: boolean }
  | { at: number; do: "kill worker"; place: number; downMs: number; withReaper: boolean }
  | { at: number; do: "freeze worker"; place: number; forMs: number }
  | { at: number; do: "freeze master"; forMs: number }
  | { at: number; do: "cut"; all: boolean; reset: boolean }
  | { at: number; do: "delay"; byMs: number; forMs: number }
  | { at: number; do: "stall"; way: "up" | "down"; forMs: number };

export interface PlanOptions {
  /** Of the master, and of workers: each. */
  readonly kills: number;
  readonly workers: number;
  /** Time per kill of the master. */
  readonly paceMs: number;
  /** How many freezes of a worker past its lease. */
  readonly freezes: number;
  readonly freezeMaster: boolean;
}

/** A worker's lease is 4 s. */
const FREEZE_MS = { min: 4800, max: 6500 } as const;
/** Workers give a request up after 4 s without an answer: two and a half times that. */
const MASTER_FREEZE_MS = 10_000;

export function drawPlan(random: Draw, options: PlanOptions): Step[] {
  const { kills, workers, paceMs, freezes, freezeMaster } = options;
  const steps: Step[] = [];
  const lengthMs = kills * paceMs;
  const place = (): number => random.int(0, workers - 1);
  const frozen: { from: number; to: number; place: number }[] = [];
  for (let n = 0; n < freezes; n++) {
    const [at, forMs, who] = [
      Math.round(((n + 0.1) * lengthMs) / freezes),
      random.int(FREEZE_MS.min, FREEZE_MS.max),
      place(),
    ];
    steps.push({ at, do: "freeze worker", place: who, forMs });
    frozen.push({ from: at, to: at + forMs, place: who });
  }
  /** Who is frozen lives to see what it has missed; now and then it is just who is killed. */
  const victim = (n: number, at: number): number => {
    const chosen = place();
    const cold = frozen.find(({ from, to }) => at >= from && at <= to + 500)?.place;
    if (cold === undefined) return chosen;
    if (n % 10 === 6) return cold;
    return chosen === cold ? (chosen + 1) % workers : chosen;
  };
  for (let n = 0; n < kills; n++) {
    const at = (from = 0, to = 0.99): number =>
      Math.round((n + random.int(from * 100, to * 100) / 100) * paceMs);
    // Now and then one thing after the other, so that there is a death of a worker to measure that
    // nothing else has disturbed.
    const calm = n % 3 === 2;
    steps.push({
      at: calm ? at(0, 0.1) : at(),
      do: "kill master",
      downMs: calm ? 100 : random.int(50, 700),
      whileStarting: !calm && random.chance(0.15),
    });
    const when = calm ? at(0.8) : at();
    steps.push({
      at: when,
      do: "kill worker",
      place: victim(n, when),
      downMs: random.int(100, 1200),
      withReaper: random.chance(0.25),
    });
    if (calm) continue;
    const fault = random.int(0, 9);
    if (fault < 4) steps.push({ at: at(), do: "cut", all: fault === 0, reset: random.chance(0.5) });
    else if (fault < 7) {
      steps.push({
        at: at(),
        do: "delay",
        byMs: random.int(10, 200),
        forMs: random.int(500, 2000),
      });
    } else {
      steps.push({
        at: at(),
        do: "stall",
        way: random.chance(0.5) ? "up" : "down",
        forMs: random.int(300, 5500),
      });
    }
  }
  if (freezeMaster) {
    steps.push({ at: Math.round(lengthMs * 0.6), do: "freeze master", forMs: MASTER_FREEZE_MS });
  }
  return steps.sort((a, b) => a.at - b.at);
}

export function describe(step: Step): string {
  switch (step.do) {
    case "kill master":
      return (
        `kill -9 master${step.whileStarting ? ", and again while it starts" : ""}; back ` +
        `after ${step.downMs} ms`
      );
    case "kill worker":
      return (
        `kill -9 m${step.place + 1}${step.withReaper ? " and its reaper" : ""}; back after ` +
        `${step.downMs} ms`
      );
    case "freeze worker":
      return `SIGSTOP m${step.place + 1} for ${step.forMs} ms`;
    case "freeze master":
      return `SIGSTOP master for ${step.forMs} ms`;
    case "cut":
      return `${step.reset ? "reset" : "close"} ${step.all ? "all connections" : "a connection"}`;
    case "delay":
      return `delay every connection by ${step.byMs} ms for ${step.forMs} ms`;
    case "stall":
      return (
        `stall a connection ${step.way === "up" ? "towards" : "from"} the master for ` +
        `${step.forMs} ms`
      );
  }
}
