/**
 * Pipelines as people write them, in many hands: block and flow, comments, blank lines, CRLF, JSON.
 * For the tests of the constructor.
 */
import type { Prng } from "#simulation";
import { emitYaml } from "#yaml";

function oneIn(d: Prng, chances: number): boolean {
  return d.int(1, chances) === 1;
}

export type JobValue = Record<string, unknown> & { id: string };
export interface PipelineValue extends Record<string, unknown> {
  name: string;
  jobs: JobValue[];
}

const TEXTS = [
  "make", "echo 'it''s'", 'say "hi" \\ there', "a: b # no comment", "ends with \\",
  "${HOME} `x` $(y)",
  "one\ntwo\n", "cd C:\\new\n\\x `y` ${z}\n",
  "  indented\nless\n", "tab\there", "ünï → 漢字 😀", "'''", '"""', "no", "012", "1.0",
  "\u2028 sep", "bell \u0007", "{a, b}", "- dash", "trailing space ", "# hash",
  "quote at end\"\n\"",
];

/** A valid pipeline of up to `most` jobs, with whatever its jobs may have. */
export function pipelineOf(d: Prng, most = 6): PipelineValue {
  const count = 1 + d.int(0, most - 1);
  const jobs: JobValue[] = [];
  for (let at = 0; at < count; at++) jobs.push(jobOf(d, at, jobs));
  const head = oneIn(d, 3) ? { version: d.pick(["1.0", "2", "v3"]) } : {};
  return { name: d.pick(["nightly", "a.b-c_d", "x9"]), ...head, jobs };
}

function jobOf(d: Prng, at: number, before: readonly JobValue[]): JobValue {
  const id = `j${at}`;
  const job: JobValue = { id };
  const parents = before.filter(() => oneIn(d, 3)).map((each) => each.id);
  const isService = oneIn(d, 8);
  const kind = isService ? 0 : d.int(0, 3);
  if (isService) Object.assign(job, { type: "service" });
  if (kind === 0) job["run"] = d.pick(TEXTS);
  if (kind === 1) job["command"] = ["sh", "-c", d.pick(TEXTS)];
  if (kind === 2) Object.assign(job, { file: "a/b.py", args: [d.pick(TEXTS), "--x"] });
  if (kind === 3) {
    Object.assign(job, { call: "titan:echo", input: { deep: [1, null, d.pick(TEXTS)] } });
  }
  if (parents.length > 0) job[d.pick(["depends_on", "needs"])] = parents;
  if (oneIn(d, 3)) job["env"] = { A: d.pick(TEXTS), B_2: "3", NO: "no" };
  if (oneIn(d, 4)) job["requirement"] = ["GPU", "HIGH_MEM"].slice(d.int(0, 1));
  if (oneIn(d, 4)) job["priority"] = d.int(0, 19) - 5;
  if (oneIn(d, 4)) job["delay"] = d.pick([30, "1h30m", 1.5]);
  if (parents.length > 0 && oneIn(d, 4)) job["affinity"] = d.pick([parents[0]!, true]);
  if (parents.length > 0 && oneIn(d, 4)) job["when"] = "always";
  Object.assign(job, isService ? serviceKeys(d) : endingKeys(d));
  return job;
}

function serviceKeys(d: Prng): object {
  return {
    ...(oneIn(d, 2) && { port: 8080 + d.int(0, 8) }),
    ...(oneIn(d, 2) && { healthcheck: { http: "/health", interval: "5s" } }),
    ...(oneIn(d, 2) && { restart: d.pick<unknown>(["never", { delay: 2, attempts: 3 }]) }),
    ...(oneIn(d, 2) && { replicas: 2 }),
  };
}

function endingKeys(d: Prng): object {
  const form = [
    { name: "share", type: "number", default: "10", label: "How many?" },
    { name: "where", choices: ["eu", "us"], required: true },
  ];
  return {
    ...(oneIn(d, 3) && { timeout: d.pick<unknown>(["10m", 90]) }),
    ...(oneIn(d, 4) && d.pick([{ retries: 2 }, { retry: { max_attempts: 3, jitter: 0.25 } }])),
    ...(oneIn(d, 5) && d.pick<object>([
      { hitl_message: d.pick(TEXTS) },
      { hitl: { message: "Ship?", form, approvers: ["ada"], timeout: "2h" } },
    ])),
  };
}

/** The pipeline in somebody's hand. */
export function written(d: Prng, value: PipelineValue): string {
  const style = d.int(0, 7);
  if (style === 0) return `${JSON.stringify(value, undefined, d.pick([0, 2]))}\n`;
  const lines = emitYaml({ ...value, jobs: undefined }).trimEnd().split("\n");
  if (oneIn(d, 2)) lines.unshift("# what this is for", "");
  lines.push(style === 1 ? "jobs: [" : `jobs:${d.pick(["", "  # in any order"])}`);
  const [gap, column] = [oneIn(d, 2), d.pick([0, 2, 4])];
  for (const [at, job] of value.jobs.entries()) {
    if (style === 1) {
      lines.push(`  ${JSON.stringify(job)}${at < value.jobs.length - 1 ? "," : ""}`);
      continue;
    }
    if (gap && at > 0) lines.push("");
    const pad = " ".repeat(column);
    if (oneIn(d, 3)) lines.push(`${pad}# about ${job.id}`);
    const own = oneIn(d, 6) ? [`- ${JSON.stringify(job)}`] : itemLines(d, job);
    lines.push(...own.map((line) => (line === "" ? "" : pad + line)));
  }
  if (style === 1) lines.push("]");
  const text = `${lines.join("\n")}${d.pick(["", "\n", "\n# the end\n"])}`;
  return oneIn(d, 6) ? text.replaceAll("\n", "\r\n") : text;
}

function itemLines(d: Prng, job: JobValue): string[] {
  const lines: string[] = [];
  for (const [key, item] of Object.entries(job)) {
    let own = emitYaml({ [key]: item }).trimEnd().split("\n");
    const isParents = key === "needs" || key === "depends_on";
    if (isParents && oneIn(d, 3)) {
      own = [`${key}:`, ...(item as string[]).map((id) => `- ${id}  # why ${id}`)];
    }
    if (isParents && (item as string[]).length === 1 && oneIn(d, 2)) own = [`${key}: ${item}`];
    if (own.length === 1 && oneIn(d, 3)) own = [`${own[0]}  # ${key}`];
    if (lines.length > 0 && oneIn(d, 8)) lines.push(`  # before ${key}`);
    lines.push(
      ...own.map((line, at) => (lines.length + at === 0 ? "- " : line === "" ? "" : "  ") + line),
    );
  }
  return lines;
}
