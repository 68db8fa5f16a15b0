/**
 * Lesson 20: prompts: what a person picks from a menu of the client, and the model then reads.
 *
 * Test: test/20-mcp.test.ts
 */
import { CODES, isObject, RpcFailure, type Params } from "./json-rpc.ts";

interface Prompt {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly arguments: readonly { name: string; description: string; required: boolean }[];
  readonly write: (given: Readonly<Record<string, string>>) => string;
}

const ALL: readonly Prompt[] = [
  {
    name: "author_pipeline",
    title: "Author a pipeline",
    description: "Writes a pipeline for a goal, checks it, and runs it once you agree.",
    arguments: [{ name: "goal", description: "What the pipeline is to do.", required: true }],
    write: ({ goal }) =>
      `Write a Titan pipeline for this goal:\n\n${goal}\n\n` +
      "Read titan://pipelines/schema first. Split the work into jobs that can run side by side, " +
      "and let a job depend on another only where it needs its result. Put a hitl_message behind " +
      "a job whose outcome a person should see before the rest goes on. Check the text with " +
      "validate_pipeline until nothing is wrong, show it to me, and submit it only when I agree. " +
      "Then wait for it with wait_run and tell me how it ended.",
  },
  {
    name: "diagnose_run",
    title: "Diagnose a run",
    description: "Finds out why a run failed, or why it does not go on.",
    arguments: [{ name: "run", description: "The run's id.", required: true }],
    write: ({ run }) =>
      `Find out what is wrong with the Titan run ${run}.\n\n` +
      "Begin with get_run. For each job that FAILED or is DEAD read get_job_logs, the last lines " +
      "first. For jobs that are PENDING use explain_pending; if no worker fits, list_workers " +
      "says what there is. Look for the first failure: jobs after it were only skipped. Tell me " +
      "what happened, with the lines that show it, and what to change. Do not retry or cancel " +
      "anything unless I say so.",
  },
  {
    name: "plan_research",
    title: "Plan research",
    description: "Looks at a question in several ways at the same time, and writes one report.",
    arguments: [
      { name: "question", description: "What is to be found out.", required: true },
      { name: "ways", description: "How many ways (default 3).", required: false },
    ],
    write: ({ question, ways = "3" }) =>
      `Research ${ways} ways of answering this:\n\n${question}\n\n` +
      `Plan ${ways} approaches that differ. Submit one pipeline with submit_yaml_pipeline: a job ` +
      "for each approach, without dependencies between them, so that they run side by side; and " +
      "a job `report` that depends on all of them, reads their results from the file " +
      "$TITAN_INPUTS (JSON, by job id), and hands on report.md in its outputs. Jobs write " +
      "their result, as JSON, to the file $TITAN_OUTPUT. Wait with wait_run, read " +
      "report/report.md with get_artifact, and give me the report with the differences between " +
      "the approaches.",
  },
];

export const PROMPTS = {
  prompts: ALL.map(({ write: _, ...shown }) => shown),
};

/** @throws {RpcFailure} */
export function getPrompt({ name, arguments: given = {} }: Params): object {
  const prompt = ALL.find((each) => each.name === name);
  const wrong = (why: string): RpcFailure =>
    new RpcFailure(CODES.INVALID_PARAMS, `Cannot get prompt ${JSON.stringify(name)}: ${why}`);
  if (prompt === undefined) throw wrong("there is no such prompt");
  if (!isObject(given)) throw wrong("arguments is no object");
  const bad = Object.entries(given).find(([, value]) => typeof value !== "string");
  if (bad !== undefined) throw wrong(`${bad[0]} must be a text`);
  const texts = given as Readonly<Record<string, string>>;
  const missing = prompt.arguments.find((each) => each.required && !texts[each.name]);
  if (missing !== undefined) throw wrong(`${missing.name} is missing`);
  const text = prompt.write(texts);
  return {
    description: prompt.description,
    messages: [{ role: "user", content: { type: "text", text } }],
  };
}
