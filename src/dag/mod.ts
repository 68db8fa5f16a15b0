/**
 * Lesson 06: the graph of jobs. Says which jobs may run now, and refuses those that never could.
 *
 * Outside, a job is its id (a string). Inside, it is its index: 0, 1, 2 … in the order of
 * insertion, never reused, so that everything about a job is an element of a column:
 *
 *     waiting[job]   parents that are not settled yet; 0 = ready
 *     settled[job]   1 once the job is over, however it ended
 *     order[place]   the jobs in a topological order, parents to the left
 *     place[job]     the inverse: the position of a job in `order`
 *     links          the edges (links.ts)
 *
 *     links.ts                the edges as columns
 *     cycle.ts · errors.ts    the way round a cycle; the mistakes of a graph, in words
 *
 * `settle` counts down the children's `waiting` and never looks at the rest of the graph. `addEdge`
 * keeps `order` valid by Pearce and Kelly's algorithm: it looks only at the jobs that stand between
 * the two ends, and an edge that already points to the right costs nothing.
 *
 * Invariants: every edge points to the right in `order`, hence no cycle; the parents of a settled
 * job are settled, unless it was settled early; `waiting` equals a recount. A refused call changes
 * nothing.
 * Left out: removing jobs or edges (Titan cancels instead, so history keeps its shape); the meaning
 * of "settled" (completed, failed, skipped: the master decides whether a child then runs).
 * Test: test/06-dag.test.ts
 */
import { invariant } from "#base";
import { findCycle, pathBack } from "./cycle.ts";
import {
  checkEdges, cycleError, missingParent, quote, refuse, selfEdge, settledChild,
} from "./errors.ts";
import { grown, Links, MAX_JOBS } from "./links.ts";

export { DagError, type DagErrorCode } from "./errors.ts";
export { MAX_EDGES, MAX_JOBS } from "./links.ts";

/** A job as it is declared. A parent is an id, or the index of a job in the same list. */
export interface DagNode {
  readonly id: string;
  readonly parents: readonly (string | number)[];
}

/**
 * A directed acyclic graph of jobs that may grow while it is being worked off.
 *
 * @example
 * ```ts
 * import { Dag } from "#dag";
 * const dag = Dag.build([
 *   { id: "extract", parents: [] },
 *   { id: "train", parents: ["extract"] },
 * ]);
 * dag.ready() // => [ 0 ]
 * dag.settle(0) // => [ 1 ]
 * dag.idOf(1) // => 'train'
 * ```
 */
export class Dag {
  #indexes = new Map<string, number>();
  #ids: string[];
  #links: Links;
  /** All but the next two columns are shared with a copy, until one of the two grows. */
  #isShared = false;
  #waiting: Int32Array;
  #settled: Uint8Array;
  #order: Int32Array;
  #place: Int32Array;

  /** @internal `build` makes graphs. */
  constructor(jobs: number, links: Links, ids: string[] = []) {
    this.#ids = ids;
    this.#links = links;
    this.#waiting = new Int32Array(jobs);
    this.#settled = new Uint8Array(jobs);
    this.#order = new Int32Array(jobs);
    this.#place = new Int32Array(jobs);
  }

