/** Three ways to get a graph of jobs wrong: look at everything, never look for a cycle, look by recursion. */
import { Dag, DagError } from "#dag";

type Job = { id: string; parents: string[] };

/** The scheduler everybody writes first: is there a job whose parents are all done? Look again. */
function runByScanning(jobs: readonly Job[]): { looks: number; left: string[] } {
  const done = new Set<string>();
  let looks = 0;
  for (;;) {
    let progress = false;
    for (const job of jobs) {
      if (done.has(job.id)) continue;
      looks++;
      if (job.parents.every((parent) => done.has(parent))) {
        done.add(job.id);
        progress = true;
      }
    }
    if (!progress) return { looks, left: jobs.filter((job) => !done.has(job.id)).map((job) => job.id) };
  }
}

/** The same run on counters. A look is a counter that is counted down. */
function runByCounting(jobs: readonly Job[]): number {
  const dag = Dag.build(jobs);
  let looks = 0;
  const ready = dag.ready();
  for (const job of ready) {
    dag.forEachChild(job, () => looks++);
    ready.push(...dag.settle(job));
  }
  return looks;
}

/** A chain, written down with the last job first: every pass of the scan finds one job. */
const backwards = (length: number): Job[] =>
  Array.from({ length }, (_, i) => ({ id: `j${i}`, parents: i + 1 < length ? [`j${i + 1}`] : [] }));

console.log("1. A chain that is written backwards");
for (const length of [10, 100, 1_000]) {
  const jobs = backwards(length);
  const scanned = runByScanning(jobs).looks.toLocaleString("en");
  console.log(`${String(length).padStart(8)} jobs: ${scanned.padStart(8)} looks by scanning, ${runByCounting(jobs)} by counting`);
}

console.log("2. A cycle");
const circular: Job[] = [
  { id: "fetch", parents: [] },
  { id: "clean", parents: ["fetch", "check"] },
  { id: "train", parents: ["clean"] },
  { id: "check", parents: ["train"] },
];
console.log(`   by scanning: nothing to do, no error, and ${runByScanning(circular).left.join(", ")} never run`);
try {
  Dag.build(circular);
} catch (error) {
  console.log(`   Dag.build: ${(error as DagError).code}. ${(error as DagError).message}`);
}

console.log("3. A search by recursion, 100,000 jobs deep");
const byId = new Map(backwards(100_000).map((job) => [job.id, job]));
const depth = (id: string): number => 1 + Math.max(0, ...byId.get(id)!.parents.map(depth));
try {
  console.log(`   depth ${depth("j0")}`);
} catch (error) {
  console.log(`   ${(error as Error).name}: ${(error as Error).message}`);
}
console.log(`   Dag.build: ${Dag.build(byId.values()).topologicalOrder().length} jobs in order`);
