// Reduce: adds the counts of all shards. TITAN_INPUTS names a file with the results of the jobs
// this one depends on.
import { readFileSync, writeFileSync } from "node:fs";

const shards = Object.values(JSON.parse(readFileSync(process.env.TITAN_INPUTS, "utf8")));
const totals = new Map();
for (const [word, count] of shards.flatMap(({ counts }) => Object.entries(counts))) {
  totals.set(word, (totals.get(word) ?? 0) + count);
}
const words = shards.reduce((sum, shard) => sum + shard.words, 0);
const top = [...totals].sort((a, b) => b[1] - a[1]).slice(0, 200);

console.log(`${shards.length} shards, ${words} words, merged on ${process.env.TITAN_WORKER}`);
writeFileSync(process.env.TITAN_OUTPUT, JSON.stringify({ words, top }));
