/**
 * `titan replay`: a run as it was at any moment, and the facts that led there.
 *
 * Test: test/cli.replay.test.ts
 */
import { statSync } from "node:fs";
import { join } from "node:path";
import { heapLimit } from "#host";
import { jobJson, runJson } from "#rows";
import type { PastSource } from "#sdk";
import type { HistoryPage } from "#wire";
import { openClient } from "../address.ts";
import type { Call, Command } from "../command.ts";
import { CliError, EXIT, UsageError } from "../exit.ts";
import { parseRef } from "../refs.ts";
import { clip, momentText, oneLine, pad } from "../text.ts";
import { printRun } from "./status.ts";

/** Facts that are asked for at once. */
const PAGE = 500;
const SEQ_CELLS = 6;
const MAX_JOBS = 100_000;

export const replay: Command = {
  name: "replay",
  summary: "go back: a run as it was at any moment, and what happened to it",
  usage: "RUN",
  args: [1, 1],
  flags: {
    at: {
      type: "string", value: "T|N",
      summary: "the run as it was then: 12s after its start, at a time, or after fact N",
    },
    state: {
      type: "string", value: "DIR", summary: "read this state folder, with or without its master",
    },
  },
  notes: [
    "Without --at it prints the facts of the run, a line each: the number in the log, when, what " +
      "happened, and what that changed.",
    "T is a duration since the run was submitted (12s, 1m30s) or a time (2026-03-01T14:05:09Z); " +
      "N is the number of a fact, of this run or of any other.",
    "RUN may be the beginning of an id, or @latest; also of a run that the master has forgotten, " +
      "as long as its facts are in the log. Where a snapshot stands for the beginning of the " +
      "log, the moment of the snapshot is the earliest.",
  ],
  examples: [
    "titan replay nightly-7k2m",
    "titan replay nightly-7k2m --at 12s",
    "titan replay nightly-7k2m --at 4711 --json",
    "titan replay nightly --at 2026-03-01T14:05:09Z --state /var/lib/titan",
  ],
  async run(call: Call): Promise<number> {
    const { run, job } = parseRef(call.args[0]!);
    if (job !== undefined) {
      throw new UsageError(`Cannot replay ${run}/${job}: name the run, and --at for a moment`);
    }
    const moment = call.text("at");
    const which = moment === undefined ? undefined : await whichOf(moment);
    const source = await sourceOf(call);
    try {
      if (which === undefined) await printFacts(call, source, run);
      else await printMoment(call, source, { ...which, run });
    } finally {
      await source.close();
    }
    return EXIT.OK;
  },
};

interface Source extends PastSource {
  close(): void | Promise<void>;
}

/** A master that runs, or the log in a folder. */
async function sourceOf(call: Call): Promise<Source> {
  const dir = call.text("state");
  if (dir === undefined) return openClient(call);
  if (call.on("master")) {
    throw new UsageError("Cannot replay: --state reads a folder, --master asks a master");
  }
  const log = logIn(dir);
  const { openPast } = await import("#history");
  // As in the thread of a master: a third of what V8 may take.
  const maxBytes = Math.floor(heapLimit() / 3);
  return openPast(call.context.host, log, { maxBytes });
}

function logIn(dir: string): string {
  const inside = join(dir, "log");
  for (const folder of [inside, dir]) {
    if (statSync(join(folder, "MANIFEST"), { throwIfNoEntry: false }) !== undefined) return folder;
  }
  throw new CliError(EXIT.ERROR, `Cannot replay from ${dir}: there is no event log in it`);
}

type Which = { seq: number } | { at: number } | { after: number };

/** @throws {UsageError} */
async function whichOf(text: string): Promise<Which> {
  if (/^\d{1,15}$/.test(text)) return { seq: Number(text) };
  if (/^\d{4}-\d\d-\d\d/.test(text)) {
    const at = Date.parse(text);
    if (!Number.isNaN(at)) return { at };
  } else {
    const { parseDuration } = await import("#pipeline");
    const after = parseDuration(text);
    if (typeof after === "number") return { after };
  }
  const expected = "a duration since its start (12s), a time (2026-03-01T14:05:09Z) or a number";
  throw new UsageError(`Cannot use --at ${text}: must be ${expected}`);
}

// ── facts ────────────────────────────────────────────────────────────────────────────────────────

export interface ToldFact {
  readonly seq: number;
  readonly at: number;
  readonly text: string;
  readonly changes: readonly { what: string; before: string | null; after: string | null }[];
}

async function printFacts(call: Call, source: PastSource, run: string): Promise<void> {
  const { context } = call;
  const { pastFacts } = await import("#sdk");
  for (let from: number | undefined = 1; from !== undefined;) {
    const page = await pastFacts(source, { from, limit: PAGE, run, words: true });
    for (const fact of page.facts as unknown as ToldFact[]) {
      if (call.json) context.json(fact);
      else context.out(factLine(fact, page.run!, context.columns));
    }
    from = page.next;
  }
}

export function factLine(
  { seq, at, text, changes }: ToldFact, run: string, columns?: number,
): string {
  const what = text.slice(text.indexOf(" ") + 1);
  const changed = changes.filter(({ what: each }) => /^(job|run|step) /.test(each))
    .map(({ what: each, before, after }) =>
      `${each.replace(`job ${run}/`, "")}: ${before ?? "-"} → ${after ?? "-"}`);
  const tail = changed.length === 0 ? "" : `  [${oneLine(changed.join("; "))}]`;
  const line = `${pad(String(seq), SEQ_CELLS)}  ${momentText(at)}  ${oneLine(what)}${tail}`;
  return columns === undefined ? line : clip(line, columns);
}

// ── a moment ─────────────────────────────────────────────────────────────────────────────────────

async function printMoment(
  call: Call, source: PastSource, which: Which & { run: string },
): Promise<void> {
  const { context } = call;
  const { readMoment } = await import("#sdk");
  const found = await readMoment(source, { ...which, limit: MAX_JOBS });
  const { seq, at = 0, run: id, jobs } = found;
  const run = found.runs.find((each) => each.id === id);
  if (run === undefined) throw notThere(found);
  if (call.json) {
    const ids = jobs.map((job) => job.id);
    const rows = jobs.map((job) => jobJson(job, job.dependsOn.map((index) => ids[index]!), at));
    return context.json({ seq, at, run: runJson(run), jobs: rows });
  }
  context.note(`titan: after fact ${seq}, ${momentText(at)}`);
  printRun(context, { run, jobs, now: at });
}

function notThere({ run, seq, at = 0, madeBy, forgottenBy }: HistoryPage): CliError {
  const doing = `Cannot show ${run} after fact ${seq} (${momentText(at)})`;
  const isGone = forgottenBy !== undefined && seq! >= forgottenBy;
  const why = isGone ? `the master had forgotten it with fact ${forgottenBy}`
    : `it was submitted later, with fact ${madeBy}`;
  const advice = `titan replay ${run} has its facts`;
  return new CliError(EXIT.ERROR, `${doing}: ${why}`, { advice });
}
