/**
 * Lesson 19: which column a job stands in.
 *
 * The longest way from a root puts each job behind all its parents. A root of which the only child
 * comes late would stand far away from it: so jobs are drawn to the right, as far as their children
 * allow, where that makes edges shorter.
 *
 * Test: test/layout.test.ts
 */
import { invariant } from "#base";

type Graph = readonly (readonly number[])[];

// #region rank
/** The column of each job, from 0. */
export function ranksOf(parents: Graph): Int32Array {
  const children = childrenOf(parents);
  const ranks = new Int32Array(parents.length);
  const order = topological(parents, children);
  // #exercise ranksOf
  for (const index of order) {
    for (const parent of parents[index]!) {
      ranks[index] = Math.max(ranks[index]!, ranks[parent]! + 1);
    }
  }
  // Backwards, so that a chain moves as a whole: its last job first.
  for (let at = order.length - 1; at >= 0; at--) {
    const index = order[at]!;
    // One edge more behind than before it: each column to the right is a gain.
    if (children[index]!.length <= parents[index]!.length) continue;
    let latest = Infinity;
    for (const child of children[index]!) latest = Math.min(latest, ranks[child]! - 1);
    ranks[index] = latest;
  }
  return ranks;
  // #end-exercise
}
// #endregion

export function childrenOf(parents: Graph): number[][] {
  const children: number[][] = parents.map(() => []);
  for (const [index, own] of parents.entries()) {
    for (const parent of own) children[parent]!.push(index);
  }
  return children;
}

/** Parents before children; between others the order of the list. */
function topological(parents: Graph, children: Graph): number[] {
  const open = parents.map((own) => own.length);
  const order = [...open.keys()].filter((index) => open[index] === 0);
  for (let at = 0; at < order.length; at++) {
    for (const child of children[order[at]!]!) {
      open[child]! -= 1;
      if (open[child] === 0) order.push(child);
    }
  }
  invariant(order.length === parents.length, "a run's graph has no cycle");
  return order;
}
