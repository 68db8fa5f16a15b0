/**
 * The jobs' own files against the log: what was done, beside what is said to have been done.
 *
 * Each check returns how many things it looked at and what it found wrong, in words.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { successOf, type History, type JobHistory, type RunHistory } from "./history.ts";

export interface Line {
  readonly attempt: number;
  readonly worker: string;
  readonly pid: number;
  readonly what: "begin" | "end" | "fail";
  readonly ns: bigint;
}

/** By `RUN.JOB`. */
export type Effects = ReadonlyMap<string, readonly Line[]>;

export interface Finding {
  readonly looked: number;
  readonly what: string;
  readonly wrong: readonly string[];
}

export function readEffects(folder: string): { effects: Effects; torn: string[] } {
  const effects = new Map<string, Line[]>();
  const torn: string[] = [];
  for (const name of readdirSync(folder)) {
    const lines: Line[] = [];
    for (const text of readFileSync(join(folder, name), "utf8").split("\n")) {
      const match = /^(\S+) (\S+) (\d+) (\S+) (\d+) (begin|end|fail) (\d{19})$/.exec(text);
      if (match !== null && `${match[1]}.${match[2]}` === name) {
        lines.push({
          attempt: Number(match[3]), worker: match[4]!, pid: Number(match[5]),
          what: match[6] as Line["what"], ns: BigInt(match[7]!),
        });
      } else if (text !== "") torn.push(`${name}: ${JSON.stringify(text)}`);
    }
    effects.set(name, lines);
  }
  return { effects, torn };
}

interface Told {
  readonly run: RunHistory;
  readonly job: JobHistory;
  readonly name: string;
  readonly lines: readonly Line[];
}

/** Every job of the log beside its lines. */
function* pairs({ runs }: History, effects: Effects): Generator<Told> {
  for (const run of runs.values()) {
    for (const job of run.jobs) {
      const { id } = job.spec;
      yield { run, job, name: `${run.id}/${id}`, lines: effects.get(`${run.id}.${id}`) ?? [] };
    }
  }
}

/**
 * A completed job has one `end` of the attempt that counts. Others may have ended too: their worker
 * was given up while they ran.
 */
export function endedOnce(history: History, effects: Effects): Finding {
  let looked = 0;
  const wrong: string[] = [];
  for (const { job, name, lines } of pairs(history, effects)) {
    const success = successOf(job);
    if (success === undefined) continue;
    looked += 1;
    const { attempt } = success;
    const ends = lines.filter((line) => line.what === "end" && line.attempt === attempt).length;
    if (ends === 1) continue;
    const said = `the log says that attempt ${attempt} succeeded`;
    wrong.push(`${name}: ${said}, its file has ${ends} ends of it`);
  }
  return { looked, what: "completed jobs", wrong };
}

/**
 * An attempt begins at most once and ends at most once, in one process, on the worker that the log
 * names.
 */
export function attemptsOnce(history: History, effects: Effects): Finding {
  let looked = 0;
  const wrong: string[] = [];
  for (const { job, name, lines } of pairs(history, effects)) {
    for (const number of new Set(lines.map(({ attempt }) => attempt))) {
      looked += 1;
      const own = lines.filter(({ attempt }) => attempt === number);
      const counts = own.map(({ what }) => what).join(" ");
      if (!/^begin(?: end| fail)?$/.test(counts)) {
        wrong.push(`${name}#${number}: its file says: ${counts}`);
      }
      if (new Set(own.map(({ pid }) => pid)).size > 1) {
        wrong.push(`${name}#${number}: ran as processes ${own.map(({ pid }) => pid).join(", ")}`);
      }
      const started = job.attempts.find(({ attempt }) => attempt === number);
      if (started === undefined) {
        wrong.push(`${name}#${number}: ran on ${own[0]!.worker}, and the log does not know it`);
      } else if (own.some(({ worker }) => worker !== started.worker)) {
        wrong.push(`${name}#${number}: ran on ${own[0]!.worker}, the log says ${started.worker}`);
      }
    }
  }
  return { looked, what: "attempts that ran", wrong };
}

/** A program that was reported to have ended did begin. A job whose file is missing has none. */
export function reportsAreTrue(history: History, effects: Effects): Finding {
  let looked = 0;
  const wrong: string[] = [];
  for (const { job, name, lines } of pairs(history, effects)) {
    if (job.spec.action.type !== "shell") continue;
    for (const { attempt, end } of job.attempts) {
      if (end !== "succeeded" && end !== "failed") continue;
      looked += 1;
      if (!lines.some((line) => line.attempt === attempt && line.what === "begin")) {
        wrong.push(`${name}#${attempt}: the log says that it ${end}, and it never began`);
      }
    }
  }
  return { looked, what: "reported attempts", wrong };
}

/**
 * A child begins after the end of the attempt that made its parent complete; clocks are comparable
 * on one machine. The order of log and judge says all about runs that a person has retried.
 */
export function parentsFirst(history: History, effects: Effects): Finding {
  let looked = 0;
  const wrong: string[] = [];
  for (const { run, job, name, lines } of pairs(history, effects)) {
    if (run.retried) continue;
    const parents = job.spec.dependsOn.map((index) => run.jobs[index]!);
    for (const begin of lines.filter(({ what }) => what === "begin")) {
      const child = `${name}#${begin.attempt}`;
      looked += parents.length;
      if (job.spec.when === "failure" && parents.every(isComplete)) {
        const names = parents.map(({ spec }) => spec.id).join(", ");
        wrong.push(`${child} ran, although ${names} completed`);
        continue;
      }
      for (const parent of parents) wrong.push(...tooEarly({ child, begin, job, run, parent }));
    }
  }
  return { looked, what: "edges that were crossed", wrong };

  function tooEarly(at: {
    child: string; begin: Line; job: JobHistory; run: RunHistory; parent: JobHistory;
  }): string[] {
    const { child, begin, job, run, parent } = at;
    const { id } = parent.spec;
    const counts = (successOf(parent) ?? parent.attempts.at(-1))?.attempt;
    const over = effects
      .get(`${run.id}.${id}`)
      ?.findLast(({ attempt, what }) => attempt === counts && what !== "begin");
    const successWanted = job.spec.when === "success";
    if (successWanted && successOf(parent) === undefined) {
      return [`${child} ran, although ${id} did not complete`];
    }
    if (over !== undefined && over.ns > begin.ns) {
      const earlyMs = (over.ns - begin.ns) / 1_000_000n;
      return [`${child} began ${earlyMs} ms before ${id}#${counts} had ended`];
    }
    if (over !== undefined || !successWanted) return [];
    return [`${child} ran, and ${id}#${counts} has no end in its file`];
  }
}

/** A gate may make a failure of a job that succeeded. */
function isComplete(job: JobHistory): boolean {
  return successOf(job) !== undefined && job.spec.gate === undefined;
}
