// Map: counts the words of one shard. What it writes to TITAN_OUTPUT is its result, which the merge receives.
import { readFileSync, writeFileSync } from "node:fs";

/** A result is a value, not a file: at most 64 KiB. A word that is not among a shard's 1,500 most frequent is not in the chart either. */
const KEPT_WORDS = 1500;

const file = process.argv[2];
const words = readFileSync(file, "utf8").toLowerCase().match(/[a-z]{2,}/g) ?? [];
const counts = new Map();
for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
const kept = [...counts].sort((a, b) => b[1] - a[1]).slice(0, KEPT_WORDS);

console.log(`${file}: ${words.length} words, ${counts.size} different`);
writeFileSync(process.env.TITAN_OUTPUT, JSON.stringify({ words: words.length, counts: Object.fromEntries(kept) }));
