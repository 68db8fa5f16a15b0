/**
 * Lesson 19: where the nodes of the canvas stand, and which edges run between them. Pure.
 *
 * Positions are kept beside the document, never in it: a person who reads the file does not care.
 * A job that nobody has placed is put behind its parents; a renamed job keeps its place.
 *
 * Test: test/19-dashboard.build.board.test.ts
 */
import { layout } from "#layout";
import type { Document, Job } from "./document.ts";

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Box extends Point {
  readonly width: number;
  readonly height: number;
}

export type Positions = ReadonlyMap<string, Point>;

export interface Edge {
  /** Keys of jobs. */
  readonly from: string;
  readonly to: string;
}

export const GRID = 20;
export const NODE = { width: 200, height: 80 } as const;
const COLUMN = NODE.width + 4 * GRID;
const ROW = NODE.height + 2 * GRID;

export function snap(value: number): number {
  return Math.round(value / GRID) * GRID;
}

/** From each parent that there is to its child. */
export function edgesOf({ jobs }: Document): Edge[] {
  const keys = new Map<string, string>();
  for (const { id, key } of jobs) if (id !== undefined && !keys.has(id)) keys.set(id, key);
  return jobs.flatMap(({ key, parents }) => parents.flatMap((id) => {
    const from = keys.get(id);
    return from === undefined || from === key ? [] : [{ from, to: key }];
  }));
}

/**
 * A place for every job, by #layout. Edges of a circle, which a text may have, are not looked at.
 */
export function layoutAll(document: Document): Positions {
  const index = new Map(document.jobs.map(({ key }, at) => [key, at]));
  const parents = document.jobs.map((): number[] => []);
  const edges = edgesOf(document);
  const order = orderOf(document.jobs, edges);
  for (const { from, to } of edges) {
    if (order.get(from)! < order.get(to)!) parents[index.get(to)!]!.push(index.get(from)!);
  }
  const { nodes } = layout(parents, {
    nodeWidth: NODE.width, nodeHeight: NODE.height, columnGap: COLUMN - NODE.width,
    rowGap: ROW - NODE.height, laneGap: GRID,
  });
  return new Map(document.jobs.map(({ key }, at) =>
    [key, { x: snap(nodes[at]!.x), y: snap(nodes[at]!.y) }]));
}

/** An order in which parents come before children, as far as there is one. */
function orderOf(jobs: readonly Job[], edges: readonly Edge[]): Map<string, number> {
  const children = new Map<string, string[]>();
  const open = new Map(jobs.map(({ key }) => [key, 0]));
  for (const { from, to } of edges) {
    const own = children.get(from);
    if (own === undefined) children.set(from, [to]);
    else own.push(to);
    open.set(to, open.get(to)! + 1);
  }
  const order = new Map<string, number>();
  const ready = jobs.flatMap(({ key }) => (open.get(key) === 0 ? key : []));
  for (const key of ready) {
    order.set(key, order.size);
    for (const child of children.get(key) ?? []) {
      open.set(child, open.get(child)! - 1);
      if (open.get(child) === 0) ready.push(child);
    }
  }
  for (const { key } of jobs) if (!order.has(key)) order.set(key, order.size);
  return order;
}

/** Positions for a document that has changed: known jobs stay, others get a free place. */
export function settle(document: Document, before: Positions, was?: Document): Positions {
  const known = renamed(document, before, was);
  const positions = new Map(document.jobs.flatMap(({ key }) => {
    const own = known.get(key);
    return own === undefined ? [] : [[key, own] as const];
  }));
  const missing = document.jobs.filter(({ key }) => !positions.has(key));
  // The same object: what hangs on places alone is not made again at each letter.
  const isSame = known === before && positions.size === before.size && missing.length === 0;
  if (isSame) return before;
  if (missing.length > positions.size) return layoutAll(document);
  const ids = new Map(document.jobs.map(({ id, key }) => [id, key]));
  const ground = new Ground(positions.values());
  for (const { key, parents } of missing) {
    const above = parents.flatMap((id) => positions.get(ids.get(id) ?? "") ?? []);
    const start = above.length > 0
      ? { x: rightmost(above) + COLUMN, y: above[0]!.y }
      : { x: ground.left, y: ground.bottom + ROW };
    positions.set(key, ground.take(start));
  }
  return positions;
}

/** If only names differ, the job at the same place in the list is the same job. */
function renamed(document: Document, before: Positions, was?: Document): Positions {
  if (was === undefined || was.jobs.length !== document.jobs.length) return before;
  const places = document.jobs.flatMap(({ key }, at) => {
    const old = was.jobs[at]!.key;
    if (old === key || before.has(key) || document.byKey.has(old)) return [];
    const place = before.get(old);
    return place === undefined ? [] : [[key, place] as const];
  });
  return places.length === 0 ? before : new Map([...before, ...places]);
}

