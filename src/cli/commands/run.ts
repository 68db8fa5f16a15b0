/**
 * `titan run`: submit a pipeline and watch it to its end.
 *
 * Test: test/cli.test.ts
 */
import type { Call, Command } from "../command.ts";
import { CliError, EXIT } from "../exit.ts";
import { runLine } from "../json.ts";
import { findTarget, readPipelineFile, submitOnce, type Target } from "../submit.ts";
import { watchToEnd } from "../watch.ts";

export const run: Command = {
  name: "run",
  summary: "submit a pipeline and watch it",
  usage: "FILE|-",
  args: [1, 1],
  flags: {
    detach: { type: "boolean", short: "d", summary: "print the run's id and leave" },
    key: { type: "string", value: "KEY", summary: "two submissions with one key are one run" },
    timeout: {
      type: "string",
      value: "TIME",
      summary: "stop watching after this long (90s, 10m, 2h): exit 124",
    },
    wait: {
      type: "boolean",
      summary: "stay while nothing but services is left, or while it is PAUSED by its budget",
    },
    strict: {
      type: "boolean",
      summary:
        "refuse jobs that no worker could run now: exit 6 (always so on a cluster for this run)",
    },
    embedded: {
      type: "boolean",
      summary: "a cluster for this run, whether or not a master runs at the default port",
    },
    workers: { type: "string", value: "N", summary: "of a cluster for this run (default 2)" },
    slots: {
      type: "string",
      value: "N",
      summary: "per worker of a cluster for this run (default: one per processor)",
    },
    tags: { type: "string", value: "TAG,TAG", summary: "capabilities of a cluster for this run" },
    state: {
      type: "string",
      value: "DIR",
      summary: "keep the state of a cluster for this run there",
    },
  },
  notes: [
    "The master is the one named by --master or TITAN_MASTER, and must answer. If none is named, " +
      "it is the one at the default port; if nobody is there, a cluster is started for this run " +
      "and removed after it.",
    "Ctrl-C stops watching, not the run; on a cluster for this run it cancels, since the cluster " +
      "goes away.",
    "Exit codes: 0 completed · 2 the pipeline is not valid · 3 failed, cancelled or rejected, or " +
      "PAUSED by its budget · " +
      "5 no master · 6 can never be scheduled · 124 --timeout · 130 interrupted.",
  ],
  examples: [
    "titan run nightly.yaml",
    "titan run nightly.yaml --detach --key nightly-2025-03-01",
    "generate-pipeline | titan run - --json",
    "titan run train.yaml --tags GPU   # with no master running",
  ],
  async run(call: Call): Promise<number> {
    const { context } = call;
    const [name] = call.args as [string];
    // Before anything starts: it may be mistyped.
    const timeoutMs = await call.durationMs("timeout");
    const file = await readPipelineFile(name);
    for (const warning of file.definition.warnings) context.note(`titan: warning: ${warning}`);
    const target = await findTarget(call);
    const { client, ...submitted } = await submitOnce(call, target, file);
    for (const warning of submitted.warnings) context.note(`titan: warning: ${warning}`);
    if (submitted.existing) {
      context.note(`titan: this key was used before; its run is ${submitted.run}`);
    }
    const { run: id, existing, forgotten } = submitted;
    const { name: pipeline } = file.definition;
    if (call.on("detach")) {
      return detached(call, { ...target, client }, { id, name: pipeline, existing, forgotten });
    }
    if (forgotten) {
      throw new CliError(EXIT.ERROR, `Cannot watch ${id}: nothing of it is left`, {
        advice: "another key makes a new run",
      });
    }
    const fresh = existing ? {} : { submitted: { id, name: pipeline } };
    const toEnd = call.on("wait");
    return watchToEnd(call, { ...target, client, run: id, timeoutMs, toEnd, ...fresh });
  },
};

async function detached(
  call: Call,
  { client, where }: Target,
  run: { id: string; name: string; existing: boolean; forgotten: boolean },
): Promise<number> {
  const { context } = call;
  if (call.json) {
    const all = run.existing && !run.forgotten ? await client.runs() : [];
    const known = all.find((info) => info.id === run.id);
    context.json(runLine(known ?? { ...run, status: run.forgotten ? "FORGOTTEN" : "RUNNING" }));
  } else {
    context.out(run.id);
    if (!run.forgotten) context.note(`titan: watch it with: titan watch${where} ${run.id}`);
  }
  return EXIT.OK;
}
