/** What a job costs in time and memory as the graph grows. `npm run -s try 06/cost 1000000` for a size of your own. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Dag } from "#dag";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

type Job = { id: string; parents: string[] };
type Shape = (size: number, random: (below: number) => number) => Job[];

const parentsOf = (i: number, pick: () => number) => (i === 0 ? [] : [`job-${pick()}`, `job-${pick()}`]);

const SHAPES: Record<string, Shape> = {
  "two parents nearby": (size, random) =>
    Array.from({ length: size }, (_, i) => ({ id: `job-${i}`, parents: parentsOf(i, () => Math.max(0, i - 1 - random(100))) })),
  "two parents anywhere": (size, random) =>
    Array.from({ length: size }, (_, i) => ({ id: `job-${i}`, parents: parentsOf(i, () => random(i)) })),
  "one chain": (size) => Array.from({ length: size }, (_, i) => ({ id: `job-${i}`, parents: i === 0 ? [] : [`job-${i - 1}`] })),
};

/** Times are the best of several runs: what the others had more, they waited for the compiler or for other programs. */
function measure(shape: Shape, size: number): { buildNs: number; drainNs: number; bytes: number } {
  let state = 42;
  const random = (below: number) => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) % below;
  const best = { buildNs: Infinity, drainNs: Infinity, bytes: 0 };
  for (let i = 0; i < Math.max(3, 500_000 / size); i++) {
    const jobs = shape(size, random);
    const before = bytesNow();
    const building = process.hrtime.bigint();
    const dag = Dag.build(jobs);
    best.buildNs = Math.min(best.buildNs, Number(process.hrtime.bigint() - building) / size);
    // The id strings belong to `jobs` here, to the graph in real life: a header and the characters, in words of 8.
    const ids = jobs.reduce((sum, { id }) => sum + 16 + 8 * Math.ceil(id.length / 8), 0);
    if (i === 0) best.bytes = (bytesNow() - before + ids) / size;
    const draining = process.hrtime.bigint();
    const ready = dag.ready();
    for (let job = ready.pop(); job !== undefined; job = ready.pop()) for (const next of dag.settle(job)) ready.push(next);
    best.drainNs = Math.min(best.drainNs, Number(process.hrtime.bigint() - draining) / size);
  }
  return best;
}

function bytesNow(): number {
  // Twice: the first one only marks the memory behind typed arrays, the second waits until it is given back.
  collectGarbage();
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const asked = process.argv.slice(2).map(Number);
const sizes = asked.length > 0 ? asked : [10_000, 100_000];
for (const [name, shape] of Object.entries(SHAPES)) {
  for (const size of sizes) {
    const { buildNs, drainNs, bytes } = measure(shape, size);
    const cells = [`build ${buildNs.toFixed(0)} ns`, `drain ${drainNs.toFixed(0)} ns`, `${bytes.toFixed(0)} bytes`];
    console.log(`${name.padEnd(22)}${String(size).padStart(9)} jobs: ${cells.join(", ")} per job`);
  }
}
