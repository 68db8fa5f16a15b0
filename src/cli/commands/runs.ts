/** `titan runs`, `titan workers`, `titan gates`: the tables. */
import type { RunInfo, WorkerInfo } from "#wire";
import { openMaster } from "../address.ts";
import type { Call, Command } from "../command.ts";
import type { Context } from "../context.ts";
import { EXIT } from "../exit.ts";
import { runJson } from "../json.ts";
import { durationText, oneLine, table, timeText } from "../text.ts";
import { runColor } from "../view.ts";

export const runs: Command = {
  name: "runs",
  summary: "list runs, the newest last",
  usage: "",
  args: [0, 0],
  flags: {},
  examples: ["titan runs", "titan runs --json"],
  async run(call: Call): Promise<number> {
    const { context } = call;
    const found = await (await openMaster(call)).runs();
    if (call.json) return context.json(found.map(runJson)), EXIT.OK;
    if (found.length === 0) return context.note("titan: there are no runs; titan run FILE makes one"), EXIT.OK;
    const rows = found.map((run) => [run.id, context.paint(runColor(run.status), statusText(run)), countsText(run), timeText(run.submittedAt), durationText((run.endedAt ?? Date.now()) - run.submittedAt)]);
    context.out(table(["RUN", "STATUS", "JOBS", "SUBMITTED", "TOOK"], rows, context.columns));
    return EXIT.OK;
  },
};

function statusText({ status, cancelling }: RunInfo): string {
  return status === "RUNNING" && cancelling ? "CANCELLING" : status;
}

/** `7/10`, and what went wrong: `7/10, 2 failed`. */
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
    "STATE: ready or busy (all slots taken); draining (or stopping) gets nothing new and still runs something, drained runs nothing and can be stopped; away has lost its connection and may come back.",
  ],
  examples: ["titan workers", "titan workers --json"],
  async run(call: Call): Promise<number> {
    const { context } = call;
    const found = await (await openMaster(call)).workers();
    if (call.json) return context.json(found.map((worker) => ({ ...worker, state: workerState(worker), away: !worker.connected }))), EXIT.OK;
    if (found.length === 0) return context.note("titan: there are no workers; titan worker starts one"), EXIT.OK;
    const rows = found.map(({ name, running, slots, tags, remote, joinedAt, ...rest }) => [
      name, stateText(context, { running, slots, ...rest }), `${running}/${slots}`, ["GENERAL", ...tags.filter((tag) => tag !== "GENERAL")].join(","), remote, durationText(Date.now() - joinedAt),
    ]);
    context.out(table(["WORKER", "STATE", "BUSY", "TAGS", "FROM", "FOR"], rows, context.columns));
    return EXIT.OK;
  },
};

type WorkerFacts = Pick<WorkerInfo, "connected" | "draining" | "running" | "slots">;

/** In one word. Away comes first: what else is known of it may be out of date. */
export function workerState({ connected, draining, running, slots }: WorkerFacts): "ready" | "busy" | "away" | "draining" | "drained" {
  if (!connected) return "away";
  if (draining) return running > 0 ? "draining" : "drained";
  return running < slots ? "ready" : "busy";
}

function stateText(context: Context, worker: WorkerFacts): string {
  const state = workerState(worker);
  const text = state === "away" && worker.draining ? "away, draining" : state;
  return state === "ready" || state === "busy" ? text : context.paint("yellow", text);
}

export const gates: Command = {
  name: "gates",
  summary: "list what waits for a person's decision",
  usage: "",
  args: [0, 0],
  flags: {},
  examples: ["titan gates", "titan gates --json"],
  async run(call: Call): Promise<number> {
    const { context } = call;
    const found = await (await openMaster(call)).gates();
    if (call.json) return context.json(found), EXIT.OK;
    if (found.length === 0) return context.note("titan: nothing waits for a person"), EXIT.OK;
    const now = Date.now();
    const rows = found.map(({ id, message, openedAt, deadline }) => [id, durationText(now - openedAt), durationText(deadline - now), oneLine(message)]);
    context.out(table(["GATE", "WAITS FOR", "CLOSES IN", "QUESTION"], rows, context.columns));
    context.note("titan: answer with: titan approve GATE or titan reject GATE");
    return EXIT.OK;
  },
};
