/**
 * `titan eventlog`, also `titan log`: reading the event log, checking it, cutting off damage.
 *
 * Test: test/cli.eventlog.test.ts
 */
import { realpathSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { LogInspection, LogProblem, LogRepair, PastRecovery } from "#log";
import type { Call, Command } from "../command.ts";
import { CliError, EXIT, UsageError } from "../exit.ts";
import { bytesText, meantHint, plural, shellWord, table, timeText } from "../text.ts";

const ACTIONS = ["show", "inspect", "verify", "repair"] as const;

export const eventlog: Command = {
  name: "eventlog",
  alias: "log",
  summary: "show, inspect, verify or repair the event log",
  usage: "ACTION DIR",
  args: [2, 2],
  flags: {
    run: { type: "string", value: "RUN", summary: "show: only events of runs whose id begins so" },
    "dry-run": { type: "boolean", summary: "repair: say what would be done, and change nothing" },
  },
  words: ACTIONS,
  notes: [
    "DIR is a state folder or the log folder in it; the store's is DIR/store. Looking and " +
      "checking are safe beside a running master; repairing needs the folder for itself. " +
      "titan log is the same command.",
    "show prints a line per event: its number, when, its type, and what happened. With --json it " +
      "is an object per line. Of a store it prints a line per command, with the key and without " +
      "the values.",
    "verify exits 1 if anything is wrong. A torn tail is not: it is what a crash leaves, and the " +
      "next start cuts it.",
    "repair cuts at the first problem and keeps what it cut in files named *.damaged beside the " +
      "log. Records behind the cut are lost to the log.",
  ],
  examples: [
    "titan eventlog show .titan",
    "titan eventlog show .titan --run nightly --json",
    "titan eventlog verify .titan",
    "titan eventlog repair .titan --dry-run",
  ],
  // Its alias is one letter away from titan logs.
  countAdvice: ([word = ""]) =>
    word === "" || ACTIONS.includes(word as never) ? undefined
      : `titan logs ${shellWord(word)} prints the output of jobs`,
  async run(call: Call): Promise<number> {
    const [action, dir] = call.args as [string, string];
    if (!ACTIONS.includes(action as never)) await refuseAction(action);
    const folders = findLog(dir, action);
    if (call.on("dry-run") && action !== "repair") {
      const why = "it changes nothing anyway";
      throw new UsageError(`Cannot run titan eventlog ${action} --dry-run: ${why}`);
    }
    if (call.on("run") && action !== "show") {
      const why = "it is a flag of titan eventlog show";
      throw new UsageError(`Cannot run titan eventlog ${action} --run: ${why}`);
    }
    if (action === "show") return show(call, folders);
    if (action === "inspect") return inspect(call, folders);
    return action === "verify" ? verify(call, folders) : repair(call, folders);
  },
};

async function refuseAction(action: string): Promise<never> {
  const known = "show, inspect, verify and repair";
  const hint = meantHint(action, ACTIONS);
  throw new UsageError(`Cannot run titan eventlog ${shellWord(action)}: there are ${known}${hint}`);
}

interface Folders {
  readonly log: string;
  /** The place of a master's lock; undefined for a log folder on its own, such as a copy. */
  readonly lock: string | undefined;
}

function findLog(dir: string, action: string): Folders {
  if (!isFolder(dir)) {
    throw new CliError(EXIT.ERROR, `Cannot ${action} the log in ${dir}: there is no such folder`);
  }
  const inside = join(dir, "log");
  if (isFolder(inside)) return { log: inside, lock: join(dir, "lock") };
  const real = realpathSync(dir);
  return { log: dir, lock: basename(real) === "log" ? join(dirname(real), "lock") : undefined };
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

async function show(call: Call, { log: dir }: Folders): Promise<number> {
  const { inspectLog } = await import("#log");
  const manifest = statSync(join(dir, "MANIFEST"), { throwIfNoEntry: false });
  // Not always: the inspection reads every byte.
  if (manifest === undefined && isNoLog(await inspectLog(call.context.host, dir))) {
    throw new CliError(EXIT.ERROR, `Cannot show the log in ${dir}: there is none`);
  }
  const { showLog } = await import("../eventlog.ts");
  return showLog(call, dir);
}

async function inspect(call: Call, { log: dir }: Folders): Promise<number> {
  const { context } = call;
  const { inspectLog } = await import("#log");
  const found = await inspectLog(context.host, dir);
  if (call.json) {
    context.json(found);
    return EXIT.OK;
  }
  if (isNoLog(found)) {
    throw new CliError(EXIT.ERROR, `Cannot inspect the log in ${dir}: there is none`);
  }
  const range = found.range === undefined ? "" : ` (${found.range.from} to ${found.range.to})`;
  context.out(
    `log ${found.id ?? "of unknown id"} in ${dir}: ` +
      `${plural(found.records, "record")}${range}, ${bytesText(found.bytes)}\n`,
  );
  const rows = [
    ...found.snapshots.map(({ file, seq, chunks, bytes }) => [
      basename(file),
      "snapshot",
      `up to ${seq}`,
      plural(chunks, "chunk"),
      bytesText(bytes),
    ]),
    ...found.segments.map(({ file, firstSeq, records, bytes }) => [
      basename(file),
      "segment",
      `from ${firstSeq}`,
      plural(records, "record"),
      bytesText(bytes),
    ]),
  ];
  context.out(table(["FILE", "KIND", "NUMBERS", "HOLDS", "SIZE"], rows, context.columns));
  if (found.tornBytes > 0) {
    context.out(
      `\ntorn tail: ${plural(found.tornBytes, "byte")} of an unfinished write in ` +
        `${basename(found.tornFile ?? "")}; the next start cuts them`,
    );
  }
  if (found.strays.length > 0) {
    context.out(`\nleft by a crash, removed by the next start: ${found.strays.join(", ")}`);
  }
  printProblems(call, found.problems);
  printRecoveries(call, found.recoveries);
  return EXIT.OK;
}

/** An intact log may have been longer: earlier starts and repairs have cut it. */
function printRecoveries({ context }: Call, recoveries: readonly PastRecovery[]): void {
  if (recoveries.length > 0) {
    context.out(`${plural(recoveries.length, "earlier recovery", "earlier recoveries")}:`);
  }
  for (const { at, kind, what } of recoveries) {
    context.out(
      `  ${timeText(at)}  ${kind === "cut" ? kind : context.paint("yellow", kind)} ${what}`,
    );
  }
}

function isNoLog({ segments, snapshots, problems, id }: LogInspection): boolean {
  return (
    id === undefined && segments.length === 0 && snapshots.length === 0 && problems.length === 0
  );
}

async function verify(call: Call, { log: dir }: Folders): Promise<number> {
  const { context } = call;
  const { inspectLog, verifyLog } = await import("#log");
  if (isNoLog(await inspectLog(context.host, dir))) {
    throw new CliError(EXIT.ERROR, `Cannot verify the log in ${dir}: there is none`);
  }
  const found = await verifyLog(context.host, dir);
  if (call.json) context.json(found);
  else {
    const torn =
      found.tornBytes > 0
        ? `, and a torn tail of ${plural(found.tornBytes, "byte")}, which the next start cuts`
        : "";
    context.out(
      found.ok
        ? `${dir}: ${plural(found.records, "record")} intact${torn}`
        : `${dir}: ${plural(found.problems.length, "problem")}`,
    );
    printProblems(call, found.problems);
    printRecoveries(call, found.recoveries);
    const command = `titan eventlog repair ${dir} --dry-run`;
    if (!found.ok) context.note(`titan: what a repair would do: ${command}`);
  }
  return found.ok ? EXIT.OK : EXIT.ERROR;
}

function printProblems({ context }: Call, problems: readonly LogProblem[]): void {
  for (const { file, offset, what, code, fatal } of problems) {
    context.out(
      `  ${context.paint(fatal ? "red" : "yellow", code)} ${file}` +
        `${offset === undefined ? "" : ` at byte ${offset}`}: ${what}` +
        `${fatal ? "" : " (the log opens all the same)"}`,
    );
  }
}

async function repair(call: Call, { log: dir, lock }: Folders): Promise<number> {
  const { context } = call;
  const { inspectLog, repairLog } = await import("#log");
  if (isNoLog(await inspectLog(context.host, dir))) {
    throw new CliError(EXIT.ERROR, `Cannot repair the log in ${dir}: there is none`);
  }
  const dryRun = call.on("dry-run");
  const held = dryRun || lock === undefined ? undefined : await takeLock(call, { dir, lock });
  try {
    const done = await repairLog(context.host, dir, { dryRun });
    if (call.json) context.json({ dryRun, ...done });
    else printRepair(call, done, { dir, dryRun });
    return EXIT.OK;
  } finally {
    await held?.release();
  }
}

interface PrintOptions {
  readonly dir: string;
  readonly dryRun: boolean;
}

function printRepair(call: Call, done: LogRepair, { dir, dryRun }: PrintOptions): void {
  const { context } = call;
  if (done.clean) return context.out(`${dir}: nothing to repair`);
  printProblems(call, done.problems);
  for (const { file, offset, bytes, to } of done.moved) {
    context.out(
      `  ${dryRun ? "would move" : "moved"} ${plural(bytes, "byte")} of ${basename(file)}` +
        `${offset === 0 ? "" : ` from byte ${offset}`} to ${basename(to)}`,
    );
  }
  const lost =
    done.lostRecords > 0
      ? `; at least ${plural(done.lostRecords, "intact record")} behind the cut ` +
        `${dryRun ? "would be" : "are"} lost to the log`
      : "";
  context.out(
    `${dir}: ${dryRun ? "would keep" : "keeps"} everything up to record ${done.keptTo}${lost}`,
  );
}

async function takeLock(
  { context }: Call,
  { dir, lock }: { dir: string; lock: string },
): Promise<{ release(): Promise<void> }> {
  try {
    return await context.host.storage.lock(lock);
  } catch (error) {
    if ((error as { code?: string }).code !== "ELOCKED") throw error;
    throw new CliError(
      EXIT.ERROR,
      `Cannot repair the log in ${dir}: it is in use (${(error as Error).message})`,
      { advice: "stop it first; --dry-run works beside it" },
    );
  }
}
