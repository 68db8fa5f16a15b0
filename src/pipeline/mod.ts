/**
 * Lesson 17: from a file that a person wrote to a definition that the master can trust.
 *
 *     text ── #yaml ──▶ tree ──▶ fields (job.ts, action.ts) ──▶ graph (#dag) ──▶ PipelineDefinition
 *     value ─ value.ts ─┘             └────── problems, all of them, with places ──▶ PipelineError
 *
 *     job.ts · action.ts · fields.ts      an entry of `jobs`, its action, and fields in general
 *     gate.ts                             the keys of a gate (lesson 16)
 *     agent.ts                            the keys of an agent run (lesson 18)
 *     service.ts · replicas.ts            the keys of a service (lesson 14), its replicas' ids
 *     job-files.ts                        files that a job hands on or is given
 *     duration.ts · words.ts              `90s`; a line of arguments, split
 *     graph.ts · files.ts · mentions.ts   edges; files that jobs name, and where they name them
 *     problems.ts                         all problems at once, with the lines to write instead:
 *     foreign.ts · advice.ts · show.ts    other tools' keys, "did you mean", quotes of the text
 *     types.ts · limits.ts                what a pipeline is, and how large
 *     value.ts · emit.ts                  from a JavaScript value, and back to YAML
 *     text.ts · pools.ts                  a text, read; the file of pools (lesson 13)
 *
 * Invariants: a definition that is returned holds every default and breaks no rule; a pipeline is
 * refused with all its problems at once; nothing but `PipelineError` is thrown, for any input.
 * Left out: templates and variables: a pipeline says it all.
 * Test: test/17-pipelines.test.ts
 */
import type { MappingNode, YamlNode } from "#yaml";
import { AGENT_KEYS, BUDGET_KEYS, readAgent } from "./agent.ts";
import { clip, describe, Fields } from "./fields.ts";
import { checkFiles, type ProjectFiles } from "./files.ts";
import { checkGraph } from "./graph.ts";
import { readShell } from "./action.ts";
import { JOB_KEYS, readId, readJob, RETRY_KEYS } from "./job.ts";
import { MAX_JOBS } from "./limits.ts";
import { Report } from "./problems.ts";
import { HEALTH_KEYS, RESTART_KEYS } from "./service.ts";
import type { JobDefinition, PipelineDefinition, ShellName } from "./types.ts";
import { readText } from "./text.ts";
import { nodeFromValue } from "./value.ts";

export { formatDuration, parseDuration } from "./duration.ts";
export { toYaml } from "./emit.ts";
export * as limits from "./limits.ts";
export { readPools, type PoolDefinition, type PoolDriver } from "./pools.ts";
export { PipelineError, type PipelineErrorCode, type PipelineProblem } from "./problems.ts";
export type { ProjectFiles } from "./files.ts";
export { mentionedPaths } from "./mentions.ts";
export type {
  ActionDefinition,
  AgentDefinition,
  FilesDefinition,
  GateDefinition,
  JobDefinition,
  PipelineDefinition,
  RetryDefinition,
  ServiceDefinition,
} from "./types.ts";
export { replicaId } from "./replicas.ts";
export { splitWords, type Words } from "./words.ts";

const KEYS = [
  "name", "version", "project", "shell", "agent", "agent_run_id", "jobs",
] as const;
/** Every key, by the map that it is read in. */
export const KNOWN_KEYS = {
  pipeline: KEYS, agent: AGENT_KEYS, budget: BUDGET_KEYS, job: JOB_KEYS, retry: RETRY_KEYS,
  healthcheck: HEALTH_KEYS, restart: RESTART_KEYS,
} as const;
const MAX_VERSION_BYTES = 128;

export interface ParseOptions {
  /** The name that problems print. */
  readonly file?: string | undefined;
  /** The folder that will be shipped. Without it the files of the jobs are not looked for. */
  readonly project?: ProjectFiles | undefined;
}

/**
 * Reads a pipeline from YAML (or JSON, which is YAML).
 *
 * @throws {PipelineError} with all problems, each with line, column and caret.
 * @example
 * ```ts
 * import { parsePipeline } from "#pipeline";
 * const nightly = parsePipeline(`
 * name: nightly
 * jobs:
 *   - {id: a, run: make}
 *   - {id: b, run: make test, needs: a}
 * `);
 * nightly.jobs.map((job) => job.dependsOn) // => [ [], [ 'a' ] ]
 * ```
 */
