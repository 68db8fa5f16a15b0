/**
 * Lesson 20: from what a model writes to a run. Each tool returns ids at once, and waits for
 * nothing.
 *
 *     script_content ─┐
 *     jobs_json ──────┼─▶ a pipeline, and the files that it needs ─▶ a run
 *     yaml, files ────┘
 *
 * Invariant: two calls with one idempotency_key are one run.
 * Test: test/20-mcp.tools.test.ts
 */
import { createHash } from "node:crypto";
import { dirname, resolve } from "node:path";
import { plural } from "#base";
import { boolean, integer, list, mapOf, text } from "#rows";
import type { PipelineDefinition } from "#sdk";
import type { Submitted } from "#wire";
import { personOf } from "../caller.ts";
import { loadHeavy } from "../heavy.ts";
import { runUri } from "../uris.ts";
import { readJobs, scriptFiles, type ScriptFile } from "./scripts.ts";
import {
  fields, STARTS, textOf, ToolProblem, whole, words, type Args, type Tool, type ToolAnswer,
  type ToolContext,
} from "./tool.ts";

/** A pipeline is a text that a person or a model wrote. */
const MAX_YAML_BYTES = 8 * 1024 * 1024;

const KEY = words("Any text of your own. Two calls with the same key are one run: if a call gets " +
  "no answer, repeat it with the same key.", { minLength: 1 });
const GROUP = words("The agent run that it belongs to.", { default: "" });

const SUBMITTED = {
  status: text, run: text, existing: boolean, warnings: list(text), master_response: text,
};

export const submitSingle: Tool = {
  name: "submit_single_job", title: "Run a script", ...STARTS,
  description: "Runs one Python script as a job, and returns the id of the run at once. What the " +
    "script prints is its log; JSON in the file $TITAN_OUTPUT is its result.",
  input: fields({
    job_id: words("Letters, digits, . _ -", { minLength: 1 }),
    script_content: words("The whole Python script."),
    "args?": words("Its arguments, in one line as for a shell.", { default: "" }),
    "requirement?": words("What its worker must have, such as GPU.", { default: "GENERAL" }),
    "priority?": whole("Higher runs first.", { default: 1 }),
    "idempotency_key?": KEY,
  }),
  output: fields({ job_id: text, ...SUBMITTED }),
  async run(args, context) {
    const id = textOf(args, "job_id")!;
    const jobs = readJobs([args], "submit_single_job");
    const definition = await define({ name: id, jobs: jobs.map(({ job }) => job) });
    const submitted = await submit(definition, scriptFiles(jobs), { args, context });
    return answerOf(submitted, { job_id: id }, `job ${submitted.run}/${id}`);
  },
};

export const submitDag: Tool = {
  name: "submit_dag_pipeline",
  title: "Run a graph of scripts",
  ...STARTS,
  description:
    "Runs several Python scripts with dependencies, and returns the id of the run at " +
    "once. Jobs without parents run side by side.",
  input: fields({
    dag_name: words("The pipeline's name: letters, digits, . _ -", { minLength: 1 }),
    jobs_json: words(
      "A JSON array of objects: job_id (required), script_content, args, " +
        "requirement, priority, parents (ids of other jobs in the array), hitl_message (a " +
        "question: " +
        "what depends on the job waits until a person approves).",
    ),
    "agent_run_id?": GROUP,
    "idempotency_key?": KEY,
  }),
  output: fields({
    dag_name: text,
    job_count: integer,
    agent_run_id: text,
    jobs: list(text),
    ...SUBMITTED,
  }),
  async run(args, context) {
    const name = textOf(args, "dag_name")!;
    const jobs = readJobs(parseJobs(textOf(args, "jobs_json")!), "jobs_json");
    const group = textOf(args, "agent_run_id") || newGroup(name, args, context);
    const described = { name, agent_run_id: group, jobs: jobs.map(({ job }) => job) };
    const definition = await define(described);
    const submitted = await submit(definition, scriptFiles(jobs), { args, context });
    const { run } = submitted;
    const more = {
      dag_name: name,
      job_count: jobs.length,
      agent_run_id: group,
      jobs: jobs.map(({ job }) => `${run}/${job.id}`),
    };
    return answerOf(submitted, more, `${plural(jobs.length, "job")} of ${run}`);
  },
};

export const submitYaml: Tool = {
  name: "submit_yaml_pipeline",
  title: "Run a pipeline",
  ...STARTS,
  description:
    "Runs a pipeline in Titan's YAML, and returns the id of the run at once. Give its " +
    "text (yaml, with the files that its jobs name in files), or the path of a file that is " +
    "there already: then the folder around it is shipped. titan://pipelines/schema has every key.",
  input: fields({
    "yaml_path?": words("The path of a pipeline file, where this server runs."),
    "yaml?": words("The text of a pipeline, instead of yaml_path."),
    "files?": { ...mapOf(text), description: "With yaml: files beside it, by their paths." },
    "agent_run_id?": GROUP,
    "idempotency_key?": KEY,
  }),
  output: fields({ yaml_path: text, jobs: list(text), ...SUBMITTED }),
  async run(args, context) {
    const found = await readSource(args, context);
    const group = textOf(args, "agent_run_id") ?? "";
    const { agent } = found.definition;
    const definition =
      group === ""
        ? found.definition
        : { ...found.definition, agent: { budget: {}, ...agent, id: group } };
    const submitted =
      found.folder === undefined
        ? await submit(definition, found.files, { args, context })
        : await context.titan.submit(definition, {
            projectDir: found.folder,
            key: textOf(args, "idempotency_key"),
            by: personOf(context.caller),
          });
    const jobs = definition.jobs.map(({ id }) => `${submitted.run}/${id}`);
    const path = textOf(args, "yaml_path") ?? "";
    return answerOf(submitted, { yaml_path: path, jobs }, `pipeline "${definition.name}"`);
  },
};

