/**
 * `npm run chaos [-- --seed S --kills N --jobs N --workers N --keep]`: a real cluster is killed,
 * frozen and cut, and must keep its promises.
 *
 * Exit codes: 0 all promises kept · 1 one was broken · 2 usage · 130 interrupted.
 */
import { parseArgs } from "node:util";
import { runChaos } from "./run.ts";

const HELP = `npm run chaos -- [--seed S] [--kills N] [--jobs N] [--workers N] [--keep]

  --seed S      the schedule of faults (default: drawn, and printed)
  --kills N     kill -9 of the master, and of workers: N of each (default 30)
  --jobs N      of the big run (default 300)
  --workers N   default 4, with 2 slots each
  --keep        keep the folder with the log, the jobs' files and the notes of all processes
`;

const DEFAULTS = { kills: "30", jobs: "300", workers: "4" };

function usage(problem: string): never {
  process.stderr.write(`chaos: ${problem}\n\n${HELP}`);
  process.exit(2);
}

function readOptions() {
  try {
    const text = { type: "string" } as const;
    const flag = { type: "boolean" } as const;
    return parseArgs({
      options: { seed: text, kills: text, jobs: text, workers: text, keep: flag, help: flag },
    }).values;
  } catch (error) {
    return usage((error as Error).message);
  }
}

const seedAtRandom = String(Math.floor(Math.random() * 1e6));
const values = { ...DEFAULTS, seed: seedAtRandom, ...readOptions() };
if (values.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
if (process.platform !== "linux") {
  const lacks = `which ${process.platform} does not offer`;
  usage(`Cannot run here: it reads /proc and counts nanoseconds with date, ${lacks}`);
}

function whole(name: "seed" | "kills" | "jobs" | "workers", least: number, most: number): number {
  const number = Number(values[name]);
  if (/^\d+$/.test(values[name]) && number >= least && number <= most) return number;
  const range = `must be a whole number from ${least} to ${most}`;
  return usage(`Cannot use --${name} ${values[name]}: ${range}`);
}

const seed = whole("seed", 0, 2 ** 32 - 1);
const kills = whole("kills", 1, 1000);
const jobs = whole("jobs", 20, 100_000);
const workers = whole("workers", 2, 64);

const interrupt = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => interrupt.abort());

process.stderr.write(
  `chaos: seed ${seed}, ${kills} kills of the master and of workers, ${jobs} jobs, ${workers} ` +
    `workers\n`,
);
try {
  const outcome = await runChaos({
    seed, kills, jobs, workers, slots: 2, paceMs: 3000,
    freezes: Math.max(1, Math.round(kills / 5)), freezeMaster: true, healMs: 60_000,
    keep: values.keep ?? false, signal: interrupt.signal,
    onProgress: (text) => process.stderr.write(`${text}\n`),
  });
  const width = Math.max(...outcome.checks.map(({ name }) => name.length));
  for (const { name, ok, looked, what, wrong } of outcome.checks) {
    console.log(`${name.padEnd(width)}  ${ok ? "ok       " : "VIOLATED "} ${looked} ${what}`);
    for (const line of wrong.slice(0, 20)) console.log(`${" ".repeat(width)}    ${line}`);
    if (wrong.length > 20) console.log(`${" ".repeat(width)}    … and ${wrong.length - 20} more`);
  }
  console.log(`\n${outcome.figures.join("\n")}`);
  console.log(`took ${(outcome.tookMs / 1000).toFixed(0)} s, seed ${seed}`);
  if (outcome.dir !== undefined) console.log(`kept: ${outcome.dir}`);
  process.exit(outcome.ok ? 0 : 1);
} catch (error) {
  process.stderr.write(`chaos: ${(error as Error).message}\n`);
  if (!interrupt.signal.aborted && (error as Error).cause instanceof Error) {
    process.stderr.write(`${((error as Error).cause as Error).stack}\n`);
  }
  process.exit(interrupt.signal.aborted ? 130 : 1);
}