function rightmost(places: readonly Point[]): number {
  return places.reduce((most, { x }) => Math.max(most, x), -Infinity);
}

/** Where nodes stand already, and where there is room for another one. */
export class Ground {
  readonly #taken: Point[] = [];
  /**
   * By where it began, where a search has ended: above that nothing gets free. Thousands of
   * children of one parent would go down the same column from its top, one after another.
   */
  readonly #ends = new Map<string, number>();
  left = Infinity;
  bottom = -Infinity;

  constructor(taken: Iterable<Point>) {
    for (const each of taken) this.#add(each);
  }

  /** The first place from `start` downwards that no node covers. */
  take(start: Point): Point {
    const [x, top] = [snap(start.x), snap(start.y)];
    const from = `${x} ${top}`;
    const at = { x, y: this.#ends.get(from) ?? top };
    const covers = (other: Point): boolean =>
      Math.abs(other.x - x) < NODE.width && Math.abs(other.y - at.y) < NODE.height + GRID / 2;
    const near = this.#taken.filter((other) => Math.abs(other.x - x) < NODE.width);
    while (near.some(covers)) at.y += GRID;
    this.#ends.set(from, at.y);
    this.#add(at);
    return at;
  }

  #add(at: Point): void {
    this.#taken.push(at);
    this.left = Math.min(this.left, at.x);
    this.bottom = Math.max(this.bottom, at.y);
  }
}

export function boundsOf(positions: Iterable<Point>): Box {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const { x, y } of positions) {
    [left, top] = [Math.min(left, x), Math.min(top, y)];
    [right, bottom] = [Math.max(right, x + NODE.width), Math.max(bottom, y + NODE.height)];
  }
  if (left === Infinity) return { x: 0, y: 0, width: 0, height: 0 };
  return { x: left, y: top, width: right - left, height: bottom - top };
}

export function inside(positions: Positions, { x, y, width, height }: Box): string[] {
  return [...positions].flatMap(([key, at]) => {
    const apart = at.x + NODE.width < x || at.x > x + width ||
      at.y + NODE.height < y || at.y > y + height;
    return apart ? [] : [key];
  });
}

export type Side = "left" | "top" | "centre" | "middle";

/** These nodes in one line: by their left or upper edges, or by their middles. */
export function aligned(positions: Positions, keys: readonly string[], side: Side): Positions {
  const own = keys.flatMap((key) => positions.get(key) ?? []);
  const box = boundsOf(own);
  const moved = new Map(positions);
  for (const key of keys) {
    const at = positions.get(key);
    if (at === undefined) continue;
    if (side === "left") moved.set(key, { ...at, x: box.x });
    if (side === "top") moved.set(key, { ...at, y: box.y });
    if (side === "centre") moved.set(key, { ...at, x: snap(box.x + (box.width - NODE.width) / 2) });
    if (side === "middle") {
      moved.set(key, { ...at, y: snap(box.y + (box.height - NODE.height) / 2) });
    }
  }
  return moved;
}

export type Direction = "left" | "right" | "up" | "down";

/** The node that an arrow key leads to: along an edge, else the nearest one on that side. */
export function neighbour(
  document: Document, positions: Positions, from: string, direction: Direction,
): string | undefined {
  const at = positions.get(from);
  if (at === undefined) return undefined;
  const edges = edgesOf(document);
  const linked =
    direction === "right"
      ? edges.flatMap((edge) => (edge.from === from ? edge.to : []))
      : direction === "left"
        ? edges.flatMap((edge) => (edge.to === from ? edge.from : []))
        : [];
  const candidates = linked.length > 0 ? linked : [...positions.keys()].filter((key) => {
    const { x, y } = positions.get(key)!;
    if (key === from) return false;
    if (direction === "right") return x > at.x;
    if (direction === "left") return x < at.x;
    return direction === "down" ? y > at.y : y < at.y;
  });
  // Two steps to the side are as far as one ahead: a column is gone through from top to bottom.
  const isUpright = direction === "up" || direction === "down";
  const far = (key: string): number => {
    const { x, y } = positions.get(key)!;
    const [dx, dy] = [Math.abs(x - at.x), Math.abs(y - at.y)];
    return isUpright ? dy + 2 * dx : dx + 2 * dy;
  };
  return candidates.sort((a, b) => far(a) - far(b))[0];
}