// ── reading ──────────────────────────────────────────────────────────────────────────────────────

async function define(value: object): Promise<PipelineDefinition> {
  const { definePipeline } = await loadHeavy();
  return definePipeline(value, { file: "arguments" });
}

function parseJobs(json: string): readonly Args[] {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw new ToolProblem(`Cannot read jobs_json: it is no JSON (${(error as Error).message})`);
  }
  if (Array.isArray(value) && value.length > 0) return value as Args[];
  throw new ToolProblem("Cannot read jobs_json: it must be a JSON array with at least one job");
}

/**
 * As the first Titan did. With a key it is the same each time, or the key would name two things.
 */
function newGroup(name: string, args: Args, { host }: ToolContext): string {
  const key = textOf(args, "idempotency_key");
  const bytes = key === undefined ? host.random.bytes(4)
    : createHash("sha256").update(key).digest().subarray(0, 4);
  return `mcp-${name}-${Buffer.from(bytes).toString("hex")}`;
}

export interface Source {
  readonly definition: PipelineDefinition;
  readonly files: readonly ScriptFile[];
  /** To be shipped with it. */
  readonly folder?: string;
}

/** @throws {ToolProblem} @throws {PipelineError} */
export async function readSource(
  args: Args, { host, folder }: Pick<ToolContext, "host" | "folder">,
): Promise<Source> {
  const [path, yaml] = [textOf(args, "yaml_path") || undefined, textOf(args, "yaml")];
  if ((path === undefined) === (yaml === undefined)) {
    throw new ToolProblem("Cannot read the pipeline: give one of yaml_path and yaml");
  }
  const { parsePipeline } = await loadHeavy();
  if (yaml !== undefined) {
    const given = Object.entries((args["files"] ?? {}) as Record<string, string>);
    const files = given.map(([name, content]) =>
      ({ path: name, content: Buffer.from(content), executable: content.startsWith("#!") }));
    return { definition: parsePipeline(yaml, { file: "yaml" }), files };
  }
  if (folder === undefined) {
    throw new ToolProblem(`Cannot read ${path}: this server has other files than you; ` +
      "give the text in yaml, and the files that it names in files");
  }
  const file = resolve(folder, path!);
  const info = await host.storage.stat(file).catch(() => undefined);
  if (info?.kind !== "file" || info.size > MAX_YAML_BYTES) {
    const why = info?.kind !== "file" ? "there is no such file" : "it is larger than any pipeline";
    throw new ToolProblem(`Cannot read ${file}: ${why}`);
  }
  const bytes = await host.storage.readFile(file);
  const definition = parsePipeline(bytes.toString("utf8"), { file: path! });
  return { definition, files: [], folder: dirname(file) };
}

// ── submitting ───────────────────────────────────────────────────────────────────────────────────

async function submit(
  definition: PipelineDefinition, files: readonly ScriptFile[],
  { args, context }: { args: Args; context: ToolContext },
): Promise<Submitted> {
  const { titan, host, caller } = context;
  const named = definition.jobs.find(({ action }) => action.type === "file");
  if (files.length === 0 && (named !== undefined || definition.projectWritten === true)) {
    const what = named === undefined ? "it says project: true" : `job "${named.id}" names a file`;
    throw new ToolProblem(`Cannot submit pipeline "${definition.name}" without its folder: ` +
      `${what}; give the files in files, or the path of the pipeline in yaml_path`);
  }
  const { packFiles, toSpec } = await loadHeavy();
  const project = files.length === 0 ? undefined
    : await titan.shipPacked(await packFiles(host, files));
  const key = textOf(args, "idempotency_key");
  return titan.submitSpec(toSpec(definition, { project }), { key, by: personOf(caller) });
}

function answerOf(
  { run, existing, warnings }: Submitted, more: object, what: string,
): ToolAnswer {
  const done = existing ? `${run} was submitted before with this key` : `Submitted ${what}: ${run}`;
  const warned = warnings.map((warning) => `Warning: ${warning}\n`).join("");
  return {
    text: `${done}\n${warned}Next: wait_run ${run}.`,
    data: {
      status: "submitted", run, existing, warnings, master_response: done, ...more,
    },
    links: [{ type: "resource_link", uri: runUri(run), name: run }],
  };
}

export const validatePipeline: Tool = {
  name: "validate_pipeline", title: "Check a pipeline", reads: true, destroys: false,
  repeats: true, leaves: false,
  description: "Reads a pipeline and says all that is wrong with it, with lines. Runs nothing.",
  input: fields({
    "yaml?": words("The text of a pipeline."),
    "yaml_path?": words("Or the path of a pipeline file, where this server runs."),
  }),
  output: fields({
    valid: boolean, "name?": text, "jobs?": list(text), warnings: list(text), problems: list(text),
  }),
  async run(args, context) {
    try {
      const { definition: { name, jobs, warnings } } = await readSource(args, context);
      const said = [...warnings];
      return {
        text: `Pipeline "${name}" is valid: ${plural(jobs.length, "job")}\n` +
          said.map((warning) => `Warning: ${warning}\n`).join("") + "Next: submit_yaml_pipeline.",
        data: { valid: true, name, jobs: jobs.map(({ id }) => id), warnings: said, problems: [] },
      };
    } catch (error) {
      if ((error as Error).name !== "PipelineError") throw error;
      const { problems } = error as Error & { problems: readonly { message: string }[] };
      return {
        text: (error as Error & { format(): string }).format(),
        data: { valid: false, warnings: [], problems: problems.map(({ message }) => message) },
      };
    }
  },
};

