// Map: counts the words of one shard. What it writes to TITAN_OUTPUT is its result, which the merge
// receives.
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";

/**
 * A result is a value, not a file: at most 64 KiB. A word that is not among a shard's 1,500 most
 * frequent is not in the chart either.
 */
const KEPT_WORDS = 1500;
/**
 * The count takes some milliseconds. With a pause after each slice there is time to kill somebody
 * in the middle of it.
 */
const SLICES = 10;
const PAUSE_MS = 160;

const [file, diary] = process.argv.slice(2);
const { TITAN_JOB: job, TITAN_ATTEMPT: attempt, TITAN_WORKER: worker, TITAN_OUTPUT } = process.env;
const note = (what) => appendFileSync(diary, `${what} ${job} ${attempt} ${worker}\n`);

note("begin");
const words = readFileSync(file, "utf8").toLowerCase().match(/[a-z]{2,}/g) ?? [];
const counts = new Map();
const slice = Math.ceil(words.length / SLICES);
for (let from = 0; from < words.length; from += slice) {
  for (const word of words.slice(from, from + slice)) counts.set(word, (counts.get(word) ?? 0) + 1);
  await pause(PAUSE_MS);
}
const kept = [...counts].sort((a, b) => b[1] - a[1]).slice(0, KEPT_WORDS);

console.log(`${file}: ${words.length} words, ${counts.size} different`);
const result = { words: words.length, counts: Object.fromEntries(kept) };
writeFileSync(TITAN_OUTPUT, JSON.stringify(result));
note("end");
