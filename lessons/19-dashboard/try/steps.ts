/** The picture of examples/release.yaml, step by step. */
import { readFileSync } from "node:fs";
import { layout } from "#layout";
import { parsePipeline } from "#pipeline";
import { chainsOf } from "../../../src/layout/chains.ts";
import { countCrossings } from "../../../src/layout/crossings.ts";
import { orderLayers } from "../../../src/layout/order.ts";
import { ranksOf } from "../../../src/layout/rank.ts";

const file = new URL("../examples/release.yaml", import.meta.url);
const { jobs } = parsePipeline(readFileSync(file, "utf8"));
const places = new Map(jobs.map(({ id }, index) => [id, index]));
const parents = jobs.map(({ dependsOn }) => dependsOn.map((id) => places.get(id as string)!));

const ranks = ranksOf(parents);
const chains = chainsOf(parents, ranks);
/** One line for each column. A waypoint is a ring. */
function show(title: string): void {
  console.log(`${title}: ${countCrossings(chains)} crossings`);
  for (const [rank, layer] of chains.layers.entries()) {
    console.log(`  ${rank}  ${layer.map((vertex) => jobs[vertex]?.id ?? "∘").join("  ")}`);
  }
}

show("columns, as the file has the jobs");
orderLayers(chains);
show("sorted");

console.log("placed");
const { nodes } = layout(parents);
const rows: string[][] = [];
for (const [index, { rank, y }] of nodes.entries()) {
  const row = (rows[Math.round(y / 28)] ??= []);
  row[rank] = jobs[index]!.id;
}
for (const row of Array.from(rows, (each) => each ?? [])) {
  console.log(`  ${Array.from(row, (id) => (id ?? "").padEnd(13)).join("")}`.trimEnd());
}
