/**
 * `learn sim` and `learn cluster`: the whole machine on the reader's own modules.
 *
 *     learn sim 5,6       200 simulated lives; the first broken promise, and the least it takes
 *     learn cluster 5,6   the demo: a master and two workers, and `kill -9` of a worker and of the
 *                         master half-way
 *
 * Nothing is copied into the machine. "#log" means own/log.ts in each process that is started, as
 * it does for `learn test`; all other names mean what they always mean.
 *
 * Test: test/learn-companion.test.ts
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { BootstrapError, ROOT } from "../bootstrap.mjs";
import { listChapters } from "../lib/chapters.mjs";
import { begunParts, describe, openChapter, type Opened, ownedParts } from "./chapter.ts";
import { whyNotLoaded } from "./loads.ts";
import { exercisesByChapter, ownEnvironment, unwritten } from "./own.ts";
import { loadProject } from "./project.ts";

/** They meet most planted bugs, and take seconds. */
const LIVES = 200;
/** One of these says itself how many lives there are. */
const CHOOSES = /^--(seeds?|plan|bug)(=|$)/;
/** `npm run learn sim 5,6 -- --seed 3`: options behind the chapters are those of `npm run sim`. */
export async function runSim(args: readonly string[]): Promise<number> {
  const { chapters, options } = readArguments(args, "sim");
  const lives = options.some((option) => CHOOSES.test(option)) ? []
    : ["--seeds", String(LIVES), "--power-first"];
  return await runOn(chapters, ["sim", ...lives, "--brief", ...options]);
}

export async function runCluster(args: readonly string[]): Promise<number> {
  const { chapters, options } = readArguments(args, "cluster");
  return await runOn(chapters, ["demo", ...options]);
}

interface Arguments {
  readonly chapters: readonly Opened[];
  readonly options: readonly string[];
}

function readArguments(args: readonly string[], command: string): Arguments {
  const first = args.findIndex((arg) => arg.startsWith("-") && !arg.startsWith("--own"));
  const options = first < 0 ? [] : args.slice(first);
  const words = first < 0 ? args : args.slice(0, first);
  // `npm run learn sim --own 5`: npm takes --own for a setting of its own, "true" or "5".
  const asked = [...words, process.env["npm_config_own"] ?? ""]
    .flatMap((word) => word.replace(/^--own=?/, "").split(","))
    .filter((word) => !["", "own", "true"].includes(word));
  const example = `npm run learn ${command} 5,6`;
  if (asked.length > 0) {
    const named = asked.map((word) => openChapter(word, `For example: ${example}`));
    const chapters = [...new Map(named.map((opened) => [opened.chapter.id, opened])).values()];
    for (const opened of chapters) wantWritten(opened);
    return { chapters, options };
  }
  const chapters = writtenChapters();
  if (chapters.length > 0) return { chapters, options };
  throw new BootstrapError(`Cannot run a ${command} of yours: you have written no chapter (npm ` +
    `run learn start 5, for example; npm run ${command === "sim" ? "sim" : "demo"} runs ours)`);
}

function writtenChapters(): Opened[] {
  const project = loadProject(ROOT);
  const exercises = exercisesByChapter(project);
  return listChapters()
    .map((chapter) => describe(project, chapter, exercises))
    .filter((opened) => begunParts(opened).length > 0 && leftOf(opened).length === 0);
}

function leftOf(opened: Opened): string[] {
  const { project: { root }, exercises } = opened;
  return ownedParts(opened).flatMap((part) => unwritten(root, part, exercises));
}

/** A body that only throws would be told as a crash of the master. */
function wantWritten(opened: Opened): void {
  const { id, number } = opened.chapter;
  if (ownedParts(opened).length === 0) {
    const how = `npm run learn start ${number}`;
    throw new BootstrapError(`Cannot run your own ${id}: it is not there (${how})`);
  }
  const left = leftOf(opened);
  if (left.length === 0) return;
  throw new BootstrapError(`Cannot run your ${id}: not written yet: ${left.join(", ")} ` +
    `(npm run learn test ${number})`);
}

async function runOn(chapters: readonly Opened[], program: readonly string[]): Promise<number> {
  const parts = new Map(chapters.flatMap((opened) =>
    ownedParts(opened).map((part) => [part.name, part] as const)));
  const env = ownEnvironment(ROOT, [...parts.values()]);
  const unloaded = whyNotLoaded([...parts.values()], env);
  if (unloaded !== undefined) throw new BootstrapError(unloaded);
  process.stdout.write(`${banner([...parts.keys()])}\n`);
  const numbers = chapters.map(({ chapter }) => chapter.number).join(",");
  // A life that breaks names the command that shows it again: it has to be on the same modules.
  const again = `npm run learn sim ${numbers} --`;
  const child = spawn(process.execPath, ["scripts/launch.mjs", ...program], {
    cwd: ROOT, stdio: "inherit", env: { ...env, SIM_COMMAND: again },
  });
  const [code] = (await once(child, "exit")) as [number | null];
  return code ?? 1;
}

/** "log=YOURS dag=YOURS, 24 others=reference": whose code runs, of all that there is to write. */
function banner(own: readonly string[]): string {
  const project = loadProject(ROOT);
  const exercises = exercisesByChapter(project);
  const names = new Set(listChapters().flatMap((chapter) =>
    describe(project, chapter, exercises).parts.map(({ name }) => name)));
  const rest = names.size - own.length;
  const others = rest === 0 ? "" : `, ${rest === 1 ? "1 other" : `${rest} others`}=reference`;
  return `${own.map((name) => `${name}=YOURS`).join(" ")}${others}`;
}
