/**
 * `titan add`: in a job that is a script: more jobs for its own run (lesson 18).
 *
 *     titan add round.yaml --wait || exit 0
 *
 * Invariant: the same file adds its jobs once, whichever attempt of the job runs this.
 * Test: test/18-agents.add.test.ts
 */
import { createHash } from "node:crypto";
import { JobProgram, jobSettings, PipelineError, type JobInput } from "#sdk";
import { parseYaml, toValue, YamlError } from "#yaml";
import type { Call, Command } from "../command.ts";
import { CliError, EXIT } from "../exit.ts";
import { readText } from "../submit.ts";

/** Of a key that nobody has chosen: enough to tell files apart. */
const DIGEST_CHARS = 16;

export const add: Command = {
  name: "add",
  summary: "in a job: add jobs to its own run, once for each file",
  usage: "FILE",
  args: [1, 1],
  flags: {
    key: {
      type: "string", value: "KEY",
      summary: "the same key adds nothing again (default: a digest of FILE)",
    },
    stage: {
      type: "string", value: "NAME", summary: "the part of the work that they are, for people",
    },
    before: {
      type: "string", value: "JOB", summary: "a job of the run that is to wait for all of them",
    },
    wait: { type: "boolean", summary: "until they have ended: see below" },
  },
  notes: [
    "FILE is a list of jobs as a pipeline has them, or has one under `jobs:`. Parents may be " +
      "jobs that the run has already.",
    "With --wait the exit code is 0 if all jobs have completed, 3 if one has not, and 75 while " +
      "they go on: then the script is to end with 0 (`|| exit 0`). The job gives its slot back, " +
      "and is started again, from its top, when they have ended.",
  ],
  examples: [
    "titan add children.yaml",
    "titan add round-2.yaml --key round-2 --wait || exit 0",
  ],
  async run(call: Call): Promise<number> {
    const { context } = call;
    const [file] = call.args as [string];
    const text = await readText(file, "jobs");
    const settings = jobSettings((variable) => context.setting(variable));
    const waits = (): void => process.exit(EXIT.WAITS);
    const job = new JobProgram(settings, { end: waits });
    context.onExit(() => job.close());
    const digest = createHash("sha256").update(text).digest("hex");
    const key = call.text("key") ?? digest.slice(0, DIGEST_CHARS);
    const [stage, before] = [call.text("stage"), call.text("before")];
    const options = { ...(stage && { stage }), ...(before && { before }) };
    const { jobs } = await job.spawn(key, jobsOf(text, file), options).catch(inWords(file));
    context.note(`titan: the run has ${jobs.length} jobs under key ${key}: ${named(jobs)}`);
    if (!call.on("wait")) return EXIT.OK;
    const settled = await job.settled(jobs);
    const failed = settled.filter(({ status }) => status !== "COMPLETED");
    for (const { id, status } of failed) context.note(`titan: job ${id} is ${status}`);
    return failed.length === 0 ? EXIT.OK : EXIT.RUN_FAILED;
  },
};

function jobsOf(text: string, file: string): JobInput[] {
  try {
    const value = toValue(parseYaml(text, { file })) as JobInput[] | { jobs?: JobInput[] };
    const jobs = Array.isArray(value) ? value : value?.jobs;
    if (Array.isArray(jobs) && jobs.every((job) => typeof job === "object" && job !== null)) {
      return jobs;
    }
  } catch (error) {
    if (!(error instanceof YamlError)) throw error;
    throw new CliError(EXIT.USAGE, error.message);
  }
  throw new CliError(EXIT.USAGE, `Cannot add jobs of ${file}: expected a list of jobs`);
}

function inWords(file: string): (error: unknown) => never {
  return (error) => {
    if (!(error instanceof PipelineError)) throw error;
    throw new CliError(EXIT.USAGE, `Cannot add jobs of ${file}: ${error.message}`);
  };
}

function named(jobs: readonly string[]): string {
  const more = jobs.length > 8 ? ` and ${jobs.length - 8} more` : "";
  return `${jobs.slice(0, 8).join(", ")}${more}`;
}
