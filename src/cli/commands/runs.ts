/**
 * `titan runs`, `titan workers`: the tables.
 *
 * Test: test/cli.lists.test.ts
 */
import { allTags, runJson, workerJson, workerState, type WorkerFacts } from "#rows";
import { RUN_STATUSES, type RunInfo, type WorkerInfo } from "#wire";
import { openMaster } from "../address.ts";
import type { Call, Command } from "../command.ts";
import type { Context } from "../context.ts";
import { EXIT, UsageError } from "../exit.ts";
import { durationText, meantHint, table, timeText } from "../text.ts";
import { runColor } from "../view.ts";

/** More than a master remembers. */
const MAX_LIMIT = 1_000_000;

export const runs: Command = {
  name: "runs",
  summary: "list runs, the newest last",
  usage: "",
  args: [0, 0],
  flags: {
    status: {
      type: "string",
      value: "STATUS",
      values: RUN_STATUSES.map((name) => name.toLowerCase()),
      summary: "only runs in this state, or in one of several: failed,cancelled",
    },
    name: {
      type: "string",
      value: "NAME",
      summary: "only runs whose name begins so, or fits a pattern with * and ?",
    },
    since: {
      type: "string",
      value: "WHEN",
      summary: "only runs submitted since 2h ago, or since a time",
    },
    limit: { type: "string", value: "N", summary: "only the newest N of them" },
  },
  notes: ["The newest is the last line, next to the prompt. The flags are for --json, too."],
  examples: [
    "titan runs",
    "titan runs --status failed --since 24h",
    "titan runs --name 'nightly-*' --limit 5 --json",
  ],
  async run(call: Call): Promise<number> {
    const { context } = call;
    const filter = await runFilter(call);
    const found = filter(await (await openMaster(call)).runs());
    if (call.json) {
      context.json(found.map(runJson));
      return EXIT.OK;
    }
    if (found.length === 0) {
      const isFiltered = ["status", "name", "since", "limit"].some((flag) => call.on(flag));
      const none = isFiltered ? "no run fits" : "there are no runs; titan run FILE makes one";
      context.note(`titan: ${none}`);
      return EXIT.OK;
    }
    const rows = found.map((run) => [
      run.id,
      context.paint(runColor(run.status), statusText(run)),
      countsText(run),
      timeText(run.submittedAt),
      durationText((run.endedAt ?? Date.now()) - run.submittedAt),
    ]);
    context.out(table(["RUN", "STATUS", "JOBS", "SUBMITTED", "TOOK"], rows, context.columns));
    return EXIT.OK;
  },
};

/** Applies the flags to a list of runs and keeps its order. */
async function runFilter(call: Call): Promise<(runs: RunInfo[]) => RunInfo[]> {
  const statuses = await statusesOf(call);
  const fits = nameTest(call.text("name"));
  const since = (await call.moment("since")) ?? 0;
  const limit = call.count("limit", { min: 1, max: MAX_LIMIT });
  return (runs) => {
    const found = runs.filter((run) => {
      return (statuses?.has(run.status) ?? true) && fits(run.name) && run.submittedAt >= since;
    });
    return limit === undefined ? found : found.slice(-limit);
  };
}

async function statusesOf(call: Call): Promise<ReadonlySet<string> | undefined> {
  const text = call.text("status");
  if (text === undefined) return undefined;
  const words = text.split(",").map((word) => word.trim().toUpperCase());
  const wrong = words.find((word) => !(RUN_STATUSES as readonly string[]).includes(word));
  if (wrong === undefined) return new Set(words);
  const hint = meantHint(wrong, RUN_STATUSES) || `: there are ${RUN_STATUSES.join(", ")}`;
  throw new UsageError(`Cannot use --status ${text}: no run is ever "${wrong}"${hint}`);
}

/** `nightly` fits names that begin so; a text with a star or a question mark fits whole names. */
export function nameTest(text: string | undefined): (name: string) => boolean {
  if (text === undefined) return () => true;
  if (!/[*?]/.test(text)) return (name) => name.startsWith(text);
  const source = text
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replaceAll("*", ".*")
    .replaceAll("?", ".");
  const pattern = new RegExp(`^${source}$`, "su");
  return (name) => pattern.test(name);
}

function statusText({ status, cancelling }: RunInfo): string {
  return status === "RUNNING" && cancelling ? "CANCELLING" : status;
}

/** `7/10`, with the failures, if there are any: `7/10, 2 failed`. */
export function countsText({ counts }: RunInfo): string {
  const [pending = 0, running = 0, waiting = 0, , failed = 0, dead = 0] = counts;
  const total = counts.reduce((a, b) => a + b, 0);
  const parts = [`${total - pending - running - waiting}/${total}`];
  if (running > 0) parts.push(`${running} running`);
  if (waiting > 0) parts.push(`${waiting} waiting`);
  if (failed + dead > 0) parts.push(`${failed + dead} failed`);
  return parts.join(", ");
}

export const workers: Command = {
  name: "workers",
  summary: "list workers, what they can do, and how busy they are",
  usage: "",
  args: [0, 0],
  flags: {},
  notes: [
    "STATE: ready or busy (all slots taken); draining (or stopping) gets nothing new and still " +
      "runs something, drained runs nothing and can be stopped; away has lost its connection " +
      "and may come back.",
    "LATE: how late its heartbeats left it, at worst, in the last five minutes (and since it " +
      "began). Something held up the worker or its machine; one that is late by 4 s loses " +
      "its jobs.",
  ],
  examples: ["titan workers", "titan workers --json"],
  async run(call: Call): Promise<number> {
    const { context } = call;
    const found = await (await openMaster(call)).workers();
    if (call.json) {
      context.json(found.map(workerJson));
      return EXIT.OK;
    }
    if (found.length === 0) {
      context.note("titan: there are no workers; titan worker starts one");
      return EXIT.OK;
    }
    // Most clusters have none.
    const hasPools = found.some(({ pool }) => pool !== undefined);
    const rows = found.map(({ name, running, slots, tags, remote, joinedAt, pool, ...rest }) => [
      name,
      stateText(context, { running, slots, ...rest }),
      `${running}/${slots}`,
      allTags(tags).join(","),
      ...(hasPools ? [pool ?? ""] : []),
      remote,
      durationText(Date.now() - joinedAt),
      lateText(rest),
    ]);
    const head = [
      "WORKER", "STATE", "BUSY", "TAGS", ...(hasPools ? ["POOL"] : []), "FROM", "FOR", "LATE",
    ];
    context.out(table(head, rows, context.columns));
    return EXIT.OK;
  },
};

/** `3 ms`, and the worst ever if that was worse: `3 ms (worst 250 ms)`. */
export function lateText(worker: Pick<WorkerInfo, "beatLateMs" | "beatLateMaxMs">): string {
  const { beatLateMs: recent, beatLateMaxMs: max = 0 } = worker;
  if (recent === undefined) return "";
  return `${recent} ms${max > recent ? ` (worst ${max} ms)` : ""}`;
}

function stateText(context: Context, worker: WorkerFacts): string {
  const state = workerState(worker);
  const text = state === "away" && worker.draining ? "away, draining" : state;
  return state === "ready" || state === "busy" ? text : context.paint("yellow", text);
}
