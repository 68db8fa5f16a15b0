/**
 * Lesson 06: cycles, for the words of a refusal: which jobs wait for each other.
 *
 * Iterative, as every walk here: 100,000 jobs in a row are more than the call stack holds.
 *
 * Test: test/06-dag.test.ts
 */
interface Graph {
  parents(index: number): number[];
  forEachChild(index: number, fn: (child: number) => void): void;
}

/** From `end` back to itself along `cameFrom`, in the direction of the edges. */
export function pathBack(cameFrom: ReadonlyMap<number, number>, end: number): number[] {
  const path = [end];
  let job = end;
  do {
    job = cameFrom.get(job)!;
    path.push(job);
  } while (job !== end);
  return path.reverse();
}

/** Among the jobs that still wait in `open`: the shortest cycle through some job of it. */
export function findCycle(graph: Graph, open: Int32Array): number[] {
  // Each job that is left over waits for another one. From parent to parent, we must come round.
  const seen = new Set<number>();
  let job = open.findIndex((count) => count > 0);
  while (!seen.has(job)) {
    seen.add(job);
    job = graph.parents(job).find((parent) => open[parent]! > 0)!;
  }
  // `job` is on a cycle; breadth first, the first way back to it is the shortest.
  const cameFrom = new Map<number, number>();
  const queue = [job];
  for (const from of queue) {
    graph.forEachChild(from, (child) => {
      if (cameFrom.has(child)) return;
      cameFrom.set(child, from);
      queue.push(child);
    });
    if (cameFrom.has(job)) break;
  }
  return pathBack(cameFrom, job);
}
