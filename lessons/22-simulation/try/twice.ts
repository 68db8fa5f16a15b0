/** Three lives of a whole cluster, each lived twice: are they equal to the last byte? */
import { generatePlan, simulate } from "#simulation";

const hashes = new Set<string>();
for (const seed of [1, 2, 3]) {
  const once = await simulate(generatePlan(seed));
  const again = await simulate(generatePlan(seed));
  hashes.add(once.traceHash);
  console.log(`seed ${seed}: ${once.violation?.invariant ?? "nothing broke"}, and the second time the same hash: ${once.traceHash === again.traceHash}`);
}
console.log(`different hashes: ${hashes.size}`);