  /**
   * Builds a graph; a parent may be declared after its child. A parent named twice counts once.
   * Indices follow the list. `nodes` is read once; unless it is an array it is copied first.
   *
   * O(jobs + edges). Throws `DagError` (any code but SETTLED_CHILD) about the first mistake.
   */
  static build(nodes: Iterable<DagNode>): Dag {
    const list = Array.isArray(nodes) ? (nodes as DagNode[]) : [...nodes];
    let edges = 0;
    for (const node of list) edges += node.parents.length;
    checkEdges("build graph", edges);

    const dag = new Dag(list.length, new Links(list.length, edges));
    // Most lists have parents first. Then one pass does it all, a parent is looked up while its
    // entry is still in the processor's cache, and the order of insertion is already topological.
    let linked = 0;
    for (const node of list) {
      const child = dag.#register(node.id, "build graph");
      const isNext = linked === child && node.parents.every((name) =>
        typeof name === "number" ? name < dag.size : dag.#indexes.has(name));
      if (isNext) dag.#linkParents(linked++, node);
    }
    const parentsFirst = linked === list.length;
    for (; linked < list.length; linked++) dag.#linkParents(linked, list[linked]!);
    if (!parentsFirst) dag.#sortFromScratch();
    return dag;
  }

  /** The same graph, which goes on by itself. It costs the two columns that say what is over. */
  copy(): Dag {
    const copy = new Dag(0, this.#links, this.#ids);
    copy.#indexes = this.#indexes;
    copy.#order = this.#order;
    copy.#place = this.#place;
    copy.#waiting = this.#waiting.slice();
    copy.#settled = this.#settled.slice();
    this.#isShared = copy.#isShared = true;
    return copy;
  }

  /** To be called before a job or an edge is added. */
  #own(): void {
    if (!this.#isShared) return;
    this.#isShared = false;
    this.#indexes = new Map(this.#indexes);
    this.#ids = [...this.#ids];
    this.#links = this.#links.copy();
    this.#order = this.#order.slice();
    this.#place = this.#place.slice();
  }

  get size(): number {
    return this.#ids.length;
  }

  indexOf(id: string): number | undefined {
    return this.#indexes.get(id);
  }

  idOf(index: number): string {
    this.#check(index);
    return this.#ids[index]!;
  }

  /** In the order in which the edges were added. */
  parents(index: number): number[] {
    const found: number[] = [];
    this.forEachParent(index, (parent) => found.push(parent));
    return found;
  }

  /** In the order in which the edges were added. */
  children(index: number): number[] {
    const found: number[] = [];
    this.forEachChild(index, (child) => found.push(child));
    return found;
  }

  /** As `parents`, without an array. `fn` must not change the graph. */
  forEachParent(index: number, fn: (parent: number) => void): void {
    this.#check(index);
    const { firstParent, nextParent, parent } = this.#links;
    for (let edge = firstParent[index]!; edge !== 0; edge = nextParent[edge]!) fn(parent[edge]!);
  }

  /** As `children`, without an array. `fn` must not change the graph. */
  forEachChild(index: number, fn: (child: number) => void): void {
    this.#check(index);
    const { firstChild, nextChild, child } = this.#links;
    for (let edge = firstChild[index]!; edge !== 0; edge = nextChild[edge]!) fn(child[edge]!);
  }

  /**
   * Adds a job while the graph is in use, and returns its index. It may be ready at once: ask
   * `isReady`.
   *
   * A job without children cannot close a cycle, so this needs no search: O(parents). Throws
   * `DagError` (DUPLICATE_ID, EMPTY_ID, SELF_EDGE, MISSING_PARENT, TOO_LARGE) and then changes
   * nothing.
   */
  addJob(id: string, parents: readonly (string | number)[]): number {
    const doing = "add job";
    // Every parent is looked up before the job is registered: a refusal leaves no half-added job.
    const found = parents.map((name) => {
      if (name === id) throw selfEdge(doing, id);
      return this.#resolve(name, id, doing);
    });
    checkEdges(doing, this.#links.edges + found.length);
    this.#own();
    const index = this.#register(id, doing);
    for (const parent of found) this.#link(parent, index);
    return index;
  }

  // #region addEdge
  /**
   * Makes `child` wait for `parent`. An edge that is already there is no change and no error.
   *
   * Costs nothing beyond the duplicate check when the parent already stands to the left; otherwise
   * a search of the jobs between the two. Throws `DagError`: SELF_EDGE; SETTLED_CHILD, since a job
   * that has run cannot wait any more; CYCLE, with the ids on the way round in `path`. Then nothing
   * has changed. The graph knows the settled jobs, not the running ones: the master refuses a
   * running child itself.
   */
  addEdge(parent: number, child: number): void {
    this.#check(parent);
    this.#check(child);
    if (parent === child) throw selfEdge("add edge", this.#ids[child]!);
    if (this.#links.has(parent, child)) return;
    if (this.#settled[child] === 1) {
      throw settledChild(this.#ids[parent]!, this.#ids[child]!);
    }
    checkEdges("add edge", this.#links.edges + 1);
    this.#own();
    if (this.#place[parent]! > this.#place[child]!) this.#reorder(parent, child);
    this.#link(parent, child);
  }
  // #endregion

  /** Every job, parents before children. It is one of the valid orders: it depends on history. */
  topologicalOrder(): number[] {
    return Array.from(this.#order.subarray(0, this.size));
  }

  isSettled(index: number): boolean {
    this.#check(index);
    return this.#settled[index] === 1;
  }

  /** Not settled, and no parent left to wait for. */
  isReady(index: number): boolean {
    this.#check(index);
    return this.#settled[index] === 0 && this.#waiting[index] === 0;
  }

  /**
   * All jobs for which `isReady` holds, by index. Looks at every job: for the start of a run.
   * Afterwards `settle` tells the changes.
   */
  ready(): number[] {
    const found: number[] = [];
    for (let index = 0; index < this.size; index++) if (this.isReady(index)) found.push(index);
    return found;
  }

  // #region settle
  /**
   * Records that a job is over, and returns the children that became ready by it, in the order in
   * which their edges were added. O(children). Settling a job twice, or before a parent, is a bug
   * of the caller.
   */
  settle(index: number): number[] {
    this.#check(index);
    // #exercise settle
    if (this.#settled[index] !== 0 || this.#waiting[index] !== 0) {
      const when = this.#settled[index] !== 0 ? "twice" : "before its parents";
      invariant(false, `job ${quote(this.#ids[index]!)} settled ${when}`);
    }
    this.#settled[index] = 1;
    const { firstChild, nextChild, child } = this.#links;
    const freed: number[] = [];
    for (let edge = firstChild[index]!; edge !== 0; edge = nextChild[edge]!) {
      const next = child[edge]!;
      this.#waiting[next]!--;
      // Exactly zero, and counted down only here: of all its parents, only the last one frees a
      // child. A child that was settled early is over already, so there is nothing to free.
      if (this.#waiting[next] === 0 && this.#settled[next] === 0) freed.push(next);
    }
    return freed;
    // #end-exercise
  }
  // #endregion

  /**
   * As `settle`, for a job that was called off: its parents may still be open. They count down its
   * `waiting` as before, so that the number is right if the job is opened again.
   */
  settleEarly(index: number): number[] {
    this.#check(index);
    invariant(this.#settled[index] === 0, () => `job ${quote(this.#ids[index]!)} settled twice`);
    const parents = this.#waiting[index]!;
    this.#waiting[index] = 0;
    const freed = this.settle(index);
    this.#waiting[index] = parents;
    return freed;
  }

  /**
   * Opens settled jobs again, for a retry from the middle. Jobs that are not settled are skipped.
   *
   * The set must hold every settled descendant of its members (see `downstream`): a settled child
   * of an open job would have an answer before its question. Anything else is a bug of the caller.
   */
  reopen(indices: Iterable<number>): void {
    const again = new Set<number>();
    for (const index of indices) if (this.isSettled(index)) again.add(index);
    for (const index of again) {
      this.forEachChild(index, (child) => {
        const open = this.#settled[child] === 0 || again.has(child);
        const [from, to] = [quote(this.#ids[index]!), quote(this.#ids[child]!)];
        invariant(open, `reopening ${from} but not its settled child ${to}`);
      });
    }
    for (const index of again) {
      this.#settled[index] = 0;
      this.forEachChild(index, (child) => void this.#waiting[child]!++);
    }
  }

  /** These jobs and all that wait for them, directly or not; nearest first. */
  downstream(indices: Iterable<number>): number[] {
    const reached = new Set<number>(indices);
    // A Set's iterator also visits elements that are added while it runs: it is the search's queue.
    for (const index of reached) this.forEachChild(index, (child) => void reached.add(child));
    return [...reached];
  }

  // #region reorder
  /**
   * Pearce and Kelly: makes room for parent → child, where the parent stands to the right of the
   * child.
   *
   *     place:   child ………… affected region ………… parent
   *
   * All jobs that the child reaches and all that reach the parent may have to move. Both searches
   * stop at the region's ends: an order that was valid has nothing to repair outside.
   */
  #reorder(parent: number, child: number): void {
    // #exercise reorder
    const left = this.#place[child]!;
    const right = this.#place[parent]!;

    // Forward from the child, with the job that led to each. Reaching the parent closes a cycle.
    const after = new Map<number, number>([[child, parent]]);
    for (const job of after.keys()) {
      this.forEachChild(job, (next) => {
        if (this.#place[next]! <= right && !after.has(next)) after.set(next, job);
      });
      if (after.has(parent)) throw cycleError("add edge", this.#pathBack(after, parent));
    }

    // Backward from the parent. The two sets are disjoint, or the search above would have found the
    // parent.
    const before = new Set<number>([parent]);
    for (const job of before) {
      this.forEachParent(job, (next) => {
        if (this.#place[next]! >= left) before.add(next);
      });
    }

    // The same places are dealt out anew: first to the jobs before the edge, then to those after
    // it, each group in the order that it had. All other jobs stay where they are.
    const byPlace = (a: number, b: number) => this.#place[a]! - this.#place[b]!;
    const moved = [...[...before].sort(byPlace), ...[...after.keys()].sort(byPlace)];
    const places = moved.map((job) => this.#place[job]!).sort((a, b) => a - b);
    moved.forEach((job, i) => this.#put(job, places[i]!));
    // #end-exercise
  }
  // #endregion

  /** From `end` back to itself along `cameFrom`, as ids in the direction of the edges. */
  #pathBack(cameFrom: ReadonlyMap<number, number>, end: number): string[] {
    return pathBack(cameFrom, end).map((job) => this.#ids[job]!);
  }

  // #region kahn
  /**
   * Kahn: take a job that waits for nothing, strike out its edges, repeat. The jobs that are left
   * over are in or behind a cycle.
   */
  #sortFromScratch(): void {
    // #exercise sortFromScratch
    const open = this.#waiting.slice();
    let placed = 0;
    const take = (job: number) => {
      if (open[job] === 0) this.#put(job, placed++);
    };
    for (let job = 0; job < this.size; job++) take(job);
    // `order` is the queue as well: its left part is done, its right part waits for a look.
    for (let done = 0; done < placed; done++) {
      this.forEachChild(this.#order[done]!, (child) => {
        open[child]!--;
        take(child);
      });
    }
    if (placed < this.size) throw cycleError("build graph", this.#findCycle(open));
    // #end-exercise
  }
  // #endregion

  /** A cycle among the jobs that still wait in `open`, as ids. */
  #findCycle(open: Int32Array): string[] {
    return findCycle(this, open).map((job) => this.#ids[job]!);
  }

  /** The new job stands at the right end, where it has all possible parents to its left. */
  #register(id: string, doing: string): number {
    if (id === "") refuse("EMPTY_ID", doing, `job ${this.size + 1} has an empty id`);
    const index = this.#ids.length;
    if (index >= MAX_JOBS) refuse("TOO_LARGE", doing, `${index + 1} jobs exceed ${MAX_JOBS}`);
    if (this.#indexes.has(id)) refuse("DUPLICATE_ID", doing, `two jobs are called ${quote(id)}`);
    if (index >= this.#waiting.length) this.#growJobs();
    this.#indexes.set(id, index);
    this.#ids.push(id);
    this.#put(index, index);
    return index;
  }

  #put(job: number, place: number): void {
    this.#order[place] = job;
    this.#place[job] = place;
  }

  #linkParents(child: number, node: DagNode): void {
    for (const name of node.parents) {
      const parent = this.#resolve(name, node.id, "build graph");
      if (parent === child) throw selfEdge("build graph", node.id);
      this.#link(parent, child);
    }
  }

  /** Adds a legal edge. One that repeats the last is dropped: a list names a parent twice. */
  #link(parent: number, child: number): void {
    if (this.#links.addedLast(parent, child)) return;
    this.#links.add(parent, child);
    if (this.#settled[parent] === 0) this.#waiting[child]!++;
  }

  #resolve(name: string | number, child: string, doing: string): number {
    if (typeof name === "number") {
      this.#check(name);
      return name;
    }
    const index = this.#indexes.get(name);
    if (index !== undefined) return index;
    throw missingParent(doing, { child, name, ids: this.#ids });
  }

  #check(index: number): void {
    const isKnown = Number.isInteger(index) && index >= 0 && index < this.#ids.length;
    if (!isKnown) invariant(false, `no job has index ${index}`);
  }

  #growJobs(): void {
    const capacity = Math.max(8, this.#waiting.length * 2);
    this.#links.growJobs(capacity);
    this.#waiting = grown(this.#waiting, capacity);
    this.#order = grown(this.#order, capacity);
    this.#place = grown(this.#place, capacity);
    this.#settled = grown(this.#settled, capacity);
  }
}
