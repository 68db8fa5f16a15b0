/**
 * Lesson 06: the edges, as columns of small integers instead of an object per edge.
 *
 * Every edge is in two singly linked lists: the children of its parent, and the parents of its
 * child.
 *
 *     firstChild[job] ──▶ edge ── nextChild ──▶ edge ── nextChild ──▶ 0
 *                          │ child[edge]         │ child[edge]
 *
 * Edge 0 means "no edge". A fresh typed array is all zeros, so every new job starts with empty
 * lists, and no column ever has to be filled with -1.
 *
 * Invariants: an edge is in exactly two lists; lists keep the order of insertion; edges are never
 * removed. A job costs 16 bytes here and so does an edge, and a million of them are eight objects
 * to the garbage collector.
 * Left out: removing edges. Titan never does: a job that is not wanted is cancelled, and stays in
 * the record.
 * Test: test/06-dag.test.ts
 */

/** Indexes are Int32: 2^28 edges are 4 GiB of columns, more than one process should hold anyway. */
export const MAX_EDGES = 2 ** 28;

/** A JavaScript `Map` holds 2^24 entries at most, and the table of ids is one. */
export const MAX_JOBS = 2 ** 24 - 1;

const COLUMNS = [
  "firstChild", "lastChild", "firstParent", "lastParent", "parent", "child", "nextChild",
  "nextParent",
] as const;

export class Links {
  // #region columns
  // One entry per job: the two ends of its two lists (the tails make appending O(1)).
  firstChild: Int32Array;
  lastChild: Int32Array;
  firstParent: Int32Array;
  lastParent: Int32Array;
  // One entry per edge, from 1.
  parent: Int32Array;
  child: Int32Array;
  nextChild: Int32Array;
  nextParent: Int32Array;
  edges = 0;
  // #endregion

  constructor(jobs: number, edges: number) {
    this.firstChild = new Int32Array(jobs);
    this.lastChild = new Int32Array(jobs);
    this.firstParent = new Int32Array(jobs);
    this.lastParent = new Int32Array(jobs);
    this.parent = new Int32Array(edges + 1);
    this.child = new Int32Array(edges + 1);
    this.nextChild = new Int32Array(edges + 1);
    this.nextParent = new Int32Array(edges + 1);
  }

  copy(): Links {
    const copy = new Links(0, 0);
    for (const column of COLUMNS) copy[column] = this[column].slice();
    copy.edges = this.edges;
    return copy;
  }

  growJobs(jobs: number): void {
    this.firstChild = grown(this.firstChild, jobs);
    this.lastChild = grown(this.lastChild, jobs);
    this.firstParent = grown(this.firstParent, jobs);
    this.lastParent = grown(this.lastParent, jobs);
  }

  /** Appends to both lists. The caller has made sure that the edge is new. */
  add(parent: number, child: number): void {
    const edge = ++this.edges;
    if (edge === this.parent.length) this.#growEdges();
    this.parent[edge] = parent;
    this.child[edge] = child;

    const lastChild = this.lastChild[parent]!;
    if (lastChild === 0) this.firstChild[parent] = edge;
    else this.nextChild[lastChild] = edge;
    this.lastChild[parent] = edge;

    const lastParent = this.lastParent[child]!;
    if (lastParent === 0) this.firstParent[child] = edge;
    else this.nextParent[lastParent] = edge;
    this.lastParent[child] = edge;
  }

  /**
   * Is this the newest edge out of `parent`? While the parents of one child are added in a row,
   * that is the whole test for "named twice", and costs nothing however wide the graph is.
   */
  addedLast(parent: number, child: number): boolean {
    const edge = this.lastChild[parent]!;
    return edge !== 0 && this.child[edge] === child;
  }

  /**
   * Walks both lists in step, so that the cost is twice the shorter one: a hub with 100,000
   * children is no trap.
   */
  has(parent: number, child: number): boolean {
    let out = this.firstChild[parent]!;
    let into = this.firstParent[child]!;
    while (out !== 0 && into !== 0) {
      if (this.child[out] === child || this.parent[into] === parent) return true;
      out = this.nextChild[out]!;
      into = this.nextParent[into]!;
    }
    return false;
  }

  #growEdges(): void {
    const capacity = Math.max(8, this.parent.length * 2);
    this.parent = grown(this.parent, capacity);
    this.child = grown(this.child, capacity);
    this.nextChild = grown(this.nextChild, capacity);
    this.nextParent = grown(this.nextParent, capacity);
  }
}

/** A longer copy; the new part is zero. Doubling makes copying O(1) per element over a lifetime. */
export function grown<Column extends Int32Array | Uint8Array>(
  column: Column, length: number,
): Column {
  const longer = new (column.constructor as new (length: number) => Column)(length);
  longer.set(column);
  return longer;
}
