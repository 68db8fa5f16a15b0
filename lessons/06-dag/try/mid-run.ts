/** A graph that changes while it is worked off. Every edge is asked for; some are legal. */
import { Dag, DagError } from "#dag";

const dag = Dag.build([
  { id: "fetch", parents: [] },
  { id: "train", parents: ["fetch"] },
  { id: "audit", parents: ["fetch"] },
  { id: "report", parents: ["train"] },
]);

const names = (jobs: number[]) => (jobs.length === 0 ? "nothing" : jobs.map((job) => dag.idOf(job)).join(", "));

function settle(id: string): void {
  console.log(`${id} is over, which frees ${names(dag.settle(dag.indexOf(id)!))}`);
}

function ask(parent: string, child: string): void {
  try {
    dag.addEdge(dag.indexOf(parent)!, dag.indexOf(child)!);
    console.log(`${parent} → ${child}: added`);
  } catch (error) {
    console.log(`${parent} → ${child}: ${(error as DagError).code}. ${(error as DagError).message}`);
  }
  console.log(`    order: ${dag.topologicalOrder().map((job) => dag.idOf(job)).join(" ")}; ready: ${names(dag.ready())}`);
}

console.log(`at the start, ready: ${names(dag.ready())}`);
settle("fetch");
ask("audit", "train");
ask("report", "audit");
settle("audit");
settle("train");
ask("report", "train");
const notify = dag.addJob("notify", ["audit"]);
console.log(`notify joins under audit, which is over: ready at once? ${dag.isReady(notify)}`);
