/**
 * Lesson 19: what a picture consists of.
 *
 * Test: test/layout.test.ts
 */

/** All lengths have one unit: that of the caller. */
export interface LayoutOptions {
  readonly nodeWidth?: number;
  readonly nodeHeight?: number;
  /** Between two columns: room for the edges to turn. */
  readonly columnGap?: number;
  /** Between two jobs of a column. */
  readonly rowGap?: number;
  /** Between an edge that passes and its neighbours. */
  readonly laneGap?: number;
  /**
   * Of each job, how far down it stood in the picture before, undefined if it is new. Jobs then
   * keep their order, and a new one stands beside its parents.
   */
  readonly before?: readonly (number | undefined)[];
}

export interface PlacedNode {
  /** The column, from 0. */
  readonly rank: number;
  /** The corner with the smallest numbers. */
  readonly x: number;
  readonly y: number;
}

export interface PlacedEdge {
  readonly from: number;
  readonly to: number;
  /** From the right side of the parent to the left side of the child. */
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface Layout {
  readonly nodes: readonly PlacedNode[];
  readonly edges: readonly PlacedEdge[];
  readonly width: number;
  readonly height: number;
  readonly crossings: number;
}
