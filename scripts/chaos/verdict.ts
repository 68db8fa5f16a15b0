/**
 * What a chaos run has shown, promise by promise.
 *
 *     the log, as it was at every death of the master and at the end ─┐
 *     what the clients were told, in order ───────────────────────────┼──▶ findings, each by name
 *     the jobs' own files, and the processes of this machine ─────────┘
 */
import { Event } from "#core";
import type { RunInfo } from "#wire";
import {
  INVARIANTS, Judge, Violation, type Broken, type Invariant, type LogEvents,
} from "#simulation";
import {
  attemptsOnce, endedOnce, parentsFirst, readEffects, reportsAreTrue, type Effects, type Finding,
} from "./effects.ts";
import { holdingFigures, nothingAccumulates, type Holding } from "./held.ts";
import { readHistory, type History } from "./history.ts";
import type { Found } from "./processes.ts";
import type { Life } from "./roles.ts";
import type { Told } from "./scene.ts";

export interface Evidence {
  /** The folder of the jobs' files. */
  readonly effects: string;
  /** At every death of the master: how much the clients had been told by then, and its log. */
  readonly deaths: { readonly at: number; readonly told: number; readonly log: LogEvents }[];
  readonly told: readonly Told[];
  /** `since`: when the process had been started. */
  readonly kills: {
    readonly at: number;
    readonly since: number;
    readonly worker: string;
    readonly frozen: boolean;
    readonly withReaper: boolean;
  }[];
  /** Times in which something else was going on, for the measurements. */
  readonly disturbed: { readonly from: number; readonly to: number; readonly why: string }[];
  readonly masterFreezes: { readonly from: number; readonly to: number }[];
  /** After the last run had ended, with the workers still there. */
  leftByAttempts: readonly Found[];
  /** After everything had been stopped. */
  orphans: readonly Found[];
  /** Runs that had not ended when time was up. */
  open: readonly RunInfo[];
  /** Processes that ended without being asked to. */
  readonly crashes: string[];
  lives: { readonly master: readonly Life[]; readonly workers: readonly Life[] };
  /** A broken promise that a client has seen by itself. */
  broken: Broken | undefined;
  repeats: number;
  /** The things that each role held at first, and when all runs had ended. */
  held: readonly Holding[];
}

export interface Check extends Finding {
  readonly name: string;
  readonly ok: boolean;
}

export interface Verdict {
  readonly ok: boolean;
  readonly checks: readonly Check[];
  readonly figures: readonly string[];
}

export function judge(evidence: Evidence, log: LogEvents): Verdict {
  const history = readHistory(log.bodies.map((body) => Event.decode(body)));
  const { effects, torn } = readEffects(evidence.effects);
  const checks = judgeLog(evidence, { log, effects });
  const check = (name: string, { looked, what, wrong }: Finding): void =>
    void checks.push({ name, looked, what, wrong, ok: wrong.length === 0 });

  check("completed-ended-once", endedOnce(history, effects));
  check("attempts-run-once", attemptsOnce(history, effects));
  check("reports-are-true", reportsAreTrue(history, effects));
  check("parents-ended-first", parentsFirst(history, effects));
  check("files-are-whole", { looked: effects.size, what: "files", wrong: torn });
  check("stalled-master-expires-nobody", stalledMaster(evidence, { history, effects }));
  check("all-runs-ended-in-time", {
    looked: history.runs.size,
    what: "runs",
    wrong: evidence.open.map(({ id, counts }) => `${id} goes on: ${counts.join("/")}`),
  });
  check("nothing-outlived-its-attempt", {
    looked: 1,
    what: "look at the machine when all runs had ended",
    wrong: evidence.leftByAttempts.map(text),
  });
  check("nothing-accumulates", nothingAccumulates(evidence.held));
  check("no-orphans", {
    looked: 1,
    what: "look at the machine when all roles had ended",
    wrong: evidence.orphans.map(text),
  });
  return {
    ok: checks.every(({ ok }) => ok),
    checks,
    figures: figures(evidence, { history, effects, events: log.bodies.length }),
  };
}

// ── the log, by lesson 22's judge ────────────────────────────────────────────────────────────────

/** Restored from a snapshot and followed to the next, at so many places. */
const PREFIXES = 100;

