/**
 * `titan graph`: a picture of a pipeline or of a run, as SVG.
 *
 * Test: test/cli.graph.test.ts
 */
import type { Layout } from "#layout";
import { openMaster } from "../address.ts";
import type { Call, Command } from "../command.ts";
import { CliError, EXIT } from "../exit.ts";
import { parseRef, withRun } from "../refs.ts";
import { plural } from "../text.ts";

/** A picture of 4 MB, which browsers show after a moment. */
const MAX_JOBS = 10_000;

export const graph: Command = {
  name: "graph",
  summary: "draw a pipeline or a run as SVG",
  usage: "FILE|-|RUN",
  args: [1, 1],
  flags: {},
  notes: [
    "FILE ends with .yaml, .yml or .json; everything else is a run, whose jobs have the colours " +
      "of their states. With --json: the places of jobs and edges.",
  ],
  examples: ["titan graph nightly.yaml > nightly.svg", "titan graph nightly-7k2m > run.svg"],
  async run(call: Call): Promise<number> {
    const { context } = call;
    const [named] = call.args as [string];
    const isFile = named === "-" || /\.(ya?ml|json)$/.test(named);
    const shape = isFile ? await shapeOfFile(named) : await shapeOfRun(call, named);
    if (shape.jobs.length > MAX_JOBS) {
      const found = `${plural(shape.jobs.length, "job")}, and a picture has at most ${MAX_JOBS}`;
      throw new CliError(EXIT.ERROR, `Cannot draw ${shape.name}: it has ${found}`);
    }
    const { drawSvg, layout } = await import("#layout");
    const picture = layout(shape.jobs.map(({ parents }) => parents));
    if (call.json) context.json(pictureJson(shape, picture));
    else {
      const labels = shape.jobs.map(({ id, status }) =>
        status === undefined ? { text: id }
          : { text: id, state: status.toLowerCase(), title: `${id}: ${status}` });
      context.out(drawSvg(picture, labels, { title: shape.name }).trimEnd());
    }
    return EXIT.OK;
  },
};

interface Shape {
  readonly name: string;
  readonly jobs: readonly {
    readonly id: string; readonly parents: readonly number[]; readonly status?: string;
  }[];
}

async function shapeOfFile(file: string): Promise<Shape> {
  const { readPipelineFile } = await import("../submit.ts");
  const { definition: { name, jobs } } = await readPipelineFile(file);
  const places = new Map(jobs.map(({ id }, index) => [id, index]));
  return {
    name,
    jobs: jobs.map(({ id, dependsOn }) =>
      ({ id, parents: dependsOn.map((parent) => places.get(parent)!) })),
  };
}

async function shapeOfRun(call: Call, named: string): Promise<Shape> {
  const client = await openMaster(call);
  const { run, jobs } = await withRun(client, parseRef(named).run, (id) => client.status(id));
  return {
    name: run.id,
    jobs: jobs.map(({ id, dependsOn, status }) => ({ id, parents: dependsOn, status })),
  };
}

function pictureJson({ name, jobs }: Shape, picture: Layout): object {
  const { nodes, edges, width, height } = picture;
  return {
    name, width, height,
    jobs: jobs.map(({ id, status }, index) => ({ id, ...(status && { status }), ...nodes[index] })),
    edges: edges.map(({ from, to, points }) =>
      ({ from: jobs[from]!.id, to: jobs[to]!.id, points })),
  };
}
