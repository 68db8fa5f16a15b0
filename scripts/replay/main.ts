/**
 * `npm run replay -- [FILE…] [--scale 0.01] [--workers 2] [--slots 4]`
 *
 * Replays recorded workflows (default: the three in test/data/workflows) on an embedded cluster and
 * prints how long each took beside the two lower bounds that no schedule can beat.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startEmbeddedCluster } from "#cluster";
import { nodeHost } from "#host";
import { connect, type Client } from "#sdk";
import { ROOT } from "../bootstrap.mjs";
import { filesUnder } from "../lib/files.mjs";
import { bounds, brokenEdges, readWorkflow, toJobs, type Workflow } from "./workflow.ts";

const DATA = join(ROOT, "test/data/workflows");

const { values, positionals } = optionsOf(process.argv.slice(2));
const [scale, workers, slots] = [
  numberOf("scale", Number.MIN_VALUE), numberOf("workers", 1), numberOf("slots", 1),
];
const files = positionals.length > 0 ? positionals
  : filesUnder(DATA).filter((file) => file.endsWith(".json"));
const workflows = files.map(readOrRefuse);

async function replay(client: Client, workflow: Workflow): Promise<boolean> {
  const jobs = toJobs(workflow, scale);
  const edges = jobs.reduce((sum, job) => sum + job.dependsOn.length, 0);
  const start = performance.now();
  const { name } = workflow;
  const { run } = await client.submitSpec({ name, version: undefined, project: undefined, jobs });
  for await (const _event of client.watch(run)); // to its end
  const makespanMs = performance.now() - start;
  const report = await client.status(run);
  const broken = brokenEdges(report.jobs);
  const { criticalPathMs, totalWorkMs } = bounds(workflow, { scale, slots: workers * slots });
  const lower = Math.max(criticalPathMs, totalWorkMs);
  const cluster = `${workers} workers × ${slots} slots`;
  console.log(`${workflow.name} (${workflow.source})
  ${jobs.length} jobs, ${edges} edges, run times × ${scale}, ${cluster}: ${report.run.status}
  makespan            ${makespanMs.toFixed(0).padStart(6)} ms
  critical path       ${criticalPathMs.toFixed(0).padStart(6)} ms   lower bound: the longest chain
  total work ÷ slots  ${totalWorkMs.toFixed(0).padStart(6)} ms   lower bound: no slot ever idle
  makespan ÷ bound    ${(makespanMs / lower).toFixed(2).padStart(6)}
  edges respected     ${String(edges - broken.length).padStart(6)} of ${edges}\n`);
  for (const edge of broken.slice(0, 10)) console.error(`  BROKEN: ${edge}`);
  return report.run.status === "COMPLETED" && broken.length === 0;
}

const cluster = await startEmbeddedCluster({ workers, slots });
let ok = true;
try {
  await cluster.ready; // the workers' start is not part of a schedule
  const client = await connect({ host: nodeHost(), master: cluster.master });
  for (const workflow of workflows) ok = (await replay(client, workflow)) && ok;
  client.close();
} finally {
  await cluster.stop();
}
process.exit(ok ? 0 : 1);

function readOrRefuse(file: string): Workflow {
  try {
    return readWorkflow(file);
  } catch (error) {
    return refuse(`${file} is no workflow: ${(error as Error).message}`);
  }
}

function optionsOf(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        scale: { type: "string", default: "0.01" },
        workers: { type: "string", default: "2" },
        slots: { type: "string", default: "8" },
      },
    });
  } catch (error) {
    return refuse((error as Error).message.split(". ")[0]!);
  }
}

function numberOf(name: "scale" | "workers" | "slots", least: number): number {
  const [text, value] = [values[name], Number(values[name])];
  const isFit = least < 1 ? Number.isFinite(value) : Number.isSafeInteger(value);
  if (isFit && value >= least) return value;
  const what = least < 1 ? "number above 0" : "whole number from 1 on";
  return refuse(`--${name} must be a ${what}, found ${JSON.stringify(text)}`);
}

function refuse(why: string): never {
  console.error(`Cannot replay: ${why} (FILE…, --scale S, --workers N, --slots N)`);
  process.exit(2);
}
