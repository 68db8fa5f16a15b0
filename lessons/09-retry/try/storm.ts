/**
 * A dependency is down from second 10 to second 20. 100 jobs a second need it, and each may try four times.
 * How many calls does the sick thing get, and how many jobs fail that a retry would have saved?
 */
import { DeadLetters, RetryBudget, retryPolicy, retryDecision } from "#retry";

const policy = retryPolicy({ maxAttempts: 4, delayMs: 1000, backoff: 1, jitter: 0 });
const [SECONDS, JOBS_PER_SECOND] = [30, 100];

function run(budget: RetryBudget | undefined): { calls: number[]; dead: number; why: Map<string, number> } {
  const calls: number[] = [];
  const why = new Map<string, number>();
  const dead = new DeadLetters<string>(10_000);
  const due: { job: string; attempt: number }[][] = [];
  for (let second = 0; second < SECONDS + 4; second++) {
    const work = due[second] ?? [];
    if (second < SECONDS) for (let n = 0; n < JOBS_PER_SECOND; n++) work.push({ job: `${second}/${n}`, attempt: 1 });
    calls.push(work.length);
    for (const { job, attempt } of work) {
      if (attempt === 1) budget?.deposit();
      // One call in a hundred fails on a good day, and all of them while it is down.
      const down = second >= 10 && second < 20;
      if (!down && (Number(job.split("/")[1]) + attempt) % 100 !== 0) continue;
      const next = retryDecision(policy, { attempt, kind: "exit", ...(budget && { budget }) });
      if (next.retry) {
        budget?.withdraw();
        (due[second + next.delayMs / 1000] ??= []).push({ job, attempt: attempt + 1 });
      } else {
        dead.add(job, next.why);
        why.set(next.why, (why.get(next.why) ?? 0) + 1);
      }
    }
  }
  return { calls, dead: dead.size, why };
}

for (const [name, budget] of [["no budget", undefined], ["budget of 20%", new RetryBudget({ ratio: 0.2, reserve: 10, limit: 50 })]] as const) {
  const { calls, dead, why } = run(budget);
  console.log(`${name}\n  calls in seconds  8 to 23: ${calls.slice(8, 24).join(" ")}`);
  console.log(`  dead letters: ${dead} (${[...why].map(([reason, count]) => `${count} ${reason}`).join(", ")})\n`);
}
