/**
 * `npm run sim`: lives many seeds, and when something breaks says what, how to see it again, and
 * the least that it takes.
 */
import {
  generatePlan, planLines, shrink, simulate, type Broken, type Outcome, type Plan, type Shrunk,
} from "#simulation";
import { ROOT } from "../bootstrap.mjs";
import { showBug } from "./bugs.ts";
import { readOptions, USAGE, UsageError, type Options } from "./options.ts";
import { readPlan } from "./plan.ts";
import { Pool } from "./pool.ts";
import { failureLines } from "./report.ts";
import { summaryOf, Totals } from "./totals.ts";


/** In a copy with a bug, what was asked of the original. SIM_COMMAND: on a reader's modules. */
const BUG = process.env["SIM_BUG"];
const COMMAND = process.env["SIM_COMMAND"] ??
  `npm run sim --${BUG === undefined ? "" : ` --bug ${BUG}`}`;

/** Between two lines of progress. */
const PROGRESS_MS = 2000;

async function main(options: Options): Promise<number> {
  if (options.bug !== undefined) return showBug(ROOT, options.bug, options);
  if (options.single) {
    const { plan, from } = options;
    return one(plan === undefined ? generatePlan(from) : readPlan(plan), options);
  }
  const totals = new Totals();
  const started = performance.now();
  const pool = new Pool(options);
  let shown = started;
  const stop = (): void => pool.stop();
  process.on("SIGINT", stop);
  for await (const life of pool.lives()) {
    totals.add(life);
    if (life.violation !== undefined) {
      process.stderr.write(`sim: seed ${life.seed} breaks ${life.violation.invariant}\n`);
    }
    if (life.violation !== undefined && !options.all) pool.stop();
    if (performance.now() - shown < PROGRESS_MS) continue;
    shown = performance.now();
    process.stderr.write(`sim: ${totals.lives} of ${options.seeds} lives\n`);
  }
  process.off("SIGINT", stop); // shrinking has no half results to print
  const elapsedMs = performance.now() - started;
  if (options.json) {
    const { lives, ...sums } = totals;
    console.log(JSON.stringify({ lives, elapsedMs: Math.round(elapsedMs), ...sums }, null, 2));
  } else if (!options.brief || totals.broken.length === 0) {
    console.log(totals.lines(elapsedMs).join("\n"));
  }
  const first = totals.broken.sort((a, b) => a.seed - b.seed)[0];
  if (first === undefined) return pool.stopped ? 130 : 0;
  if (!options.json) {
    const command = `${COMMAND} --seed ${first.seed}`;
    await explain(generatePlan(first.seed), { options, command });
  }
  return 1;
}

/** One life, shown. */
async function one(plan: Plan, options: Options): Promise<number> {
  const outcome = await simulate(plan);
  const { violation } = outcome;
  if (options.json) {
    const wantsSmall = violation !== undefined && options.shrink;
    const small = wantsSmall ? (await smaller(plan, violation)).plan : undefined;
    const more = { ...(small && { small }), ...(options.trace && { trace: outcome.trace }) };
    console.log(JSON.stringify({ ...summaryOf(outcome), plan, ...more }, null, 2));
  } else if (violation !== undefined) {
    const which = options.plan === undefined ? `--seed ${plan.seed}` : `--plan ${options.plan}`;
    await explain(plan, { options, command: `${COMMAND} ${which}` });
  } else {
    const trace = options.trace ? [...outcome.trace, ""] : [];
    const lines = [...planLines(plan), "", ...trace, ...totalsOf(outcome)];
    console.log([...lines, `trace ${outcome.traceHash}`].join("\n"));
  }
  return violation === undefined ? 0 : 1;
}

function smaller(plan: Plan, violation: Broken): Promise<Shrunk> {
  process.stderr.write("sim: looking for a smaller plan\n");
  return shrink(plan, {
    violation,
    live: async (candidate) => (await simulate(candidate)).violation,
  });
}

function totalsOf(outcome: Outcome): string[] {
  const totals = new Totals();
  totals.add(summaryOf(outcome));
  return totals.lines(0).slice(1);
}

/** The broken promise, with the smallest plan that still breaks it. */
async function explain(
  plan: Plan,
  { options, command }: { options: Options; command: string },
): Promise<void> {
  const violation = (await simulate(plan)).violation;
  if (violation === undefined) {
    return console.log(
      `seed ${plan.seed} broke something in its process, and nothing here: it depends on more ` +
        "than its seed, which is a bug of the simulation",
    );
  }
  const { plan: small, runs } = options.shrink ? await smaller(plan, violation) : { plan, runs: 0 };
  const outcome = await simulate(small);
  const { trace, brief } = options;
  console.log(
    `\n${failureLines({ plan, small, runs, outcome, trace, brief, command }).join("\n")}`,
  );
}

try {
  const options = readOptions(process.argv.slice(2));
  if (options === "help") console.log(USAGE);
  else process.exitCode = await main(options);
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`sim: ${error.message}\n\n${USAGE}`);
  process.exitCode = 2;
}