export function parsePipeline(text: string, options: ParseOptions = {}): PipelineDefinition {
  const { file = "<pipeline>", project } = options;
  return readText(text, { file, what: "pipeline" }, (report, root) => {
    return readPipeline(report, root, project);
  });
}

/**
 * Checks a pipeline that code has put together, with the keys and rules of the YAML form.
 *
 * @throws {PipelineError} as {@link parsePipeline}, without places.
 * @example
 * ```ts
 * import { definePipeline } from "#pipeline";
 * const { jobs } = definePipeline({ name: "n", jobs: [{ id: "a", run: "ls", retries: 2 }] });
 * jobs[0]?.retry.maxAttempts // => 3
 * ```
 */
export function definePipeline(
  value: unknown,
  options: ParseOptions = {},
): PipelineDefinition {
  const report = new Report(options.file ?? "<pipeline>");
  return report.run(undefined, () => {
    const root = nodeFromValue(report, value);
    // A value that is no plain data has been reported, and would only be reported a second time.
    return report.count > 0 ? undefined : readPipeline(report, root, options.project);
  });
}

function readPipeline(
  report: Report,
  root: YamlNode,
  files?: ProjectFiles,
): PipelineDefinition | undefined {
  if (root.kind !== "mapping") {
    const empty = root.kind === "scalar" && root.text === "" && root.style === "plain";
    const what = `a pipeline must be a map with name and jobs, found ${describe(root)}`;
    return report.problem(empty ? "EMPTY" : "WRONG_TYPE", root, what);
  }
  const fields = new Fields(report, root, {
    known: KNOWN_KEYS.pipeline,
    scope: "",
    level: "pipeline",
  });
  const name = readId(fields, "name", "the pipeline");
  const version = fields.text("version", { maxBytes: MAX_VERSION_BYTES });
  const project = fields.boolean("project");
  const shell = readShell(fields) ?? "sh";
  const agent = readAgent(fields);
  const jobs = readJobs(report, fields, { shell, files: project === false ? undefined : files });
  return {
    name: name?.text ?? "",
    ...(version === undefined ? {} : { version }),
    project: project ?? true,
    ...(project === true && { projectWritten: true }),
    ...(agent !== undefined && { agent }),
    jobs,
    warnings: report.warnings,
  };
}

/** The jobs in the order of the text. A job is missing only if a problem was reported. */
function readJobs(
  report: Report,
  fields: Fields,
  { shell, files }: { shell: ShellName; files: ProjectFiles | undefined },
): JobDefinition[] {
  const node = fields.value("jobs");
  if (!node && fields.meant.has("jobs")) return [];
  if (node?.kind !== "sequence" || node.items.length === 0 || node.items.length > MAX_JOBS) {
    refuseJobs(report, fields, node);
    return [];
  }
  const jobs = node.items.map((item, index) => readJob(report, item, { index, shell }));
  checkGraph(report, jobs);
  if (files) checkFiles(report, jobs, files);
  return jobs.flatMap(({ definition }) => definition ?? []);
}

function refuseJobs(report: Report, fields: Fields, node: YamlNode | undefined): void {
  if (!node) report.problem("MISSING_KEY", fields.node, "the pipeline needs jobs");
  else if (node.kind === "mapping") refuseMap(report, fields, node);
  else if (node.kind !== "sequence") fields.wrong("jobs", node, "a list");
  else if (node.items.length === 0) report.problem("EMPTY", node, '"jobs" must not be empty');
  else report.problem("TOO_LARGE", node, `more than ${MAX_JOBS} jobs`);
}

/** `jobs: {build: {…}}` of GitHub and compose. The jobs are read for their own problems, too. */
function refuseMap(report: Report, fields: Fields, node: MappingNode): void {
  const [first] = node.entries;
  const example = `"- id: ${clip(first?.key.text ?? "…")}" and its keys below it`;
  const help = `: write ${example}, for each job`;
  fields.wrong("jobs", node, "a list", report.foreign(help));
  const jobs = node.entries.map(({ key, value }, index) => {
    if (value.kind !== "mapping" || value.entries.some((entry) => entry.key.text === "id")) {
      return readJob(report, value, { index, shell: "sh" });
    }
    const entries = [{ key: { ...key, text: "id" }, value: key }, ...value.entries];
    return readJob(report, { ...value, entries }, { index, shell: "sh" });
  });
  checkGraph(report, jobs);
}
