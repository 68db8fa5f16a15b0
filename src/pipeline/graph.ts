/**
 * Lesson 17: do the jobs make a graph? Chapter 6 decides; this file knows the place of each edge.
 *
 * Test: test/17-pipelines.test.ts
 */
import { hint } from "#base";
import { Dag, DagError, type DagNode } from "#dag";
import { clip, type Text } from "./fields.ts";
import { replicaId } from "./replicas.ts";
import type { ReadJob } from "./job.ts";
import type { Report } from "./problems.ts";

/** Reports duplicate ids, unknown parents, affinity to strangers, and cycles. */
export function checkGraph(report: Report, jobs: readonly ReadJob[]): void {
  const before = report.count;
  const byId = new Map<string, ReadJob>();
  for (const job of jobs) {
    if (!job.id) continue;
    const earlier = byId.get(job.id.text);
    if (!earlier) byId.set(job.id.text, job);
    else {
      const what = `two jobs have the id "${job.id.text}"${lineOf(earlier.id as Text)}`;
      report.problem("DUPLICATE_ID", job.id.node, what);
    }
  }
  for (const job of jobs) checkReplicas(report, job, byId);
  for (const job of jobs) {
    checkParents(report, job, byId);
    checkAffinity(report, job);
  }
  checkInputs(report, jobs, byId);
  // Cycles are looked for only in a graph whose edges all lead somewhere.
  if (report.count === before && byId.size === jobs.length) checkCycles(report, byId);
}

/** The second replica of "web" is the job "web.2". */
function checkReplicas(report: Report, job: ReadJob, byId: ReadonlyMap<string, ReadJob>): void {
  const replicas = job.definition?.service?.replicas ?? 1;
  for (let number = 2; number <= replicas; number++) {
    const other = byId.get(replicaId(job.id?.text ?? "", number));
    if (other === undefined) continue;
    const what = `the id "${other.id!.text}" is that of a replica of "${job.id!.text}"`;
    report.problem("DUPLICATE_ID", other.id!.node, `${what}${lineOf(job.id as Text)}`);
  }
}

function lineOf({ node }: Text): string {
  return node.line === 0 ? "" : `; the other is in line ${node.line}`;
}

function checkParents(report: Report, job: ReadJob, byId: ReadonlyMap<string, ReadJob>): void {
  for (const { text, node } of job.parents) {
    if (text === job.id?.text) report.problem("SELF_EDGE", node, `job "${text}" depends on itself`);
    else if (!byId.has(text)) {
      const others = [...byId.keys()].filter((id) => id !== job.id?.text);
      const help = /[*?]/.test(text) ? patternHelp(text, others) : hint(text, others);
      const where = `in depends_on${job.scope.replace(" in", " of")}`;
      report.problem("MISSING_PARENT", node, `unknown job "${clip(text)}" ${where}${help}`);
    }
  }
}

const MAX_PATTERN_CHARS = 64;
const MAX_MATCHES = 5;

/** `needs: work-*`: there are no patterns, but the names can be told. */
function patternHelp(pattern: string, ids: readonly string[]): string {
  const pieces = pattern.split(/[*?]+/);
  const head = pieces[0] as string;
  const tail = pieces.at(-1) as string;
  const plain = " (names have no patterns)";
  if (pattern.length > MAX_PATTERN_CHARS) return plain;
  const matching = ids.filter((id) => id.startsWith(head) && id.endsWith(tail));
  if (matching.length === 0) return plain;
  const more = matching.length > MAX_MATCHES ? ", …" : "";
  return `${plain}: write [${matching.slice(0, MAX_MATCHES).join(", ")}${more}]`;
}

function checkAffinity(report: Report, job: ReadJob): void {
  const wanted = job.affinity;
  if (!wanted || job.parents.some(({ text }) => text === wanted.text)) return;
  const parents = job.parents.map(({ text }) => text);
  const found = `found "${clip(wanted.text)}"${hint(wanted.text, parents)}`;
  const what = `"affinity"${job.scope} must name one of its parents, ${found}`;
  report.problem("BAD_VALUE", wanted, what);
}

/** Steps of all searches for the jobs that hand on inputs. The master takes as many. */
const MAX_STEPS = 10_000_000;

/** Reports inputs of jobs that are unknown, hand on no such file, or may end later. */
function checkInputs(
  report: Report, jobs: readonly ReadJob[], byId: ReadonlyMap<string, ReadJob>,
): void {
  let steps = MAX_STEPS;
  for (const job of jobs) {
    if (job.inputs.length === 0) continue;
    const wanted = new Map<string, ReadJob["inputs"][number]>();
    for (const input of job.inputs) {
      const source = byId.get(input.job.text);
      if (source === undefined) {
        const help = hint(input.job.text, byId.keys());
        const what =
          `unknown job "${clip(input.job.text)}" in ` + `inputs${job.scope.replace(" in", " of")}`;
        report.problem("MISSING_PARENT", input.job.node, `${what}${help}`);
      } else if (!handsOn(report, source, input)) continue;
      else if (!wanted.has(input.job.text)) wanted.set(input.job.text, input);
    }
    const seen = new Set<string>(job.id === undefined ? [] : [job.id.text]);
    for (const id of seen) {
      if (wanted.size === 0 || steps < 0) break;
      for (const { text } of byId.get(id)?.parents ?? []) {
        steps -= 1;
        seen.add(text);
        wanted.delete(text);
      }
    }
    for (const { job: { text, node } } of steps < 0 ? [] : wanted.values()) {
      const what = `the input of job "${text}"${job.scope} is not there in time`;
      report.problem("BAD_VALUE", node, `${what}: it does not wait for that job (depends_on)`);
    }
  }
}

/** Whether a job declares the file. A job that could not be read may have done so. */
function handsOn(report: Report, source: ReadJob, { path }: ReadJob["inputs"][number]): boolean {
  if (source.definition === undefined) return true;
  const outputs = source.definition.files?.outputs ?? [];
  if (outputs.includes(path.text)) return true;
  const id = source.id!.text;
  const found = outputs.length === 0 ? "which has no outputs" : "which is none of its outputs";
  const what = `the input "${clip(path.text)}" is of job "${id}", ${found}`;
  report.problem("BAD_VALUE", path.node, `${what}${hint(path.text, outputs)}`);
  return false;
}

function checkCycles(report: Report, byId: ReadonlyMap<string, ReadJob>): void {
  const roots: DagNode[] = [];
  const others: DagNode[] = [];
  for (const [id, job] of byId) {
    const parents = job.parents.map(({ text }) => text);
    (parents.length === 0 ? roots : others).push({ id, parents });
  }
  try {
    // Parents first costs least: a job that adds others to its run names its own as the last.
    Dag.build([...roots, ...others]);
  } catch (error) {
    if (!(error instanceof DagError)) throw error;
    const [first, second] = error.path ?? [];
    const edge = edgeBetween(byId, first, second) ?? edgeBetween(byId, second, first);
    const detail = error.message.replace(/^[^:]*: /, "");
    const [anyJob] = byId.values();
    const at = edge?.node ?? (anyJob as ReadJob).node;
    if (error.code !== "CYCLE") report.problem("TOO_LARGE", at, detail);
    else report.problem("CYCLE", at, `the jobs wait for each other: ${detail}`);
  }
}

/** The text with which `child` names `parent`. */
function edgeBetween(
  byId: ReadonlyMap<string, ReadJob>,
  parent: string | undefined,
  child: string | undefined,
): Text | undefined {
  return byId.get(child ?? "")?.parents.find(({ text }) => text === parent);
}
