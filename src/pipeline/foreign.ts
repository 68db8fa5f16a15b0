/**
 * Lesson 17: the keys of other tools, and the lines to write here instead.
 *
 *     script: make        unknown key "script" in job "a": write run: make
 *     timeout-minutes: 10                              … : write timeout: 10m
 *     matrix: …                                        … : Titan has no matrix: write one job …
 *
 * Where Titan has the thing, the advice is the right line with the author's own value. Where Titan
 * does not have it, the advice says so, and names a way out. The words are those of GitHub Actions,
 * GitLab, Argo, Airflow, Kubernetes and compose.
 *
 * Invariant: a key that Titan reads has no entry at the level where it is read.
 * Left out: values inside maps that Titan does not read; their own keys are not judged.
 * Test: test/17-pipelines.newcomers.test.ts
 */
import type { YamlNode } from "#yaml";
import {
  A_SERVICE,
  attempts,
  belongsToJob,
  belongsToPipeline,
  capabilities,
  commandList,
  COMMENT,
  condition,
  envFile,
  environment,
  folder,
  gate,
  idFrom,
  inUnit,
  isAttempts,
  isBetween,
  isDuration,
  nameFrom,
  NO_CONCURRENCY,
  NO_CONTAINERS,
  NO_FILES,
  NO_MATRIX,
  NO_PARAMETERS,
  NO_SECRETS,
  NO_STEPS,
  NO_TEMPLATES,
  NO_TRIGGERS,
  numberIn,
  parents,
  portOf,
  PROBES,
  renameIf,
  retries,
  script,
  scriptFor,
  strategy,
  type Advice,
  type ForeignKey,
} from "./advice.ts";
import { MAX_ATTEMPTS, MAX_BACKOFF } from "./limits.ts";
import { shown } from "./show.ts";

type Table = ReadonlyMap<string, Advice>;

/** Advice about a key that is unknown at this level; undefined if no other tool has it either. */
export function adviceFor(
  level: "pipeline" | "job" | "retry",
  found: ForeignKey,
): string | undefined {
  const advice = TABLES[level].get(normal(found.key));
  return typeof advice === "function" ? advice(found) : advice;
}

/** GitLab and task runners have jobs beside the other keys: an unknown map there may be one. */
export function jobBesideOthers({ key, value }: ForeignKey): string | undefined {
  if (value.kind !== "mapping") return undefined;
  return `if it is a job, write "- id: ${key}" and its keys below "jobs:"`;
}

/** `runs-on`, `runs_on` and `runsOn` are one word. */
function normal(key: string): string {
  return key.replace(/[-_ ]/g, "").toLowerCase();
}

/** A text that `file` takes. */
function isPath(value: YamlNode): boolean {
  return value.kind === "scalar" && /^[\w.-][^\\:]*$/.test(value.text);
}

function maxRetries({ value, has, key }: ForeignKey): string {
  if (has("retries")) return `"retries" is here already; leave "${key}" out`;
  return `write ${retries(numberIn(value))}`;
}

/** "name title" → advice, for each of the words. */
function table(rows: readonly (readonly [keys: string, advice: Advice])[]): Table {
  return new Map(
    rows.flatMap(([keys, advice]) => keys.split(" ").map((key) => [key, advice] as const)),
  );
}

const LOOP_KEYS =
  "strategy matrix foreach withitems withparam withsequence loop loops parallel parallelism " +
  "items expand scatter";
const TRIGGER_KEYS = "on schedule schedules cron trigger triggers startat rules only except";

