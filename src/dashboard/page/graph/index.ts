/**
 * Lesson 19: which nodes of a picture lie in a box, without a look at all of them.
 *
 * Nodes stand in columns and do not overlap, so a column is a sorted list: the first node that
 * reaches into the box is found by halving, and those below it follow.
 *
 * Test: test/19-dashboard.run.test.ts
 */
import type { Box } from "./camera.ts";
import { NODE, type Picture } from "./picture.ts";

interface Column {
  readonly x: number;
  /** From above. */
  readonly nodes: readonly number[];
}

export class NodeIndex {
  readonly #picture: Picture;
  readonly #columns: Column[];
  readonly #places: Int32Array;

  constructor(picture: Picture) {
    this.#picture = picture;
    const { ranks, xs, ys } = picture;
    const columns: number[][] = [];
    for (const [at, rank] of ranks.entries()) (columns[rank] ??= []).push(at);
    this.#places = new Int32Array(ranks.length);
    this.#columns = columns.map((nodes) => {
      nodes.sort((a, b) => ys[a]! - ys[b]!);
      for (const [place, node] of nodes.entries()) this.#places[node] = place;
      return { x: xs[nodes[0]!]!, nodes };
    });
  }

  inside(box: Box): number[] {
    const found: number[] = [];
    for (const column of this.#columns) {
      if (column.x > box.x + box.width || column.x + NODE.width < box.x) continue;
      for (let at = this.#firstFrom(column, box.y); at < column.nodes.length; at++) {
        const node = column.nodes[at]!;
        if (this.#picture.ys[node]! > box.y + box.height) break;
        found.push(node);
      }
    }
    return found;
  }

  at(x: number, y: number): number | undefined {
    return this.inside({ x, y, width: 0, height: 0 })[0];
  }

  /** The node above (-1) or below (1) in its column. */
  beside(node: number, step: 1 | -1): number | undefined {
    const column = this.#columns[this.#picture.ranks[node]!]!;
    return column.nodes[this.#places[node]! + step];
  }

  /** The place of the first node of a column whose lower end is at `y` or below it. */
  #firstFrom({ nodes }: Column, y: number): number {
    let [low, high] = [0, nodes.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#picture.ys[nodes[middle]!]! + NODE.height < y) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

export type Arrow = "ArrowLeft" | "ArrowRight" | "ArrowUp" | "ArrowDown";

/**
 * The node that an arrow leads to: right to a child, left to a parent (to the one that is most
 * level), up and down in the same column.
 */
export function walk(
  arrow: Arrow, node: number, graph: {
    picture: Picture; index: NodeIndex;
    parents: readonly (readonly number[])[]; children: readonly (readonly number[])[];
  },
): number | undefined {
  const { picture: { ys }, index, parents, children } = graph;
  if (arrow === "ArrowUp") return index.beside(node, -1);
  if (arrow === "ArrowDown") return index.beside(node, 1);
  const near = (arrow === "ArrowLeft" ? parents : children)[node]!;
  const away = (other: number): number => Math.abs(ys[other]! - ys[node]!);
  return near.reduce<number | undefined>(
    (best, other) => best === undefined || away(other) < away(best) ? other : best, undefined);
}
