/**
 * `learn lab N`: one knob, the numbers that it turns, and a budget. Predict, run, explain.
 *
 *     learn lab                    which chapters have one
 *     learn lab 12                 what it is about, and what the first value does
 *     learn lab 12 4000            another value: a prediction is asked, echoed and judged
 *     learn lab 12 4000 6          the same without a terminal to be asked on
 *
 * Test: test/learn-lab.test.ts
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { BootstrapError, ROOT } from "../bootstrap.mjs";
import { findChapter, listChapters } from "../lib/chapters.mjs";
import { programArguments } from "../lib/compiled.mjs";
import { askPerson } from "./chapter.ts";
import type { Lab, LabNumber, LabResult } from "./lab-kit.ts";

/** A prediction this near is a good one. */
const NEAR = 0.15;

type Described = Omit<Lab, "run">;

export async function runLab(args: readonly string[]): Promise<number> {
  const [asked, text, said] = args;
  if (asked === undefined) {
    const chapters = listChapters().filter(({ id }) => existsSync(join(ROOT, fileOf(id))));
    process.stdout.write(chapters.map(({ number, id }) =>
      `  npm run learn lab ${String(number).padEnd(4)} ${id}\n`).join(""));
    return 0;
  }
  const { id, number } = findChapter(asked);
  if (!existsSync(join(ROOT, fileOf(id)))) {
    const list = "npm run learn lab lists them";
    throw new BootstrapError(`Cannot open a lab of ${id}: it has none (${list})`);
  }
  const lab = await ask<Described>(id);
  const value = text === undefined ? lab.first : Number(text);
  if (!(value >= lab.least && value <= lab.most)) {
    const range = `${lab.least} to ${lab.most} ${lab.unit}`;
    const what = `Cannot turn the knob "${lab.knob}" to ${text}`;
    throw new BootstrapError(`${what}: it goes from ${range}`);
  }
  process.stdout.write(text === undefined
    ? `${lab.title}. ${lab.about}\n\nThe budget: ${lab.budget}.\n\n` : "");
  const question = `${setting(lab, value)}. The first number will be`;
  const predicted = said ?? (text === undefined ? "" : await askPerson(question));
  const result = await ask<LabResult>(id, String(value));
  process.stdout.write(`${tell(lab, { value, result, predicted }).join("\n")}\n`);
  if (!result.isWithin) {
    process.stdout.write(`\nAnother value: npm run learn lab ${number} VALUE (${lab.unit})\n`);
  }
  return 0;
}

const fileOf = (id: string): string => `lessons/${id}/lab.ts`;

/** In a process of its own: the lab stands on the sources, this may stand on what was built. */
async function ask<T>(id: string, ...args: string[]): Promise<T> {
  const program = [...programArguments(ROOT, fileOf(id)), ...args];
  const { stdout } = await promisify(execFile)(process.execPath, program, { cwd: ROOT });
  return JSON.parse(stdout) as T;
}

/** "lease 4000 ms"; where the knob is called as its unit, "50 callers". */
const setting = ({ knob, unit }: Described, value: number): string =>
  knob === unit ? `${value} ${unit}` : `${knob} ${value} ${unit}`;

export interface Told {
  readonly value: number;
  readonly result: LabResult;
  readonly predicted: string;
}

export function tell(lab: Described, { value, result, predicted }: Told): string[] {
  const { numbers, isWithin } = result;
  const wide = Math.max(...numbers.map(({ name }) => name.length));
  return [
    setting(lab, value),
    ...numbers.map(({ name, value: found, unit }) =>
      `  ${name.padEnd(wide)}  ${shown(found)} ${unit}`.trimEnd()),
    ...(predicted === "" ? [] : [judged(Number(predicted), numbers[0]!)]),
    isWithin ? `Within the budget. ${lab.why}` : `Not within the budget: ${lab.budget}.`,
  ];
}

function judged(said: number, { value, unit }: LabNumber): string {
  if (!Number.isFinite(said)) return "Your prediction is no number.";
  const off = Math.abs(said - value) / Math.max(Math.abs(value), Number.EPSILON);
  const how = said === value ? "exactly so" : off <= NEAR ? "near enough"
    : `${said > value ? "too much" : "too little"}`;
  return `You said ${`${shown(said)} ${unit}`.trim()}: ${how}.`;
}

const shown = (value: number): string => value.toLocaleString("en", { maximumFractionDigits: 1 });
