/**
 * Lesson 20: every key of a pipeline, for a model that writes one: titan://pipelines/schema. The
 * reader of chapter 17 stays the judge (validate_pipeline); this is its table of contents. A test
 * compares the keys with those that the reader knows.
 *
 * Test: test/20-mcp.test.ts
 */
import type { Schema } from "#rows";

const text = (description: string): Schema => ({ type: "string", description });
const integer = (description: string): Schema => ({ type: "integer", description });
const open = (description: string): Schema => ({ description });
const strict = (description: string, properties: Schema["properties"]): Schema =>
  ({ type: "object", description, properties: properties!, additionalProperties: false });

const LIST_OR_ONE: Schema = {
  anyOf: [{ type: "string" }, { type: "array", items: { type: "string" } }],
};
const list = (description: string): Schema => ({ ...LIST_OR_ONE, description });
const DURATION = "A duration: seconds as a number, or 500ms, 90s, 10m, 1h30m, 2d. ";

const BUDGET = strict("Limits of the agent run; none is no limit.", {
  jobs: integer("Jobs, added ones included."), depth: integer("How deep jobs may add jobs."),
  fan_out: integer("Jobs that one job may add."), steps: integer("Durable steps."),
  tokens: integer("Tokens, in and out."), usd: open("US dollars."), deadline: open(DURATION),
});

const JOB = strict("A job: an id and one of file, command, run and call.", {
  id: text("Unique in the pipeline: letters, digits, . _ -"),
  type: { ...text("A service is meant to keep running."), enum: ["run", "service"] },
  file: text("A script of the project: .py in python3, .js, .mjs and .ts in Node, .sh in sh."),
  args: list("Arguments of file; a text is split as a shell splits it."),
  command: list("A program and its arguments; no shell looks at them."),
  run: text("A script for the shell. Results: echo JSON > $TITAN_OUTPUT. Results of the jobs " +
    "before it: the JSON file $TITAN_INPUTS, by job id."),
  shell: {
    ...text("What runs the script of run; node takes it as an ES module."),
    enum: ["sh", "bash", "python3", "node"],
  },
  call: text("path/module.js#function of the project."), input: open("The argument of call."),
  with: open("Another name for input."),
  depends_on: list("Ids of the jobs before this one. Left out: it starts at once."),
  needs: list("Another name for depends_on."),
  when: { ...text("Which end of the parents it wants."), enum: ["success", "failure", "always"] },
  requirement: list("Tags that its worker must have, such as GPU."),
  affinity: open("true, or a parent's id: run where that ran."),
  priority: integer("Higher first; default 1."), delay: open(`${DURATION}Before it starts.`),
  timeout: open(`${DURATION}An attempt that takes longer is ended.`),
  retries: integer("How often a failed attempt is repeated."),
  retry: strict("The same with pauses.", {
    max_attempts: integer("All attempts."), delay: open(DURATION), backoff: open("Factor."),
    max_delay: open(DURATION), jitter: open("From 0 to 1."),
  }),
  env: { type: "object", description: "Environment variables, all text." },
  hitl_message: text("A gate behind this job: its children wait until a person approves."),
  max_wait_seconds: open("How long the gate waits; then it is rejected. Default two days."),
  hitl: { type: "object", description: "The gate with message, form, approvers, required, " +
    "timeout, on_timeout, self_approval." },
  port: integer("Of a service; left out: a free one, in TITAN_PORT."),
  healthcheck: open("Of a service: tcp, or {http: /path}, or {command: […]}."),
  restart: open("Of a service: always, on-failure, never."),
  replicas: integer("Of a service."), stop_grace: open(DURATION),
  outputs: list("Files of its folder that it hands on: get_artifact JOB/PATH."),
  inputs: { type: "array", description: "Files of jobs before it, laid out in its folder.",
    items: strict("", { job: text(""), path: text(""), as: text("") }) },
});

export const PIPELINE_SCHEMA = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  title: "A Titan pipeline, in YAML or JSON",
  ...strict("Jobs that depend on each other. Those that do not run side by side.", {
    name: text("Letters, digits, . _ -"), version: text("Kept with the run."),
    project: { type: "boolean", description: "Ship the folder around the file." },
    shell: { ...text("For all jobs."), enum: ["sh", "bash", "python3", "node"] },
    agent: strict("It is an agent run, with a budget.", {
      id: text("The agent run that it belongs to."), budget: BUDGET,
    }),
    agent_run_id: text("Short for agent with this id."),
    jobs: { type: "array", items: JOB },
  }),
  required: ["name", "jobs"],
};
