/** The command line of `npm run sim`. */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";

export const USAGE = `Usage: npm run sim -- [--seeds N] [--from S] [--seed S] [--plan FILE]
                          [--trace] [--brief] [--no-shrink] [--all] [--power-first] [--jobs N]
                          [--json] [--bug NAME]

  --seeds N     how many lives (default 200)
  --from S      the first seed (default 1)
  --seed S      this one life, with the plan that it follows
  --plan FILE   the life that a file describes (JSON, as --json prints it)
  --trace       of the life that is shown, all that happened, line by line
  --brief       of a life that breaks something, no more than a screen holds
  --no-shrink   do not look for a smaller plan when something breaks
  --all         go on after something broke
  --power-first begin with lives in which the power of the master goes
  --jobs N      processes (default: one per core)
  --json        the result as JSON; of one life, with its plan, and with the smallest that breaks
                the same
  --bug NAME    the same in a copy of Titan with a bug, which is to be found ("--bug list" names
                them)`;

export interface Options {
  readonly from: number;
  /** 0: as many as the bug needs. */
  readonly seeds: number;
  /** One life only: show it. */
  readonly single: boolean;
  readonly plan: string | undefined;
  readonly trace: boolean;
  readonly brief: boolean;
  readonly shrink: boolean;
  readonly all: boolean;
  /** Lives in which the master's power goes come first. */
  readonly powerFirst: boolean;
  readonly jobs: number;
  readonly json: boolean;
  readonly bug: string | undefined;
}

export class UsageError extends Error {}

/** @throws {UsageError} */
export function readOptions(args: readonly string[]): Options | "help" {
  const { values } = parse(args);
  if (values.help) return "help";
  if (values.seed !== undefined && (values.seeds !== undefined || values.from !== undefined)) {
    throw new UsageError("--seed is one life: it goes with neither --seeds nor --from");
  }
  if (values.plan !== undefined && (values.seed ?? values.seeds ?? values.from) !== undefined) {
    throw new UsageError("--plan has its seed in the file");
  }
  const single = values.seed !== undefined || values.plan !== undefined;
  const first = values.seed ?? values.from ?? "1";
  const isBug = values.bug !== undefined;
  return {
    from: number(values.seed !== undefined ? "--seed" : "--from", first, {
      least: 0, most: 2 ** 32 - 1,
    }),
    seeds: single ? 1 : isBug && values.seeds === undefined ? 0
      : number("--seeds", values.seeds ?? "200", { least: 1, most: 10_000_000 }),
    single,
    plan: values.plan,
    trace: values.trace ?? false,
    brief: values.brief ?? false,
    shrink: !(values["no-shrink"] ?? false),
    all: values.all ?? false,
    powerFirst: values["power-first"] ?? false,
    // One, so that what is printed about a bug is the same everywhere.
    jobs: number("--jobs", values.jobs ?? String(isBug ? 1 : availableParallelism()), {
      least: 1, most: 256,
    }),
    json: values.json ?? false,
    bug: values.bug,
  };
}

function parse(args: readonly string[]) {
  const [text, flag] = [{ type: "string" }, { type: "boolean" }] as const;
  try {
    return parseArgs({
      args: [...args],
      options: {
        seeds: text, from: text, seed: text, plan: text, jobs: text, bug: text, trace: flag,
        brief: flag, "no-shrink": flag, all: flag, "power-first": flag, json: flag,
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function number(flag: string, text: string, range: { least: number; most: number }): number {
  const { least, most } = range;
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  throw new UsageError(`${flag} is "${text}", must be a whole number from ${least} to ${most}`);
}