/**
 * Everything in the order in which it became known: the log at each death, what clients had been
 * told by then, the jobs' own words.
 */
function judgeLog(evidence: Evidence, found: { log: LogEvents; effects: Effects }): Check[] {
  const judge = new Judge();
  let broken: Violation | undefined;
  try {
    tellAll(judge, evidence, found);
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    broken = error;
  }
  const looked = lookedAt(judge, evidence);
  // Only the simulated world can look into the memory of its processes.
  const all = Object.keys(INVARIANTS) as Invariant[];
  const names = all.filter((name) => name !== "bounded-queues");
  return names.map((name) => {
    const [count, what] = looked[name] ?? [judge.stats.events, "events"];
    return {
      name,
      looked: count,
      what: broken === undefined ? what : `${what}, until one promise was broken`,
      wrong: broken?.invariant === name ? [broken.message] : [],
      ok: broken?.invariant !== name,
    };
  });
}

function tellAll(
  judge: Judge,
  evidence: Evidence,
  { log, effects }: { log: LogEvents; effects: Effects },
): void {
  const { deaths, told, crashes, leftByAttempts, broken } = evidence;
  let known = 0;
  for (const one of [...deaths, { log, told: told.length }]) {
    if (one.log.first !== 1) {
      throw new Error(`Cannot judge the log: it begins with event ${one.log.first}`);
    }
    one.log.bodies.forEach((body, index) => judge.event(index + 1, body));
    judge.recovered(one.log.bodies.length);
    for (; known < one.told; known++) tell(judge, told[known]!);
  }
  if (broken !== undefined) judge.fail(broken.invariant, broken.message);
  judge.allPrefixes(Math.ceil(log.bodies.length / PREFIXES));
  const lines = [...effects].flatMap(([name, own]) => {
    const dot = name.lastIndexOf(".");
    return own.map((line) => ({ ...line, run: name.slice(0, dot), job: name.slice(dot + 1) }));
  });
  for (const line of lines) if (line.what === "begin") judge.executing("began", line);
  // The machine was looked at: nothing is left.
  for (const line of lines) judge.executing("ended", line);
  if (crashes.length > 0) judge.fail("no-crash", crashes.join(", "));
  judge.quiet({ programs: leftByAttempts.length });
}

/** How many things each promise was compared with. */
function lookedAt(
  judge: Judge,
  { deaths, lives }: Evidence,
): Partial<Record<Invariant, [number, string]>> {
  const { acks, seen, hashes, programs, gates, runs } = judge.stats;
  const ran = "programs that ran";
  return {
    "acknowledged-is-durable": [
      acks + seen, `answers, and the logs of ${deaths.length} dead masters`,
    ],
    "dispatched-is-durable": [programs, ran],
    "runs-once": [programs, ran],
    "gate-decided-once": [gates, "gates"],
    "replay-equals-live": [hashes, "hashes of live masters"],
    "snapshot-plus-tail": [PREFIXES, "prefixes"],
    "no-process-after-its-attempt": [programs, ran],
    "everything-ends": [runs, "runs"],
    "no-crash": [lives.master.length + lives.workers.length, "processes"],
  };
}

function tell(judge: Judge, one: Told): void {
  if (one.what === "seen") judge.seen(one);
  else if (one.what === "hash") judge.hash(one);
  else judge.acknowledged(one);
}

const text = ({ pid, command }: Found): string => `process ${pid}: ${command.slice(0, 120)}`;

/**
 * Workers that gave up on a silent master have dialled several times when it wakes. It answers
 * those connections in turn, also the dead ones, and what it sends there arrives nowhere: such an
 * attempt may be given up, as long as nobody ran it.
 */
function stalledMaster(
  { masterFreezes }: Evidence,
  { history, effects }: { history: History; effects: Effects },
): Finding {
  const ran = (what: string): boolean => {
    const [, job, attempt] = /^(.+)#(\d+)$/.exec(what) ?? [];
    const lines = effects.get(job?.replace("/", ".") ?? "") ?? [];
    return lines.some((line) => line.attempt === Number(attempt));
  };
  const wrong = masterFreezes.flatMap(({ from, to }) => history.losses
    .filter(({ at, what, neverArrived }) => at >= from && at <= to && (!neverArrived || ran(what)))
    .map(({ at, what }) => `${what} was given up ${at - from} ms after the master was stopped`));
  const what = "stops of the master for 10 s in a healthy cluster";
  return { looked: masterFreezes.length, what, wrong };
}

