/**
 * Lesson 19: how many edges cross between neighbouring columns.
 *
 *     a   b        two edges cross when their ends are in opposite orders: pairs of numbers that
 *      ╲ ╱         are out of order, which a tree of counts finds in O(E log V) (Barth, Jünger and
 *      ╱ ╲         Mutzel, 2002), where comparing every pair takes O(E²)
 *     d   c
 *
 * Test: test/layout.test.ts
 */
import type { Chains } from "./chains.ts";

export function countCrossings(chains: Chains): number {
  const { layers, behind } = chains;
  const places = placesOf(chains);
  let sum = 0;
  for (const [rank, layer] of layers.entries()) {
    const ends: number[] = [];
    for (const vertex of layer) {
      const own = behind[vertex]!.map((child) => places[child]!);
      if (own.length > 1) own.sort((a, b) => a - b);
      for (const place of own) ends.push(place);
    }
    sum += inversions(ends, layers[rank + 1]?.length ?? 0);
  }
  return sum;
}

/** Where each job or waypoint stands in its column. */
export function placesOf({ layers, ranks }: Chains): Int32Array {
  const places = new Int32Array(ranks.length);
  for (const layer of layers) {
    for (let place = 0; place < layer.length; place++) places[layer[place]!] = place;
  }
  return places;
}

// #region inversions
/** Pairs of numbers, each below `size`, of which the larger one comes first. */
export function inversions(numbers: readonly number[], size: number): number {
  // tree[n] counts the numbers so far in the range that ends at n and is as long as n's lowest bit.
  const tree = new Int32Array(size + 1);
  let found = 0;
  for (let before = 0; before < numbers.length; before++) {
    const number = numbers[before]!;
    let notLarger = 0;
    for (let at = number + 1; at > 0; at -= at & -at) notLarger += tree[at]!;
    found += before - notLarger;
    for (let at = number + 1; at <= size; at += at & -at) tree[at]! += 1;
  }
  return found;
}
// #endregion
