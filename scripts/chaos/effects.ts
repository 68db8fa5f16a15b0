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
          attempt: Number(match[3]),
          worker: match[4]!,
          pid: Number(match[5]),
          what: match[6] as Line["what"],
          ns: BigInt(match[7]!),
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
    for (const job of run.jobs) yield { run, job, name: `${run.id}/${job.spec.id}`, lines: effects.get(`${run.id}.${job.spec.id}`) ?? [] };
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
    const ends = lines.filter(
      ({ what, attempt }) => what === "end" && attempt === success.attempt,
    ).length;
    if (ends !== 1) {
      wrong.push(
        `${name}: the log says that attempt ${success.attempt} succeeded, its file has ${ends} ` +
          "ends of it",
      );
    }
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

/** What was reported to have ended did begin. */
export function reportsAreTrue(history: History, effects: Effects): Finding {
  let looked = 0;
  const wrong: string[] = [];
  for (const { job, name, lines } of pairs(history, effects)) {
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
 * on one machine.
 */
export function parentsFirst(history: History, effects: Effects): Finding {
  let looked = 0;
  const wrong: string[] = [];
  for (const { run, job, name, lines } of pairs(history, effects)) {
    for (const begin of lines.filter(({ what }) => what === "begin")) {
      for (const index of job.spec.dependsOn) {
        looked += 1;
        const parent = run.jobs[index]!;
        const counts = (successOf(parent) ?? parent.attempts.at(-1))?.attempt;
        const over = effects
          .get(`${run.id}.${parent.spec.id}`)
          ?.findLast(({ attempt, what }) => attempt === counts && what !== "begin");
        const successWanted = job.spec.when === "success";
        if (successWanted && successOf(parent) === undefined) {
          wrong.push(`${name}#${begin.attempt} ran, although ${parent.spec.id} did not complete`);
        } else if (
          job.spec.when === "failure" &&
          parent.attempts.length > 0 &&
          successOf(parent) !== undefined
        ) {
          wrong.push(`${name}#${begin.attempt} ran, although ${parent.spec.id} completed`);
        } else if (over !== undefined && over.ns > begin.ns) {
          wrong.push(
            `${name}#${begin.attempt} began ${(over.ns - begin.ns) / 1_000_000n} ms before ` +
              `${parent.spec.id}#${counts} had ended`,
          );
        } else if (over === undefined && successWanted) {
          wrong.push(
            `${name}#${begin.attempt} ran, and ${parent.spec.id}#${counts} has no end in its file`,
          );
        }
      }
    }
  }
  return { looked, what: "edges that were crossed", wrong };
}
