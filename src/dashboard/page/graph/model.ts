/**
 * Lesson 19: the nodes of a run's picture. A node is a job, or a stack of jobs that are alike.
 *
 *     split ─▶ part-1 … part-400 ─▶ join      three nodes: split, "400 jobs: part-1 …", join
 *
 * Jobs that wait for the same jobs, are waited for by the same jobs, and are of one kind tell a
 * reader nothing by standing apart: from STACK_FROM of them on they are one node with a count for
 * each state, until somebody opens it. A run of at most SMALL_RUN jobs has no stacks: all of it
 * fits a screen.
 *
 * Invariants: every job belongs to exactly one node; the same jobs in the same order make the same
 * nodes; states play no part in it, so a change of state never moves anything.
 * Test: test/19-dashboard.run.test.ts
 */
export interface GraphJob {
  readonly id: string;
  /** Numbers of the jobs that it waits for. */
  readonly parents: readonly number[];
  /** "job", "gate" or "service". */
  readonly kind: string;
}

export interface GraphNode {
  /** Stays the same while jobs are added behind it. */
  readonly key: string;
  /** One job, or all of a stack. */
  readonly jobs: readonly number[];
}

export interface GraphModel {
  readonly nodes: readonly GraphNode[];
  /** Of each node, the nodes before it… */
  readonly parents: readonly (readonly number[])[];
  /** …and those behind it. */
  readonly children: readonly (readonly number[])[];
  /** Of each job, its node. */
  readonly nodeOf: Int32Array;
  /** Two models with one shape have one picture. */
  readonly shape: string;
}

/** Eleven boxes above one another still fit a screen. */
const STACK_FROM = 12;
export const SMALL_RUN = 100;

/** `opened`: the keys of stacks whose jobs stand by themselves. */
export function graphModel(
  jobs: readonly GraphJob[], opened: ReadonlySet<string> = new Set(),
): GraphModel {
  const nodeOf = new Int32Array(jobs.length);
  const nodes: GraphNode[] = [];
  const stacked = new Set<number>();
  for (const alike of stacksOf(jobs)) {
    const key = stackKey(jobs, alike);
    if (opened.has(key)) continue;
    nodes.push({ key, jobs: alike });
    for (const job of alike) stacked.add(job);
  }
  for (const [at, { id }] of jobs.entries()) {
    if (!stacked.has(at)) nodes.push({ key: id, jobs: [at] });
  }
  nodes.sort((a, b) => a.jobs[0]! - b.jobs[0]!);
  for (const [at, node] of nodes.entries()) for (const job of node.jobs) nodeOf[job] = at;
  const parents = nodes.map((node) =>
    [...new Set(jobs[node.jobs[0]!]!.parents.map((parent) => nodeOf[parent]!))]);
  const children: number[][] = nodes.map(() => []);
  for (const [at, own] of parents.entries()) for (const parent of own) children[parent]!.push(at);
  return { nodes, parents, children, nodeOf, shape: shapeOf(parents) };
}

/** A job has no line break in its id, so a stack is never taken for a job. */
function stackKey(jobs: readonly GraphJob[], alike: readonly number[]): string {
  return `${jobs[alike[0]!]!.id}\nand others`;
}

/** The stack that would hold this job if it were closed, if there is one. */
export function stackOf(jobs: readonly GraphJob[], job: number): string | undefined {
  const alike = stacksOf(jobs).find((stack) => stack.includes(job));
  return alike === undefined ? undefined : stackKey(jobs, alike);
}

/** It is asked with each picture, and changes with the structure only. */
const known = new WeakMap<readonly GraphJob[], number[][]>();

/** Jobs with equal parents, children and kind, where there are enough of them. */
function stacksOf(jobs: readonly GraphJob[]): number[][] {
  const before = known.get(jobs);
  if (before !== undefined) return before;
  const stacks = jobs.length > SMALL_RUN ? findStacks(jobs) : [];
  known.set(jobs, stacks);
  return stacks;
}

function findStacks(jobs: readonly GraphJob[]): number[][] {
  const parents = jobs.map((job) => [...new Set(job.parents)].sort((a, b) => a - b));
  const children: number[][] = jobs.map(() => []);
  for (const [at, own] of parents.entries()) for (const parent of own) children[parent]!.push(at);
  // Most jobs are told apart by their first neighbours. The rest are compared as a whole.
  const nearly = grouped(jobs.keys(), (at) => [jobs[at]!.kind, parents[at]!.length,
    parents[at]![0], children[at]!.length, children[at]![0]].join());
  return nearly.flatMap((alike) =>
    grouped(alike, (at) => `${parents[at]!.join()}|${children[at]!.join()}`));
}

/** Groups of at least STACK_FROM. */
function grouped(numbers: Iterable<number>, like: (at: number) => string): number[][] {
  const groups = new Map<string, number[]>();
  for (const at of numbers) {
    const key = like(at);
    const found = groups.get(key);
    if (found === undefined) groups.set(key, [at]);
    else found.push(at);
  }
  return [...groups.values()].filter(({ length }) => length >= STACK_FROM);
}

/** Two sums of FNV-1a over all edges: 64 bits, as text. */
function shapeOf(parents: readonly (readonly number[])[]): string {
  let [a, b] = [0x811c9dc5, 0x01000193];
  const add = (value: number): void => {
    a = Math.imul(a ^ value, 0x01000193);
    b = Math.imul(b ^ (value + 0x9e3779b9), 0x85ebca6b) ^ (a >>> 15);
  };
  for (const own of parents) {
    add(-1);
    for (const parent of own) add(parent);
  }
  return `${parents.length}-${(a >>> 0).toString(36)}-${(b >>> 0).toString(36)}`;
}

/** How many jobs of a node are in each state, the most frequent first. */
export function countStates(
  node: GraphNode, statusOf: (job: number) => string,
): [status: string, count: number][] {
  const counts = new Map<string, number>();
  for (const job of node.jobs) {
    const status = statusOf(job);
    counts.set(status, (counts.get(status) ?? 0) + 1);
  }
  return [...counts].sort((a, b) => b[1] - a[1]);
}

/** What a person should see first in a stack: the worst state of its jobs. */
const WORST_FIRST = [
  "DEAD", "FAILED", "WAITING", "RUNNING", "PENDING", "CANCELLED", "SKIPPED", "COMPLETED",
];

export function stateOf(node: GraphNode, statusOf: (job: number) => string): string {
  if (node.jobs.length === 1) return statusOf(node.jobs[0]!);
  const found = new Set(node.jobs.map(statusOf));
  return WORST_FIRST.find((status) => found.has(status)) ?? "PENDING";
}
