/**
 * `titan validate`: the shape of a pipeline, or its problems and their places. Needs no master.
 *
 * Test: test/cli.test.ts
 */
import type { PipelineDefinition } from "#pipeline";
import type { Call, Command } from "../command.ts";
import { EXIT } from "../exit.ts";
import { readPipelineFile } from "../submit.ts";
import { plural } from "../text.ts";

export const validate: Command = {
  name: "validate",
  summary: "check a pipeline; needs no master",
  usage: "FILE|-",
  args: [1, 1],
  flags: {},
  notes: [
    "Prints every problem with its line and a caret, and exits 2; or the size and shape of the " +
      "graph. A level holds the jobs that could run at the same time.",
    "Files that jobs name are looked for in the folder of FILE; for -, in the working folder. " +
      "docs/pipelines.md has every key.",
  ],
  examples: ["titan validate nightly.yaml"],
  async run(call: Call): Promise<number> {
    const { context } = call;
    const [file] = call.args as [string];
    const { PipelineError } = await import("#pipeline");
    try {
      const { definition } = await readPipelineFile(file);
      const shape = shapeOf(definition);
      const { name, jobs, warnings } = definition;
      const { levels, widest, path } = shape;
      if (call.json) {
        const size = { jobs: jobs.length, levels, widest, criticalPath: path };
        context.json({ file, valid: true, name, ...size, warnings });
        return EXIT.OK;
      }
      for (const warning of warnings) context.note(`titan: warning: ${warning}`);
      const shown = path.length > 8 ? [...path.slice(0, 4), "…", ...path.slice(-3)] : path;
      context.out(`${file}: valid`);
      context.out(`  pipeline       ${name}`);
      context.out(`  jobs           ${jobs.length}, at most ${widest} side by side`);
      context.out(`  levels         ${levels}`);
      context.out(`  critical path  ${plural(path.length, "job")}: ${shown.join(" -> ")}`);
      return EXIT.OK;
    } catch (error) {
      if (!call.json || !(error instanceof PipelineError)) throw error;
      context.json({ file, valid: false, problems: error.problems });
      return EXIT.USAGE;
    }
  },
};

interface Shape {
  readonly levels: number;
  readonly widest: number;
  readonly path: string[];
}

/** Levels by the longest way from a root. The graph has no cycle: reading it has checked that. */
export function shapeOf({ jobs }: Pick<PipelineDefinition, "jobs">): Shape {
  const byId = new Map(jobs.map((job) => [job.id, job]));
  const children = new Map<string, string[]>(jobs.map((job) => [job.id, []]));
  const open = new Map(jobs.map((job) => [job.id, job.dependsOn.length]));
  for (const job of jobs) for (const parent of job.dependsOn) children.get(parent)!.push(job.id);
  const level = new Map<string, number>();
  const before = new Map<string, string>();
  const widths: number[] = [];
  const order = jobs.filter((job) => job.dependsOn.length === 0).map((job) => job.id);
  for (let id = order[0], at = 0; id !== undefined; id = order[++at]) {
    let own = 1;
    for (const parent of byId.get(id)!.dependsOn) {
      const next = level.get(parent)! + 1;
      if (next > own) before.set(id, parent);
      own = Math.max(own, next);
    }
    level.set(id, own);
    widths[own - 1] = (widths[own - 1] ?? 0) + 1;
    for (const child of children.get(id)!) {
      open.set(child, open.get(child)! - 1);
      if (open.get(child) === 0) order.push(child);
    }
  }
  let last = [...level].find(([, own]) => own === widths.length)?.[0];
  const path: string[] = [];
  for (; last !== undefined; last = before.get(last)) path.unshift(last);
  return { levels: widths.length, widest: widths.reduce((a, b) => Math.max(a, b), 0), path };
}