// ── figures ──────────────────────────────────────────────────────────────────────────────────────

function figures(
  evidence: Evidence,
  found: { history: History; effects: Effects; events: number },
): string[] {
  const { history, effects, events } = found;
  const jobs = [...history.runs.values()].flatMap((run) => run.jobs.map((job) => ({ run, job })));
  const attempts = jobs.flatMap(({ job }) => job.attempts);
  const count = (end: string): number => attempts.filter((attempt) => attempt.end === end).length;
  const endsOf = (name: string): number =>
    (effects.get(name) ?? []).filter(({ what }) => what === "end").length;
  const doubled = jobs.filter(({ run, job }) => endsOf(`${run.id}.${job.spec.id}`) > 1).length;
  const restarts = evidence.lives.master.slice(1)
    .flatMap(({ startedAt, readyAt }) => (readyAt === undefined ? [] : [readyAt - startedAt]));
  const moves = evidence.kills.flatMap((kill) => movesAfter(kill, { evidence, history, effects }));
  const calm = moves.filter((move) => move.calm);
  const replaced = evidence.kills.length;
  return [
    `${history.runs.size} runs, ${jobs.length} jobs, ${attempts.length} attempts ` +
      `(${count("succeeded")} succeeded, ${count("failed")} failed, ${count("lost")} lost, ` +
      `${count("stopped")} stopped), ${events} events`,
    `${evidence.deaths.length} kills of the master, ${replaced} of workers ` +
      `(${evidence.kills.filter(({ withReaper }) => withReaper).length} with the reaper, ` +
      `${evidence.kills.filter(({ frozen }) => frozen).length} while frozen); ` +
      `${evidence.repeats} requests made again`,
    `${doubled} jobs did their work twice, because their worker was given up while it worked (at ` +
      "least once, as promised)",
    `restart of the master, from its start to its first answer: ${spread(restarts)}`,
    "from kill -9 of a worker to its attempts' end in the log: " +
      `${spread(calm.map(({ givenUpMs }) => givenUpMs))} with nothing else going on, ` +
      `${spread(moves.map(({ givenUpMs }) => givenUpMs))} in all`,
    "…and to the job running elsewhere: " +
      `${spread(calm.flatMap(({ elsewhereMs }) => elsewhereMs ?? []))} with nothing else going ` +
      `on, ${spread(moves.flatMap(({ elsewhereMs }) => elsewhereMs ?? []))} in all`,
    ...holdingFigures(evidence.held),
  ];
}

interface Move {
  readonly givenUpMs: number;
  /** Undefined: it needed no other attempt. */
  readonly elsewhereMs: number | undefined;
  readonly calm: boolean;
}

/** The further way of the attempts that a killed worker was running. */
function movesAfter(
  kill: Evidence["kills"][number],
  { evidence, history, effects }: { evidence: Evidence; history: History; effects: Effects },
): Move[] {
  const moves: Move[] = [];
  for (const { id, jobs } of history.runs.values()) {
    for (const { spec, attempts } of jobs) {
      for (const [index, attempt] of attempts.entries()) {
        const { worker, startedAt, end, endedAt = 0 } = attempt;
        const wasRunning = worker === kill.worker && startedAt >= kill.since &&
          startedAt <= kill.at && endedAt >= kill.at;
        if (!wasRunning || end !== "lost") continue;
        const next = attempts[index + 1];
        const begin = next && effects.get(`${id}.${spec.id}`)
          ?.find((line) => line.attempt === next.attempt && line.what === "begin");
        const isDisturbed = evidence.disturbed.some(({ from, to }) =>
          from <= endedAt && to >= kill.at);
        moves.push({
          givenUpMs: endedAt - kill.at, calm: !kill.frozen && !isDisturbed,
          elsewhereMs: begin && Number(begin.ns / 1_000_000n) - kill.at,
        });
      }
    }
  }
  return moves;
}

function spread(values: readonly number[]): string {
  if (values.length === 0) return "none";
  const sorted = [...values].sort((a, b) => a - b);
  const at = (part: number): number =>
    Math.round(sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))]!);
  return `p50 ${at(0.5)} ms, max ${at(1)} ms (${sorted.length})`;
}
