/**
 * Lesson 19: the keys of a job, in the order in which people write them.
 *
 * Test: test/19-dashboard.build.test.ts
 */
import { count, SHELLS, time, type Field } from "./field.ts";

const DOES = { group: "What it does" } as const;
const WHEN = { group: "When it runs" } as const;
const WHERE = { group: "Where it runs" } as const;
const FAILS = { group: "If it fails" } as const;
const GATE = { group: "Gate", only: "ends" } as const;
const SERVICE = { group: "Service", only: "service" } as const;
const FILES = { group: "Files" } as const;

export const JOB_FIELDS: readonly Field[] = [
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
