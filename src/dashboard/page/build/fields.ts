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

export type Level =
  | "pipeline" | "agent" | "budget" | "job" | "retry" | "healthcheck" | "restart" | "hitl"
  | "notify" | "form" | "input";

/** How a field is written, and how its text is to be understood. */
export type Kind =
  | "id" | "text" | "script" | "number" | "duration" | "boolean" | "choice"
  /** A list of texts, where one text stands for a list of one. */
  | "texts"
  /** Names of jobs. */
  | "jobs"
  /** The id of a parent, or true or false. */
  | "place"
  /** Names and texts. */
  | "env"
  /** Any value, as JSON. */
  | "json"
  /** A map, or a list of maps, with keys of its own. */
  | "map" | "maps";

export interface Field {
  readonly key: string;
  readonly kind: Kind;
  readonly help: string;
  /** What is meant by an absent key. */
  readonly usual?: string;
  readonly choices?: readonly string[];
  readonly min?: number;
  readonly max?: number;
  /** Numbers: whole ones only. */
  readonly whole?: boolean;
  /** Of a map: where its own keys are. */
  readonly level?: Level;
  /** Only in jobs that do this, or that are services. */
  readonly only?: "file" | "run" | "call" | "service" | "ends";
  /** Another name of this key. */
  readonly alias?: string;
  readonly group?: Group;
}

export const GROUPS = ["What it does", "When it runs", "Where it runs", "If it fails", "Gate",
  "Service", "Files"] as const;
export type Group = (typeof GROUPS)[number];

const SHELLS = ["sh", "bash", "python3", "node"] as const;
const count = (key: string, help: string, more: Partial<Field> = {}): Field =>
  ({ key, kind: "number", help, whole: true, min: 1, ...more });
const time = (key: string, help: string, usual: string, more: Partial<Field> = {}): Field =>
  ({ key, kind: "duration", help, usual, ...more });

const DOES = { group: "What it does" } as const;
const WHEN = { group: "When it runs" } as const;
const WHERE = { group: "Where it runs" } as const;
const FAILS = { group: "If it fails" } as const;
const GATE = { group: "Gate", only: "ends" } as const;
const SERVICE = { group: "Service", only: "service" } as const;
const FILES = { group: "Files" } as const;

const JOB: readonly Field[] = [
  {
    ...DOES,
    key: "id",
    kind: "id",
    help: "Unique in the file: letters, digits, “_”, “.” and “-”.",
  },
  {
    ...DOES,
    key: "type",
    kind: "choice",
    choices: ["run", "service"],
    usual: "run",
    help: "A service is meant to keep running.",
  },
  {
    ...DOES,
    key: "run",
    kind: "script",
    help: "A script. It ends at its first command that fails.",
  },
  {
    ...DOES,
    key: "shell",
    kind: "choice",
    choices: SHELLS,
    only: "run",
    usual: "the pipeline's",
    help: "The program that runs the script.",
  },
  {
    ...DOES,
    key: "command",
    kind: "texts",
    help: "A program and its arguments; no shell looks at them.",
  },
  {
    ...DOES,
    key: "file",
    kind: "text",
    help: "A script of the project, such as scripts/train.py.",
  },
  {
    ...DOES,
    key: "args",
    kind: "texts",
    only: "file",
    help: "Arguments of the file. A text is split as a shell would split it.",
  },
  {
    ...DOES,
    key: "call",
    kind: "text",
    help: "path/module.js#function of the project in a warm process, or titan:noop.",
  },
  { ...DOES, key: "input", kind: "json", only: "call", help: "The argument of the call, as JSON." },
  {
    ...DOES,
    key: "with",
    kind: "json",
    only: "call",
    alias: "input",
    help: "Another name for input.",
  },
  { ...WHEN, key: "depends_on", kind: "jobs", help: "The jobs before this one: its parents." },
  {
    ...WHEN,
    key: "needs",
    kind: "jobs",
    alias: "depends_on",
    help: "Another name for depends_on.",
  },
  {
    ...WHEN,
    key: "when",
    kind: "choice",
    choices: ["success", "failure", "always"],
    usual: "success",
    help: "Which end of its parents it wants.",
  },
  time("delay", "A pause between the end of the parents and the start.", "0s", WHEN),
  {
    ...WHERE,
    key: "requirement",
    kind: "texts",
    help: "Tags that a worker must have, all of them, such as GPU.",
  },
  {
    ...WHERE,
    key: "affinity",
    kind: "place",
    usual: "anywhere",
    help: "Run where this parent ran: its id, or true for the first one.",
  },
  {
    ...WHERE,
    key: "priority",
    kind: "number",
    whole: true,
    usual: "1",
    help: "Higher first, among the jobs that are ready.",
  },
  { ...WHERE, key: "env", kind: "env", help: "Environment variables. Everything is text." },
  time("timeout", "An attempt that takes longer is ended.", "none", { ...FAILS, only: "ends" }),
  count("retries", "How often a failed attempt is repeated.", {
    ...FAILS,
    only: "ends",
    min: 0,
    max: 999,
    usual: "0",
  }),
  {
    ...FAILS,
    key: "retry",
    kind: "map",
    level: "retry",
    only: "ends",
    help: "The same with pauses, instead of retries.",
  },
  {
    ...GATE,
    key: "hitl_message",
    kind: "text",
    help: "A question to a person: the jobs behind this one wait for the answer.",
  },
  time("max_wait_seconds", "How long the gate waits for the person.", "2d", GATE),
  {
    ...GATE,
    key: "hitl",
    kind: "map",
    level: "hitl",
    help: "The full form of a gate, with a form and approvers, instead of the two above.",
  },
  count("port", "The port on which it listens, in TITAN_PORT.", {
    ...SERVICE,
    max: 65_535,
    usual: "a free one",
  }),
  {
    ...SERVICE,
    key: "healthcheck",
    kind: "map",
    level: "healthcheck",
    usual: "tcp",
    help: "How it shows that it works.",
  },
  {
    ...SERVICE,
    key: "restart",
    kind: "map",
    level: "restart",
    usual: "always",
    help: "What happens when it ends.",
  },
  count("replicas", "How many of it.", { ...SERVICE, max: 100, usual: "1" }),
  time("stop_grace", "From SIGTERM to SIGKILL.", "5s", SERVICE),
  {
    ...FILES,
    key: "outputs",
    kind: "texts",
    only: "ends",
    help: "Files of its folder that it hands on, after a success.",
  },
  {
    ...FILES,
    key: "inputs",
    kind: "maps",
    level: "input",
    help: "Such files of jobs before it, laid out in its folder.",
  },
];

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
  job: JOB,
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
