/**
 * Deliberate bugs: mistakes that somebody could make in `src`, each of which the simulation has to
 * find.
 *
 *     Title: The torn tail stays
 *     Invariant: acknowledged-is-durable
 *     Seeds: 10
 *     From: 1
 *     Why: What is appended after half a record is behind garbage at the next start.
 *
 *     --- a/src/log/open.ts
 *     +++ b/src/log/open.ts
 *     …
 *
 * They are the test of the tests: a simulation that finds nothing may be blind. Each is applied to
 * a copy of the project.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { INVARIANTS, type Invariant } from "#simulation";
import { programArguments } from "../lib/compiled.mjs";
import { changedLines, readPatch } from "../learn/patches.ts";
import { applyPatch, makeSandbox, type Sandbox, sandboxEnvironment } from "../learn/sandbox.ts";
import { UsageError, type Options } from "./options.ts";

export const BUGS_FOLDER = "lessons/22-simulation/bugs";

export interface Bug {
  readonly name: string;
  /** Relative to the root. */
  readonly file: string;
  readonly title: string;
  /** Any of these may be the first to break. */
  readonly invariants: readonly Invariant[];
  /** It is found within this many lives: some five times as many as it took, from seed 1 on. */
  readonly seeds: number;
  /**
   * Where the test begins to look, so that the rare ones do not cost it a minute: the life that
   * found it last time. test/22-simulation.bugs.test.ts writes it anew.
   */
  readonly from: number;
  readonly why: string;
  readonly diff: string;
}

/** @throws {Error} with what the header lacks */
export function parseBug(name: string, text: string): Bug {
  const file = `${BUGS_FOLDER}/${name}.patch`;
  const { fields, diff } = readPatch(text);
  const field = (key: string): string => {
    const value = fields.get(key);
    if (value === undefined || value === "") {
      throw new Error(`Cannot read ${file}: its header has no "${key}:" line`);
    }
    return value;
  };
  const invariants = field("Invariant").split(",").map((word) => {
    const invariant = word.trim();
    if (!Object.hasOwn(INVARIANTS, invariant)) {
      throw new Error(`Cannot read ${file}: "${invariant}" is no invariant`);
    }
    return invariant as Invariant;
  });
  const count = (key: string): number => {
    const number = Number(field(key));
    if (!Number.isInteger(number) || number < 1) {
      throw new Error(`Cannot read ${file}: ${key} is "${field(key)}"`);
    }
    return number;
  };
  const seeds = count("Seeds");
  const from = fields.has("From") ? count("From") : 1;
  return { name, file, title: field("Title"), invariants, seeds, from, why: field("Why"), diff };
}

export function listBugs(root: string): Bug[] {
  return readdirSync(join(root, BUGS_FOLDER))
    .filter((name) => name.endsWith(".patch"))
    .sort()
    .map((file) => parseBug(
      file.replace(/\.patch$/, ""), readFileSync(join(root, BUGS_FOLDER, file), "utf8"),
    ));
}

/** Puts the bug into a copy of the project. */
export async function plantBug(sandbox: Sandbox, bug: Bug): Promise<void> {
  const refused = await applyPatch(sandbox, bug.file);
  if (refused !== undefined) {
    throw new Error(
      `Cannot apply ${bug.file}: the source has changed since it was written\n${refused}`,
    );
  }
}

/** How a simulation is started in a copy: never with what was built, which is of the original. */
export function commandIn(sandbox: Sandbox, args: readonly string[]): [string, ...string[]] {
  const program = programArguments(sandbox.root, "scripts/sim/main.ts", { untraced: true });
  return [process.execPath, ...program, ...args];
}

/**
 * Shows one bug to a reader: what it is, how it is found, and the least that it takes. Exit code 0:
 * it was found.
 */
export async function showBug(root: string, name: string, options: Options): Promise<number> {
  const bugs = listBugs(root);
  const bug = bugs.find((other) => other.name === name);
  const names = bugs.map((other) => `  ${other.name.padEnd(28)} ${other.title}`).join("\n");
  if (name === "list") {
    console.log(names);
    return 0;
  }
  if (bug === undefined) throw new UsageError(`there is no bug "${name}"; there are:\n${names}`);
  const changes = changedLines(bug.diff).join("\n");
  if (!options.json) console.log(`${bug.title}\n\n${changes}\n\n${bug.why}\n`);
  const sandbox = makeSandbox(root);
  try {
    await plantBug(sandbox, bug);
    const [program, ...args] = commandIn(sandbox, argumentsFor(bug, options));
    const child = spawn(program, args, {
      cwd: sandbox.root,
      env: { ...sandboxEnvironment(sandbox), SIM_BUG: name },
      stdio: ["ignore", "inherit", "inherit"],
    });
    const [code] = (await once(child, "exit")) as [number | null];
    const lives = options.single ? "this life" : "these lives";
    if (code === 0) console.error(`sim: the bug was not found in ${lives}`);
    return code === 1 ? 0 : code === 2 ? 2 : 1;
  } finally {
    sandbox.remove();
  }
}

function argumentsFor(bug: Bug, options: Options): string[] {
  const { plan, single, from, seeds, jobs } = options;
  const lives = ["--seeds", String(seeds || bug.seeds), "--jobs", String(jobs)];
  const which = plan !== undefined ? ["--plan", resolve(plan)]
    : single ? ["--seed", String(from)] : ["--from", String(from), ...lives];
  const flags = [
    options.trace && "--trace", options.brief && "--brief", !options.shrink && "--no-shrink",
    options.all && "--all", options.json && "--json",
  ];
  return [...which, ...flags.filter((flag) => flag !== false)];
}
