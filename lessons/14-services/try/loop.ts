/** The same ten seconds by the rules of this chapter, and an hour of them. */
import { restartDecision } from "#services";

const policy = { policy: "always", delayMs: 1000, backoff: 2, maxDelayMs: 60_000, attempts: 0, windowMs: 600_000 } as const;
const START_MS = 40;

function starts(withinMs: number): { at: number; delayMs: number }[] {
  const found: { at: number; delayMs: number }[] = [];
  let [at, failures] = [0, 0];
  while (at < withinMs) {
    failures += 1;
    const end = { how: "failed", wasReady: false, failures, restarts: [], at, random: () => 0 } as const;
    const decision = restartDecision(policy, end);
    const delayMs = decision.restart ? decision.delayMs : Infinity;
    found.push({ at, delayMs });
    at += START_MS + delayMs;
  }
  return found;
}

for (const { at, delayMs } of starts(10_000)) {
  console.log(`${(at / 1000).toFixed(3).padStart(7)} s  starts, ends after ${START_MS} ms, and starts again in ${delayMs / 1000} s`);
}
console.log(`${starts(3_600_000).length} starts in an hour`);
