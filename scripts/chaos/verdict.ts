/**
 * What a chaos run has shown, promise by promise.
 *
 *     the log, as it was at every death of the master and at the end ─┐
 *     what the clients were told, in order ───────────────────────────┼──▶ findings, each by name
 *     the jobs' own files, and the processes of this machine ─────────┘
 */
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Event } from "#core";
import { nodeHost } from "#host";
import { openLog } from "#log";
import type { RunInfo } from "#wire";
import type { Told } from "./clients.ts";
import { attemptsOnce, endedOnce, oneUnfenced, parentsFirst, readEffects, reportsAreTrue, type Effects, type Finding } from "./effects.ts";
import { readHistory, successOf, type History } from "./history.ts";
import type { Found } from "./processes.ts";
import type { Life } from "./roles.ts";

export interface Evidence {
  readonly dir: string;
  /** The folder of the jobs' files. */
  readonly effects: string;
  /** At every death of the master: how much the clients had been told by then, and its log. */
  readonly deaths: { readonly at: number; readonly told: number; readonly bodies: readonly Buffer[] }[];
  readonly told: readonly Told[];
  readonly kills: { readonly at: number; readonly worker: string; readonly frozen: boolean; readonly withReaper: boolean }[];
  /** Times in which something else was going on, for the measurements. */
  readonly disturbed: { readonly from: number; readonly to: number; readonly why: string }[];
  readonly masterFreezes: { readonly from: number; readonly to: number }[];
  /** After the last run had ended, with the workers still there. */
  leftByAttempts: readonly Found[];
  /** After everything had been stopped. */
  orphans: readonly Found[];
  /** Runs that had not ended when time was up. */
  open: readonly RunInfo[];
  lives: { readonly master: readonly Life[]; readonly workers: readonly Life[] };
  repeats: number;
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

/** Without changing it: a log that is opened is repaired, so a copy is. */
export async function readLog(dir: string): Promise<Buffer[]> {
  const copy = mkdtempSync(join(tmpdir(), "titan-chaos-log-"));
  try {
    cpSync(dir, copy, { recursive: true });
    const log = await openLog({ host: nodeHost(), dir: copy });
    const bodies: Buffer[] = [];
    await log.replay((_seq, body) => void bodies.push(Buffer.from(body)));
    await log.close();
    return bodies;
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

export async function judge(evidence: Evidence, bodies: readonly Buffer[]): Promise<Verdict> {
  const history = readHistory(bodies.map((body) => Event.decode(body)));
  const { effects, torn } = readEffects(evidence.effects);
  const checks: Check[] = [];
  const check = (name: string, { looked, what, wrong }: Finding): void => void checks.push({ name, looked, what, wrong, ok: wrong.length === 0 });

  check("log-only-grows", logGrows(evidence, bodies));
  check("acknowledged-is-durable", acknowledged(evidence, bodies));
  check("one-key-one-run", oneKey(evidence, history));
  check("terminal-absorbs", absorbs(evidence, history));
  check("one-unfenced-attempt", oneUnfenced(history));
  check("stalled-master-expires-nobody", stalledMaster(evidence, history));
  check("completed-ended-once", endedOnce(history, effects));
  check("attempts-run-once", attemptsOnce(history, effects));
  check("reports-are-true", reportsAreTrue(history, effects));
  check("parents-before-children", parentsFirst(history, effects));
  check("files-are-whole", { looked: effects.size, what: "files", wrong: torn });
  check("everything-ends", { looked: history.runs.size, what: "runs", wrong: evidence.open.map(({ id, counts }) => `${id} goes on: ${counts.join("/")}`) });
  check("no-process-after-its-attempt", { looked: 1, what: "look at the machine when all runs had ended", wrong: evidence.leftByAttempts.map(text) });
  check("no-orphans", { looked: 1, what: "look at the machine when all roles had ended", wrong: evidence.orphans.map(text) });
  return { ok: checks.every(({ ok }) => ok), checks, figures: figures(evidence, { history, effects, events: bodies.length }) };
}

const text = ({ pid, command }: Found): string => `process ${pid}: ${command.slice(0, 120)}`;

/** What was in the log at a death of the master is in it at the end, at the same place. */
function logGrows({ deaths }: Evidence, bodies: readonly Buffer[]): Finding {
  const wrong: string[] = [];
  for (const [n, death] of deaths.entries()) {
    const changed = death.bodies.findIndex((body, index) => bodies[index]?.equals(body) !== true);
    if (changed >= 0) wrong.push(`record ${changed + 1} of ${death.bodies.length} at death ${n + 1} is not what it is now`);
  }
  return { looked: deaths.length, what: "logs of dead masters", wrong };
}

/** What a client was told is in the log of the master that died next, and in every later one. */
function acknowledged({ deaths, told }: Evidence, bodies: readonly Buffer[]): Finding {
  const wrong: string[] = [];
  let looked = 0;
  const logs = [...deaths.map((death, n) => ({ told: death.told, bodies: death.bodies, when: `at death ${n + 1}` })), { told: told.length, bodies, when: "at the end" }];
  let known = 0;
  for (const log of logs) {
    const events = log.bodies.map((body) => Event.decode(body));
    const submitted = new Map(events.flatMap((event) => (event.type === "RunSubmitted" ? [[event.id, event] as const] : [])));
    const cancelled = new Set(events.flatMap((event) => (event.type === "JobsCancelled" ? [event.run] : [])));
    const last = log.when === "at the end";
    for (const one of told.slice(last ? 0 : known, log.told)) {
      if (one.what !== "submitted" && one.what !== "cancelled") continue;
      looked += last ? 0 : 1;
      const run = submitted.get(one.run);
      if (run === undefined) wrong.push(`${one.run} was acknowledged, and ${log.when} the log does not know it`);
      else if (one.what === "submitted" && (run.spec.jobs.length !== one.jobs || run.key !== one.key)) wrong.push(`${one.run} was acknowledged with ${one.jobs} jobs as ${one.key}; the log has ${run.spec.jobs.length} as ${run.key}`);
      else if (one.what === "cancelled" && !cancelled.has(run.run) && !endedBefore(log.bodies, run.run)) wrong.push(`${one.run} was acknowledged as cancelled, and ${log.when} the log does not know it`);
    }
    known = log.told;
  }
  return { looked: told.filter(({ what }) => what === "submitted" || what === "cancelled").length, what: `acknowledgements, ${looked} of them before a death`, wrong };
}

/** Cancelling what is over changes nothing, and is acknowledged. */
function endedBefore(bodies: readonly Buffer[], run: number): boolean {
  const open = new Set<number>();
  for (const body of bodies) {
    const event = Event.decode(body);
    if (event.type === "RunSubmitted" && event.run === run) event.spec.jobs.forEach((_, index) => open.add(index));
    else if ("run" in event && event.run === run && (event.type === "JobSucceeded" || event.type === "JobStopped")) open.delete(event.job);
    else if ("run" in event && event.run === run && ((event.type === "JobFailed" && event.retryAt === undefined) || (event.type === "JobLost" && event.dead))) open.clear(); // the rest may have been skipped
  }
  return open.size === 0;
}

function oneKey({ told }: Evidence, history: History): Finding {
  const wrong: string[] = [];
  const byKey = new Map<string, string>();
  for (const { id, key } of history.runs.values()) {
    if (key === undefined) continue;
    if (byKey.has(key)) wrong.push(`key ${key} has runs ${byKey.get(key)} and ${id}`);
    byKey.set(key, id);
  }
  let looked = 0;
  for (const one of told) {
    if (one.what !== "submitted") continue;
    looked += 1;
    if (byKey.get(one.key) !== one.run) wrong.push(`a client was told that key ${one.key} is ${one.run}; the log says ${byKey.get(one.key)}`);
  }
  return { looked, what: `answers about ${byKey.size} keys`, wrong };
}

/** Nobody retries anything here, so what was shown as over has to stay as it was. */
function absorbs({ told }: Evidence, history: History): Finding {
  const wrong: string[] = [];
  let looked = 0;
  for (const one of told) {
    if (one.what !== "seen" || one.status !== "COMPLETED") continue;
    looked += 1;
    const job = history.runs.get(one.run)?.jobs.find(({ spec }) => spec.id === one.job);
    if (job === undefined || successOf(job)?.attempt !== one.attempt) wrong.push(`${one.run}/${one.job} was shown as completed by attempt ${one.attempt}, and is not so in the log`);
  }
  return { looked, what: "completed jobs that a client was shown", wrong };
}

function stalledMaster({ masterFreezes }: Evidence, history: History): Finding {
  const wrong = masterFreezes.flatMap(({ from, to }) => history.losses.filter(({ at }) => at >= from && at <= to).map(({ at, what }) => `${what} was given up ${at - from} ms after the master was stopped`));
  return { looked: masterFreezes.length, what: "stops of the master for 10 s in a healthy cluster", wrong };
}

// ── figures ──────────────────────────────────────────────────────────────────────────────────────

function figures(evidence: Evidence, found: { history: History; effects: Effects; events: number }): string[] {
  const { history, effects, events } = found;
  const jobs = [...history.runs.values()].flatMap((run) => run.jobs.map((job) => ({ run, job })));
  const attempts = jobs.flatMap(({ job }) => job.attempts);
  const count = (end: string): number => attempts.filter((attempt) => attempt.end === end).length;
  const doubled = jobs.filter(({ run, job }) => (effects.get(`${run.id}.${job.spec.id}`)?.filter(({ what }) => what === "end").length ?? 0) > 1).length;
  const restarts = evidence.lives.master.slice(1).flatMap(({ startedAt, readyAt }) => (readyAt === undefined ? [] : [readyAt - startedAt]));
  const moves = evidence.kills.flatMap((kill) => movesAfter(kill, { evidence, history, effects }));
  const calm = moves.filter((move) => move.calm);
  const replaced = evidence.kills.length;
  return [
    `${history.runs.size} runs, ${jobs.length} jobs, ${attempts.length} attempts (${count("succeeded")} succeeded, ${count("failed")} failed, ${count("lost")} lost, ${count("stopped")} stopped), ${events} events`,
    `${evidence.deaths.length} kills of the master, ${replaced} of workers (${evidence.kills.filter(({ withReaper }) => withReaper).length} with the reaper, ${evidence.kills.filter(({ frozen }) => frozen).length} while frozen); ${evidence.repeats} requests made again`,
    `${doubled} jobs did their work twice, because their worker was given up while it worked (at least once, as promised)`,
    `restart of the master, from its start to its first answer: ${spread(restarts)}`,
    `from kill -9 of a worker to its attempts' end in the log: ${spread(calm.map(({ givenUpMs }) => givenUpMs))} with nothing else going on, ${spread(moves.map(({ givenUpMs }) => givenUpMs))} in all`,
    `…and to the job running elsewhere: ${spread(calm.flatMap(({ elsewhereMs }) => elsewhereMs ?? []))} with nothing else going on, ${spread(moves.flatMap(({ elsewhereMs }) => elsewhereMs ?? []))} in all`,
  ];
}

interface Move {
  readonly givenUpMs: number;
  /** Undefined: it needed no other attempt. */
  readonly elsewhereMs: number | undefined;
  readonly calm: boolean;
}

/** What became of the attempts that a killed worker was running. */
function movesAfter(kill: Evidence["kills"][number], { evidence, history, effects }: { evidence: Evidence; history: History; effects: Effects }): Move[] {
  const moves: Move[] = [];
  for (const { id, jobs } of history.runs.values()) {
    for (const { spec, attempts } of jobs) {
      for (const [index, attempt] of attempts.entries()) {
        if (attempt.worker !== kill.worker || attempt.startedAt > kill.at || attempt.end !== "lost" || attempt.endedAt! < kill.at) continue;
        const next = attempts[index + 1];
        const begin = next && effects.get(`${id}.${spec.id}`)?.find((line) => line.attempt === next.attempt && line.what === "begin");
        const givenUpMs = attempt.endedAt! - kill.at;
        const calm = !kill.frozen && !evidence.disturbed.some(({ from, to }) => from <= attempt.endedAt! && to >= kill.at);
        moves.push({ givenUpMs, elsewhereMs: begin && Number(begin.ns / 1_000_000n) - kill.at, calm });
      }
    }
  }
  return moves;
}

function spread(values: readonly number[]): string {
  if (values.length === 0) return "none";
  const sorted = [...values].sort((a, b) => a - b);
  const at = (part: number): number => Math.round(sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))]!);
  return `p50 ${at(0.5)} ms, max ${at(1)} ms (${sorted.length})`;
}