const JOB = table([
  ["name task jobid jobname taskid title", idFrom],
  ["script scripts cmd cmds commands shellcommand exec inline execute runs bashcommand", script],
  ["bash", scriptFor("bash")],
  ["python python3 pythonscript source", scriptFor("python3")],
  ["nodejs javascript", scriptFor("node")],
  ["entrypoint argv", commandList],
  ["path program scriptpath filename", renameIf("file", isPath)],
  ["function handler pythoncallable", "write call: path/module.js#function"],
  ["params parameters arguments inputs", NO_PARAMETERS],
  ["if condition triggerrule runif unless", condition],
  ["onfailure", "write a job of its own with depends_on: this one, and when: failure"],
  ["onsuccess", "write a job of its own with depends_on: this one"],
  [
    "finally always onexit cleanup post afterscript teardown",
    "write a job of its own with depends_on: this one, and when: always",
  ],
  ["beforescript setup prerun", "begin the script of run with these lines"],
  [
    "tags runson labels nodeselector capabilities queue pool agent agents executor " +
      "resourceclass runner",
    capabilities,
  ],
  [
    "resources gpu gpus memory cpu cpus limits",
    "a job asks for tags of workers (requirement: GPU); limits of memory and processors belong " +
      "to the system",
  ],
  [
    "dependencies dependson depends deps requires require after upstream parents parent " +
      "dependency",
    parents,
  ],
  ["stage", "Titan has no stages: name the jobs before this one in depends_on"],
  ["timeoutminutes timeoutinminutes", inUnit("timeout", "m")],
  [
    "timeoutseconds timeoutsec activedeadlineseconds executiontimeout maxduration timelimit " +
      "deadline",
    inUnit("timeout", "s"),
  ],
  ["maxattempts attempts maxtries tries", attempts],
  ["maxretries retrycount numretries retrylimit backofflimit", maxRetries],
  ["retrystrategy retrypolicy", strategy],
  [
    "retrydelay backoff retryinterval",
    ({ value }) => {
      const delay = isDuration(value) ? shown(value) : "1s";
      return `write retry: {max_attempts: 3, delay: ${delay}}`;
    },
  ],
  ["delayseconds startafter wait initialdelay startdelay", inUnit("delay", "s")],
  [
    "approval approve approvals gate manual message prompt confirm question suspend " +
      "humanintheloop",
    gate,
  ],
  [
    "approvers reviewers respondents",
    "write hitl: {message: …, approvers: […]} in the job whose children are to wait",
  ],
  ["maxwait approvaltimeout gatetimeout", inUnit("max_wait_seconds", "s")],
  ["environment environments", environment],
  ["envs variables vars environmentvariables", environment],
  ["envfile dotenv envfrom", envFile],
  ["workingdirectory workingdir workdir cwd dir directory", folder],
  ["container image docker dockerimage containers platform", NO_CONTAINERS],
  ["services service daemon", A_SERVICE],
  ["restartpolicy", "a service has restart: always, on-failure or never"],
  ["livenessprobe readinessprobe startupprobe probe health", PROBES],
  ["ports expose publish", portOf],
  ["scale instances", "a service has replicas: N"],
  ["stopgraceperiod terminationgraceperiodseconds killtimeout", "a service has stop_grace: 10s"],
  ["artifacts artifact output produces", "a job hands files on by outputs: [path]"],
  ["consumes", "a job gets files of others by inputs: [{job: …, path: …}]"],
  ["cache volumes volumemounts mounts", NO_FILES],
  [
    "concurrency concurrencygroup maxparallel mutex semaphore synchronization resourcegroup",
    NO_CONCURRENCY,
  ],
  [
    "continueonerror allowfailure ignoreerrors continueon ignorefailure failfast",
    "end the command that may fail with || true, or give the jobs behind it when: always",
  ],
  ["steps tasks", NO_STEPS],
  [LOOP_KEYS, NO_MATRIX],
  ["secrets secret", NO_SECRETS],
  [
    "uses plugin operator",
    "Titan has no actions or plugins: call the program itself with run or command",
  ],
  [TRIGGER_KEYS, NO_TRIGGERS],
  ["template templates extends ref include", NO_TEMPLATES],
  ["description desc displayname doc docs comment", COMMENT],
  ["user permissions privileged securitycontext", "a job runs as the user of its worker"],
  ["project version jobs", belongsToPipeline],
]);

const PIPELINE = table([
  [
    "id title pipeline workflow workflowname pipelinename dagid runname",
    ({ value, has }) =>
      has("name") ? '"name" is here already' : `write name: ${nameFrom(value)}`,
  ],
  ["apiversion", "this looks like a manifest of Kubernetes or Argo: a pipeline has name and jobs"],
  ["kind metadata spec", "a pipeline has name and jobs"],
  [
    "tasks task steps dag services",
    ({ key, has }) =>
      has("jobs")
        ? `"jobs" is here already; leave "${key}" out`
        : 'write jobs: and "- id: …" for each job',
  ],
  ["stages", "Titan has no stages: each job names the jobs before it in depends_on"],
  [
    "env environment variables vars envs",
    ({ value }) =>
      `env belongs to a job: write "x-env: &env ${shown(value) ?? "{…}"}" here ` +
      `and "env: *env" in each`,
  ],
  ["envfile dotenv", envFile],
  ["defaults default", () => `the only default is "shell"; ${NO_TEMPLATES}`],
  [
    "timeoutminutes",
    (found) => {
      const line = inUnit("timeout", "m")(found).replace(/ \(.*/, "");
      return `a time limit belongs to a job: ${line} in each`;
    },
  ],
  [TRIGGER_KEYS, NO_TRIGGERS],
  ["inputs params parameters arguments input", NO_PARAMETERS],
  ["secrets secret", NO_SECRETS],
  ["concurrency parallelism maxparallel", NO_CONCURRENCY],
  ["strategy matrix", NO_MATRIX],
  ["permissions", "a job runs as the user of its worker"],
  ["volumes networks configs cache artifacts outputs", NO_FILES],
  ["image container", NO_CONTAINERS],
  ["templates template include extends entrypoint", NO_TEMPLATES],
  ["onexit onfailure finally", "write a job with depends_on and when: always (or failure)"],
  ["description desc displayname", COMMENT],
  [
    "run command file call args dependson needs requirement priority delay affinity timeout " +
      "retries retry when hitlmessage",
    belongsToJob,
  ],
]);

const RETRY = table([
  ["attempts maxtries tries max count", renameIf("max_attempts", isAttempts)],
  [
    "limit retries maxretries",
    ({ value }) => {
      const limit = numberIn(value);
      const fits = Number.isInteger(limit) && limit! >= 0 && limit! < MAX_ATTEMPTS;
      const amount = fits ? limit! + 1 : "…";
      return `write max_attempts: ${amount} (the first attempt counts)`;
    },
  ],
  [
    "interval wait initialdelay delayseconds initialinterval duration",
    renameIf("delay", isDuration),
  ],
  [
    "factor multiplier backofffactor backoffcoefficient",
    renameIf("backoff", isBetween(1, MAX_BACKOFF)),
  ],
  ["maxinterval maximuminterval maxduration cap", renameIf("max_delay", isDuration)],
  [
    "on when retrypolicy exitcodes",
    "every failure is retried, except one that no repetition can mend (see the page)",
  ],
]);

/** Every word of other tools that is known here, for the test that asks about all of them. */
export function foreignWords(level: keyof typeof TABLES): string[] {
  return [...TABLES[level].keys()];
}

const TABLES = { pipeline: PIPELINE, job: JOB, retry: RETRY } as const;
