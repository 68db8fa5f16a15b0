/**
 * Lesson 06: the mistakes of a graph that came from outside, and the words for them.
 *
 * Two kinds of mistakes are kept apart. A `DagError` is somebody's pipeline (a cycle, a misspelt
 * parent) and is an answer. A broken invariant is our own bug and must stop the process.
 * Test: test/06-dag.test.ts
 */
import { didYouMean } from "#base";
import { MAX_EDGES } from "./links.ts";

/**
 * | code | the graph that was asked for |
 * |---|---|
 * | CYCLE | some job would wait for itself, through others; `path` has the ids, first = last |
 * | SELF_EDGE | a job names itself as its parent |
 * | DUPLICATE_ID | two jobs share an id |
 * | EMPTY_ID | a job has the empty string as its id |
 * | MISSING_PARENT | a parent's name belongs to no job |
 * | SETTLED_CHILD | a new parent for a job that is already settled |
 * | TOO_LARGE | more than `MAX_JOBS` jobs or `MAX_EDGES` edges |
 *
 * None is worth retrying: the same request fails the same way until somebody changes it.
 */
export type DagErrorCode =
  | "CYCLE"
  | "SELF_EDGE"
  | "DUPLICATE_ID"
  | "EMPTY_ID"
  | "MISSING_PARENT"
  | "SETTLED_CHILD"
  | "TOO_LARGE";

/** A graph that was refused. The graph that refused it is unchanged. */
export class DagError extends Error {
  readonly code: DagErrorCode;
  /** For CYCLE: every id on the way round, the first one repeated at the end. */
  readonly path?: string[];

  constructor(code: DagErrorCode, message: string, path?: string[]) {
    super(message);
    this.name = "DagError";
    this.code = code;
    if (path !== undefined) this.path = path;
  }
}

/** A cycle through 100,000 jobs is one line in a terminal, not a megabyte. */
const SHOWN_PATH_IDS = 12;
const SHOWN_ID_CHARS = 80;

/** An id as it appears inside a message: bounded, and no control character reaches a terminal. */
export function quote(id: string): string {
  return JSON.stringify(id.length > SHOWN_ID_CHARS ? `${id.slice(0, SHOWN_ID_CHARS)}…` : id);
}

export function cycleError(doing: string, path: string[]): DagError {
  const bare = (id: string) => (/^[^\p{C}\s"]{1,80}$/u.test(id) ? id : quote(id));
  const half = SHOWN_PATH_IDS / 2;
  const left = path.length - 2 * half;
  const shown =
    path.length <= SHOWN_PATH_IDS
      ? path.map(bare)
      : [...path.slice(0, half).map(bare), `… ${left} more …`, ...path.slice(-half).map(bare)];
  return new DagError("CYCLE", `Cannot ${doing}: cycle ${shown.join(" → ")}`, path);
}

export function refuse(code: DagErrorCode, doing: string, what: string): never {
  throw new DagError(code, `Cannot ${doing}: ${what}`);
}

export function checkEdges(doing: string, edges: number): void {
  if (edges > MAX_EDGES) refuse("TOO_LARGE", doing, `${edges} edges exceed ${MAX_EDGES}`);
}

export function selfEdge(doing: string, id: string): DagError {
  return new DagError("SELF_EDGE", `Cannot ${doing}: job ${quote(id)} depends on itself`);
}

export function settledChild(parent: string, child: string): DagError {
  const what = `job ${quote(child)} is already over, it cannot wait for ${quote(parent)}`;
  return new DagError("SETTLED_CHILD", `Cannot add edge: ${what}`);
}

export function missingParent(
  doing: string, { child, name, ids }: { child: string; name: string; ids: readonly string[] },
): DagError {
  const near = didYouMean(name, ids.filter((id) => id !== child));
  const hint = near === undefined ? "" : ` (did you mean ${quote(near)}?)`;
  const what = `job ${quote(child)} depends on ${quote(name)}, which does not exist${hint}`;
  return new DagError("MISSING_PARENT", `Cannot ${doing}: ${what}`);
}
