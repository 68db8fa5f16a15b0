/**
 * Lesson 17: do the jobs make a graph? Chapter 6 decides; this file knows the place of each edge.
 *
 * Test: test/17-pipelines.test.ts
 */
import { hint } from "#base";
import { Dag, DagError } from "#dag";
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

function checkCycles(report: Report, byId: ReadonlyMap<string, ReadJob>): void {
  const nodes = [...byId].map(([id, job]) => {
    return { id, parents: job.parents.map(({ text }) => text) };
  });
  try {
    Dag.build(nodes);
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
