/**
 * Lesson 19: many lines as few elements: one path for all edges that look alike, and one for all
 * nodes of a state when there are too many for buttons.
 *
 * Test: test/19-dashboard.run.browser.test.ts
 */
import { lookOf } from "../parts/badge.ts";
import { h, type VNode } from "../vdom.ts";
import { NODE, type Picture } from "./picture.ts";

export function edgePaths({ picture, edges, states, chosenNode }: {
  readonly picture: Picture; readonly edges: readonly number[];
  readonly states: readonly string[]; readonly chosenNode: number;
}): VNode[] {
  const ways: Record<"idle" | "done" | "chosen", string[]> = { idle: [], done: [], chosen: [] };
  const { from, to, ways: all } = picture.edges;
  for (const edge of edges) {
    const isChosen = from[edge] === chosenNode || to[edge] === chosenNode;
    const isDone = states[from[edge]!] === "COMPLETED";
    ways[isChosen ? "chosen" : isDone ? "done" : "idle"].push(all[edge]!);
  }
  return Object.entries(ways).map(([kind, own]) =>
    h("path", { key: kind, class: `edge edge-${kind}`, d: own.join("") }));
}

export function boxPaths(
  { xs, ys }: Picture, nodes: Iterable<number>, states: readonly string[],
): VNode[] {
  const ways = new Map<string, string[]>();
  for (const node of nodes) {
    const look = lookOf(states[node]!);
    const own = ways.get(look) ?? [];
    ways.set(look, own);
    own.push(`M${xs[node]} ${Math.round(ys[node]!)}h${NODE.width}v${NODE.height}h-${NODE.width}z`);
  }
  return [...ways].map(([look, own]) =>
    h("path", { key: look, class: `far state-${look}`, d: own.join("") }));
}
