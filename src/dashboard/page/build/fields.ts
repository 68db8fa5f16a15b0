/**
 * Lesson 19: every key of a pipeline file with its kind, unit and help, as one table. The side
 * panel is made of it, the generators of TypeScript and Python read values by it, and a new key
 * goes where the order of the table puts it.
 *
 * Invariant: the keys are those that the reader of pipelines knows (`KNOWN_KEYS` of #pipeline),
 * none more and none less: a test compares the two.
 * Left out: rules between fields. The master checks a pipeline as a whole, and says where.
 * Test: test/19-dashboard.build.test.ts
 */
import { count, SHELLS, time, type Field, type Level } from "./field.ts";
import { JOB_FIELDS } from "./job-fields.ts";

export const FIELDS: Readonly<Record<Level, readonly Field[]>> = {
  pipeline: [
    { key: "name", kind: "id", help: "Runs are called NAME-xxxx." },
    { key: "version", kind: "text", help: "Kept with the run; 1.10 stays “1.10”." },
    { key: "project", kind: "boolean", usual: "when needed", help: "Ship the folder of the file." },
    { key: "shell", kind: "choice", choices: SHELLS, usual: "sh",
      help: "What runs the scripts of jobs that name no shell of their own." },
    { key: "agent", kind: "map", level: "agent", help: "It is an agent run, with a budget." },
    { key: "agent_run_id", kind: "text", help: "Short for agent with this id." },
    { key: "jobs", kind: "maps", level: "job", help: "The jobs, in any order." },
  ],
  agent: [
    { key: "id", kind: "text", help: "The group of runs that share the budget." },
    { key: "budget", kind: "map", level: "budget", help: "What all runs of the group may use." },
  ],
  budget: [
    count("jobs", "Jobs in all."), count("depth", "Jobs that add jobs that add jobs…", { max: 8 }),
    count("fan_out", "Jobs that one job adds."), count("steps", "Durable steps."),
    count("tokens", "Tokens of models."),
    { key: "usd", kind: "number", min: 0, help: "Dollars." },
    time("deadline", "From the first job on.", "none"),
  ],
  job: JOB_FIELDS,
  retry: [
    count("max_attempts", "Attempts in all.", { max: 1000, usual: "1" }),
    time("delay", "Before the second attempt.", "1s"),
    { key: "backoff", kind: "number", min: 1, max: 100, usual: "2",
      help: "Each pause is this many times the one before." },
    time("max_delay", "No pause is longer.", "1m"),
    { key: "jitter", kind: "number", min: 0, max: 1, usual: "0.5",
      help: "How much of each pause is left to chance." },
  ],
  healthcheck: [
    { key: "tcp", kind: "boolean", help: "Its port takes a connection." },
    { key: "http", kind: "text", help: "GET of this path answers 2xx." },
    { key: "command", kind: "texts", help: "This program exits 0." },
    time("interval", "From the end of a check to the next.", "2s"),
    time("timeout", "A check that takes longer has failed.", "2s"),
    count("healthy_after", "Good checks in a row.", { max: 1000, usual: "1" }),
    count("unhealthy_after", "Failed checks in a row.", { max: 1000, usual: "3" }),
    time("start_period", "Failed checks do not count so long after a start.", "30s"),
  ],
  restart: [
    { key: "policy", kind: "choice", choices: ["always", "on-failure", "never"], usual: "always",
      help: "When it is started again." },
    time("delay", "Before the first restart.", "1s"),
    { key: "backoff", kind: "number", min: 1, max: 100, usual: "2",
      help: "Each delay is this many times the one before." },
    time("max_delay", "No delay is longer.", "1m"),
    count("attempts", "Restarts within the window.", { max: 100, usual: "no limit" }),
    time("window", "In which restarts are counted.", "10m"),
  ],
  hitl: [
    { key: "message", kind: "text", help: "The question." },
    { key: "form", kind: "maps", level: "form", help: "Fields that the person fills in." },
    { key: "approvers", kind: "texts", help: "Who may answer. None: everybody." },
    count("required", "How many must approve.", { max: 100, usual: "1" }),
    time("timeout", "How long the gate waits.", "2d"),
    { key: "on_timeout", kind: "choice", choices: ["reject", "approve", "skip"], usual: "reject",
      help: "What happens without an answer." },
    { key: "self_approval", kind: "boolean", usual: "true",
      help: "Whether the submitter may approve." },
    { key: "notify", kind: "map", level: "notify", help: "How people hear that it is open." },
  ],
  notify: [
    { key: "command", kind: "texts", help: "A program on the master's machine." },
    { key: "webhook", kind: "text", help: "An address that is told." },
  ],
  form: [
    { key: "name", kind: "id", help: "The name in the answer." },
    { key: "type", kind: "choice", choices: ["text", "number", "choice", "boolean"], usual: "text",
      help: "What may be filled in." },
    { key: "label", kind: "text", help: "What the person reads." },
    { key: "choices", kind: "texts", help: "Of a choice." },
    { key: "default", kind: "text", help: "What stands there first." },
    { key: "required", kind: "boolean", usual: "false", help: "It must be filled in." },
  ],
  input: [
    { key: "job", kind: "text", help: "A job before this one." },
    { key: "path", kind: "text", help: "One of its outputs." },
    { key: "as", kind: "text", usual: "the same path", help: "Where it is laid out." },
  ],
};

export function fieldOf(level: Level, key: string): Field | undefined {
  return FIELDS[level].find((field) => field.key === key);
}

/** The table that a path of a document leads into. */
export function levelAt(path: readonly (string | number)[]): Level | undefined {
  let level: Level | undefined = "pipeline";
  for (const step of path) {
    if (level === undefined) return undefined;
    if (typeof step === "string") level = fieldOf(level, step)?.level;
  }
  return level;
}
