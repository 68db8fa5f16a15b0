// Draws the result.
import { readFileSync } from "node:fs";

const { merge, stopwords } = JSON.parse(readFileSync(process.env.TITAN_INPUTS, "utf8"));
const dull = new Set(stopwords);
const rows = merge.top.filter(([word]) => !dull.has(word)).slice(0, 8);
const most = rows[0][1];
console.log(`${merge.words.toLocaleString("en-US")} words in this checkout; the most frequent:\n`);
for (const [word, count] of rows) {
  const bar = "█".repeat(Math.max(1, Math.round((count / most) * 40)));
  console.log(`${word.padStart(12)} ${bar} ${count}`);
}
